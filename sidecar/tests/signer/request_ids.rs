//! The id of a request: in its answer, in the audit log and in the log for people.

use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::raw_http::{RawConnection, sign_path};
use crate::test_env::{FLOOR, TestEnv};
use serde_json::{Value, json};
use std::path::Path;

/// The ids of all outcomes in an audit log.
pub(crate) fn ids_of_outcomes(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let outcomes = lines.filter(|line| line["event"] == "outcome");
    outcomes.map(|line| line["requestId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_answer_has_the_id_of_its_audit_line_and_no_client_chooses_one() {
    let env = TestEnv::new();
    let log = env.path.join("audit.log");
    env.set_config(json!({"audit": {"file": log}}));
    let signer = Signer::start(&env);
    let key = env.tz3();
    let (vote, other) = (attestation(FLOOR + 1, 0, 1), attestation(FLOOR + 1, 0, 2));
    let mut connection = RawConnection::tcp(signer.signing_address());
    let mut ids = Vec::new();
    for body in [hex::encode(&vote), hex::encode(&vote), hex::encode(other), "no hex".to_owned()] {
        let body = format!("\"{body}\"");
        connection.send(format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ntezos-signer-request-id: 0000000000000000\r\ncontent-length: {}\r\n\r\n{body}",
            sign_path(&key),
            body.len()
        ));
        ids.push(connection.answer().header("tezos-signer-request-id").unwrap().to_owned());
    }
    ids.push(connection.get("/nothing").header("tezos-signer-request-id").unwrap().to_owned());
    assert_eq!(wait_for("all outcomes", || Some(ids_of_outcomes(&log)).filter(|found| found.len() == ids.len())), ids);
    let mut different = ids.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), ids.len(), "{ids:?}");
    assert!(!ids.contains(&"0".repeat(16)));

    // The one that was refused by the record.
    let output = signer
        .log()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["message"] == "not signed" && line["span"]["id"] == ids[2].as_str());
    let span = &output.expect("a line about the refusal")["span"];
    assert_eq!((&span["kind"], &span["level"], &span["round"]), (&json!("attestation"), &json!(FLOOR + 1), &json!(0)));
}
