//! The Unix socket that the service manager keeps: who waits in it is answered, and it is served only while its path leads to it.

use crate::kept_sockets::{FdStore, UNIT, test_env};
use crate::process::{Signer, wait_for};
use crate::raw_http::{RawConnection, TIMEOUT};
use crate::test_env::TestEnv;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};
use serde_json::json;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

#[test]
fn the_unix_socket_waits_too_and_is_bound_anew_where_its_file_was_removed() {
    let env = test_env();
    let path = env.path.join("signer.sock");
    env.set_config(json!({ "unixSocket": path }));
    let mut store = FdStore::new(&env);
    let mut signer = store.start(&env, &[]);
    store.await_names(&["listen", "unixSocket"]);
    let file = std::fs::metadata(&path).unwrap().ino();
    signer.terminate();
    signer.ended();
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut waiting = RawConnection::over(stream);
    waiting.send("GET /authorized_keys HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut signer = store.start(&env, &[]);
    assert_eq!(waiting.answer().status, 200);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), file);

    signer.terminate();
    signer.ended();
    std::fs::remove_file(&path).unwrap();
    let mut signer = store.start(&env, &[]);
    store.await_names(&["listen", "unixSocket"]);
    assert_eq!(ask_for_keys(&path).answer().status, 200);

    // A dead socket of another process has its place.
    signer.terminate();
    signer.ended();
    std::fs::remove_file(&path).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let _signer = store.start(&env, &[]);
    assert_eq!(ask_for_keys(&path).answer().status, 200);
}

/// Clients that wait are answered, however many; and a socket in which no more can wait is still its own.
#[test]
fn everybody_who_waits_in_a_kept_unix_socket_is_answered() {
    let env = test_env();
    let path = env.path.join("signer.sock");
    env.set_config(json!({ "unixSocket": path }));
    let socket = unix_socket(&path, 3);
    let waiting: Vec<_> = (0..4).map(|_| ask_for_keys(&path)).collect();
    assert!(is_full(&path));
    let sockets = [(UNIT.to_owned(), socket)];
    let _signer = Signer::start_passed(&env, &[], &sockets);
    for mut connection in waiting {
        assert_eq!(connection.answer().status, 200);
    }
    assert_eq!(ask_for_keys(&path).answer().status, 200);
}

/// A start that fails leaves who waits in the queue, for the start that succeeds.
#[test]
fn who_waits_in_a_kept_unix_socket_outlasts_a_start_that_fails() {
    let env = test_env();
    let path = env.path.join("signer.sock");
    env.set_config(json!({ "unixSocket": path }));
    let mut store = stopped(&env);
    let mut waiting = ask_for_keys(&path);
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = env.config().admin;
    env.set_config(json!({ "admin": peer.local_addr().unwrap() }));
    assert!(store.start_failing(&env).contains("admin"));
    env.set_config(json!({ "admin": admin }));
    let _signer = store.start(&env, &[]);
    assert_eq!(waiting.answer().status, 200);
}

/// A kept socket whose path has become that of a socket of another program, which lives, is none that clients reach. Whether anybody
/// waits in either of them changes nothing.
#[test]
fn a_kept_unix_socket_whose_path_another_program_has_taken_is_not_served_and_the_other_one_is_left_alone() {
    for (waits_here, waits_there) in [(false, false), (true, false), (false, true), (true, true)] {
        let env = test_env();
        let path = env.path.join("signer.sock");
        env.set_config(json!({ "unixSocket": path }));
        let mut store = stopped(&env);
        let _waiting = waits_here.then(|| UnixStream::connect(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        let other = unix_socket(&path, if waits_there { 0 } else { 8 });
        let _waits_for_the_other = waits_there.then(|| UnixStream::connect(&path).unwrap());
        assert_eq!(is_full(&path), waits_there);
        let file = std::fs::metadata(&path).unwrap().ino();

        let output = store.start_failing(&env);
        let sentence = format!("cannot listen on {} (unixSocket in the configuration)", path.display());
        for part in [&sentence, "another process already listens there; stop it first", "was removed or replaced"] {
            assert!(output.contains(part), "{part}: {output}");
        }
        assert!(
            !output.contains("\"field\":\"unixSocket\",\"address\""),
            "it does not say that it listens there: {output}"
        );
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), file, "the other one's file is in its place");
        assert_eq!(store.names(), ["listen"]);

        drop(other);
        let _signer = store.start(&env, &[]);
        assert_eq!(ask_for_keys(&path).answer().status, 200);
        store.await_names(&["listen", "unixSocket"]);
    }
}

/// The store of a signer that has listened on its sockets, and was stopped.
fn stopped(env: &TestEnv) -> FdStore {
    let mut store = FdStore::new(env);
    let mut signer = store.start(env, &[]);
    store.await_names(&["listen", "unixSocket"]);
    signer.terminate();
    signer.ended();
    store
}

pub(crate) fn ask_for_keys(path: &Path) -> RawConnection<UnixStream> {
    let stream = wait_for("the Unix socket", || UnixStream::connect(path).ok());
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut connection = RawConnection::over(stream);
    connection.send("GET /authorized_keys HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    connection
}

/// A listening socket in which one client more may wait than `backlog`.
pub(crate) fn unix_socket(path: &Path, backlog: i32) -> OwnedFd {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&socket, backlog).unwrap();
    socket
}

/// Whether nobody more may wait.
pub(crate) fn is_full(path: &Path) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(path).unwrap()) == Err(Errno::AGAIN)
}
