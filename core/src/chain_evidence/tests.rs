//! What is read in a node's answers. Their shape is that of Octez v25 on mainnet (protocol Ushuaia); key and levels are put in.

use super::*;
use crate::audit::evidence::EvidenceSet;
use crate::record::Record;
use serde_json::json;

const OURS: &str = "tz3gESPNt663Tvy1Ped6bpsJh9xBemwjVqaG";
const OTHERS: &str = "tz1iS7kehbR1CKAd38HrssP38BBz8GC9Zhy4";

fn level(number: i32) -> Level {
    Level::from_i32(number).unwrap()
}

fn vote(kind: &str, key: &str, level: i64, round: i64) -> Value {
    json!({
        "protocol": "PsUshuai9QapM5TGj1JpuVGkdxz5GykdnEvS6Rh8SUVrARvZLCY",
        "chain_id": "NetXdQprcVkpaWU",
        "hash": "oojZ8vVkrVTSty9z8L28zccu3d7PUQZ2vtspLtXpuyeNPGuTBiw",
        "branch": "BMaNdb3QTLMvNFx3qfKWp8HeX8mD6FHGMQt6nzhfTteRRa4GRx9",
        "contents": [{
            "kind": kind, "slot": 6689, "level": level, "round": round,
            "block_payload_hash": "vh1oSJeYR1nEyjf9bxeBHCLXqfgdDv6hX2xrw8nmsG9KS4X1nrZb", "dal_attestation": "0",
            "metadata": {"delegate": OTHERS, "consensus_power": {"slots": 1, "baking_power": null}, "consensus_key": key},
        }],
    })
}

fn votes(operations: &Value) -> Vec<(ConsensusKind, u32, u32)> {
    let found = votes_of(&OURS.parse().unwrap(), level(101), operations);
    found.iter().map(|proof| (proof.kind, proof.position.level.get(), proof.position.round.get())).collect()
}

#[test]
fn votes_are_found_by_the_key_that_signed_them_and_not_by_the_delegate() {
    let operations = json!([
        vote("attestation", OTHERS, 100, 0),
        vote("attestation_with_dal", OURS, 100, 2),
        vote("preattestation", OURS, 101, 1),
        vote("attestation", OURS, 100, 0),
    ]);
    let (attestation, preattestation) = (ConsensusKind::Attestation, ConsensusKind::Preattestation);
    assert_eq!(votes(&operations), [(attestation, 100, 2), (preattestation, 101, 1), (attestation, 100, 0)]);
}

#[test]
fn other_kinds_and_shapes_say_nothing() {
    let aggregate = json!({"contents": [{
        "kind": "attestations_aggregate", "consensus_content": {"level": 100, "round": 0},
        "metadata": {"committee": [{"delegate": OURS, "consensus_pkh": OURS}], "consensus_key": OURS},
    }]});
    let strange = [
        aggregate,
        vote("attestation", OURS, -1, 0),
        vote("attestation", OURS, 100, 1 << 40),
        json!({"contents": "none"}),
        json!(7),
    ];
    assert_eq!(votes(&json!(strange)), []);
    for nothing in [json!({}), json!(null), json!([{"id": "failure", "kind": "temporary"}])] {
        assert_eq!(votes(&nothing), []);
        assert_eq!(baked_by(&OURS.parse().unwrap(), level(101), &nothing), None);
    }
}

#[test]
fn a_record_that_is_lower_has_forgotten_what_the_chain_has() {
    let proofs: EvidenceSet = votes_of(&OURS.parse().unwrap(), level(101), &json!([vote("attestation", OURS, 100, 2)]))
        .into_iter()
        .chain(baked_by(&OURS.parse().unwrap(), level(101), &json!({"baker_consensus_key": OURS})))
        .collect();
    let forgotten = |level: i32| proofs.forgotten_by(&Record::starting_above(Level::from_i32(level).unwrap()));
    assert_eq!(forgotten(99).unwrap().kind, ConsensusKind::Attestation);
    assert_eq!(forgotten(100).unwrap().kind, ConsensusKind::Block, "the vote is remembered, the block is not");
    assert_eq!(forgotten(101), None);
    let told = forgotten(100).unwrap().to_string();
    assert_eq!(told, "block 101 of the chain proves that the block at level 101 round 0 or later was signed");

    // At the same place, whatever it was: the chain does not say which bytes were signed.
    let mut data = Record::starting_above(level(500)).to_data();
    data.insert("attestation".to_owned(), format!("100 2 {} -", "ab".repeat(32)));
    let record = Record::from_data(&data).unwrap();
    assert_eq!(proofs.forgotten_by(&record), None);
    data.insert("attestation".to_owned(), "100 1 - -".to_owned());
    let told = proofs.forgotten_by(&Record::from_data(&data).unwrap()).unwrap().to_string();
    assert_eq!(told, "block 101 of the chain proves that the attestation at level 100 round 2 was signed");
}
