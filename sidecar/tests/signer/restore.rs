//! Old copies of records that come back: which signers notice, what they say, and that the runbook of docs/record.md ("When a backup
//! is restored") makes them sign again, above.

use crate::api_server::ApiServer;
use crate::control_plane::ControlPlane;
use crate::payload::{attestation, block};
use crate::process::{Answer, Signer, wait_for};
use crate::record_store::on_each_kind;
use crate::test_env::{FLOOR, TestEnv};
use serde_json::{Value, json};
use std::time::Duration;
use tezos_signer_core::config::KeyConfig;

const NEXT: u32 = FLOOR + 1;

fn log_to(env: &TestEnv, name: &str) {
    env.set_config(json!({"audit": {"file": env.path.join(name)}}));
}

fn start(env: &TestEnv) -> Signer {
    // The same pod, whose container was restarted: it holds what it held.
    Signer::start_with(env, &[("POD_UID", "a-pod")])
}

fn start_ready(env: &TestEnv) -> Signer {
    let signer = start(env);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    signer
}

fn sign(signer: &Signer, key: &KeyConfig, levels: std::ops::Range<u32>) {
    for level in levels {
        signer.signature(key, &block(level, 0, 1));
        signer.signature(key, &attestation(level, 0, 1));
    }
}

/// What is answered once the token and the store can be used.
fn settled(signer: &Signer, key: &KeyConfig, payload: &[u8]) -> Answer {
    wait_for("another answer than 502", || {
        let answer = signer.sign(key, payload);
        (answer.status != 502).then_some(answer)
    })
}

/// Refused, with the runbook, by the signer and in its status; returns what was said.
fn refuses(signer: &Signer, key: &KeyConfig) -> String {
    let output = settled(signer, key, &attestation(NEXT + 1, 0, 9)).refused(409);
    assert!(output.contains("docs/record.md, \"When a backup is restored\""), "{output}");
    // Nor what was signed before, nor anything far above.
    for level in [NEXT, NEXT + 3, NEXT + 100] {
        signer.sign(key, &attestation(level, 0, 1)).refused(409);
    }
    let shown = signer.key_status(key);
    assert_eq!((shown.went_back, shown.reason.as_ref()), (true, Some(&output)));
    assert!(!signer.status().ready);
    output
}

/// The runbook's step, while the signer runs or not.
fn raise(env: &TestEnv, level: u32) {
    env.run(&["watermarks", "raise", "--level", &level.to_string()]).succeeded();
}

/// At the level that was raised to nothing is signed any more, above it everything.
fn signs_above(signer: &Signer, key: &KeyConfig, level: u32) {
    wait_for("a signature above the floor", || {
        (signer.sign(key, &attestation(level + 1, 0, 1)).status == 200).then_some(())
    });
    signer.sign(key, &attestation(level, 7, 1)).refused(409);
    signer.signature(key, &block(level + 1, 0, 1));
    let status = signer.status();
    assert!(status.keys.iter().all(|key| !key.went_back), "{status:?}");
}

fn data(env: &TestEnv) -> Value {
    let shown: Value = serde_json::from_str(&env.run(&["watermarks", "show", "--output", "json"]).succeeded()).unwrap();
    shown[0]["data"].clone()
}

#[test]
fn a_signer_that_starts_with_its_audit_log_refuses_a_record_that_was_put_back_meanwhile() {
    on_each_kind(|store_of| {
        let env = TestEnv::without_records();
        let store = store_of(&env);
        log_to(&env, "audit.log");
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let (key, other) = (env.tz3(), env.tz2());
        let signer = start_ready(&env);
        sign(&signer, &key, NEXT..NEXT + 2);
        let backup = data(&env);
        sign(&signer, &key, NEXT + 2..NEXT + 4);
        sign(&signer, &other, NEXT..NEXT + 1);
        drop(signer);

        store.edit(&env, &key, backup.clone());
        let signer = start(&env);
        let output = refuses(&signer, &key);
        let line = format!("proves that the block at level {} round 0 was signed", NEXT + 3);
        assert!(output.starts_with("line ") && output.contains(&line), "{output}");
        // The other key's record remembers.
        wait_for("the other key", || (signer.sign(&other, &block(NEXT + 1, 0, 1)).status == 200).then_some(()));
        let checked = env.run(&["check"]).failed();
        assert!(checked.contains(&line), "{checked}");

        // While it runs: nothing has to be started again.
        raise(&env, NEXT + 20);
        signs_above(&signer, &key, NEXT + 20);
        drop(signer);
        let signer = start_ready(&env);
        sign(&signer, &key, NEXT + 22..NEXT + 23);
        drop(signer);

        // The same with the record raised before the start, as the runbook has it.
        store.edit(&env, &key, backup.clone());
        raise(&env, NEXT + 40);
        signs_above(&start_ready(&env), &key, NEXT + 40);

        // The limit of INVARIANT R7: without its log no signer can know. The documentation says so.
        store.edit(&env, &key, backup);
        log_to(&env, "new.log");
        start_ready(&env).signature(&key, &attestation(NEXT + 2, 0, 9));
    });
}

#[test]
fn a_signer_that_was_killed_in_the_middle_never_takes_it_for_a_restore() {
    let env = TestEnv::new();
    log_to(&env, "audit.log");
    let key = env.tz3();
    let mut level = NEXT;
    for _ in 0..8 {
        let mut signer = start_ready(&env);
        level = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                (level..level + 100_000)
                    .find(|level| signer.try_sign(&key, &attestation(*level, 0, 1)).is_none())
                    .unwrap()
            });
            std::thread::sleep(Duration::from_millis(30));
            signer.kill();
            load.join().unwrap() + 1
        });
        signer.ended();
    }
    sign(&start_ready(&env), &key, level..level + 1);
}

/// docs/record.md, "When a backup is restored": etcd, from a snapshot.
#[test]
#[ignore = "needs the Kubernetes of `make tools`: make cluster-test"]
fn an_etcd_that_was_restored_from_a_snapshot() {
    let mut plane = ControlPlane::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(ApiServer::with_namespace(plane.kubeconfig()));
    let env = TestEnv::without_records();
    server.offer(&env);
    env.set_config(json!({"watermarks": {"configMap": {"namespace": server.namespace}}}));
    log_to(&env, "audit.log");
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    let key = env.tz3();
    let signer = start_ready(&env);
    sign(&signer, &key, NEXT..NEXT + 1);
    plane.back_up();
    wait_for("the store", || (signer.sign(&key, &block(NEXT + 1, 0, 1)).status == 200).then_some(()));
    signer.signature(&key, &attestation(NEXT + 1, 0, 1));
    sign(&signer, &key, NEXT + 2..NEXT + 4);
    plane.restore();

    // The one that has run through it.
    assert!(refuses(&signer, &key).contains("is lower than this signer has seen it"));
    drop(signer);
    // One that has its log.
    let signer = start(&env);
    assert!(refuses(&signer, &key).contains("was signed, but the watermark record does not have it"));
    drop(signer);
    // The limit of INVARIANT R7: one that has neither cannot know, and this is a second signature. It is what the runbook prevents.
    log_to(&env, "new.log");
    start_ready(&env).signature(&key, &attestation(NEXT + 1, 0, 9));

    log_to(&env, "audit.log");
    let signer = start(&env);
    refuses(&signer, &key);
    raise(&env, NEXT + 20);
    signs_above(&signer, &key, NEXT + 20);
    drop(signer);
    sign(&start_ready(&env), &key, NEXT + 22..NEXT + 23);
}
