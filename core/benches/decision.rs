//! What the pure part of a signature costs: decoding a payload, admitting it, and deciding on it. `make bench-rust` runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark ends where a test would")]

use divan::{Bencher, black_box};
use serde_json::Value;
use tezos_signer_core::admit::{AdmissionRules, Admitted, RequestFacts, SigningRequest, admit};
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::key::{Curve, Digest, PublicKeyHash, Signature};
use tezos_signer_core::payload::{Consensus, Payload, UnknownSuffix, decode};
use tezos_signer_core::policy::Policy;
use tezos_signer_core::position::{ConsensusKind, Level};
use tezos_signer_core::record::Record;
use tezos_signer_core::watermark::{Decision, decide};

/// How far above the record a request may be. What a signer has by default.
const MAX_LEVEL_JUMP: u32 = 100_000;

const CONSENSUS: [ConsensusKind; 2] = [ConsensusKind::Block, ConsensusKind::Attestation];

fn main() {
    divan::main();
}

/// The newest recorded request of a kind.
fn recorded(kind: ConsensusKind) -> Vec<u8> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../tests/vectors/tezos_signing_requests.json")).unwrap();
    let payloads = all.iter().map(|vector| hex::decode(vector["payload"].as_str().unwrap()).unwrap());
    let level = |payload: &Vec<u8>| match decode(payload, Curve::P256, UnknownSuffix::Refuse) {
        Ok(Payload::Consensus(found)) if found.kind == kind => Some(found.position.level),
        _ => None,
    };
    payloads.filter_map(|payload| Some((level(&payload)?, payload))).max().unwrap().1
}

fn consensus(payload: &[u8]) -> Consensus {
    let Ok(Payload::Consensus(consensus)) = decode(payload, Curve::P256, UnknownSuffix::Refuse) else {
        panic!("no block or vote")
    };
    consensus
}

fn admitted(policy: &Policy, payload: &[u8]) -> Admitted {
    let anybody = AuthorizedKeys::default();
    let rules = AdmissionRules { authorized_keys: &anybody, policy, unknown_suffix: UnknownSuffix::Refuse };
    let key: PublicKeyHash = "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r".parse().unwrap();
    admit(&rules, &SigningRequest { key, payload, authentication: None, version: None }, &mut RequestFacts::default())
        .unwrap()
}

/// An attestation that was admitted, and a record right below it.
fn request_above_its_record() -> (Record, Admitted) {
    let payload = recorded(ConsensusKind::Attestation);
    let Consensus { chain, position, .. } = consensus(&payload);
    let below = Level::try_from(i64::from(position.level.get()) - 1).unwrap();
    (Record::starting_above(below), admitted(&Policy::baking(chain), &payload))
}

#[divan::bench(args = CONSENSUS)]
fn decode_payload(bencher: Bencher<'_, '_>, kind: ConsensusKind) {
    let payload = recorded(kind);
    bencher.bench(|| decode(black_box(&payload), Curve::P256, UnknownSuffix::Refuse));
}

/// Decoding, policy and digest: what a request costs before its record is read.
#[divan::bench(args = CONSENSUS)]
fn admit_request(bencher: Bencher<'_, '_>, kind: ConsensusKind) {
    let payload = recorded(kind);
    let policy = Policy::baking(consensus(&payload).chain);
    bencher.bench(|| admitted(&policy, black_box(&payload)));
}

#[divan::bench]
fn decide_to_advance(bencher: Bencher<'_, '_>) {
    let (record, request) = request_above_its_record();
    bencher.bench(|| decide(black_box(&record), black_box(&request), MAX_LEVEL_JUMP));
}

#[divan::bench]
fn decide_to_replay(bencher: Bencher<'_, '_>) {
    let (record, request) = request_above_its_record();
    let Ok(Decision::Advance(step)) = decide(&record, &request, MAX_LEVEL_JUMP) else { panic!("not above the record") };
    let intent = AuditAnchor { log: LogId::from_bytes([0; 16]), sequence: 1, hash: Digest::of(b"a line") };
    let record = step.apply_to(&record, Signature::P256([7; 64]), intent);
    bencher.bench(|| decide(black_box(&record), black_box(&request), MAX_LEVEL_JUMP));
}

/// The record as the store has it: read before a decision, written after it.
#[divan::bench]
fn read_and_write_record(bencher: Bencher<'_, '_>) {
    let data = request_above_its_record().0.to_data();
    bencher.bench(|| Record::from_data(black_box(&data)).unwrap().to_data());
}
