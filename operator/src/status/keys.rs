//! What the status reports of each record: holder, suspension, ceiling and rows.
//!
//! A record changes with each signature, and the status must not. So rows that have only risen are reported with the next other change, or
//! when those in the status have become old; `readAt` says when they were read. The present rows are in the record.

use crate::api::{HolderStatus, KeyStatus, RowStatus, RowsStatus};
use crate::claim::ClaimedRecord;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::record::{Lease, Record};

/// The age from which rows in the status are replaced by rows that have only risen. A signer writes its record a hundred times meanwhile.
const OLD: SignedDuration = SignedDuration::from_mins(10);

/// The keys of `old`, with the state of their records in `claims`. `pods` are the names of pods by UID.
pub(super) fn read(
    old: &[KeyStatus],
    claims: &[ClaimedRecord],
    pods: &BTreeMap<String, String>,
    now: &Time,
) -> Vec<KeyStatus> {
    let keys = old.iter().map(|key| {
        let Some(claim) = claims.iter().find(|claim| claim.key.record == key.record) else { return key.clone() };
        let rows = rows(&claim.record, now);
        let unchanged = key.rows.as_ref().filter(|reported| have_equal_rows(reported, &rows)).cloned();
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

/// `new`, with the rows of `old` where it has any.
pub(super) fn with_earlier_rows(new: &[KeyStatus], old: &[KeyStatus]) -> Vec<KeyStatus> {
    let reported = |key: &KeyStatus| old.iter().find(|reported| reported.record == key.record)?.rows.clone();
    new.iter().map(|key| KeyStatus { rows: reported(key).or_else(|| key.rows.clone()), ..key.clone() }).collect()
}

/// Whether rows in `keys` are so old that new ones are worth a write.
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

fn have_equal_rows(a: &RowsStatus, b: &RowsStatus) -> bool {
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

/// `time` as the API server returns it. With a fraction it would differ from the status at each reconcile.
fn whole_second(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
