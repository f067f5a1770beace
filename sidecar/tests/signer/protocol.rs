//! Octez' remote signer protocol: what is understood, and with which status it is refused.

use crate::home::{FLOOR, Home};
use crate::payload;
use crate::process::Signer;
use crate::wire::{Wire, post, sign_path};
use serde_json::json;
use std::net::Shutdown;

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

#[test]
fn many_requests_come_over_one_connection_also_before_the_answers_were_read() {
    let home = Home::new();
    let signer = Signer::start(&home);
    let key = home.tz3();
    let mut wire = Wire::tcp(signer.signing_address());
    for round in 0..200 {
        // As Octez does: first this, then the signature.
        assert_eq!(wire.get("/authorized_keys").json(), json!({}));
        let payload = payload::attestation(NEXT, round, 1);
        wire.sign(&key, &payload).signature(&key, &payload);
    }
    let payloads: Vec<_> = (0..20).map(|round| payload::preattestation(NEXT, round, 1)).collect();
    for payload in &payloads {
        wire.send(post(&sign_path(&key), &hex::encode(payload)));
    }
    for payload in &payloads {
        wire.answer().signature(&key, payload);
    }
}

#[test]
fn a_request_in_pieces_in_chunks_or_after_a_hundred_is_the_same_request() {
    let home = Home::new();
    let signer = Signer::start(&home);
    let key = home.tz3();
    let payload = payload::attestation(NEXT, 0, 1);
    let (path, hex) = (sign_path(&key), hex::encode(&payload));
    let mut wire = Wire::tcp(signer.signing_address());

    for byte in post(&path, &hex).as_bytes() {
        wire.send([*byte]);
    }
    let signature = wire.answer().signature(&key, &payload);

    let (first, second) = hex.split_at(7);
    wire.send(format!("POST {path}?version=3 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"));
    wire.send(format!("8\r\n\"{first}\r\n"));
    wire.send(format!("{:x};extension=1\r\n{second}\"\r\n0\r\ntrailer: x\r\n\r\n", second.len() + 1));
    assert_eq!(wire.answer().signature(&key, &payload), signature);

    let length = hex.len() + 2;
    wire.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"));
    assert_eq!(wire.answer().status, 100);
    wire.send(format!("\"{hex}\""));
    assert_eq!(wire.answer().signature(&key, &payload), signature);

    // A line end too many after the body is no beginning of another request.
    wire.send(post(&path, &hex) + "\r\n");
    assert_eq!(wire.answer().signature(&key, &payload), signature);
    assert_eq!(wire.get("/authorized_keys").status, 200);
}

#[test]
fn a_client_of_http_1_0_or_one_that_closes_its_side_first_gets_its_answer() {
    let home = Home::new();
    let signer = Signer::start(&home);
    let key = home.tz3();
    let payload = payload::attestation(NEXT, 0, 1);
    let request = post(&sign_path(&key), &hex::encode(&payload));

    let mut wire = Wire::tcp(signer.signing_address());
    wire.send(request.replacen("HTTP/1.1", "HTTP/1.0", 1));
    let signature = wire.answer().signature(&key, &payload);
    assert!(wire.is_closed());

    let mut wire = Wire::tcp(signer.signing_address());
    wire.send(&request);
    wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wire.answer().signature(&key, &payload), signature);
    assert!(wire.is_closed());
}

#[test]
fn answers_are_json_whatever_the_request_calls_itself() {
    let home = Home::new();
    let signer = Signer::start(&home);
    let key = home.tz3();
    let payload = payload::attestation(NEXT, 0, 1);
    let mut wire = Wire::tcp(signer.signing_address());
    for kind in ["application/json", "application/octet-stream", "nonsense"] {
        let headers = format!(
            "content-type: {kind}\r\naccept: application/json;q=1000, application/octet-stream;q=200, application/bson;q=100"
        );
        wire.send(post(&sign_path(&key), &hex::encode(&payload)).replacen("host: x", &headers, 1));
        let answer = wire.answer();
        answer.signature(&key, &payload);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let answer = wire.get("/nothing");
    assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/json")));
}

#[test]
fn what_is_no_path_of_the_protocol_or_not_asked_like_that_is_refused_in_its_form() {
    let home = Home::new();
    let signer = Signer::start(&home);
    let key = home.tz3();
    for path in ["/", "/keys", "/keys/", "/authorized_keys/", "/metrics", "/base/authorized_keys", "/%00%ff"] {
        signer.get(path).refused(404);
        signer.post(path, "\"00\"").refused(404);
    }
    for path in ["/authorized_keys", "/known_keys", &format!("/bls_prove_possession/{}", key.hash())] {
        signer.post(path, "\"00\"").refused(405);
    }
    let mut wire = Wire::tcp(signer.signing_address());
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "NONSENSE"] {
        wire.send(format!("{method} {} HTTP/1.1\r\nhost: x\r\n\r\n", sign_path(&key)));
        let answer = wire.answer();
        assert_eq!(answer.refused(405), format!("{method} is not what {} is asked with", sign_path(&key)));
        assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
    }
    let proof = signer.get(&format!("/bls_prove_possession/{}?bls_pk=x", key.hash())).refused(403);
    assert_eq!(proof, "Request to prove possession is not allowed.");
}

#[test]
fn keys_are_listed_only_where_that_is_allowed() {
    let home = Home::new();
    let signer = Signer::start(&home);
    assert_eq!(signer.get("/known_keys").refused(403), "List known keys request not allowed.");
    drop(signer);

    home.set_config(json!({"allowKnownKeys": true}));
    let signer = Signer::start(&home);
    let mut known: Vec<String> =
        serde_json::from_value(signer.get("/known_keys").json()["known_keys"].clone()).unwrap();
    let mut keys = [home.tz2().hash().to_string(), home.tz3().hash().to_string()];
    known.sort();
    keys.sort();
    assert_eq!(known, keys);
}

#[test]
fn with_a_path_prefix_every_path_has_it() {
    let home = Home::new();
    home.set_config(json!({"pathPrefix": "/some/base"}));
    let signer = Signer::start(&home);
    let key = home.tz3();
    let payload = payload::attestation(NEXT, 0, 1);
    let body = format!("\"{}\"", hex::encode(&payload));
    assert_eq!(signer.get("/some/base/authorized_keys").json(), json!({}));
    let path = format!("/some/base{}?version=3", sign_path(&key));
    assert_eq!(signer.get(&path).json(), json!({"public_key": key.public_key.to_string()}));
    signer.post(&path, body.clone()).signature(&key, &payload);
    signer.post("/some/base/authorized_keys", body.clone()).refused(405);
    signer.get("/some/base/known_keys").refused(403);
    signer.get("/some/base/nothing").refused(404);
    signer.get("/authorized_keys").refused(404);
    signer.post(&sign_path(&key), body).refused(404);
}
