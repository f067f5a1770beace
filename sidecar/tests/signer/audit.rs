//! The audit log: one line for every request, and what a log that cannot be written means. `audit verify` is in `audit_verify.rs`.

use crate::payload::{attestation, block, delegation, operation};
use crate::process::{Signer, wait_for};
use crate::small_disk::SmallDisk;
use crate::test_env::{FLOOR, TestEnv, permit};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tezos_signer_core::config::KeyConfig;

const NEXT: u32 = FLOOR + 1;

/// A test environment whose signer writes its audit log into a file.
pub(crate) fn test_env() -> TestEnv {
    let env = TestEnv::new();
    log_to(&env, &log(&env));
    env
}

fn log_to(env: &TestEnv, path: &Path) {
    env.set_config(json!({"audit": {"file": path}}));
}

pub(crate) fn log(env: &TestEnv) -> PathBuf {
    env.path.join("audit.log")
}

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn outcomes(path: &Path) -> Vec<Value> {
    lines(path).into_iter().filter(|line| line["event"] == "outcome").collect()
}

/// Waits until `count` requests have their line: lines that nobody waits for come a moment later.
pub(crate) fn wait_for_outcomes(path: &Path, count: usize) -> Vec<Value> {
    wait_for("the lines", || Some(outcomes(path)).filter(|lines| lines.len() >= count))
}

pub(crate) fn verify(env: &TestEnv, files: &[&Path], more: &[&str]) -> Result<String, String> {
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let ended = env.run(&[&["audit", "verify"], more, &files[..]].concat());
    let output = format!("{}{}", ended.stdout, ended.stderr);
    assert!(matches!(ended.code, Some(0 | 1)), "{output}");
    if ended.code == Some(0) { Ok(output) } else { Err(output) }
}

pub(crate) fn sign_some(signer: &Signer, keys: &[KeyConfig], levels: std::ops::Range<u32>) {
    for level in levels {
        for key in keys {
            signer.signature(key, &block(level, 0, 1));
            signer.signature(key, &attestation(level, 0, 1));
        }
    }
}

/// As after an import from another signer's files.
#[test]
fn a_signature_that_is_repeated_from_a_record_without_an_anchor_is_replayed() {
    let env = test_env();
    let (key, vote) = (env.tz3(), attestation(NEXT, 0, 1));
    let signer = Signer::start(&env);
    signer.signature(&key, &vote);
    wait_for_outcomes(&log(&env), 1);
    drop(signer);
    let mut rows = env.rows(&key);
    rows.remove("audit").expect("an anchor");
    env.set_rows(&key, &rows);
    let signer = Signer::start(&env);
    signer.signature(&key, &vote);
    let outcomes = wait_for_outcomes(&log(&env), 2);
    assert_eq!((&outcomes[0]["outcome"], &outcomes[1]["outcome"]), (&json!("signed"), &json!("replayed")));
}

#[test]
fn every_request_leaves_one_line_that_says_what_became_of_it() {
    let env = test_env();
    env.add_to_tz3("\"allow\": [\"attestation\", \"delegation\"]");
    let signer = Signer::start(&env);
    let key = env.tz3();
    let (vote, path) = (attestation(NEXT, 3, 1), format!("/keys/{}", key.hash()));
    let delegation = operation(&[delegation(&key, 7)]);
    signer.signature(&key, &vote);
    signer.signature(&key, &vote);
    signer.sign(&key, &attestation(NEXT, 3, 2)).refused(409);
    signer.sign(&key, &block(NEXT, 0, 1)).refused(403);
    signer.signature(&key, &delegation);
    signer.sign(&key, &[0x13, 1]);
    signer.post(&path, "no hex");
    signer.post("/keys/nonsense", "\"00\"");
    signer.post("/keys/tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t", "\"00\"");
    signer.get("/nowhere");
    let found = wait_for_outcomes(&log(&env), 10);
    let words: Vec<_> =
        found.iter().map(|line| (line["status"].as_u64().unwrap(), line["outcome"].as_str().unwrap())).collect();
    assert_eq!(
        words,
        [
            (200, "signed"),
            (200, "replayed"),
            (409, "refused"),
            (403, "forbidden"),
            (200, "signed"),
            (400, "malformed"),
            (400, "malformed"),
            (400, "malformed"),
            (404, "not_found"),
            (404, "not_found"),
        ]
    );
    let first = &found[0];
    assert!(first["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{first}");
    for (field, value) in
        [("key", key.hash().to_string()), ("kind", "attestation".to_owned()), ("chain", "NetXdQprcVkpaWU".to_owned())]
    {
        assert_eq!(first[field], value, "{first}");
    }
    assert_eq!((&first["level"], &first["round"]), (&NEXT.into(), &3.into()));
    assert_eq!(first["digest"].as_str().unwrap().len(), 64);
    // A read, a signature and an fsync take longer than a microsecond, and no longer than the whole request.
    let [record, signature, commit, total] = ["record", "signature", "commit", "total"]
        .map(|stage| first["microseconds"][stage].as_u64().unwrap_or_else(|| panic!("{stage}: {first}")));
    assert!(record.min(signature).min(commit) > 1 && record + signature + commit <= total, "{first}");
    assert_eq!(found[4]["contents"], json!(["delegation"]));
    assert!(found[2]["reason"].as_str().unwrap().contains("a different attestation"));

    // The intent stands before the outcome, and the record has its hash.
    let all = lines(&log(&env));
    let intent = all.iter().find(|line| line["event"] == "intent").unwrap();
    assert_eq!((&intent["digest"], &intent["sequence"]), (&first["digest"], &first["intent"]));
    drop(signer);
    assert!(verify(&env, &[&log(&env)], &[]).unwrap().contains("2 signatures that a record anchors"));
    assert!(!std::fs::read_to_string(log(&env)).unwrap().contains(crate::test_env::PIN));
}

#[test]
fn a_full_disk_refuses_new_signatures_repeats_old_ones_and_heals_by_itself() {
    let env = TestEnv::new();
    let path = env.path.join("disk/audit.log");
    let disk = SmallDisk::mount(&env.path.join("disk"));
    log_to(&env, &path);
    let signer = Signer::start(&env);
    let key = env.tz3();
    let vote = attestation(NEXT, 0, 1);
    let signature = signer.signature(&key, &vote);
    disk.fill();
    // What was left of the log's last page takes a few lines more.
    let mut given = (NEXT, vote, signature);
    let message = wait_for("a refusal", || {
        let vote = attestation(given.0 + 1, 0, 1);
        let answer = signer.sign(&key, &vote);
        if answer.status != 200 {
            return Some(answer.refused(502));
        }
        given = (given.0 + 1, vote.clone(), answer.signature(&key, &vote));
        None
    });
    assert!(message.contains("audit log cannot be written"), "{message}");
    signer.sign(&key, &attestation(given.0 + 1, 0, 1)).refused(502);
    assert!(
        env.row(&key, "attestation").starts_with(&format!("{} 0 ", given.0)),
        "nothing is committed without its line"
    );
    assert_eq!(signer.signature(&key, &given.1), given.2, "what was signed before is given again");
    wait_for("the reason", || signer.admin("/status").body.contains("audit log cannot be written").then_some(()));
    assert!(signer.admin("/metrics").body.contains("tezos_signer_audit_up 0"));

    disk.clear();
    wait_for("recovery without a request", || {
        (signer.admin("/metrics").body.contains("tezos_signer_audit_up 1")).then_some(())
    });
    signer.signature(&key, &attestation(given.0 + 1, 0, 1));
    drop(signer);
    assert!(lines(&path).iter().any(|line| line["event"] == "gap" && line["lines"].as_u64() > Some(0)));
    let output = verify(&env, &[&path], &[]).unwrap();
    assert!(output.contains("could not write"), "{output}");
}

#[test]
fn two_signers_cannot_share_a_log_and_a_wrong_path_is_named() {
    let env = test_env();
    let signer = Signer::start(&env);
    let other = TestEnv::new();
    log_to(&other, &log(&env));
    assert!(Signer::start_failing(&other, &[]).contains("another process writes the audit log"));
    drop(signer);
    let third = TestEnv::new();
    log_to(&third, Path::new("/nonexistent/audit.log"));
    assert!(Signer::start_failing(&third, &[]).contains("audit.file"));
}

#[test]
fn a_line_that_was_torn_is_ended_and_told() {
    let env = test_env();
    let signer = Signer::start(&env);
    signer.signature(&env.tz3(), &attestation(NEXT, 0, 1));
    drop(signer);
    let mut text = std::fs::read_to_string(log(&env)).unwrap();
    text.push_str("{\"log\":\"0f6a");
    std::fs::write(log(&env), text).unwrap();
    let signer = Signer::start(&env);
    signer.signature(&env.tz3(), &attestation(NEXT + 1, 0, 1));
    drop(signer);
    let output = verify(&env, &[&log(&env)], &[]).unwrap();
    assert!(output.contains("cannot be parsed: it was torn"), "{output}");
}

#[test]
fn what_a_stranger_sends_is_not_repeated_at_length() {
    let env = test_env();
    let signer = Signer::start(&env);
    let (key, long) = (env.tz3(), "x".repeat(15_000));
    for query in [format!("version={long}"), format!("authentication={long}")] {
        let answer = signer.post(&format!("/keys/{}?{query}", key.hash()), "\"11\"".to_owned());
        assert_eq!(answer.status, 400);
        assert!(answer.body.len() < 1000, "{} bytes", answer.body.len());
    }
    signer.get(&format!("/{long}"));
    for outcome in wait_for_outcomes(&log(&env), 3) {
        assert!(outcome.to_string().len() < 1000, "{outcome}");
    }
    assert!(!signer.log().contains(&"x".repeat(1000)));
}

#[test]
fn an_older_file_that_is_needed_and_cannot_be_read_is_named_with_the_remedy() {
    let env = test_env();
    let older = env.path.join("audit.log.1");
    std::fs::write(&older, "").unwrap();
    permit(&older, 0o000);
    if std::fs::File::open(&older).is_ok() {
        return; // root reads everything
    }
    let output = Signer::start_failing(&env, &[]);
    assert!(
        output.contains("audit.log.1 appears to be an older file") && output.contains("move it elsewhere"),
        "{output}"
    );
}
