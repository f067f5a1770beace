//! tz4 and tz1 keys: signatures, proofs of possession and addresses that Octez' own signer made, the layout of tz4 votes, and what is
//! refused of them. `vectors/tz4.json` says how it was made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use tezos_signer_core::admit::{AdmissionRules, Rejection, RequestFacts, SignatureVersion, SigningRequest, admit};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::key::{ChainId, Curve, Message, Signature, SigningPublicKey};
use tezos_signer_core::payload::{DecodeError, Payload, Shape, UnknownSuffix, decode};
use tezos_signer_core::policy::{Permitted, Policy};
use tezos_signer_core::position::ConsensusKind;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/tz4.json")).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

/// By the name that the vectors use.
fn key(vectors: &Value, name: &str) -> (SigningPublicKey, Value) {
    let keys = vectors["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| text(key, "name") == name).unwrap();
    (text(key, "publicKey").parse().unwrap(), key.clone())
}

fn signatures(vectors: &Value) -> Vec<(SigningPublicKey, Vec<u8>, Value)> {
    let signatures = vectors["signatures"].as_array().unwrap().iter();
    let read = signatures.map(|vector| {
        (key(vectors, text(vector, "key")).0, hex::decode(text(vector, "payload")).unwrap(), vector.clone())
    });
    read.collect()
}

/// The votes of tz4 keys among the vectors, with what they are.
fn votes() -> Vec<(ConsensusKind, Vec<u8>)> {
    let of_tz4 = signatures(&vectors()).into_iter().filter(|(key, ..)| key.curve() == Curve::Bls12381);
    let votes = of_tz4.filter_map(|(_, payload, _)| match payload[0] {
        0x12 => Some((ConsensusKind::Preattestation, payload)),
        0x13 => Some((ConsensusKind::Attestation, payload)),
        _ => None,
    });
    votes.collect()
}

fn strict(payload: &[u8], scheme: Curve) -> Result<Payload, DecodeError> {
    decode(payload, scheme, UnknownSuffix::Refuse)
}

#[test]
fn addresses_are_those_of_octez() {
    let vectors = vectors();
    for named in vectors["keys"].as_array().unwrap() {
        let (key, entry) = key(&vectors, text(named, "name"));
        assert_eq!(key.to_string(), text(&entry, "publicKey"));
        assert_eq!(key.hash().to_string(), text(&entry, "publicKeyHash"));
        assert_eq!(SigningPublicKey::from_bytes(key.curve(), &key.to_bytes()).unwrap(), key);
    }
}

#[test]
fn signatures_of_todays_version_verify_and_no_others() {
    let vectors = vectors();
    let (mut right, mut wrong) = (0, 0);
    for (key, payload, vector) in signatures(&vectors) {
        let message = Message::new(&payload);
        assert_eq!(message.digest().to_string(), text(&vector, "blake2b"));
        for (version, signature) in vector["signatures"].as_object().unwrap() {
            let Ok(signature) = signature.as_str().unwrap().parse::<Signature>() else { continue };
            let is_todays = key.curve() != Curve::Bls12381 || !["0", "1"].contains(&version.as_str());
            assert_eq!(key.verify(&message, &signature), is_todays, "version {version} of {vector}");
            assert!(!key.verify(&Message::new(&payload[1..]), &signature));
            if is_todays { right += 1 } else { wrong += 1 }
        }
    }
    assert!(right >= 40 && wrong >= 10, "{right} {wrong}");
}

#[test]
fn a_proof_of_possession_is_of_one_key_and_is_no_signature() {
    let vectors = vectors();
    for name in ["consensus", "companion"] {
        let (key, entry) = key(&vectors, name);
        let proof: Signature = text(&entry, "proofOfPossession").parse().unwrap();
        assert!(key.verify_proof_of_possession(&proof));
        assert!(!key.verify(&Message::new(&key.to_bytes()), &proof), "it is made in a cipher suite of its own");
        let other = text(&entry, "proofOverTheOtherKey").parse().unwrap();
        assert!(!key.verify_proof_of_possession(&other), "a proof over another public key");
    }
}

#[test]
fn votes_of_tz4_keys_are_read_without_a_slot() {
    let votes = votes();
    assert!(votes.len() >= 4, "{}", votes.len());
    for (kind, payload) in votes {
        assert_eq!(payload.len(), 78);
        let Payload::Consensus(consensus) = strict(&payload, Curve::Bls12381).unwrap() else { panic!("a vote") };
        let int = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        assert_eq!((consensus.kind, consensus.shape), (kind, Shape::Known));
        assert_eq!((consensus.position.level.get(), consensus.position.round.get()), (int(38), int(42)));
        for scheme in [Curve::Ed25519, Curve::Secp256k1, Curve::P256] {
            assert_eq!(strict(&payload, scheme), Err(DecodeError::Tz4Layout(payload[37])));
        }
    }
}

#[test]
fn every_truncation_and_extension_of_a_tz4_vote_is_refused() {
    for (_, payload) in votes() {
        for length in 0..payload.len() {
            assert!(strict(&payload[..length], Curve::Bls12381).is_err(), "{length} bytes");
        }
        for byte in 0..=255 {
            let longer = [&payload[..], &[byte]].concat();
            assert!(matches!(strict(&longer, Curve::Bls12381), Err(DecodeError::UnknownShape(_))), "{byte}");
        }
        // As of a key with a slot, or with a DAL part, or twice.
        let with_slot = [&payload[..38], &[0, 7], &payload[38..]].concat();
        assert!(strict(&with_slot, Curve::Bls12381).is_err());
        assert!(strict(&[&payload[..], &payload[..]].concat(), Curve::Bls12381).is_err());
        for tag in 0..=255 {
            let mut tagged = payload.clone();
            tagged[37] = tag;
            assert_eq!(strict(&tagged, Curve::Bls12381).is_ok(), tag == payload[37], "tag {tag}");
        }
        for at in [38, 42] {
            let mut negative = payload.clone();
            negative[at] |= 0x80;
            assert!(strict(&negative, Curve::Bls12381).is_err(), "negative at {at}");
        }
    }
}

#[test]
fn a_tz4_key_does_not_read_votes_of_other_keys() {
    let requests: Vec<Value> = serde_json::from_str(include_str!("vectors/tezos_signing_requests.json")).unwrap();
    let mut seen = 0;
    for payload in requests.iter().map(|vector| hex::decode(text(vector, "payload")).unwrap()) {
        if !matches!(payload[0], 0x12 | 0x13) || strict(&payload, Curve::P256).is_err() {
            continue;
        }
        seen += 1;
        for unknown in [UnknownSuffix::Refuse, UnknownSuffix::OctezCompatible] {
            assert_eq!(decode(&payload, Curve::Bls12381, unknown), Err(DecodeError::SlotLayout(payload[37])));
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn a_tz4_key_signs_in_version_2_and_later_and_others_in_any() {
    let vectors = vectors();
    let (anybody, policy) = (AuthorizedKeys::default(), Policy::baking(ChainId::MAINNET));
    let rules = AdmissionRules { authorized_keys: &anybody, policy: &policy, unknown_suffix: UnknownSuffix::Refuse };
    let versions = [SignatureVersion::V0, SignatureVersion::V1, SignatureVersion::V2, SignatureVersion::V3];
    let (_, vote) = votes().remove(0);
    let slot_vote =
        [&[0x13][..], ChainId::MAINNET.as_bytes(), &[0; 32], &[21, 0, 7, 0, 0, 1, 0], &[0; 4], &[7; 32]].concat();
    for name in ["consensus", "ed25519"] {
        let key = key(&vectors, name).0;
        let is_tz4 = key.curve() == Curve::Bls12381;
        let payload = if is_tz4 { &vote } else { &slot_vote };
        for version in versions.into_iter().map(Some).chain([None]) {
            let request = SigningRequest { key: key.hash(), payload, authentication: None, version };
            let admitted = admit(&rules, &request, &mut RequestFacts::default());
            if is_tz4 && version.is_some_and(|version| version < SignatureVersion::V2) {
                assert!(matches!(admitted, Err(Rejection::Version(_))), "{version:?}: {admitted:?}");
            } else {
                let permitted = admitted.unwrap().permitted();
                assert!(matches!(permitted, Permitted::Consensus(_)), "{version:?}");
            }
        }
    }
}
