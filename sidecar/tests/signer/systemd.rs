//! The notifications that systemd receives from a signer that it has started, on a socket as systemd has one.

use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::FLOOR;
use crate::test_env::TestEnv;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// The socket that `NOTIFY_SOCKET` names.
struct Manager(UnixDatagram);

impl Manager {
    fn new(env: &TestEnv) -> (Self, String) {
        let path = env.path.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        (Self(socket), path.to_str().unwrap().to_owned())
    }

    /// The next message that has a line which begins so.
    fn receive(&self, line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("waiting for {line}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|entry| entry.starts_with(line)) {
                return text;
            }
            assert!(line != "STATUS=" || !text.contains("READY=1"), "ready before {line}: {text}");
        }
    }
}

#[test]
fn it_is_told_when_signing_works_and_why_it_does_not_and_that_the_process_lives() {
    let env = TestEnv::new();
    let record = env.record_file(&env.tz2());
    let kept = std::fs::read(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    let (manager, socket) = Manager::new(&env);
    let signer = Signer::start_with(&env, &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "300000")]);
    wait_for("the reason", || manager.receive("STATUS=").contains("no watermark record").then_some(()));
    std::fs::write(&record, kept).unwrap();
    manager.receive("READY=1");
    signer.signature(&env.tz2(), &attestation(FLOOR + 1, 0, 0));
    for _ in 0..3 {
        manager.receive("WATCHDOG=1");
    }

    signer.send_sighup();
    manager.receive("RELOADING=1");
    manager.receive("READY=1");
    env.set_config(serde_json::json!({"listen": "127.0.0.1:1"}));
    signer.send_sighup();
    manager.receive("RELOADING=1");
    manager.receive("READY=1");
    let status = manager.receive("STATUS=");
    assert!(
        status.starts_with("STATUS=signs; the changed configuration was rejected: listen cannot change"),
        "{status}"
    );
    env.set_config(serde_json::json!({"listen": "127.0.0.1:0"}));
    signer.send_sighup();
    manager.receive("READY=1");
    assert_eq!(manager.receive("STATUS=").trim(), "STATUS=signs");

    signer.terminate();
    manager.receive("STOPPING=1");
}

#[test]
fn a_process_that_is_stuck_shows_no_sign_of_life() {
    let env = TestEnv::new();
    let (manager, socket) = Manager::new(&env);
    let signer = Signer::start_with(&env, &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "300000")]);
    manager.receive("READY=1");
    signer.freeze();
    manager.0.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    // What was sent before is read first.
    wait_for("silence", || manager.0.recv(&mut [0; 4096]).is_err().then_some(()));
    signer.thaw();
}
