//! A request that is not answered in time names the stage that took the time, in its answer, in the log and in `/readyz`; and no other
//! stage is said to fail.

use crate::crash::Strace;
use crate::faulty_module::FaultyModule;
use crate::faulty_store::{Fault, FaultyStore, deadline};
use crate::own_process::in_own_process;
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::signing_path::InProcessSigner;
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Rule};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer::records::session::LeaseTerms;
use tezos_signer::signing::SignError;
use tokio::sync::Notify;
use tokio::time::Instant;

const NEXT: u32 = FLOOR + 1;

/// What only the audit log, or the token, may be said to do if it has done so.
const BLAMES_AUDIT: [&str; 4] =
    ["the audit log", "writing the audit log", "a write has not finished", "new signatures are refused"];

fn blames(output: &str, stage: &str, others: &[&str]) {
    assert!(output.starts_with("the 1500 ms of this request are over: ") && output.contains(stage), "{output}");
    for other in others {
        assert!(!output.contains(other), "{other}: {output}");
    }
}

fn no_gap(log: &Path) {
    let text = std::fs::read_to_string(log).unwrap();
    assert!(!text.contains("\"event\":\"gap\""), "nothing was lost");
}

/// `/readyz` says that `stage` is slow, and nothing of another one.
fn names_alone(signer: &Signer, stage: &str) {
    let ready = wait_for(stage, || {
        let ready = signer.admin("/readyz").body;
        ready.contains(stage).then_some(ready)
    });
    for other in ["audit", "the token", "the disk", "locked"].into_iter().filter(|other| !stage.contains(other)) {
        assert!(!ready.contains(other), "{other}: {ready}");
    }
}

#[test]
fn a_slow_disk_or_a_lock_is_named_and_neither_the_audit_log_nor_the_token() {
    let env = TestEnv::new();
    let log = env.path.join("audit.log");
    env.set_config(json!({"audit": {"file": log}}));
    let signer = Signer::start(&env);
    let key = env.tz3();
    signer.signature(&key, &attestation(NEXT, 0, 1));
    let record = env.record_file(&key);
    let fault = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=1700000"];
    let slow_disk = Strace::attach_with(&signer, &[&["-P", record.to_str().unwrap()], &fault[..]].concat());
    std::thread::scope(|scope| {
        let late = scope.spawn(|| signer.signature(&key, &attestation(NEXT + 1, 0, 1)));
        names_alone(&signer, "the commit to the disk of the watermark records has taken more than 1 s");
        // It is on disk by then, and may leave.
        late.join().unwrap();
    });
    names_alone(&signer, "the commit to the disk of the watermark records took 1");
    drop(slow_disk);
    signer.signature(&key, &attestation(NEXT + 2, 0, 1));
    assert_eq!(signer.admin("/readyz").json()["reasons"], json!([]), "it is in time again");

    // A process that writes there, and was stopped while it had the right to.
    let record = File::open(record).unwrap();
    flock(&record, FlockOperation::LockExclusive).unwrap();
    let lock = "waiting for another process that has the file of the watermark record locked";
    let output = std::thread::scope(|scope| {
        let late = scope.spawn(|| signer.sign(&key, &attestation(NEXT + 3, 0, 1)).refused(502));
        names_alone(&signer, &format!("{lock} has taken more than 1 s"));
        late.join().unwrap()
    });
    blames(&output, &format!("{lock} took 1"), &["the audit log", "the token", "disk"]);
    names_alone(&signer, &format!("{lock} took 1"));
    let status = signer.status();
    assert!(signer.reason(&key).unwrap().contains(&output), "{status:?}");
    assert_eq!((status.hsm.ready, status.ready, status.started), (true, false, true));
    flock(&record, FlockOperation::Unlock).unwrap();
    signer.signature(&key, &attestation(NEXT + 3, 0, 1));
    assert_eq!(signer.admin("/readyz").json()["reasons"], json!([]), "it is in time again");
    for blamed in BLAMES_AUDIT.into_iter().skip(1) {
        assert!(!signer.log().contains(blamed), "{blamed}: {}", signer.log());
    }
    drop(signer);
    no_gap(&log);
}

#[test]
fn a_commit_that_takes_the_time_of_the_next_attempt_is_named_and_nothing_else_fails() {
    in_own_process(async |env| {
        for is_leased in [false, true] {
            let (store, terms, stage) = if is_leased {
                let duration = Duration::from_secs(30);
                let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration };
                (FaultyStore::leased(&env), Some(terms), "the commit to the API server took ")
            } else {
                (FaultyStore::exclusive(&env), None, "the commit to the disk of the watermark records took ")
            };
            let in_process = InProcessSigner::new(&env, &store, terms).await;
            if is_leased {
                in_process.take_lease().await;
            }
            // With nothing left for the next attempt, with a little, and with the last of three at the end of the time.
            for slow in [1600, 1470, 510] {
                let level = NEXT + u32::from(is_leased) * 20;
                in_process.store.fail_next([1, 2, 3].map(|_| Fault::LostAfter(Duration::from_millis(slow))));
                let error = in_process.sign(&attestation(level, 0, 1)).await.unwrap_err();
                in_process.store.heal();
                assert_eq!(error.status(), 502);
                blames(&error.to_string(), stage, &["audit", "token"]);
                let session = in_process.record_session();
                let reason = session.pace().reason(session.medium()).unwrap();
                assert!(reason.contains(&error.to_string()), "{reason}");
                assert_eq!(in_process.signer.audit().problem(), None);
                assert_eq!(in_process.signer.audit().lost(), 0);
                assert!(in_process.signer.keystore().reasons().is_empty());
                assert!(session.view().problem.is_none(), "{:?}", session.view().problem);
            }
            in_process.sign(&attestation(NEXT + 10 + u32::from(is_leased) * 20, 0, 1)).await.unwrap();
            assert_eq!(in_process.record_session().pace().reason(in_process.record_session().medium()), None);
        }
    });
}

/// An API server that fails at once takes no time itself: the signature that is made anew for each attempt does.
#[test]
fn a_commit_that_fails_quickly_is_named_beside_the_stage_that_its_attempts_have_cost_the_time() {
    in_own_process(async |env| {
        let module = FaultyModule::install(&env);
        let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration: Duration::from_secs(30) };
        let in_process = InProcessSigner::new(&env, &FaultyStore::leased(&env), Some(terms)).await;
        in_process.take_lease().await;
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        // The third attempt runs out of time.
        module.set(&Control { rules: vec![Rule::slow("C_Sign", 600)], ..Control::default() });
        in_process.store.fail_next([1, 2].map(|_| Fault::LostAfter(Duration::from_millis(1))));
        let error = in_process.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap_err();
        assert_eq!(error.status(), 502);
        let output = error.to_string();
        blames(&output, "the token's signature took 1", &["audit", "the commit to the API server took"]);
        assert!(output.contains("(the commit to the API server failed: "), "{output}");
        assert!(output.contains("the watermark store failed: no answer)"), "{output}");
        let session = in_process.record_session();
        let reason = session.pace().reason(session.medium()).unwrap();
        assert!(reason.contains(&output), "{reason}");

        // Where no commit failed, none is named.
        module.set(&Control { rules: vec![Rule::slow("C_Sign", 2000)], ..Control::default() });
        let output = in_process.sign(&attestation(NEXT + 2, 0, 1)).await.unwrap_err().to_string();
        blames(&output, "the token's signature took 1", &["commit"]);
        module.set(&Control::default());
    });
}

#[test]
fn a_commit_that_succeeds_too_late_gives_its_signature_and_is_told() {
    in_own_process(async |env| {
        let in_process = InProcessSigner::new(&env, &FaultyStore::exclusive(&env), None).await;
        in_process.store.fail_next([Fault::Slow(Duration::from_millis(1600))]);
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        let session = in_process.record_session();
        let reason = session.pace().reason(session.medium()).unwrap();
        assert!(reason.contains("the commit to the disk of the watermark records took 16"), "{reason}");
        // A repeated signature says nothing of new ones.
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        assert_eq!(session.pace().reason(session.medium()), Some(reason));
        in_process.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap();
        assert_eq!(session.pace().reason(session.medium()), None);
    });
}

#[test]
fn a_request_that_waits_for_another_says_so_and_for_what_that_one_waits() {
    in_own_process(async |env| {
        let in_process = InProcessSigner::new(&env, &FaultyStore::exclusive(&env), None).await;
        let session = in_process.record_session();
        let held = session.lock(deadline()).await.unwrap();
        let error = in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap_err();
        blames(&error.to_string(), "waiting for earlier requests for this key took 1", &["audit", "token", "disk"]);
        drop(held);

        let (vote, reached, go_on) = (attestation(NEXT, 0, 1), Arc::new(Notify::new()), Arc::new(Notify::new()));
        in_process.store.fail_next([Fault::Waits(reached.clone(), go_on.clone())]);
        let (first, second) = tokio::join!(in_process.sign(&vote), async {
            reached.notified().await;
            let error = in_process.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap_err();
            let reason = session.pace().reason(session.medium()).unwrap();
            assert!(reason.starts_with("the commit to the disk of the watermark records has taken more"), "{reason}");
            go_on.notify_one();
            error
        });
        first.unwrap();
        assert!(matches!(second, SignError::OutOfTime { .. }), "{second}");
        let output = second.to_string();
        blames(&output, "waiting for earlier requests for this key took 1", &["audit", "token"]);
        assert!(output.contains("(the commit to the disk of the watermark records has taken "), "{output}");
    });
}

/// A read that had no fair time says nothing of the store; one that failed at once, or in a fair time, does.
#[test]
fn a_read_that_fails_is_a_problem_of_the_record_unless_it_had_no_time() {
    in_own_process(async |env| {
        let store = FaultyStore::exclusive(&env);
        let in_process = InProcessSigner::new(&env, &store, None).await;
        let session = in_process.record_session();
        let milliseconds = Duration::from_millis;
        for (fails_after, time, is_shown) in [(120, 60, false), (0, 60, true), (460, 400, true)] {
            store.heal();
            session.lock(deadline()).await.unwrap().observe(deadline()).await.unwrap();
            assert!(session.view().problem.is_none(), "it is well again");
            store.fail_reads_after(milliseconds(fails_after));
            let mut record = session.lock(deadline()).await.unwrap();
            record.observe(Instant::now() + milliseconds(time)).await.unwrap_err();
            assert_eq!(session.view().problem.is_some(), is_shown, "failed after {fails_after} of {time} ms");
        }
        store.heal();
    });
}

#[test]
fn a_slow_token_is_named() {
    let env = TestEnv::new();
    let log = env.path.join("audit.log");
    env.set_config(json!({"audit": {"file": log}}));
    let module = FaultyModule::install(&env);
    let signer = module.start(&env);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    let key = env.tz3();
    signer.signature(&key, &attestation(NEXT, 0, 1));
    module.set(&Control { rules: vec![Rule::slow("C_Sign", 2500)], ..Control::default() });
    let output = signer.sign(&key, &attestation(NEXT + 1, 0, 1)).refused(502);
    blames(&output, "the token's signature took 1", &["audit", "commit"]);
    // The last of these where the call of the other session began earlier.
    let causes = ["the token has not answered in time", "C_Sign", "does not return from signing"];
    assert!(causes.iter().any(|cause| output.contains(cause)), "{output}");
    let ready = signer.admin("/readyz");
    assert!(ready.body.contains("the token's signature"), "{ready:?}");
    module.set(&Control::default());
    wait_for("a signature in time", || (signer.sign(&key, &attestation(NEXT + 2, 0, 1)).status == 200).then_some(()));
    wait_for("no reason", || (signer.admin("/readyz").json()["reasons"] == json!([])).then_some(()));
    drop(signer);
    no_gap(&log);
}

/// Standard output that nobody reads: the pipe is full after 64 KiB. INVARIANT S12: However many refused requests wait for it, an intent has a place.
#[test]
fn an_audit_log_that_takes_no_line_is_named_and_says_so_itself() {
    let env = TestEnv::new();
    let mut signer = Signer::start_with_piped_output(&env, &[]);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    let key = env.tz3();
    for _ in 0..2000 {
        signer.get("/nowhere");
    }
    wait_for("a stall", || signer.admin("/readyz").body.contains("a write has not finished").then_some(()));
    let output = signer.sign(&key, &attestation(NEXT, 0, 1)).refused(502);
    assert!(!output.contains("too many requests"), "{output}");
    blames(&output, "writing the audit log took 1", &["the token", "commit"]);
    assert!(output.contains("the audit log did not accept the line in time"), "{output}");
    assert!(signer.admin("/metrics").body.contains("tezos_signer_audit_up 0"));
    assert!(signer.log().contains("the audit log accepts no lines: new signatures are refused"), "{}", signer.log());

    let mut output = signer.output();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        text
    });
    wait_for("a signature", || (signer.sign(&key, &attestation(NEXT, 0, 1)).status == 200).then_some(()));
    wait_for("no reason", || (signer.admin("/readyz").json()["reasons"] == json!([])).then_some(()));
    assert!(signer.admin("/metrics").body.contains("tezos_signer_audit_up 1"));
    signer.terminate();
    signer.ended();
    drop(signer);
    let text = reader.join().unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let gaps: Vec<u64> =
        lines.iter().filter(|line| line["event"] == "gap").map(|line| line["lines"].as_u64().unwrap()).collect();
    assert!(!gaps.is_empty() && gaps.iter().all(|lines| *lines > 0), "{gaps:?}");
    assert_eq!(lines.last().unwrap()["event"], "end");
}
