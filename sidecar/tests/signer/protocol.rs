//! Octez' remote signer protocol: what is understood, and with which status it is refused.

use crate::payload;
use crate::process::Signer;
use crate::raw_http::{RawConnection, post, sign_path};
use crate::test_env::{FLOOR, TestEnv};
use serde_json::json;
use std::net::Shutdown;

const NEXT: u32 = FLOOR + 1;

#[test]
fn a_baker_is_told_that_no_authentication_is_wanted_and_which_key_it_is() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    assert_eq!(signer.get("/authorized_keys").json(), json!({}));
    for key in [env.tz2(), env.tz3()] {
        for query in ["", "?version=3&something=else"] {
            let answer = signer.get(&format!("/keys/{}{query}", key.hash()));
            assert_eq!((answer.status, answer.json()), (200, json!({"public_key": key.public_key.to_string()})));
        }
    }
}

#[test]
fn every_kind_is_signed_with_both_curves() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    for (key, prefix) in [(env.tz2(), "spsig1"), (env.tz3(), "p2sig")] {
        for payload in
            [payload::block(NEXT, 0, 1), payload::preattestation(NEXT, 0, 1), payload::attestation(NEXT, 0, 1)]
        {
            assert!(signer.signature(&key, &payload).starts_with(prefix));
        }
        // The DAL part makes it longer, not another kind: the next round.
        signer.signature(&key, &payload::attestation_with_dal(NEXT, 1, 1));
    }
}

/// The operator notices by it that a baker never attests with DAL.
#[test]
fn status_tells_when_a_key_attested_with_dal_and_when_without() {
    let env = TestEnv::new();
    let mut signer = Signer::start(&env);
    let key = env.tz3();
    let times = |signer: &Signer| {
        let times = signer.key_status(&key).attestations.unwrap();
        assert!([times.without_dal, times.with_dal].into_iter().flatten().all(|time| time >= times.since));
        (times.without_dal.is_some(), times.with_dal.is_some())
    };
    signer.signature(&key, &payload::block(NEXT, 0, 1));
    signer.signature(&key, &payload::preattestation(NEXT, 0, 1));
    signer.signature(&env.tz2(), &payload::attestation_with_dal(NEXT, 0, 1));
    assert_eq!(times(&signer), (false, false), "no attestation, and one of another key");
    signer.signature(&key, &payload::attestation(NEXT, 0, 1));
    signer.sign(&key, &payload::attestation_with_dal(NEXT, 0, 1)).refused(409);
    assert_eq!(times(&signer), (true, false), "one that is refused is none");
    signer.signature(&key, &payload::attestation_with_dal(NEXT + 1, 0, 1));
    assert_eq!(times(&signer), (true, true));
    drop(signer);
    signer = Signer::start(&env);
    assert_eq!(times(&signer), (false, false), "another process");
}

#[test]
fn hex_of_either_case_and_unknown_query_parameters_are_understood() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let payload = payload::attestation(NEXT, 0, 0xab);
    let (lower, upper) = (hex::encode(&payload), hex::encode_upper(&payload));
    assert_ne!(lower, upper);
    for (query, hex) in [("", &lower), ("", &upper), ("?version=3", &lower), ("?version=0&something=else", &lower)] {
        signer.post(&format!("/keys/{}{query}", key.hash()), format!("\"{hex}\"")).signature(&key, &payload);
    }
}

/// What Octez' server refuses; its client never sends it.
#[test]
fn a_version_or_an_authentication_that_cannot_be_read_is_400_also_where_none_is_wanted() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let payload = payload::attestation(NEXT, 0, 1);
    let ask =
        |query: &str| signer.post(&format!("{}?{query}", sign_path(&key)), format!("\"{}\"", hex::encode(&payload)));
    for version in ["4", "x", "-1", "", "03", "%2B3", "3.0", "10000000000000000000000"] {
        let answer = ask(&format!("version={version}"));
        assert_eq!(answer.status, 400, "{version}: {answer:?}");
        assert!(answer.body.contains("version"), "{answer:?}");
    }
    for authentication in ["", "x", "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t", "mdsigABC", "sig%00"] {
        let answer = ask(&format!("version=3&authentication={authentication}"));
        assert_eq!(answer.status, 400, "{authentication}: {answer:?}");
        assert!(answer.body.contains("authentication"), "{answer:?}");
    }
    assert!(ask("authentication=mdsigABC").body.contains("ML-DSA-44"));
    assert_eq!(ask("version=3&version=3").status, 400);
    assert_eq!(env.row(&key, "attestation"), format!("{FLOOR} 2147483647 - -"));
    for version in ["0", "1", "2", "3"] {
        ask(&format!("version={version}")).signature(&key, &payload);
    }
}

/// A signer's URL that ends with a slash makes Octez ask for `//authorized_keys` and `//keys/<pkh>`.
#[test]
fn empty_segments_of_a_path_are_passed_over() {
    let env = TestEnv::new();
    env.set_config(json!({"allowKnownKeys": true}));
    let signer = Signer::start(&env);
    let (key, hash) = (env.tz3(), env.tz3().hash());
    let payload = payload::attestation(NEXT, 0, 1);
    let mut connection = RawConnection::tcp(signer.signing_address());
    for path in ["//authorized_keys", "/authorized_keys/", "///authorized_keys//?x=//"] {
        assert_eq!(connection.get(path).json(), json!({}), "{path}");
    }
    for path in [format!("//keys/{hash}"), format!("/keys//{hash}/"), format!("///keys///{hash}//?version=3")] {
        assert_eq!(connection.get(&path).json(), json!({"public_key": key.public_key.to_string()}), "{path}");
        connection.send(post(&path, &hex::encode(&payload)));
        connection.answer().signature(&key, &payload);
    }
    assert_eq!(connection.get("//known_keys/").status, 200);
    // An encoded slash is a letter.
    for path in ["/%2Fauthorized_keys", "/keys%2F", "/%2f/authorized_keys"] {
        connection.get(path).refused(404);
    }
    assert_eq!(connection.get(&format!("/keys/%2F{hash}")).status, 400);
    drop(signer);

    env.set_config(json!({"pathPrefix": "/some/base"}));
    let signer = Signer::start(&env);
    for path in ["/some/base//authorized_keys", "//some//base///authorized_keys/"] {
        assert_eq!(RawConnection::tcp(signer.signing_address()).get(path).json(), json!({}), "{path}");
    }
}

#[test]
fn an_unknown_key_is_404() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let stranger = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
    let path = format!("/keys/{stranger}");
    let payload = hex::encode(payload::attestation(NEXT, 0, 0));
    for answer in [signer.get(&path), signer.post(&path, format!("\"{payload}\""))] {
        assert!(answer.refused(404).contains(stranger));
    }
}

#[test]
fn what_is_malformed_is_400_with_a_text_and_changes_no_watermark() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
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
        assert_eq!(env.row(&key, row), format!("{FLOOR} 2147483647 - -"));
    }
}

#[test]
fn what_the_key_may_not_sign_is_403() {
    let env = TestEnv::new();
    env.edit_config("\"label\": \"tz3\"", "\"label\": \"tz3\", \"allow\": [\"attestation\"]");
    let signer = Signer::start(&env);
    let key = env.tz3();
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
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let mut connection = RawConnection::tcp(signer.signing_address());
    for round in 0..200 {
        // As Octez does: first this, then the signature.
        assert_eq!(connection.get("/authorized_keys").json(), json!({}));
        let payload = payload::attestation(NEXT, round, 1);
        connection.sign(&key, &payload).signature(&key, &payload);
    }
    let payloads: Vec<_> = (0..20).map(|round| payload::preattestation(NEXT, round, 1)).collect();
    for payload in &payloads {
        connection.send(post(&sign_path(&key), &hex::encode(payload)));
    }
    for payload in &payloads {
        connection.answer().signature(&key, payload);
    }
}

#[test]
fn a_request_in_pieces_in_chunks_or_after_a_hundred_is_the_same_request() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let payload = payload::attestation(NEXT, 0, 1);
    let (path, hex) = (sign_path(&key), hex::encode(&payload));
    let mut connection = RawConnection::tcp(signer.signing_address());

    for byte in post(&path, &hex).as_bytes() {
        connection.send([*byte]);
    }
    let signature = connection.answer().signature(&key, &payload);

    let (first, second) = hex.split_at(7);
    connection.send(format!("POST {path}?version=3 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"));
    connection.send(format!("8\r\n\"{first}\r\n"));
    connection.send(format!("{:x};extension=1\r\n{second}\"\r\n0\r\ntrailer: x\r\n\r\n", second.len() + 1));
    assert_eq!(connection.answer().signature(&key, &payload), signature);

    let length = hex.len() + 2;
    connection
        .send(format!("POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"));
    assert_eq!(connection.answer().status, 100);
    connection.send(format!("\"{hex}\""));
    assert_eq!(connection.answer().signature(&key, &payload), signature);

    // A line end too many after the body is no beginning of another request.
    connection.send(post(&path, &hex) + "\r\n");
    assert_eq!(connection.answer().signature(&key, &payload), signature);
    assert_eq!(connection.get("/authorized_keys").status, 200);
}

#[test]
fn a_client_of_http_1_0_or_one_that_closes_its_side_first_gets_its_answer() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let payload = payload::attestation(NEXT, 0, 1);
    let request = post(&sign_path(&key), &hex::encode(&payload));

    let mut connection = RawConnection::tcp(signer.signing_address());
    connection.send(request.replacen("HTTP/1.1", "HTTP/1.0", 1));
    let signature = connection.answer().signature(&key, &payload);
    assert!(connection.is_closed());

    let mut connection = RawConnection::tcp(signer.signing_address());
    connection.send(&request);
    connection.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(connection.answer().signature(&key, &payload), signature);
    assert!(connection.is_closed());
}

#[test]
fn answers_are_json_whatever_the_request_calls_itself() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let payload = payload::attestation(NEXT, 0, 1);
    let mut connection = RawConnection::tcp(signer.signing_address());
    for kind in ["application/json", "application/octet-stream", "nonsense"] {
        let headers = format!(
            "content-type: {kind}\r\naccept: application/json;q=1000, application/octet-stream;q=200, application/bson;q=100"
        );
        connection.send(post(&sign_path(&key), &hex::encode(&payload)).replacen("host: x", &headers, 1));
        let answer = connection.answer();
        answer.signature(&key, &payload);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let answer = connection.get("/nothing");
    assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/json")));
}

#[test]
fn what_is_no_path_of_the_protocol_or_not_asked_like_that_is_refused_in_its_form() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    for path in ["/", "/keys", "/keys/", "/authorized_keys/x", "/metrics", "/base/authorized_keys", "/%00%ff"] {
        signer.get(path).refused(404);
        signer.post(path, "\"00\"").refused(404);
    }
    for path in ["/authorized_keys", "/known_keys", &format!("/bls_prove_possession/{}", key.hash())] {
        signer.post(path, "\"00\"").refused(405);
    }
    let mut connection = RawConnection::tcp(signer.signing_address());
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "NONSENSE"] {
        connection.send(format!("{method} {} HTTP/1.1\r\nhost: x\r\n\r\n", sign_path(&key)));
        let answer = connection.answer();
        assert_eq!(answer.refused(405), format!("{method} is not allowed for {}", sign_path(&key)));
        assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
    }
    let proof = signer.get(&format!("/bls_prove_possession/{}?bls_pk=x", key.hash())).refused(403);
    assert_eq!(proof, "Request to prove possession is not allowed.");
}

#[test]
fn keys_are_listed_only_where_that_is_allowed() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    assert_eq!(signer.get("/known_keys").refused(403), "List known keys request not allowed.");
    drop(signer);

    env.set_config(json!({"allowKnownKeys": true}));
    let signer = Signer::start(&env);
    let mut known: Vec<String> =
        serde_json::from_value(signer.get("/known_keys").json()["known_keys"].clone()).unwrap();
    let mut keys = [env.tz2().hash().to_string(), env.tz3().hash().to_string()];
    known.sort();
    keys.sort();
    assert_eq!(known, keys);
}

#[test]
fn with_a_path_prefix_every_path_has_it() {
    let env = TestEnv::new();
    env.set_config(json!({"pathPrefix": "/some/base"}));
    let signer = Signer::start(&env);
    let key = env.tz3();
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
