//! The audit log: one line for every request, all lines one history with the record, and what a log that cannot be written means.

use crate::home::{FLOOR, Home};
use crate::payload::{attestation, block, delegation, operation};
use crate::process::{Signer, wait_for};
use crate::small_disk::SmallDisk;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tezos_signer_core::config::KeyConfig;

const NEXT: u32 = FLOOR + 1;

/// A home whose signer writes its audit log into a file.
fn home() -> Home {
    let home = Home::new();
    log_to(&home, &log(&home));
    home
}

fn log_to(home: &Home, path: &Path) {
    home.set_config(json!({"audit": {"file": path}}));
}

fn log(home: &Home) -> PathBuf {
    home.path.join("audit.log")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn outcomes(path: &Path) -> Vec<Value> {
    lines(path).into_iter().filter(|line| line["event"] == "outcome").collect()
}

/// Waits until `count` requests have their line: lines that nobody waits for come a moment later.
fn wait_for_outcomes(path: &Path, count: usize) -> Vec<Value> {
    wait_for("the lines", || Some(outcomes(path)).filter(|lines| lines.len() >= count))
}

fn verify(home: &Home, files: &[&Path], more: &[&str]) -> Result<String, String> {
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let ended = home.run(&[&["audit", "verify"], more, &files[..]].concat());
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(matches!(ended.code, Some(0 | 1)), "{said}");
    if ended.code == Some(0) { Ok(said) } else { Err(said) }
}

fn sign_some(signer: &Signer, keys: &[KeyConfig], levels: std::ops::Range<u32>) {
    for level in levels {
        for key in keys {
            signer.signature(key, &block(level, 0, 1));
            signer.signature(key, &attestation(level, 0, 1));
        }
    }
}

#[test]
fn every_request_leaves_one_line_that_says_what_became_of_it() {
    let home = home();
    home.add_to_tz3("\"allow\": [\"attestation\", \"delegation\"]");
    let signer = Signer::start(&home);
    let key = home.tz3();
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
    let found = wait_for_outcomes(&log(&home), 10);
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
    for stage in ["record", "signature", "commit", "total"] {
        assert!(first["microseconds"][stage].is_u64(), "{first}");
    }
    assert_eq!(found[4]["contents"], json!(["delegation"]));
    assert!(found[2]["reason"].as_str().unwrap().contains("a different attestation"));

    // The intent stands before the outcome, and the record has its hash.
    let all = lines(&log(&home));
    let intent = all.iter().find(|line| line["event"] == "intent").unwrap();
    assert_eq!((&intent["digest"], &intent["sequence"]), (&first["digest"], &first["intent"]));
    drop(signer);
    assert!(verify(&home, &[&log(&home)], &[]).unwrap().contains("2 signatures that a record vouches for"));
    assert!(!std::fs::read_to_string(log(&home)).unwrap().contains(crate::home::PIN));
}

#[test]
fn logs_of_processes_that_were_killed_or_rotated_are_one_history() {
    let home = home();
    let keys = [home.tz3(), home.tz2()];
    let mut level = NEXT;
    for _ in 0..3 {
        let mut signer = Signer::start(&home);
        sign_some(&signer, &keys, level..level + 2);
        level += 2;
        signer.kill();
        signer.ended();
    }
    let signer = Signer::start(&home);
    let rotated = home.path.join("audit.log.1");
    std::fs::rename(log(&home), &rotated).unwrap();
    sign_some(&signer, &keys, level..level + 2);
    drop(signer);
    let said = verify(&home, &[&log(&home), &rotated], &[]).unwrap();
    assert!(said.contains("32 signatures that a record vouches for: nothing wrong"), "{said}");
    // One of the two is not the whole history.
    assert!(verify(&home, &[&log(&home)], &[]).unwrap_err().contains("missing"));
}

#[test]
fn what_is_edited_cut_out_or_moved_is_named() {
    let home = home();
    let signer = Signer::start(&home);
    sign_some(&signer, &[home.tz3()], NEXT..NEXT + 3);
    signer.sign(&home.tz3(), &attestation(NEXT, 0, 9)).refused(409);
    sign_some(&signer, &[home.tz3()], NEXT + 3..NEXT + 4);
    drop(signer);
    let whole = std::fs::read_to_string(log(&home)).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    verify(&home, &[&log(&home)], &[]).unwrap();
    let newest = lines.iter().rposition(|line| line.contains("\"event\":\"intent\"")).unwrap();
    // Every line up to the newest that the record vouches for: edited, cut out, changed places with a neighbour.
    for i in 0..=newest {
        let mut edited = lines.clone();
        let other = lines[i].replacen("\"time\":\"2", "\"time\":\"3", 1);
        assert_ne!(other, lines[i]);
        edited[i] = &other;
        let mut cut = lines.clone();
        cut.remove(i);
        let mut moved = lines.clone();
        moved.swap(i, i.checked_sub(1).unwrap_or(1));
        for (what, lines) in [("edited", edited), ("cut", cut), ("moved", moved)] {
            let path = home.path.join("edited.log");
            std::fs::write(&path, lines.join("\n") + "\n").unwrap();
            let said = verify(&home, &[&path], &[]).expect_err(&format!("line {i} {what}"));
            assert!(said.contains("WRONG"), "line {i} {what}: {said}");
        }
    }
}

#[test]
fn a_lost_log_of_another_signer_is_named_and_can_be_told_to_be_known() {
    let home = home();
    let key = [home.tz3()];
    let [one, two, three] = ["one.log", "two.log", "three.log"].map(|name| home.path.join(name));
    // Three processes, one after the other, as replicas are; each has a log of its own.
    for (i, path) in (0..).zip([&one, &two, &three]) {
        let signer = Signer::start(&home);
        sign_some(&signer, &key, NEXT + i..NEXT + i + 1);
        drop(signer);
        std::fs::rename(log(&home), path).unwrap();
    }
    verify(&home, &[&one, &two, &three], &[]).unwrap();
    let said = verify(&home, &[&one, &three], &[]).unwrap_err();
    let id = lines(&two)[0]["log"].as_str().unwrap().to_owned();
    assert!(said.contains(&id) && said.contains("missing"), "{said}");
    let said = verify(&home, &[&one, &three], &["--lost", &id]).unwrap();
    assert!(said.contains("cannot be judged"), "{said}");
    // A record that was set back does not know the newest signature.
    let record = home.record_file(&key[0]);
    let mut old: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let first = lines(&one).into_iter().rfind(|line| line["event"] == "intent").unwrap();
    let text = std::fs::read_to_string(&one).unwrap();
    let text = text.lines().find(|line| line.contains(&format!("\"sequence\":{},", first["sequence"]))).unwrap();
    let hash = tezos_signer_core::key::Digest::of(text.as_bytes());
    old["audit"] = format!("{} {} {hash}", first["log"].as_str().unwrap(), first["sequence"]).into();
    std::fs::write(&record, old.to_string()).unwrap();
    assert!(verify(&home, &[&one, &two, &three], &[]).unwrap_err().contains("set back"));
}

#[test]
fn a_full_disk_refuses_new_signatures_repeats_old_ones_and_heals_by_itself() {
    let home = Home::new();
    let path = home.path.join("disk/audit.log");
    let disk = SmallDisk::mount(&home.path.join("disk"));
    log_to(&home, &path);
    let signer = Signer::start(&home);
    let key = home.tz3();
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
        home.row(&key, "attestation").starts_with(&format!("{} 0 ", given.0)),
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
    let said = verify(&home, &[&path], &[]).unwrap();
    assert!(said.contains("could not write"), "{said}");
}

#[test]
fn two_signers_cannot_share_a_log_and_a_wrong_path_is_named() {
    let home = home();
    let signer = Signer::start(&home);
    let other = Home::new();
    log_to(&other, &log(&home));
    assert!(Signer::start_in_vain(&other, &[]).contains("another process writes the audit log"));
    drop(signer);
    let third = Home::new();
    log_to(&third, Path::new("/nonexistent/audit.log"));
    assert!(Signer::start_in_vain(&third, &[]).contains("audit.file"));
}

#[test]
fn a_line_that_was_torn_is_ended_and_told() {
    let home = home();
    let signer = Signer::start(&home);
    signer.signature(&home.tz3(), &attestation(NEXT, 0, 1));
    drop(signer);
    let mut text = std::fs::read_to_string(log(&home)).unwrap();
    text.push_str("{\"log\":\"0f6a");
    std::fs::write(log(&home), text).unwrap();
    let signer = Signer::start(&home);
    signer.signature(&home.tz3(), &attestation(NEXT + 1, 0, 1));
    drop(signer);
    let said = verify(&home, &[&log(&home)], &[]).unwrap();
    assert!(said.contains("cannot be read: torn"), "{said}");
}
