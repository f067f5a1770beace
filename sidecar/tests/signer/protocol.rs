//! Octez' remote signer protocol: what is understood, and with which status it is refused.

use crate::home::{FLOOR, Home};
use crate::payload;
use crate::process::Signer;
use serde_json::json;

const NEXT: u32 = FLOOR + 1;

#[test]
fn a_baker_is_told_that_no_authentication_is_wanted_and_which_key_it_is() {
    let home = Home::new();
    let signer = Signer::start(&home);
    assert_eq!(signer.get("/authorized_keys").json(), json!({}));
    for key in [home.tz2(), home.tz3()] {
        for query in ["", "?version=3&something=else"] {
            let answer = signer.get(&format!("/keys/{}{query}", key.hash()));
            assert_eq!((answer.status, answer.json()), (200, json!({"public_key": key.public_key.to_string()})));
        }
    }
}

#[test]
fn every_kind_is_signed_with_both_curves() {
    let home = Home::new();
    let signer = Signer::start(&home);
    for (key, prefix) in [(home.tz2(), "spsig1"), (home.tz3(), "p2sig")] {
        for payload in
            [payload::block(NEXT, 0, 1), payload::preattestation(NEXT, 0, 1), payload::attestation(NEXT, 0, 1)]
        {
            assert!(signer.signature(&key, &payload).starts_with(prefix));
        }
        // The DAL part makes it longer, not another kind: the next round.
        signer.signature(&key, &payload::attestation_with_dal(NEXT, 1, 1));
    }
}

#[test]
fn hex_of_either_case_and_unknown_query_parameters_are_understood() {
    let home = Home::new();
    let signer = Signer::start(&home);
    let key = home.tz3();
    let payload = payload::attestation(NEXT, 0, 0xab);
    let (lower, upper) = (hex::encode(&payload), hex::encode_upper(&payload));
    assert_ne!(lower, upper);
    for (query, hex) in [("", &lower), ("", &upper), ("?version=3", &lower), ("?version=9&something=else", &lower)] {
        signer.post(&format!("/keys/{}{query}", key.hash()), format!("\"{hex}\"")).signature(&key, &payload);
    }
}

#[test]
fn an_unknown_key_is_404() {
    let home = Home::new();
    let signer = Signer::start(&home);
    let stranger = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
    let path = format!("/keys/{stranger}");
    let payload = hex::encode(payload::attestation(NEXT, 0, 0));
    for answer in [signer.get(&path), signer.post(&path, format!("\"{payload}\""))] {
        assert!(answer.refused(404).contains(stranger));
    }
}

#[test]
fn what_is_malformed_is_400_with_a_text_and_changes_no_watermark() {
    let home = Home::new();
    let signer = Signer::start(&home);
    let key = home.tz3();
    let (vote, block) = (payload::attestation(NEXT, 0, 0), payload::block(NEXT, 0, 0));
    let text = |bytes: &[u8]| format!("\"{}\"", hex::encode(bytes));
    let mut other_fitness = block.clone();
    other_fitness[8] ^= 1; // the header's level, and not the fitness'
    for (what, body) in [
        ("nothing", String::new()),
        ("not JSON", hex::encode(&vote)),
        ("not a string", "{}".to_owned()),
        ("not hex", "\"xyz0\"".to_owned()),
        ("half a byte", format!("\"{}0\"", hex::encode(&vote))),
        ("an empty payload", "\"\"".to_owned()),
        ("a truncated vote", text(&vote[..vote.len() - 1])),
        ("a vote and a byte", text(&[&vote[..], &[0]].concat())),
        ("a truncated block", text(&block[..block.len() - 1])),
        ("a block and a byte", text(&[&block[..], &[0]].concat())),
        ("a block of two levels", text(&other_fitness)),
        (
            "a preattestation's tag in an attestation",
            text(&[&[0x13], &payload::preattestation(NEXT, 0, 0)[1..]].concat()),
        ),
        ("a right vote, but over 64 KiB with its blanks", text(&vote) + &" ".repeat(64 * 1024)),
    ] {
        let answer = signer.post(&format!("/keys/{}", key.hash()), body);
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(!answer.body.is_empty() && !answer.body.starts_with('['), "{what}: {answer:?}");
    }
    assert_eq!(signer.post("/keys/tz3nonsense", text(&vote)).status, 400);
    for row in ["block", "preattestation", "attestation"] {
        assert_eq!(home.row(&key, row), format!("{FLOOR} 2147483647 - -"));
    }
}

#[test]
fn what_the_key_may_not_sign_is_403() {
    let home = Home::new();
    home.edit_config("\"label\": \"tz3\"", "\"label\": \"tz3\", \"allow\": [\"attestation\"]");
    let signer = Signer::start(&home);
    let key = home.tz3();
    for (what, payload) in [
        ("generic operations", [&[0x03][..], &[0x11; 32], &[0x6c; 40]].concat()),
        ("magic byte 0x05", vec![0x05, 0x01, 0x00]),
        ("is for chain NetX", payload::attestation_of_chain([1, 2, 3, 4], NEXT)),
        ("a block", payload::block(NEXT, 0, 0)),
    ] {
        let message = signer.sign(&key, &payload).refused(403);
        assert!(message.contains(what), "{what}: {message}");
    }
    signer.signature(&key, &payload::attestation(NEXT, 0, 0));
}
