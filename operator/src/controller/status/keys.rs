//! What the status says of each record: who holds it, what it forbids as a whole, and its rows.
//!
//! A record changes with each signature, and the status must not. So rows that have only risen are told with the next thing
//! that changes, or when what is told has become old: a person who looks wants to know where the key stands, and is told of when
//! that is. The present rows are in the record.

use crate::api::{HolderStatus, KeyStatus, RowStatus, RowsStatus};
use crate::controller::claim::Claimed;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::record::{Lease, Record};

/// After how long rows are told that have only risen. A signer writes its record a hundred times and more meanwhile.
const OLD: SignedDuration = SignedDuration::from_mins(10);

/// The keys of `old`, with what `claims` have read of their records. `pods` are the names of pods by UID.
pub(super) fn read(
    old: &[KeyStatus],
    claims: &[Claimed],
    pods: &BTreeMap<String, String>,
    now: &Time,
) -> Vec<KeyStatus> {
    let keys = old.iter().map(|key| {
        let Some(claim) = claims.iter().find(|claim| claim.key.record == key.record) else { return key.clone() };
        let rows = rows(&claim.record, now);
        let unchanged = key.rows.as_ref().filter(|told| say_the_same(told, &rows)).cloned();
        KeyStatus {
            ceiling: claim.record.ceiling.map(|level| level.get().into()),
            holder: holder(&claim.lease, pods),
            rows: Some(unchanged.unwrap_or(rows)),
            suspended: claim.suspended,
            ..key.clone()
        }
    });
    keys.collect()
}

/// `new` with the rows that `old` tells, where it tells any.
pub(super) fn with_earlier_rows(new: &[KeyStatus], old: &[KeyStatus]) -> Vec<KeyStatus> {
    let told = |key: &KeyStatus| old.iter().find(|told| told.record == key.record)?.rows.clone();
    new.iter().map(|key| KeyStatus { rows: told(key).or_else(|| key.rows.clone()), ..key.clone() }).collect()
}

/// Whether rows were read so long ago that those of now are worth a write.
pub(super) fn are_old(keys: &[KeyStatus], now: &Time) -> bool {
    keys.iter().filter_map(|key| key.rows.as_ref()).any(|rows| now.0.duration_since(rows.read_at.0) >= OLD)
}

fn rows(record: &Record, now: &Time) -> RowsStatus {
    let row = |kind| {
        let position = record.rows.get(kind)?.position;
        Some(RowStatus { level: position.level.get().into(), round: position.round.get().into() })
    };
    RowsStatus {
        attestation: row(ConsensusKind::Attestation),
        block: row(ConsensusKind::Block),
        preattestation: row(ConsensusKind::Preattestation),
        read_at: whole_second(now.0),
    }
}

fn say_the_same(a: &RowsStatus, b: &RowsStatus) -> bool {
    *a == RowsStatus { read_at: a.read_at.clone(), ..b.clone() }
}

fn holder(lease: &Lease, pods: &BTreeMap<String, String>) -> Option<HolderStatus> {
    let identity = lease.holder_identity.clone();
    (!identity.is_empty()).then(|| HolderStatus {
        pod: pods.get(&identity).cloned(),
        identity,
        since: lease.acquire_time.map(whole_second),
        term: lease.leader_transitions.try_into().unwrap_or(i64::MAX),
    })
}

/// As the API server gives it back. One with a fraction would be another one at each look.
fn whole_second(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
