//! Never two signatures for one position, seen from outside: what the record says decides, and what it does not say is
//! refused.

use crate::payload::{attestation, attestation_with_dal, block, preattestation};
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use tezos_signer_core::key::Digest;

const NEXT: u32 = FLOOR + 1;

#[test]
fn the_identical_request_gets_the_identical_signature_also_after_a_restart() {
    let env = TestEnv::new();
    let payloads = [block(NEXT, 3, 1), preattestation(NEXT, 3, 1), attestation_with_dal(NEXT, 3, 1)];
    let answers = |signer: &Signer| {
        let keys = [env.tz2(), env.tz3()];
        let each = keys.iter().flat_map(|key| payloads.iter().map(|payload| signer.signature(key, payload)));
        each.collect::<Vec<_>>()
    };
    let signer = Signer::start(&env);
    let first = answers(&signer);
    assert_eq!(answers(&signer), first);
    drop(signer);
    assert_eq!(answers(&Signer::start(&env)), first);
}

#[test]
fn another_payload_at_a_signed_position_and_every_lower_one_is_409() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    for kind in [block, preattestation, attestation] {
        assert!(signer.sign(&key, &kind(FLOOR, 7, 1)).refused(409).contains("below the watermark"));
        signer.signature(&key, &kind(NEXT, 3, 1));
        assert!(signer.sign(&key, &kind(NEXT, 3, 2)).refused(409).contains("a different"));
        assert!(signer.sign(&key, &kind(NEXT, 2, 1)).refused(409).contains("below the watermark"));
        assert!(signer.sign(&key, &kind(FLOOR, 9, 1)).refused(409).contains("below the watermark"));
        signer.signature(&key, &kind(NEXT, 4, 1));
        assert!(
            signer.sign(&key, &kind(NEXT, 3, 1)).refused(409).contains("below"),
            "no replay of what is no more stored"
        );
    }
}

#[test]
fn an_attestation_with_and_without_dal_share_one_watermark() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    signer.signature(&env.tz2(), &attestation(NEXT, 0, 1));
    signer.sign(&env.tz2(), &attestation_with_dal(NEXT, 0, 1)).refused(409);
    signer.signature(&env.tz3(), &attestation_with_dal(NEXT, 0, 1));
    signer.sign(&env.tz3(), &attestation(NEXT, 0, 1)).refused(409);
}

#[test]
fn an_absurd_jump_is_refused_unless_the_record_is_fresh() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    assert!(signer.sign(&key, &attestation(FLOOR + 100_001, 0, 0)).refused(409).contains("maxLevelJump"));
    signer.signature(&key, &attestation(FLOOR + 100_000, 0, 0));
    // Measured from the record's highest row, whatever the kind.
    signer.signature(&key, &block(FLOOR + 200_000, 0, 0));
    drop(signer);

    let env = TestEnv::without_records();
    env.run(&["watermarks", "initialise", "--fresh"]).succeeded();
    let signer = Signer::start(&env);
    let key = env.tz3();
    signer.signature(&key, &attestation(15_000_000, 0, 0));
    assert!(signer.sign(&key, &attestation(15_100_001, 0, 0)).refused(409).contains("maxLevelJump"));
    assert!(signer.sign(&key, &block(15_100_001, 0, 0)).refused(409).contains("maxLevelJump"));
}

#[test]
fn a_missing_record_is_never_a_fresh_start() {
    let env = TestEnv::without_records();
    let signer = Signer::start_unready(&env);
    let key = env.tz3();
    let reasons = || signer.admin("/startupz").json()["reasons"].to_string();
    wait_for("the reason", || reasons().contains("no watermark record").then_some(()));
    let refusal = wait_for("the token", || {
        let answer = signer.sign(&key, &attestation(NEXT, 0, 0));
        (answer.status != 502).then_some(answer)
    });
    assert!(refusal.refused(409).contains("never means a fresh start"));
    assert_eq!(signer.admin("/startupz").status, 503);
    assert_eq!(signer.admin("/readyz").status, 503);
    assert_eq!(signer.admin("/livez").status, 200);
    assert_eq!(std::fs::read_dir(env.records()).unwrap().count(), 1, "only the lock");
}

#[test]
fn a_record_that_vanished_while_running_is_no_fresh_start_either() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    signer.signature(&key, &attestation(NEXT, 0, 1));
    std::fs::remove_file(env.record_file(&key)).unwrap();
    for level in [NEXT + 1, NEXT + 2] {
        assert!(signer.sign(&key, &attestation(level, 0, 1)).refused(409).contains("no watermark record"));
    }
    assert!(!env.record_file(&key).exists());
}

#[test]
fn a_record_that_is_not_understood_or_has_no_signature_to_show_is_refused() {
    let vote = attestation(NEXT, 0, 1);
    let digest = Digest::of(&vote);
    let env = TestEnv::new();
    let key = env.tz3();
    let untouched = std::fs::read(env.record_file(&key)).unwrap();
    for (row, text, message) in [
        ("version", "2".to_owned(), "version"),
        ("ballot", "1 0 - -".to_owned(), "unknown row"),
        ("suspend", "yes".to_owned(), "suspend"),
        ("attestation", format!("{NEXT} 0 {digest}"), "four words"),
        ("attestation", format!("{NEXT} 00 {digest} -"), "whole number"),
        ("attestation", format!("{NEXT} 0 {digest} -"), "no stored signature"),
        ("attestation", format!("{NEXT} 0 - -"), "no stored signature"),
    ] {
        std::fs::write(env.record_file(&key), &untouched).unwrap();
        env.set_row(&key, row, &text);
        let signer = Signer::start_unready(&env);
        let refusal = signer.sign(&key, &vote).refused(409);
        assert!(refusal.contains(message), "{row} {text}: {refusal}");
    }
}

#[test]
fn a_row_that_is_not_there_is_not_made() {
    let env = TestEnv::new();
    let key = env.tz3();
    let mut rows = env.rows(&key);
    rows.remove("block");
    env.set_rows(&key, &rows);
    let signer = Signer::start(&env);
    assert!(signer.sign(&key, &block(NEXT, 0, 0)).refused(409).contains("no block row"));
    signer.signature(&key, &attestation(NEXT, 0, 0));
}

#[test]
fn a_stored_signature_that_was_edited_is_not_released() {
    let env = TestEnv::new();
    let (key, mine, other) = (env.tz3(), attestation(NEXT, 0, 1), attestation(NEXT + 1, 0, 1));
    let signer = Signer::start(&env);
    signer.signature(&key, &mine);
    let row = env.row(&key, "attestation");
    let of_other = signer.signature(&key, &other);
    drop(signer);

    // A well-formed signature of the key, but of something else.
    let words: Vec<&str> = row.split(' ').collect();
    env.set_row(&key, "attestation", &format!("{} {} {} {of_other}", words[0], words[1], words[2]));
    let signer = Signer::start(&env);
    let answer = signer.sign(&key, &mine);
    assert!(answer.refused(409).contains("edited"));
    assert!(!answer.body.contains("p2sig"), "{answer:?}");
}

#[test]
fn suspend_is_403_and_a_ceiling_409_also_when_they_come_while_running() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let (key, other) = (env.tz3(), env.tz2());
    signer.signature(&key, &attestation(NEXT, 0, 1));
    signer.signature(&other, &attestation(NEXT, 0, 1));
    env.set_row(&key, "ceiling", &(NEXT + 5).to_string());
    env.set_row(&other, "suspend", "true");
    assert!(signer.sign(&key, &attestation(NEXT + 6, 0, 1)).refused(409).contains("ceiling"));
    signer.signature(&key, &attestation(NEXT + 5, 0, 1));
    assert!(signer.sign(&other, &attestation(NEXT + 1, 0, 1)).refused(403).contains("suspended"));
    drop(signer);
    let signer = Signer::start(&env);
    assert!(signer.sign(&key, &attestation(NEXT + 6, 0, 1)).refused(409).contains("ceiling"));
    assert!(
        signer.sign(&other, &attestation(NEXT, 0, 1)).refused(403).contains("suspended"),
        "nor is anything replayed"
    );
}

#[test]
fn two_signers_cannot_share_a_directory() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    assert!(Signer::start_failing(&env, &[]).contains("another process uses the watermark directory"));
    assert!(env.run(&["watermarks", "initialise", "--fresh"]).failed().contains("another process"));
    signer.signature(&env.tz3(), &attestation(NEXT, 0, 1));
}
