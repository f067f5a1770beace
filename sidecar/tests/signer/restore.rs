//! Old copies of records that come back: which signers notice, what they say, and that the runbook of docs/record.md ("When a backup
//! is restored") makes them sign again, above.

use crate::api_server::ApiServer;
use crate::control_plane::ControlPlane;
use crate::home::{FLOOR, Home};
use crate::payload::{attestation, block};
use crate::process::{Answer, Signer, wait_for};
use crate::record_store::on_each_kind;
use serde_json::{Value, json};
use std::time::Duration;
use tezos_signer_core::config::KeyConfig;

const NEXT: u32 = FLOOR + 1;

fn log_to(home: &Home, name: &str) {
    home.set_config(json!({"audit": {"file": home.path.join(name)}}));
}

fn start(home: &Home) -> Signer {
    // The same pod, whose container was restarted: it holds what it held.
    Signer::start_with(home, &[("POD_UID", "a-pod")])
}

fn start_ready(home: &Home) -> Signer {
    let signer = start(home);
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
    let said = settled(signer, key, &attestation(NEXT + 1, 0, 9)).refused(409);
    assert!(said.contains("docs/record.md, \"When a backup is restored\""), "{said}");
    // Nor what was signed before, nor anything far above.
    for level in [NEXT, NEXT + 3, NEXT + 100] {
        signer.sign(key, &attestation(level, 0, 1)).refused(409);
    }
    let status = signer.admin("/status").json();
    let of_key = status["keys"].as_array().unwrap().iter().find(|one| one["publicKeyHash"] == key.hash().to_string());
    let of_key = of_key.unwrap();
    assert_eq!((&of_key["wentBack"], &of_key["reason"]), (&json!(true), &json!(said)));
    assert_eq!(status["ready"], false);
    said
}

/// The runbook's step, while the signer runs or not.
fn raise(home: &Home, level: u32) {
    home.run(&["watermarks", "raise", "--level", &level.to_string()]).succeeded();
}

/// At the level that was raised to nothing is signed any more, above it everything.
fn signs_above(signer: &Signer, key: &KeyConfig, level: u32) {
    wait_for("a signature above the floor", || {
        (signer.sign(key, &attestation(level + 1, 0, 1)).status == 200).then_some(())
    });
    signer.sign(key, &attestation(level, 7, 1)).refused(409);
    signer.signature(key, &block(level + 1, 0, 1));
    let status = signer.admin("/status").json();
    assert!(status["keys"].as_array().unwrap().iter().all(|key| key["wentBack"] == false), "{status}");
}

fn data(home: &Home) -> Value {
    let shown: Value =
        serde_json::from_str(&home.run(&["watermarks", "show", "--output", "json"]).succeeded()).unwrap();
    shown[0]["data"].clone()
}

#[test]
fn a_signer_that_starts_with_its_audit_log_refuses_a_record_that_was_put_back_meanwhile() {
    on_each_kind(|store_of| {
        let home = Home::without_records();
        let store = store_of(&home);
        log_to(&home, "audit.log");
        home.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let (key, other) = (home.tz3(), home.tz2());
        let signer = start_ready(&home);
        sign(&signer, &key, NEXT..NEXT + 2);
        let backup = data(&home);
        sign(&signer, &key, NEXT + 2..NEXT + 4);
        sign(&signer, &other, NEXT..NEXT + 1);
        drop(signer);

        store.edit(&home, &key, backup.clone());
        let signer = start(&home);
        let said = refuses(&signer, &key);
        let line = format!("says that the block at level {} round 0 was signed", NEXT + 3);
        assert!(said.starts_with("line ") && said.contains(&line), "{said}");
        // The other key's record remembers.
        wait_for("the other key", || (signer.sign(&other, &block(NEXT + 1, 0, 1)).status == 200).then_some(()));
        let checked = home.run(&["check"]).failed();
        assert!(checked.contains(&line), "{checked}");

        // While it runs: nothing has to be started again.
        raise(&home, NEXT + 20);
        signs_above(&signer, &key, NEXT + 20);
        drop(signer);
        let signer = start_ready(&home);
        sign(&signer, &key, NEXT + 22..NEXT + 23);
        drop(signer);

        // The same with the record raised before the start, as the runbook has it.
        store.edit(&home, &key, backup.clone());
        raise(&home, NEXT + 40);
        signs_above(&start_ready(&home), &key, NEXT + 40);

        // ◆ Without its log nobody can know: the documentation says so.
        store.edit(&home, &key, backup);
        log_to(&home, "new.log");
        start_ready(&home).signature(&key, &attestation(NEXT + 2, 0, 9));
    });
}

#[test]
fn a_signer_that_was_killed_in_the_middle_never_takes_it_for_a_restore() {
    let home = Home::new();
    log_to(&home, "audit.log");
    let key = home.tz3();
    let mut level = NEXT;
    for _ in 0..8 {
        let mut signer = start_ready(&home);
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
    sign(&start_ready(&home), &key, level..level + 1);
}

/// docs/record.md, "When a backup is restored": etcd, from a snapshot.
#[test]
fn an_etcd_that_was_restored_from_a_snapshot() {
    let Some(mut plane) = ControlPlane::start() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(ApiServer::with_namespace(plane.kubeconfig()));
    let home = Home::without_records();
    server.offer(&home);
    home.set_config(json!({"watermarks": {"configMap": {"namespace": server.namespace}}}));
    log_to(&home, "audit.log");
    home.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    let key = home.tz3();
    let signer = start_ready(&home);
    sign(&signer, &key, NEXT..NEXT + 1);
    plane.back_up();
    wait_for("the store", || (signer.sign(&key, &block(NEXT + 1, 0, 1)).status == 200).then_some(()));
    signer.signature(&key, &attestation(NEXT + 1, 0, 1));
    sign(&signer, &key, NEXT + 2..NEXT + 4);
    plane.restore();

    // The one that has run through it.
    assert!(refuses(&signer, &key).contains("went back behind what this signer has seen"));
    drop(signer);
    // One that has its log.
    let signer = start(&home);
    assert!(refuses(&signer, &key).contains("was signed, and the watermark record does not know it"));
    drop(signer);
    // ◆ One that has neither cannot know, and this is a second signature. It is what the runbook prevents.
    log_to(&home, "new.log");
    start_ready(&home).signature(&key, &attestation(NEXT + 1, 0, 9));

    log_to(&home, "audit.log");
    let signer = start(&home);
    refuses(&signer, &key);
    raise(&home, NEXT + 20);
    signs_above(&signer, &key, NEXT + 20);
    drop(signer);
    sign(&start_ready(&home), &key, NEXT + 22..NEXT + 23);
}
