//! INVARIANT S9: The line of the audit log that announces a signature is on disk before the record is committed: or a power loss would
//! leave a record whose audit row names a line that no log has, and a signature that nobody can explain.

use crate::crash::Strace;
use crate::payload::attestation;
use crate::process::Signer;
use crate::test_env::{FLOOR, TestEnv};
use serde_json::json;
use std::path::PathBuf;

/// A test environment whose signer writes its audit log into a file.
fn test_env() -> (TestEnv, PathBuf) {
    let env = TestEnv::new();
    let log = env.path.join("audit.log");
    env.set_config(json!({"audit": {"file": log}}));
    (env, log)
}

/// Makes what brings the audit log to disk do what `fault` says, and nothing else.
fn disturb(signer: &Signer, log: &std::path::Path, fault: &str) -> Strace {
    let calls = "fsync,fdatasync,sync_file_range";
    let arguments =
        ["-P", log.to_str().unwrap(), "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{fault}")];
    Strace::attach_with(signer, &arguments)
}

#[test]
fn where_the_intent_does_not_reach_the_disk_the_process_ends_before_the_commit() {
    let (env, log) = test_env();
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    let mut signer = Signer::start(&env);
    let before = env.row(&key, "attestation");
    // It fails late: whoever does not wait for it has committed long before.
    let strace = disturb(&signer, &log, "error=EIO:delay_enter=700000");
    assert!(signer.try_sign(&key, &vote).is_none(), "a signature left before its intent was on disk");
    assert_eq!(signer.ended().code(), Some(74), "{}", signer.log());
    assert!(signer.log().contains("the audit log could not be written to disk"), "{}", signer.log());
    assert_eq!(env.row(&key, "attestation"), before, "committed before its intent was on disk");
    drop(strace);

    // What was announced was never signed for anybody: another vote may take the place.
    let signer = Signer::start(&env);
    signer.signature(&key, &attestation(FLOOR + 1, 0, 2));
    signer.sign(&key, &vote).refused(409);
}

#[test]
fn the_commit_waits_until_the_intent_is_on_disk() {
    let (env, log) = test_env();
    // A busy disk takes its time too.
    env.set_config(serde_json::json!({"requestDeadlineMilliseconds": 20_000}));
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    let signer = Signer::start(&env);
    let before = env.row(&key, "attestation");
    let _slow_disk = disturb(&signer, &log, "delay_enter=1000000");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| signer.signature(&key, &vote));
        let is_announced = || {
            let text = std::fs::read_to_string(&log).unwrap();
            text.lines().any(|line| line.contains("\"intent\"") && line.contains("\"attestation\"")).then_some(())
        };
        crate::process::wait_for("the intent", is_announced);
        // The line is written and the disk has not taken it yet: a second is left.
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(env.row(&key, "attestation"), before, "committed before its intent was on disk");
        let signature = asked.join().unwrap();
        assert!(env.row(&key, "attestation").ends_with(&signature));
    });
}
