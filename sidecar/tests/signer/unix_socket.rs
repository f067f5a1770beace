//! The signing port as a Unix socket, beside the one in TCP.

use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::raw_http::{RawConnection, TIMEOUT};
use crate::test_env::{FLOOR, TestEnv};
use serde_json::json;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};
use tezos_signer::net::listener::Listener;

fn env_with_socket() -> (TestEnv, PathBuf) {
    let env = TestEnv::new();
    let path = env.path.join("signer.sock");
    env.set_config(json!({ "unixSocket": path }));
    (env, path)
}

fn connect(path: &Path) -> RawConnection<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    RawConnection::over(stream)
}

#[test]
fn both_sockets_sign_and_the_file_is_for_owner_and_group_and_gone_at_the_end() {
    let (env, path) = env_with_socket();
    let mut signer = Signer::start(&env);
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    let mut connection = connect(&path);
    let signature = connection.sign(&key, &vote).signature(&key, &vote);
    assert_eq!(connection.get("/authorized_keys").json(), json!({}));
    assert_eq!(signer.signature(&key, &vote), signature);
    connection.get("/nothing").refused(404);
    wait_for("the client in the log", || signer.log().contains("\"client\":\"unix\"").then_some(()));
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    signer.terminate();
    assert!(signer.ended().success());
    assert!(!path.exists());
}

#[test]
fn the_socket_of_a_killed_process_is_replaced() {
    let (env, path) = env_with_socket();
    let mut signer = Signer::start(&env);
    signer.kill();
    signer.ended();
    assert!(path.exists(), "nobody could remove it");
    let _signer = Signer::start(&env);
    assert_eq!(connect(&path).get("/authorized_keys").status, 200);
}

#[test]
fn a_living_process_keeps_its_socket_and_what_is_no_socket_is_not_touched() {
    let (env, path) = env_with_socket();
    let living = UnixListener::bind(&path).unwrap();
    let output = Signer::start_failing(&env, &[]);
    assert!(output.contains("unixSocket") && output.contains("another process"), "{output}");
    assert!(UnixStream::connect(&path).is_ok());
    drop(living);
    std::fs::remove_file(&path).unwrap();

    std::fs::write(&path, "precious").unwrap();
    let output = Signer::start_failing(&env, &[]);
    assert!(output.contains("unixSocket") && output.contains("not a socket"), "{output}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

/// Who waits for its answer would wait as long as that one is stopped, and so would the start.
#[test]
fn a_stopped_process_whose_queue_is_full_keeps_its_socket() {
    let (env, path) = env_with_socket();
    let living = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&living, 0).unwrap();
    let _queued = UnixStream::connect(&path).unwrap();
    let begin = Instant::now();
    let output = Signer::start_failing(&env, &[]);
    assert!(output.contains("another process"), "{output}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(living.accept().is_ok() && UnixStream::connect(&path).is_ok());
}

/// On ext4 and others the next file gets the inode of the one that was removed.
#[test]
fn the_socket_that_another_process_has_made_in_its_place_is_not_removed() {
    let (env, path) = env_with_socket();
    for _ in 0..3 {
        let mut signer = Signer::start(&env);
        std::fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        signer.terminate();
        assert!(signer.ended().success());
        assert!(UnixStream::connect(&path).is_ok(), "it was removed");
        drop(other);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn of_signers_that_find_the_same_dead_socket_one_gets_it_and_keeps_it() {
    let (_env, path) = env_with_socket();
    let die = || {
        drop(UnixListener::bind(&path).unwrap());
        // A process that another test starts has all sockets of this one for a moment.
        wait_for("a dead socket", || UnixStream::connect(&path).is_err().then_some(()));
    };
    die();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for round in 0..200 {
        let start = Barrier::new(4);
        let bind = || {
            let _runtime = runtime.enter();
            start.wait();
            Listener::unix(&path)
        };
        let bound: Vec<_> = std::thread::scope(|scope| {
            let all = [(); 4].map(|()| scope.spawn(bind));
            all.map(|one| one.join().unwrap()).into_iter().collect()
        });
        let living: Vec<_> = bound.into_iter().filter_map(Result::ok).collect();
        assert_eq!(living.len(), 1, "round {round}");
        assert!(UnixStream::connect(&path).is_ok(), "round {round}: the one that listens was cut off");
        drop(living);
        die();
    }
}
