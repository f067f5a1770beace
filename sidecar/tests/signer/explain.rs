//! `explain`: what it says is what is answered.

use crate::payload::{attestation, attestation_of_chain, block, delegation, operation, preattestation};
use crate::process::Signer;
use crate::test_env::{FLOOR, TestEnv};
use serde_json::Value;

const NEXT: u32 = FLOOR + 1;

fn explain(env: &TestEnv, payload: &[u8]) -> Value {
    let output = env.run(&["explain", "--output", "json", &hex::encode(payload)]).succeeded();
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[test]
fn what_it_says_is_what_is_answered_while_the_signer_runs() {
    let env = TestEnv::new();
    env.add_to_tz3("\"allow\": [\"block\", \"attestation\", \"delegation\"]");
    let signer = Signer::start(&env);
    let key = env.tz3();
    signer.signature(&key, &attestation(NEXT, 2, 1));
    let record = std::fs::read(env.record_file(&key)).unwrap();
    for (what, payload, kind, reason) in [
        ("the same again", attestation(NEXT, 2, 1), "attestation", "stored signature"),
        ("a conflict", attestation(NEXT, 2, 2), "attestation", "a different attestation"),
        ("a lower one", attestation(NEXT, 1, 1), "attestation", "below the watermark"),
        ("another chain", attestation_of_chain([1, 2, 3, 4], NEXT), "attestation", "is for chain"),
        ("a kind that is not allowed", preattestation(NEXT, 0, 1), "preattestation", "not allowed"),
        ("too far", block(NEXT + 200_000, 0, 1), "block", "maxLevelJump"),
        ("cut off", attestation(NEXT, 3, 1)[..50].to_vec(), "malformed", "ends within"),
        ("another magic byte", vec![0x05, 1], "other", "0x05"),
        ("a new one", attestation(NEXT, 3, 1), "attestation", "would be signed"),
        ("an operation", operation(&[delegation(&key, 7)]), "operation", "would be signed"),
    ] {
        let output = explain(&env, &payload);
        assert_eq!(output["kind"], kind, "{what}: {output}");
        assert!(output["answer"]["reason"].as_str().unwrap().contains(reason), "{what}: {output}");
        assert_eq!(std::fs::read(env.record_file(&key)).unwrap(), record, "{what}: it writes nothing");
        if reason == "would be signed" {
            continue; // Asked below: it would change what the others are answered.
        }
        assert_eq!(output["answer"]["status"], signer.sign(&key, &payload).status, "{what}: {output}");
    }
    for payload in [attestation(NEXT, 3, 1), operation(&[delegation(&key, 7)])] {
        assert_eq!(explain(&env, &payload)["answer"]["status"], 200);
        signer.signature(&key, &payload);
    }
}

#[test]
fn it_says_what_a_payload_is() {
    let env = TestEnv::new();
    let output = explain(&env, &block(NEXT, 4, 1));
    assert_eq!((&output["kind"], &output["chain"]), (&"block".into(), &"NetXdQprcVkpaWU".into()));
    assert_eq!((&output["level"], &output["round"]), (&NEXT.into(), &4.into()));
    assert_eq!(output["digest"].as_str().unwrap().len(), 64);
    assert_eq!(output["keys"].as_array().unwrap().len(), 2);
    let output = explain(&env, &operation(&[delegation(&env.tz3(), 7)]));
    let content = &output["contents"][0];
    assert_eq!((&content["kind"], &content["fee"]), (&"delegation".into(), &"100".into()));
    assert_eq!(content["source"], env.tz3().hash().to_string());
    assert_eq!(output["answer"]["status"], 403);
}

#[test]
fn people_get_a_table_and_mistakes_a_sentence() {
    let env = TestEnv::new();
    let vote = hex::encode_upper(attestation(NEXT, 0, 1));
    let table = env.run(&["explain", &format!("0x{vote}")]).succeeded();
    for part in ["attestation", "NetXdQprcVkpaWU", "STATUS", "would be signed", &env.tz2().hash().to_string()] {
        assert!(table.contains(part), "{part} in {table}");
    }
    assert!(env.run(&["explain", "xyz"]).failed().contains("not hex"));
    let stranger = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
    assert!(env.run(&["explain", "--key", stranger, &vote]).failed().contains(stranger));
}
