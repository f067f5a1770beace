//! Generic operations that other programs have encoded: what the decoder makes of each, then every way of cutting or
//! extending one by a byte. How the files were made: `vectors/operations/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use std::collections::BTreeSet;
use tezos_signer_core::key::Curve;
use tezos_signer_core::payload::operation::{Content, Operation, OperationKind};
use tezos_signer_core::payload::{DecodeError, Payload, UnknownSuffix, decode};

struct Vector {
    name: String,
    branch: String,
    payload: Vec<u8>,
    contents: Vec<Value>,
}

fn vectors() -> Vec<Vector> {
    let files = [
        (include_str!("vectors/operations/taquito.json"), 51),
        (include_str!("vectors/operations/pytezos.json"), 21),
        (include_str!("vectors/operations/octez.json"), 20),
        (include_str!("vectors/operations/by_hand.json"), 17),
    ];
    let mut all = Vec::new();
    for (file, count) in files {
        let file: Value = serde_json::from_str(file).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), count, "{}", file["encoder"]);
        all.extend(vectors.iter().map(|vector| Vector {
            name: format!("{} ({})", vector["name"], file["encoder"]),
            branch: vector.get("branch").unwrap_or(&file["branch"]).as_str().unwrap().to_owned(),
            payload: hex::decode(hex_of(vector)).unwrap(),
            contents: vector["contents"].as_array().unwrap().clone(),
        }));
    }
    all
}

/// One text, or pieces whose first word is hexadecimal.
fn hex_of(vector: &Value) -> String {
    match &vector["pieces"] {
        Value::Array(pieces) => pieces.iter().map(|piece| piece.as_str().unwrap().split(' ').next().unwrap()).collect(),
        _ => vector["payload"].as_str().unwrap().to_owned(),
    }
}

fn operation(payload: &[u8]) -> Result<Operation, DecodeError> {
    match decode(payload, Curve::P256, UnknownSuffix::Refuse)? {
        Payload::Operation(operation) => Ok(operation),
        other => panic!("no operation: {other:?}"),
    }
}

fn contents(operation: &Operation) -> Vec<Value> {
    operation.contents().iter().map(|content| serde_json::to_value(content).unwrap()).collect()
}

#[test]
fn each_is_decoded_as_its_encoder_was_told() {
    for vector in vectors() {
        let operation = operation(&vector.payload).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!(operation.branch().to_string(), vector.branch, "{}", vector.name);
        assert_eq!(contents(&operation), vector.contents, "{}", vector.name);
        for (content, json) in operation.contents().iter().zip(&vector.contents) {
            assert_eq!(content.kind().as_str(), json["kind"], "{}", vector.name);
            let source =
                json.get("source").or(json.get("consensus_key")).map(|source| source.as_str().unwrap().to_owned());
            assert_eq!(content.source().map(ToString::to_string), source, "{}", vector.name);
            let fee = json.get("fee").map(|fee| fee.as_str().unwrap().to_owned());
            assert_eq!(content.fee().map(|fee| fee.to_string()), fee, "{}", vector.name);
        }
    }
}

#[test]
fn there_is_one_for_every_kind_that_is_decoded() {
    let seen: BTreeSet<OperationKind> = vectors()
        .iter()
        .flat_map(|vector| operation(&vector.payload).unwrap().contents().iter().map(Content::kind).collect::<Vec<_>>())
        .collect();
    let not_decoded = [
        OperationKind::DalEntrapmentEvidence,
        OperationKind::ZkRollupOrigination,
        OperationKind::ZkRollupPublish,
        OperationKind::ZkRollupUpdate,
    ];
    for kind in OperationKind::ALL {
        assert_eq!(seen.contains(&kind), !not_decoded.contains(&kind), "{kind}");
    }
}

/// A cut payload is refused, but where it is another operation: a batch cut between two contents, or the older layout of one
/// that has grown at its end. Then it is not taken for the same.
#[test]
fn every_truncation_is_refused_or_another_operation() {
    let mut others = Vec::new();
    for vector in vectors() {
        let whole = contents(&operation(&vector.payload).unwrap());
        for length in 0..vector.payload.len() {
            if let Ok(shorter) = operation(&vector.payload[..length]) {
                assert_ne!(shorter, operation(&vector.payload).unwrap(), "{} cut to {length} bytes", vector.name);
                let (last, before) = contents(&shorter).split_last().map(|(a, b)| (a.clone(), b.to_vec())).unwrap();
                assert_eq!(before, whole[..before.len()], "{} cut to {length} bytes", vector.name);
                others.push(format!("{} {}", last["kind"].as_str().unwrap(), vector.payload.len() - length));
            }
        }
    }
    others.sort_unstable();
    let expected = [
        // Between two contents.
        "delegation 89",
        "finalize_unstake 100",
        "increase_paid_storage 110",
        "increase_paid_storage 59",
        // Without the field for a proof, or with it, and between two contents.
        "reveal 1",
        "reveal 1",
        "reveal 1",
        "reveal 1",
        "reveal 1",
        "reveal 101",
        "reveal 101",
        "reveal 101",
        "reveal 102",
        "reveal 103",
        "reveal 117",
        "reveal 145",
        "reveal 146",
        "smart_rollup_cement 28",
        // Without the commitment.
        "smart_rollup_cement 32",
        "stake 35",
        "transaction 50",
        "transaction 87",
        "update_companion_key 101",
        "update_companion_key 101",
        "update_consensus_key 1",
        "update_consensus_key 101",
        "update_consensus_key 101",
        "update_consensus_key 28",
    ];
    assert_eq!(others, expected);
}

/// So is one with a byte more: only an older `reveal` or `update_consensus_key` with 0x00 behind it is a newer one.
#[test]
fn every_extension_by_a_byte_is_refused_or_another_operation() {
    let mut others = Vec::new();
    for vector in vectors() {
        let whole = operation(&vector.payload).unwrap();
        for byte in 0..=u8::MAX {
            let mut longer = vector.payload.clone();
            longer.push(byte);
            if let Ok(longer) = operation(&longer) {
                assert_ne!(longer, whole, "{} with {byte:02x} behind it", vector.name);
                others.push(format!("{} {byte:02x}", longer.contents().last().unwrap().kind()));
            }
        }
    }
    assert_eq!(others, ["reveal 00", "update_consensus_key 00"]);
}

/// Of the vectors of requests: what their names and fields say, found in what is decoded.
#[test]
fn operations_of_mainnet_are_what_their_names_say() {
    let all: Vec<Value> = serde_json::from_str(include_str!("vectors/tezos_signing_requests.json")).unwrap();
    let mut decoded = 0;
    for vector in all.iter().filter(|vector| vector["decoded"]["kind"] == "generic") {
        let name = vector["name"].as_str().unwrap();
        let found = match operation(&hex::decode(vector["payload"].as_str().unwrap()).unwrap()) {
            Ok(found) => found,
            Err(DecodeError::Trailing(1)) if name.contains("Multiple operations not supported") => continue,
            Err(DecodeError::OperationTag { tag: 31, .. }) if name.contains("attestations-aggregate") => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        decoded += 1;
        assert_eq!(found.branch().to_string(), vector["decoded"]["branch"], "{name}");
        let [content] = found.contents() else { panic!("{name}: one content") };
        let json = serde_json::to_value(content).unwrap();
        let kind = content.kind().as_str();
        if let Some((_, said)) = name.split_once("vote=\"") {
            assert_eq!((kind, &json["ballot"]), ("ballot", &Value::from(said.split('"').next().unwrap())), "{name}");
        } else {
            let said =
                name.trim_start_matches("octez U025 codec sample: ").replace("updated", "update").replace('-', "_");
            assert!(said.starts_with(kind), "{name}: {kind}");
        }
        if let Some((_, by)) = name.split_once(" by ") {
            assert_eq!(json["source"], by.split(' ').next().unwrap(), "{name}");
        }
    }
    assert_eq!(decoded, 22, "the file holds so many operations that a key may be asked to sign");
}
