//! `tezos-signer audit verify`: logs of killed, rotated and lost processes, and lines that were edited, cut out or made up.

use crate::audit::{lines, log, sign_some, test_env, verify, wait_for_outcomes};
use crate::payload::attestation;
use crate::process::Signer;
use crate::test_env::FLOOR;
use serde_json::{Value, json};

const NEXT: u32 = FLOOR + 1;

#[test]
fn logs_of_processes_that_were_killed_or_rotated_are_one_history() {
    let env = test_env();
    let keys = [env.tz3(), env.tz2()];
    let mut level = NEXT;
    for _ in 0..3 {
        let mut signer = Signer::start(&env);
        sign_some(&signer, &keys, level..level + 2);
        level += 2;
        signer.kill();
        signer.ended();
    }
    let signer = Signer::start(&env);
    let rotated = env.path.join("audit.log.1");
    std::fs::rename(log(&env), &rotated).unwrap();
    sign_some(&signer, &keys, level..level + 2);
    drop(signer);
    let output = verify(&env, &[&log(&env), &rotated], &[]).unwrap();
    assert!(output.contains("32 signatures that a record anchors: nothing wrong"), "{output}");
    // One of the two is not the whole history.
    assert!(verify(&env, &[&log(&env)], &[]).unwrap_err().contains("missing"));
}

#[test]
fn what_is_edited_cut_out_or_moved_is_named() {
    let env = test_env();
    let signer = Signer::start(&env);
    sign_some(&signer, &[env.tz3()], NEXT..NEXT + 3);
    signer.sign(&env.tz3(), &attestation(NEXT, 0, 9)).refused(409);
    sign_some(&signer, &[env.tz3()], NEXT + 3..NEXT + 4);
    drop(signer);
    let whole = std::fs::read_to_string(log(&env)).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    verify(&env, &[&log(&env)], &[]).unwrap();
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
            let path = env.path.join("edited.log");
            std::fs::write(&path, lines.join("\n") + "\n").unwrap();
            let output = verify(&env, &[&path], &[]).expect_err(&format!("line {i} {what}"));
            assert!(output.contains("WRONG"), "line {i} {what}: {output}");
        }
    }
}

#[test]
fn a_lost_log_of_another_signer_is_named_and_can_be_told_to_be_known() {
    let env = test_env();
    let key = [env.tz3()];
    let [one, two, three] = ["one.log", "two.log", "three.log"].map(|name| env.path.join(name));
    // Three processes, one after the other, as replicas are; each has a log of its own.
    for (i, path) in (0..).zip([&one, &two, &three]) {
        let signer = Signer::start(&env);
        sign_some(&signer, &key, NEXT + i..NEXT + i + 1);
        drop(signer);
        std::fs::rename(log(&env), path).unwrap();
    }
    verify(&env, &[&one, &two, &three], &[]).unwrap();
    let output = verify(&env, &[&one, &three], &[]).unwrap_err();
    let id = lines(&two)[0]["log"].as_str().unwrap().to_owned();
    assert!(output.contains(&id) && output.contains("missing"), "{output}");
    let output = verify(&env, &[&one, &three], &["--lost", &id]).unwrap();
    assert!(output.contains("cannot be verified"), "{output}");
    // A record that was set back does not know the newest signature.
    let mut old = env.rows(&key[0]);
    let first = lines(&one).into_iter().rfind(|line| line["event"] == "intent").unwrap();
    let text = std::fs::read_to_string(&one).unwrap();
    let text = text.lines().find(|line| line.contains(&format!("\"sequence\":{},", first["sequence"]))).unwrap();
    let hash = tezos_signer_core::key::Digest::of(text.as_bytes());
    let anchor = format!("{} {} {hash}", first["log"].as_str().unwrap(), first["sequence"]);
    old.insert("audit".to_owned(), anchor.into());
    env.set_rows(&key[0], &old);
    assert!(verify(&env, &[&one, &two, &three], &[]).unwrap_err().contains("set back"));
}

/// Whoever can write the file knows how a line is made, and its hash: lines behind `text` that a signer never wrote.
struct Forger {
    text: String,
}

impl Forger {
    /// Appends a line; returns its number.
    fn add(&mut self, fields: &Value) -> u64 {
        let last = self.text.lines().next_back().unwrap();
        let previous = tezos_signer_core::key::Digest::of(last.as_bytes()).to_string();
        let last: Value = serde_json::from_str(last).unwrap();
        let sequence = last["sequence"].as_u64().unwrap() + 1;
        let mut line = json!({"log": last["log"], "sequence": sequence, "previous": previous, "time": last["time"]});
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.text += &line.to_string();
        self.text.push('\n');
        sequence
    }
}

/// The fields of a line that say what happened.
fn happened(line: &Value) -> Value {
    let mut fields = line.clone();
    for field in ["log", "sequence", "previous", "time"] {
        fields.as_object_mut().unwrap().remove(field);
    }
    fields
}

fn with(fields: &Value, changes: Value) -> Value {
    let mut fields = fields.clone();
    let Value::Object(changes) = changes else { panic!("{changes} is no object") };
    fields.as_object_mut().unwrap().extend(changes);
    fields
}

#[test]
fn made_up_lines_behind_the_last_anchor_are_named() {
    let env = test_env();
    let signer = Signer::start(&env);
    let key = env.tz3();
    sign_some(&signer, std::slice::from_ref(&key), NEXT..NEXT + 2);
    signer.sign(&key, &attestation(NEXT, 0, 9)).refused(409);
    wait_for_outcomes(&log(&env), 5);
    drop(signer);
    let whole = std::fs::read_to_string(log(&env)).unwrap();
    verify(&env, &[&log(&env)], &[]).unwrap();
    let all = lines(&log(&env));
    let newest = all.iter().rfind(|line| line["outcome"] == "signed").unwrap();
    let earlier = all.iter().find(|line| line["outcome"] == "signed").unwrap();
    let intent = all.iter().rfind(|line| line["event"] == "intent").unwrap();
    let start = all.iter().find(|line| line["event"] == "start").unwrap();
    let evidence = all.iter().find(|line| line["event"] == "evidence").unwrap();
    let (outcome, number) = (happened(newest), newest["intent"].clone());
    let above = json!({"level": NEXT + 9, "digest": "11".repeat(32)});
    let without_intent = {
        let mut fields = with(&outcome, above.clone());
        fields.as_object_mut().unwrap().remove("intent");
        fields
    };
    let seen = json!({
        "kind": "attestation", "level": NEXT + 9, "round": 0, "digest": "11".repeat(32),
        "lineLog": newest["log"], "lineSequence": newest["sequence"],
    });
    let row = json!([{"record": intent["record"], "signed": [seen]}]);
    let cases: Vec<(&str, Vec<Value>, &str)> = vec![
        ("signed, of no intent", vec![without_intent.clone()], "names no intent line"),
        ("the same outcome again", vec![outcome.clone()], "which has its outcome at"),
        ("of another position", vec![with(&outcome, above.clone())], "which is of another request"),
        ("of another digest", vec![with(&outcome, json!({"digest": "11".repeat(32)}))], "is of another request"),
        ("of an earlier intent", vec![with(&outcome, json!({"intent": earlier["intent"]}))], "is of another request"),
        ("of a line that is no intent", vec![with(&outcome, json!({"intent": 0}))], "which is not an intent"),
        ("of an intent that is not there", vec![with(&outcome, json!({"intent": 999}))], "is not before it"),
        (
            "before its intent",
            vec![
                with(&with(&outcome, above.clone()), json!({"intent": all.len() + 1})),
                with(&happened(intent), above.clone()),
            ],
            "is not before it",
        ),
        (
            "with an intent of its own",
            vec![
                with(&happened(intent), above.clone()),
                with(&with(&outcome, above.clone()), json!({"intent": all.len()})),
            ],
            "does not anchor it",
        ),
        (
            "given again, though never signed",
            vec![with(&without_intent, json!({"outcome": "replayed"}))],
            "does not anchor it",
        ),
        ("signed, and refused", vec![with(&without_intent, json!({"status": 409}))], "contradict each other"),
        ("refused, and answered", vec![with(&without_intent, json!({"outcome": "refused"}))], "contradict each other"),
        ("a second start", vec![happened(start)], "a log has one line \"start\""),
        (
            "evidence of nothing",
            vec![with(&happened(evidence), json!({"records": row}))],
            "is referred to as the evidence of a signature",
        ),
    ];
    let path = env.path.join("forged.log");
    for (what, added, expected) in cases {
        let mut forger = Forger { text: whole.clone() };
        for fields in added {
            forger.add(&fields);
        }
        std::fs::write(&path, &forger.text).unwrap();
        let output = verify(&env, &[&path], &[]).expect_err(what);
        assert!(output.contains("WRONG") && output.contains(expected), "{what}: {output}");
    }
    // What an import put into the record may be given again, and has no line that announced it.
    let mut forger = Forger { text: whole.clone() };
    forger.add(&with(&without_intent, json!({"outcome": "replayed", "level": FLOOR})));
    std::fs::write(&path, &forger.text).unwrap();
    let output = verify(&env, &[&path], &[]).unwrap();
    assert!(output.contains("NOTE") && output.contains("was repeated that is older than all"), "{output}");
    // An outcome that a crash took away, and that somebody writes in its place, says what is so.
    assert_eq!(number, newest["intent"]);
}

#[test]
fn a_line_that_stands_twice_in_one_file_is_named_and_an_overlap_of_two_files_is_none() {
    let env = test_env();
    let signer = Signer::start(&env);
    sign_some(&signer, &[env.tz3()], NEXT..NEXT + 2);
    wait_for_outcomes(&log(&env), 4);
    drop(signer);
    let whole = std::fs::read_to_string(log(&env)).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let [first, second] = ["first.log", "second.log"].map(|name| env.path.join(name));
    for i in 0..lines.len() {
        let mut doubled = lines.clone();
        doubled.insert(i, lines[i]);
        std::fs::write(&first, doubled.join("\n") + "\n").unwrap();
        for files in [vec![first.as_path()], vec![log(&env).as_path(), &first]] {
            let output = verify(&env, &files, &[]).expect_err(&format!("line {i}"));
            assert!(output.contains("occurs twice"), "line {i}: {output}");
        }
    }
    std::fs::write(&first, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    std::fs::write(&second, lines[1..].join("\n") + "\n").unwrap();
    verify(&env, &[&first, &second], &[]).unwrap();
    verify(&env, &[&first, &first, &second], &[]).unwrap();
}

#[test]
fn signatures_of_a_record_that_was_not_given_are_noted() {
    let env = test_env();
    let keys = [env.tz3(), env.tz2()];
    let signer = Signer::start(&env);
    sign_some(&signer, &keys, NEXT..NEXT + 1);
    wait_for_outcomes(&log(&env), 4);
    drop(signer);
    let only = env.record_file(&keys[0]);
    let arguments =
        ["audit", "verify", "--record", only.to_str().unwrap(), log(&env).to_str().unwrap()].map(str::to_owned);
    let ended = env.command().args(arguments).output().unwrap();
    let output = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{output}");
    let note = format!("the record {} was not given: 2 signatures cannot be verified", keys[1].record_name());
    assert!(output.contains(&note), "{output}");
}

#[test]
fn a_record_file_with_a_name_twice_is_not_verified_by() {
    let env = test_env();
    let path = env.record_file(&env.tz3());
    env.make_plain(&env.tz3());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen('{', "{\"version\": \"1\",", 1)).unwrap();
    std::fs::write(log(&env), "").unwrap();
    let ended = env.command().args(["audit", "verify", "--record"]).args([&path, &log(&env)]).output().unwrap();
    let output = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && output.contains("occurs twice"), "{output}");
}
