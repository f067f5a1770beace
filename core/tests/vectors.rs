//! Every recorded signing request: what the decoder makes of it, its digest, and that the recorded signatures verify. Then
//! every way of cutting or extending one by a byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use tezos_signer_core::key::{Curve, Digest, PublicKey, Signature};
use tezos_signer_core::payload::{BodyError, DecodeError, Payload, UnknownSuffix, from_body};

fn decode(bytes: &[u8]) -> Result<Payload, DecodeError> {
    tezos_signer_core::payload::decode(bytes, Curve::P256, UnknownSuffix::Refuse)
}

struct Vector {
    name: String,
    payload: Vec<u8>,
    value: Value,
}

impl Vector {
    fn text(&self, field: &str) -> Option<&str> {
        self.value[field].as_str()
    }

    /// `kind chain level round`, as recorded.
    fn recorded(&self) -> String {
        let decoded = &self.value["decoded"];
        // Octez counts an attestation with DAL as an attestation, and so do the watermarks.
        let kind = decoded["kind"].as_str().unwrap().replace("attestation_with_dal", "attestation");
        format!("{kind} {} {} {}", decoded["chain"].as_str().unwrap(), decoded["level"], decoded["round"])
    }
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(include_str!("vectors/tezos_signing_requests.json")).unwrap();
    let all: Vec<Vector> = all
        .into_iter()
        .map(|value| Vector {
            name: value["name"].as_str().unwrap().to_owned(),
            payload: hex::decode(value["payload"].as_str().unwrap()).unwrap(),
            value,
        })
        .collect();
    assert_eq!(all.len(), 71, "the file holds 71 vectors");
    all
}

fn is_consensus(vector: &Vector) -> bool {
    matches!(decode(&vector.payload), Ok(Payload::Consensus(_)))
}

#[test]
fn each_is_decoded_as_recorded() {
    let mut consensus = 0;
    for vector in vectors() {
        let decoded = decode(&vector.payload);
        let kind = vector.value["decoded"]["kind"].as_str().unwrap();
        match decoded {
            Ok(Payload::Consensus(found)) => {
                let position = found.position;
                let found = format!("{} {} {} {}", found.kind, found.chain, position.level, position.round);
                assert_eq!(found, vector.recorded(), "{}", vector.name);
                consensus += 1;
            }
            Ok(Payload::Operation(_)) => assert_eq!(kind, "generic", "{}", vector.name),
            // A ballot with a stray byte behind it, and the votes of others, which a block producer puts together.
            Err(DecodeError::Trailing(1)) => assert!(vector.name.contains("Multiple operations"), "{}", vector.name),
            Err(DecodeError::OperationTag { tag: 31, .. }) => {
                assert!(vector.name.contains("tag 31"), "{}", vector.name);
            }
            Err(DecodeError::Tz4Layout(40 | 41)) => assert!(kind.contains("tz4"), "{}", vector.name),
            // The fitness of Emmy, before Tenderbake.
            Err(DecodeError::Field { field: "the fitness length", got: 17, .. }) => {
                assert!(vector.name.starts_with("NEGATIVE"), "{}", vector.name);
            }
            other => panic!("{}: {other:?}", vector.name),
        }
    }
    assert_eq!(consensus, 43, "43 of the vectors are blocks and votes of tz1 to tz3 keys");
}

#[test]
fn digests_are_as_recorded() {
    for vector in vectors() {
        assert_eq!(Digest::of(&vector.payload).to_string(), vector.text("digest").unwrap(), "{}", vector.name);
    }
}

#[test]
fn recorded_signatures_verify_and_no_other_digest_does() {
    let mut verified = 0;
    for vector in vectors() {
        let (Some(key), Some(signature)) = (vector.text("public_key"), vector.text("signature")) else { continue };
        let key: PublicKey = key.parse().unwrap();
        let signature: Signature = signature.parse().unwrap();
        assert!(key.verify(&Digest::of(&vector.payload), &signature), "{}", vector.name);
        assert!(!key.verify(&Digest::of(b"something else"), &signature), "{}", vector.name);
        assert_eq!(signature.to_string(), vector.text("signature").unwrap());
        assert_eq!(key.to_string(), vector.text("public_key").unwrap());
        verified += 1;
    }
    assert_eq!(verified, 25, "the file holds 25 signatures with their keys");
}

#[test]
fn every_truncation_of_a_block_or_vote_is_refused() {
    for vector in vectors().into_iter().filter(is_consensus) {
        for length in 0..vector.payload.len() {
            let cut = decode(&vector.payload[..length]);
            assert!(cut.is_err(), "{} cut to {length} bytes: {cut:?}", vector.name);
        }
    }
}

#[test]
fn every_extension_of_a_block_or_vote_by_a_byte_is_refused() {
    for vector in vectors().into_iter().filter(is_consensus) {
        for byte in 0..=u8::MAX {
            let mut longer = vector.payload.clone();
            longer.push(byte);
            let decoded = decode(&longer);
            let unknown = matches!(decoded, Err(DecodeError::UnknownShape(_)));
            assert!(unknown, "{} with {byte:02x} behind it: {decoded:?}", vector.name);
        }
    }
}

/// Each rule of the layouts by itself: what is changed in a good payload, and which field the error names.
#[test]
fn each_embedded_rule_is_checked() {
    let find = |name: &str| vectors().into_iter().find(|vector| vector.name.starts_with(name)).unwrap().payload;
    let block = find("block 2244609");
    let locked = find("block level 20878 round 2 WITH locked round 1");
    let attestation = find("attestation slot 4 from block 012_Psithaca/2244610");
    let preattestation = find("preattestation slot 96 level 2");
    let with_dal = find("attestation_with_dal slot 161");

    let cases: [(&[u8], usize, &[u8], &str); 27] = [
        (&block, 5, &[0xff], "the level"),
        (&block, 83, &0x22_u32.to_be_bytes(), "the fitness length"),
        (&block, 83, &0x25_u32.to_be_bytes(), "the length of the locked round"),
        (&block, 87, &[1], "the length of the fitness version is 16777217, expected 1"),
        (&block, 91, &[1], "the fitness version"),
        (&block, 92, &[1], "the length of the fitness level is 16777220, expected 4"),
        (&block, 99, &[0], "the fitness says"),
        (&block, 100, &[1], "the length of the locked round is 16777216, expected 0"),
        (&block, 104, &[1], "the length of the predecessor round"),
        (&block, 108, &[0x7f], "the predecessor round"),
        (&block, 112, &[1], "the length of the round"),
        (&block, 116, &[0x80], "the round"),
        (&block, 184, &[0x80], "the payload round"),
        (&block, 187, &[15], "the payload round"),
        (&block, 196, &[1], "the presence of a seed nonce hash"),
        (&block, 196, &[0xff], "the seed nonce hash"),
        (&locked, 103, &[5], "the length of the locked round"),
        (&locked, 104, &[0x80], "the locked round"),
        (&locked, 107, &[2], "the locked round"),
        (&attestation, 37, &[20], "the operation tag is 20, expected 21 or 23 after the magic byte 0x13"),
        (&attestation, 37, &[23], "the DAL attestation"),
        (&attestation, 40, &[0x80], "the level"),
        (&attestation, 44, &[0x80], "the round"),
        (&preattestation, 37, &[21], "the operation tag is 21, expected 20 after the magic byte 0x12"),
        (&preattestation, 37, &[40], "tz4"),
        (&with_dal, 80, &[0x80], "the DAL attestation"),
        (&with_dal, 80, &[0x40], "not negative"),
    ];
    for (good, offset, bytes, field) in cases {
        assert!(decode(good).is_ok());
        let mut bad = good.to_vec();
        bad[offset..offset + bytes.len()].copy_from_slice(bytes);
        let error = decode(&bad).expect_err(field).to_string();
        assert!(error.contains(field), "byte {offset} := {bytes:02x?}: expected {field:?} in {error:?}");
    }

    let mut dal = with_dal.clone();
    // All bits but the sign, 0x40 of the first byte.
    dal[80] = 0xbf;
    for (last, good) in [(0x00, false), (0x01, true), (0x7f, true)] {
        let longer = [&dal[..], &[last]].concat();
        assert_eq!(decode(&longer).is_ok(), good, "a DAL attestation that ends in {last:02x}");
    }
}

#[test]
fn other_first_bytes_are_told_apart() {
    assert_eq!(decode(&[]), Err(DecodeError::Empty));
    for magic in (0..=u8::MAX).filter(|magic| !matches!(magic, 0x03 | 0x11..=0x13)) {
        assert_eq!(decode(&[magic, 1, 2, 3]), Ok(Payload::Other { magic }));
    }
}

#[test]
fn a_payload_has_a_word_for_its_kind() {
    let word = |payload: &[u8]| decode(payload).unwrap().kind();
    for vector in vectors().iter().filter(|vector| is_consensus(vector)) {
        assert_eq!(word(&vector.payload), vector.recorded().split(' ').next().unwrap());
    }
    let delegation = vectors().into_iter().find(|vector| vector.name.starts_with("delegation")).unwrap();
    assert_eq!(word(&delegation.payload), "operation");
    assert_eq!(word(&[5]), "other");
}

#[test]
fn a_body_is_a_json_string_of_hex_digits_of_either_case() {
    assert_eq!(from_body(br#""11aBCd""#), Ok(vec![0x11, 0xab, 0xcd]));
    assert_eq!(from_body(br#""""#), Ok(vec![]));
    for body in [&b"11ab"[..], b"", b"\"11ab", b"{}", b"\"\xff\""] {
        assert_eq!(from_body(body), Err(BodyError::Json), "{body:?}");
    }
    for body in [&br#""1""#[..], br#""0x11""#, br#"" 11""#] {
        assert!(matches!(from_body(body), Err(BodyError::Hex(_))), "{body:?}");
    }
}
