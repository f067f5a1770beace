//! What the audit log proves of a record is found whatever strangers have written behind it, and in whichever file of the log it stands:
//! after a restore of an old record nothing is signed a second time.

use crate::payload::{attestation, block};
use crate::process::{Signer, wait_for};
use crate::raw_http::RawConnection;
use crate::test_env::{FLOOR, TestEnv};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use tezos_signer_core::config::KeyConfig;

const NEXT: u32 = FLOOR + 1;

/// More than any part of a log that was ever read.
const MUCH: usize = 20 * 1024 * 1024;

const EVIDENCE: &str = "\"event\":\"evidence\"";

/// A test environment whose log is `audit.log`, whose tz3 key has signed two levels, and the record as it was after the first.
struct Case {
    env: TestEnv,
    key: KeyConfig,
    old: Vec<u8>,
}

impl Case {
    /// The signer runs on, or was killed.
    fn new() -> (Self, Signer) {
        let env = TestEnv::new();
        env.set_config(json!({"audit": {"file": env.path.join("audit.log")}}));
        let signer = Signer::start(&env);
        let key = env.tz3();
        signer.signature(&key, &attestation(NEXT, 0, 1));
        let old = std::fs::read(env.record_file(&key)).unwrap();
        signer.signature(&key, &attestation(NEXT + 1, 0, 1));
        let case = Self { env, key, old };
        wait_for("the line", || case.text().contains(&format!("\"level\":{}", NEXT + 1)).then_some(()));
        wait_for("the outcome", || (case.text().matches("\"outcome\":\"signed\"").count() == 2).then_some(()));
        (case, signer)
    }

    fn killed() -> Self {
        let (case, mut signer) = Self::new();
        signer.kill();
        signer.ended();
        case
    }

    fn log(&self) -> PathBuf {
        self.env.path.join("audit.log")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Restores the old record and starts: the position is not signed again, and the reason is the evidence.
    fn is_remembered(&self, what: &str) {
        std::fs::write(self.env.record_file(&self.key), &self.old).unwrap();
        let signer = Signer::start_unready(&self.env);
        let answer = wait_for("another answer than 502", || {
            let answer = signer.sign(&self.key, &attestation(NEXT + 1, 0, 2));
            (answer.status != 502).then_some(answer)
        });
        assert_eq!(answer.status, 409, "{what}: {answer:?}");
        let output = answer.refused(409);
        let evidence = format!("proves that the attestation at level {} round 0 was signed", NEXT + 1);
        assert!(output.contains(&evidence) && output.contains("When a backup is restored"), "{what}: {output}");
        let checked = self.env.run(&["check"]).failed();
        assert!(checked.contains(&evidence), "{what}: {checked}");
    }
}

/// A genuine line of a refused request, as often as it takes to fill `bytes`.
fn refusals(text: &str, bytes: usize) -> String {
    let line = text.lines().find(|line| line.contains("\"status\":404")).unwrap();
    format!("{line}\n").repeat(bytes / line.len() + 1)
}

/// Asks without authentication for what the signer does not have, many times in one connection.
fn flood(signer: &Signer, requests: usize) {
    let body = format!("\"13{}\"", "00".repeat(100));
    let path = "/keys/tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
    let length = body.len();
    let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut connection = RawConnection::tcp(signer.signing_address());
    let mut bytes = vec![0; 1 << 16];
    for _ in 0..requests.div_ceil(50) {
        connection.stream.write_all(request.repeat(50).as_bytes()).unwrap();
        let mut answers = 0;
        let mut read = String::new();
        while answers < 50 {
            let count = connection.stream.read(&mut bytes).unwrap();
            assert!(count > 0, "the connection was closed");
            read.push_str(&String::from_utf8_lossy(&bytes[..count]));
            answers = read.matches("HTTP/1.1 404").count();
        }
    }
}

fn append(path: &Path, text: &str) {
    std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn without_evidence(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.contains(EVIDENCE)).collect()
}

#[test]
fn no_amount_of_refused_requests_hides_what_was_signed() {
    let (case, mut signer) = Case::new();
    signer.get("/nowhere");
    wait_for("the refusal", || case.text().contains("\"status\":404").then_some(()));
    signer.kill();
    signer.ended();
    let text = case.text();
    append(&case.log(), &refusals(&text, MUCH));
    case.is_remembered("behind its line of evidence");
    // As an earlier release wrote it.
    std::fs::write(case.log(), without_evidence(&text) + &refusals(&text, MUCH)).unwrap();
    case.is_remembered("in a log without evidence");
}

/// Refused requests of strangers make the signer itself repeat what is proved, so that a start reads no more than a few megabytes.
#[test]
fn a_flood_of_requests_has_the_evidence_repeated_behind_it() {
    let (case, mut signer) = Case::new();
    flood(&signer, 16_000);
    wait_for("the flood's end in the log", || {
        let text = case.text();
        (text.len() > 5 * 1024 * 1024 && text.ends_with('\n')).then_some(())
    });
    signer.kill();
    signer.ended();
    let text = case.text();
    let newest = text.rfind(EVIDENCE).unwrap();
    assert!(text.len() - newest < 5 * 1024 * 1024, "{} bytes behind the newest evidence", text.len() - newest);
    let begin = text[..newest].rfind('\n').unwrap() + 1;
    assert!(begin > 4 * 1024 * 1024, "it stands behind the flood: {begin}");
    // This line and what follows it are enough.
    std::fs::write(case.log(), &text[begin..]).unwrap();
    case.is_remembered("with nothing but the newest line of evidence");
}

#[test]
fn the_evidence_is_found_in_rotated_files() {
    let case = Case::killed();
    let text = case.text();
    for (name, is_old_release, successor) in [
        ("audit.log.1", false, None),
        ("audit.log.1", true, Some("")),
        ("audit.log-20261129", false, Some("")),
        ("audit-20261129.log", true, Some("{\"log\":\"torn")),
        ("audit.log.2", true, None),
    ] {
        let rotated = case.env.path.join(name);
        std::fs::write(&rotated, if is_old_release { without_evidence(&text) } else { text.clone() }).unwrap();
        match successor {
            None => {
                let _ = std::fs::remove_file(case.log());
            }
            Some(text) => std::fs::write(case.log(), text).unwrap(),
        }
        case.is_remembered(name);
        // The process has written its own line of evidence into the new file since: the old one is needed no more.
        std::fs::remove_file(&rotated).unwrap();
        case.is_remembered(&format!("after {name} is gone"));
        std::fs::remove_file(case.log()).unwrap();
    }
}

#[test]
fn a_file_that_is_renamed_emptied_or_moved_away_while_the_signer_runs_is_followed_by_one_that_has_the_evidence() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("renamed", |log| std::fs::rename(log, log.with_extension("log.1")).unwrap()),
        ("removed", |log| std::fs::remove_file(log).unwrap()),
        ("emptied", |log| std::fs::File::options().write(true).open(log).unwrap().set_len(0).unwrap()),
        ("replaced", |log| {
            std::fs::write(log.with_extension("new"), "").unwrap();
            std::fs::rename(log.with_extension("new"), log).unwrap();
        }),
    ];
    for (what, change) in changes {
        let (case, mut signer) = Case::new();
        change(&case.log());
        // Nobody asks for anything meanwhile.
        wait_for("the new file's evidence", || {
            let text = case.text();
            (text.contains(EVIDENCE) && text.contains(&format!("\"level\":{}", NEXT + 1))).then_some(())
        });
        signer.kill();
        signer.ended();
        let _ = std::fs::remove_file(case.log().with_extension("log.1"));
        case.is_remembered(what);
    }
}

/// A directory that is moved away and copied back: the copy is another file, and only one process may write it.
#[test]
fn a_log_whose_directory_was_moved_and_copied_goes_on_in_the_copy_unless_another_signer_has_it() {
    let env = TestEnv::new();
    let (logs, moved) = (env.path.join("logs"), env.path.join("logs.moved"));
    let copy = || {
        std::fs::rename(&logs, &moved).unwrap();
        let copied = std::process::Command::new("cp").arg("-a").args([&moved, &logs]).status().unwrap();
        assert!(copied.success());
    };
    std::fs::create_dir(&logs).unwrap();
    env.set_config(json!({"audit": {"file": logs.join("audit.log")}}));
    let signer = Signer::start(&env);
    let key = env.tz3();
    signer.signature(&key, &attestation(NEXT, 0, 1));
    // It would make a new log in the directory that is being copied.
    signer.freeze();
    copy();
    signer.thaw();
    signer.signature(&key, &attestation(NEXT + 1, 0, 1));
    let text = std::fs::read_to_string(logs.join("audit.log")).unwrap();
    assert_eq!(text.matches(EVIDENCE).count(), 2, "it is in the copy, behind its evidence");

    std::fs::remove_dir_all(&moved).unwrap();
    signer.freeze();
    copy();
    let other = TestEnv::new();
    other.set_config(json!({"audit": {"file": logs.join("audit.log")}}));
    let other_signer = Signer::start(&other);
    signer.thaw();
    let output = signer.sign(&key, &attestation(NEXT + 2, 0, 1)).refused(502);
    assert!(output.contains("another process writes the audit log"), "{output}");
    assert!(signer.admin("/readyz").body.contains("another process writes the audit log"));
    drop(other_signer);
    wait_for("its own log again", || (signer.sign(&key, &attestation(NEXT + 2, 0, 1)).status == 200).then_some(()));
}

/// Strangers can write as much of the log of one process as they like, and a key may be taken out of the configuration meanwhile.
#[test]
fn a_key_that_is_added_by_a_reload_has_its_evidence_from_former_processes() {
    let env = TestEnv::new();
    let log = env.path.join("audit.log");
    env.set_config(json!({"audit": {"file": log}}));
    let both: Value = serde_json::from_str(&std::fs::read_to_string(env.config_file()).unwrap()).unwrap();
    let (key, other) = (env.tz3(), env.tz2());
    let signer = Signer::start(&env);
    let old = std::fs::read(env.record_file(&other)).unwrap();
    signer.signature(&other, &block(NEXT, 0, 1));
    wait_for("the outcome", || std::fs::read_to_string(&log).unwrap().contains("\"outcome\":\"signed\"").then_some(()));
    drop(signer);
    // Two processes without the key: what they write carries its evidence on.
    env.set_config(json!({"keys": [both["keys"][0]]}));
    for level in [NEXT, NEXT + 1] {
        let mut signer = Signer::start(&env);
        signer.signature(&key, &attestation(level, 0, 1));
        signer.terminate();
        signer.ended();
    }
    let text = std::fs::read_to_string(&log).unwrap();
    let newest = text.rfind(EVIDENCE).unwrap();
    std::fs::write(&log, &text[text[..newest].rfind('\n').unwrap() + 1..]).unwrap();
    std::fs::write(env.record_file(&other), old).unwrap();
    let signer = Signer::start(&env);
    env.set_config(json!({"keys": both["keys"]}));
    signer.send_sighup();
    let answer = wait_for("the key", || {
        let answer = signer.sign(&other, &block(NEXT, 0, 2));
        (!matches!(answer.status, 404 | 502)).then_some(answer)
    });
    let output = answer.refused(409);
    assert!(output.contains(&format!("proves that the block at level {NEXT} round 0 was signed")), "{output}");
}

#[test]
fn a_log_that_cannot_be_read_again_is_refused() {
    let env = TestEnv::new();
    let pipe = env.path.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.as_path(), Path::new("/dev/null")] {
        env.set_config(json!({"audit": {"file": path}}));
        let output = Signer::start_failing(&env, &[]);
        assert!(output.contains("is not a regular file"), "{output}");
    }
}
