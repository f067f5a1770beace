//! Listening sockets that the service manager keeps: who connects during a restart waits for the next process. Each test stands for
//! systemd: it receives what the signer stores, and passes it to the next process. systemd itself is in `e2e/standalone`.

use crate::faulty_module::FaultyModule;
use crate::kept_unix_socket::{is_full, unix_socket};
use crate::payload::{attestation, operation, transaction};
use crate::process::{Answer, Signer, wait_for};
use crate::raw_http::{RawConnection, TIMEOUT, post, sign_path};
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Rule};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::json;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;

/// As many sockets as the store of the package's service may hold.
const CAPACITY: &str = "8";

/// The file descriptor store of a service.
pub(crate) struct FdStore {
    notify: UnixDatagram,
    address: String,
    pub(crate) sockets: Vec<(String, OwnedFd)>,
}

impl FdStore {
    pub(crate) fn new(env: &TestEnv) -> Self {
        let path = env.path.join("notify");
        let notify = UnixDatagram::bind(&path).unwrap();
        notify.set_nonblocking(true).unwrap();
        Self { notify, address: path.to_str().unwrap().to_owned(), sockets: Vec::new() }
    }

    /// Starts the next process of the service, and takes what it stores.
    pub(crate) fn start(&mut self, env: &TestEnv, more: &[(&str, &str)]) -> Signer {
        let environment = [&[("NOTIFY_SOCKET", self.address.as_str()), ("FDSTORE", CAPACITY)], more].concat();
        let signer = Signer::start_passed(env, &environment, &self.sockets);
        self.receive();
        signer
    }

    /// Starts one that must end by itself, and returns what it had to say.
    pub(crate) fn start_failing(&mut self, env: &TestEnv) -> String {
        let environment = [("NOTIFY_SOCKET", self.address.as_str()), ("FDSTORE", CAPACITY)];
        let output = Signer::start_passed_failing(env, &environment, &self.sockets);
        self.receive();
        output
    }

    /// Does what the messages say that have come.
    pub(crate) fn receive(&mut self) {
        let mut text = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        loop {
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let received =
                recvmsg(&self.notify, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC);
            let Ok(received) = received else { return };
            let passed: Vec<OwnedFd> = control
                .drain()
                .flat_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(sockets) => sockets.collect(),
                    _ => Vec::new(),
                })
                .collect();
            let lines: Vec<_> = std::str::from_utf8(&text[..received.bytes]).unwrap().lines().collect();
            let Some(name) = lines.iter().find_map(|line| line.strip_prefix("FDNAME=")) else { continue };
            if lines.contains(&"FDSTOREREMOVE=1") {
                self.sockets.retain(|(stored, _)| stored != name);
            } else {
                assert!(lines.contains(&"FDSTORE=1"), "{lines:?}");
                for socket in passed {
                    let is_known = self.sockets.iter().any(|(_, stored)| inode(stored) == inode(&socket));
                    if !is_known {
                        self.sockets.push((name.to_owned(), socket));
                    }
                }
            }
        }
    }

    /// Waits until these are stored, and no others: a Unix socket is made after the other one has begun to listen.
    pub(crate) fn await_names(&mut self, names: &[&str]) {
        wait_for("the sockets to be stored", || {
            self.receive();
            (self.names() == names).then_some(())
        });
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.sockets.iter().map(|(name, _)| name.as_str()).collect()
    }
}

fn inode(socket: &OwnedFd) -> u64 {
    rustix::fs::fstat(socket).unwrap().st_ino
}

/// Transactions have no watermark: each is signed anew, in whatever order they arrive.
pub(crate) fn test_env() -> TestEnv {
    let env = TestEnv::new();
    env.add_to_tz3("\"allow\": [\"attestation\", \"transaction\"]");
    env
}

/// Asks as Octez does: on a connection of its own, and again after 502 and after nothing else.
fn ask(address: SocketAddr, key: &KeyConfig, payload: &[u8]) -> std::io::Result<Answer> {
    let mut answer = Err(std::io::ErrorKind::TimedOut.into());
    for pause in 0..10 {
        std::thread::sleep(Duration::from_millis(100) * pause);
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut connection = RawConnection::over(stream);
        connection.try_send(post(&sign_path(key), &hex::encode(payload)))?;
        answer = connection.try_answer().map(|answer| Answer { status: answer.status, body: answer.body.clone() });
        if answer.as_ref().map_or(true, |answer| answer.status != 502) {
            break;
        }
    }
    answer
}

/// Restarts `signer` by `end` again and again while clients ask ten times a second; returns what those were answered that got no
/// signature.
fn under_restarts(end: fn(&Signer)) -> Vec<String> {
    let env = test_env();
    let key = env.tz3();
    let mut store = FdStore::new(&env);
    let mut signer = store.start(&env, &[]);
    assert_eq!(store.names(), ["listen"]);
    let address = signer.signing_address();
    let failed = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..60_u8)
            .map(|number| {
                let key = &key;
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(100) * number.into());
                    let payload = operation(&[transaction(key, number, 1)]);
                    match ask(address, key, &payload) {
                        Ok(answer) if answer.status == 200 => drop(answer.signature(key, &payload)),
                        other => return Some(format!("request {number}: {other:?}")),
                    }
                    None
                })
            })
            .collect();
        for _ in 0..4 {
            std::thread::sleep(Duration::from_secs(1));
            end(&signer);
            signer.ended();
            // As long as systemd waits after a crash.
            std::thread::sleep(Duration::from_millis(200));
            signer = store.start(&env, &[]);
            assert_eq!(signer.signing_address(), address);
        }
        clients.into_iter().filter_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(store.names(), ["listen"]);
    signer.signature(&key, &attestation(FLOOR + 1, 0, 0));
    failed
}

#[test]
fn a_restart_by_sigterm_costs_no_request() {
    assert_eq!(under_restarts(Signer::terminate), [""; 0]);
}

#[test]
fn after_a_kill_who_connects_waits_and_only_what_was_in_flight_is_lost() {
    let failed = under_restarts(Signer::kill);
    assert!(failed.len() <= 4 && !failed.iter().any(|failed| failed.contains("refused")), "{failed:?}");
}

#[test]
fn who_has_connected_already_is_answered_and_what_is_in_flight_is_signed() {
    let env = test_env();
    let module = FaultyModule::install(&env);
    let (name, value) = module.environment();
    let mut store = FdStore::new(&env);
    let mut signer = store.start(&env, &[(name, &value)]);
    let (address, key) = (signer.signing_address(), env.tz3());
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));

    let mut slow = RawConnection::tcp(address);
    // A trial signature may be under way before it: both together stay well below the deadline of a request.
    module.set(&Control { rules: vec![Rule::slow("C_Sign", 400)], ..Control::default() });
    let vote = attestation(FLOOR + 1, 0, 0);
    slow.send(post(&sign_path(&key), &hex::encode(&vote)));
    std::thread::sleep(Duration::from_millis(100));
    let (mut fresh, mut idle) = (RawConnection::tcp(address), RawConnection::tcp(address));
    assert_eq!(idle.get("/authorized_keys").status, 200);
    let mut waiting = Vec::new();
    signer.terminate();
    wait_for("the end of accepting", || {
        let mut connection = RawConnection::tcp(address);
        connection.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        connection.send("GET /authorized_keys HTTP/1.1\r\nhost: x\r\n\r\n");
        let answered = connection.try_answer().is_ok();
        waiting.push(connection);
        (!answered).then_some(())
    });
    // The one that was about to ask, and the one that asks the second of two things.
    for connection in [&mut fresh, &mut idle] {
        let answer = connection.get("/authorized_keys");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert!(connection.is_closed());
    }
    assert_eq!(slow.answer().signature(&key, &vote), env.row(&key, "attestation").rsplit(' ').next().unwrap());
    assert!(signer.ended().success());
    module.set(&Control::default());
    let _next = store.start(&env, &[(name, &value)]);
    let mut last = waiting.pop().unwrap();
    last.stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    assert_eq!(last.answer().status, 200);
}

#[test]
fn a_client_that_keeps_its_connection_loses_nothing_to_a_restart() {
    let env = test_env();
    let mut store = FdStore::new(&env);
    let mut signer = store.start(&env, &[]);
    let (address, key, over) = (signer.signing_address(), env.tz3(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut kept: Option<RawConnection<TcpStream>> = None;
            let (mut asked, mut connected) = (0_u8, 0);
            while !over.load(Ordering::SeqCst) {
                let mut connection = kept.take().unwrap_or_else(|| {
                    connected += 1;
                    RawConnection::tcp(address)
                });
                asked += 1;
                let answer = connection.sign(&key, &operation(&[transaction(&key, asked, 2)]));
                assert!(matches!(answer.status, 200 | 502), "{answer:?}");
                if answer.header("connection").is_none() {
                    kept = Some(connection);
                }
                asked %= 100;
            }
            connected
        });
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(500));
            signer.terminate();
            assert!(signer.ended().success());
            signer = store.start(&env, &[]);
        }
        over.store(true, Ordering::SeqCst);
        assert!(client.join().unwrap() >= 4);
    });
}

#[test]
fn clients_that_hang_on_delay_a_restart_by_no_more_than_a_request_may_take() {
    let env = test_env();
    let mut store = FdStore::new(&env);
    let mut signer = store.start(&env, &[]);
    let mut half = RawConnection::tcp(signer.signing_address());
    half.send("POST /keys/");
    // Closed by the signer; it does not close its side.
    let mut silent = RawConnection::tcp(signer.signing_address());
    assert_eq!(silent.get("/authorized_keys").status, 200);
    let began = Instant::now();
    signer.terminate();
    assert!(signer.ended().success());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_changed_address_is_bound_and_the_stored_one_is_closed() {
    let env = test_env();
    let path = env.path.join("signer.sock");
    env.set_config(json!({ "unixSocket": path }));
    let mut store = FdStore::new(&env);
    let mut signer = store.start(&env, &[]);
    store.await_names(&["listen", "unixSocket"]);
    let before = signer.signing_address();
    signer.terminate();
    signer.ended();

    env.set_config(json!({"listen": "127.0.0.2:0", "unixSocket": null}));
    let mut signer = store.start(&env, &[]);
    assert_eq!(store.names(), ["listen"]);
    assert_eq!(signer.signing_address().ip().to_string(), "127.0.0.2");
    assert!(TcpStream::connect(before).is_err() && UnixStream::connect(&path).is_err());
    let after = signer.signing_address();
    signer.kill();
    signer.ended();
    let signer = store.start(&env, &[]);
    assert_eq!(signer.signing_address(), after);
    signer.signature(&env.tz3(), &attestation(FLOOR + 1, 0, 0));
}

#[test]
fn a_service_manager_without_a_store_is_sent_no_socket() {
    let env = test_env();
    let mut store = FdStore::new(&env);
    for capacity in [&[][..], &[("FDSTORE", "0")]] {
        let environment = [&[("NOTIFY_SOCKET", store.address.as_str())], capacity].concat();
        let signer = Signer::start_with(&env, &environment);
        wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
        store.receive();
        assert!(store.sockets.is_empty(), "{:?}", store.names());
    }
}

pub(crate) const UNIT: &str = "tezos-signer.socket";

#[test]
fn the_sockets_of_a_socket_unit_are_listened_on_and_stay_its_own() {
    let env = test_env();
    let path = env.path.join("signer.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let sockets =
        [(UNIT.to_owned(), OwnedFd::from(UnixListener::bind(&path).unwrap())), (UNIT.to_owned(), OwnedFd::from(tcp))];
    env.set_config(json!({"listen": address, "unixSocket": path}));
    let mut store = FdStore::new(&env);
    let environment = [("NOTIFY_SOCKET", store.address.clone()), ("FDSTORE", CAPACITY.to_owned())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    for level in 1..3 {
        let mut signer = Signer::start_passed(&env, &environment, &sockets);
        assert_eq!(signer.signing_address(), address);
        signer.signature(&env.tz3(), &attestation(FLOOR + level, 0, 0));
        assert_eq!(RawConnection::over(UnixStream::connect(&path).unwrap()).get("/authorized_keys").status, 200);
        signer.terminate();
        assert!(signer.ended().success());
    }
    assert!(path.exists() && TcpStream::connect(address).is_ok());
    store.receive();
    assert!(store.sockets.is_empty(), "{:?}", store.names());
}

#[test]
fn a_socket_that_the_configuration_does_not_name_ends_the_start_because_its_clients_would_wait_for_ever() {
    let env = test_env();
    let vain = |socket: OwnedFd| Signer::start_passed_failing(&env, &[], &[(UNIT.to_owned(), socket)]);
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    env.set_config(json!({"listen": "127.0.0.1:1"}));
    let output = vain(tcp.into());
    for part in [format!("{UNIT} listens on {address}"), "127.0.0.1:1".to_owned(), format!("systemctl edit {UNIT}")] {
        assert!(output.contains(&part), "{output}");
    }

    let path = env.path.join("other.sock");
    env.set_config(json!({"listen": "127.0.0.1:0", "unixSocket": env.path.join("signer.sock")}));
    let output = vain(unix_socket(&path, 1));
    std::fs::remove_file(&path).unwrap();
    assert!(output.contains(path.to_str().unwrap()) && output.contains("signer.sock"), "{output}");

    // Where another program has taken the path of the unit's socket, no client would reach it.
    let socket = unix_socket(&path, 1);
    env.set_config(json!({ "unixSocket": path }));
    std::fs::remove_file(&path).unwrap();
    let other = unix_socket(&path, 1);
    let output = vain(socket);
    for part in [UNIT, path.to_str().unwrap(), "Stop that program", &format!("systemctl restart {UNIT}")] {
        assert!(output.contains(part), "{output}");
    }
    assert!(!is_full(&path));
    drop(other);

    // Accept=yes passes a connection, ListenDatagram= another type.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    for socket in [OwnedFd::from(connection), UdpSocket::bind("127.0.0.1:0").unwrap().into()] {
        let output = vain(socket);
        assert!(output.contains(UNIT) && output.contains("Accept=no"), "{output}");
    }
}
