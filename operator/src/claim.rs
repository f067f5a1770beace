//! The stage that claims the watermark records of a TezosSigner: all of them or none. A record is created only at a level that is
//! plausible. Also the suspension and the release of records whose keys are to sign no more.

mod chain_head;
mod claimed;
mod record;
mod refusal;
mod remembered;

pub use claimed::Claimed;
pub use record::{ClaimError, ClaimedRecord, Claims, PreferredHolder, RecordState};
pub use refusal::{ClaimRefusal, GOOD_FOR_TOO_LONG};
pub use remembered::{forget, remember};

use crate::api::TezosSignerStatus;
use crate::build::Built;
use crate::report::Report;
use crate::validate::{Start, Valid};
use crate::{message, names};
use chain_head::Answer;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use std::collections::BTreeSet;

/// Claims every record of `built`, and writes the status that remembers them. What was claimed is in `remembered` even if a later record
/// is refused.
pub(crate) async fn claim(
    built: Built,
    claims: &Claims,
    remembered: &mut TezosSignerStatus,
    report: &Report<'_>,
) -> Result<Claimed, ClaimError> {
    let records = claim_all(claims, &built.valid, remembered, report).await?;
    built.image.remember(remembered);
    report.write_status(remembered).await?;
    Ok(Claimed::new(built, records))
}

/// Claims every record, and adds each to `remembered`.
///
/// INVARIANT O3: A TezosSigner that cannot have one of its records claims no other: all are inspected before a new one is claimed. Two that inspect at
/// the same time claim in the same order, so that one of them is refused at the first record that both want.
async fn claim_all(
    claims: &Claims,
    signer: &Valid,
    remembered: &mut TezosSignerStatus,
    report: &Report<'_>,
) -> Result<Vec<ClaimedRecord>, ClaimError> {
    let (initial, now) = (signer.initial.as_ref(), Timestamp::now());
    let mut keys: Vec<_> = signer.keys.iter().map(|key| (key.record_name().to_string(), key)).collect();
    keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let before = remembered.keys.clone();
    let remembered_key = |name: &str| before.iter().find(|key| key.record == name);
    let mut inspected = Vec::new();
    if keys.iter().any(|(name, _)| remembered_key(name).is_none()) {
        // One alone needs no inspection: it is created or it is not.
        let unseen = match &keys[..] {
            [(name, key)] if report.context.caches.records.has_not_seen(name) => Claims::unseen(key, initial, now),
            _ => None,
        };
        inspected = if let Some(state) = unseen {
            vec![state]
        } else {
            let reads = keys.iter().map(|(name, key)| claims.inspect(key, initial, remembered_key(name), now));
            join_all(reads).await.into_iter().collect::<Result<_, _>>()?
        };
        if inspected.iter().any(|state| matches!(state, RecordState::Missing(_))) {
            check_start(signer, remembered, report).await?;
        }
    }
    let mut inspected = inspected.into_iter();
    let mut claimed = Vec::new();
    for (name, key) in &keys {
        let state = inspected.next();
        let claim = claims.claim(key, initial, remembered_key(name), state, signer.suspend, now).await?;
        *remembered = remember(remembered, claim.key.clone());
        claimed.push(claim);
    }
    Ok(claimed)
}

/// Refuses an initial watermark that cannot be right, by what is known outside of the spec.
async fn check_start(signer: &Valid, status: &TezosSignerStatus, report: &Report<'_>) -> Result<(), ClaimError> {
    let Some(initial) = &signer.initial else { return Ok(()) };
    let Some(key) = signer.keys.first() else { return Ok(()) };
    let (chain, generation) = (key.policy.chain, report.signer.metadata.generation);
    // INVARIANT O2: An initial watermark that was refused for its notAfter is not accepted a day later, when its level is a day old.
    if let Some(generation) = generation.filter(|generation| was_good_for_too_long(&status.conditions, *generation)) {
        let (key, chain, not_after) = (key.hash().to_string(), chain.to_string(), initial.not_after);
        return Err(ClaimRefusal::WasGoodForTooLong { key, chain, not_after, generation }.into());
    }
    let Start::Above(level) = initial.start else { return Ok(()) };
    if signer.nodes.is_empty() {
        return Ok(());
    }
    match chain_head::compare(&report.context.http, &signer.nodes, chain, level).await {
        Answer::Plausible => Ok(()),
        Answer::FarBelow(refusal) => Err(refusal.into()),
        Answer::NotAsked(reasons) => {
            let note = format!(
                "spec.initialWatermark.level, {level}, was not compared with the level of the chain before the record was created: {}",
                message::list_by("; ", reasons)
            );
            report.warn("NodeNotAsked", &note).await;
            Ok(())
        }
    }
}

/// Whether this generation of the spec was refused because its notAfter is too far ahead.
fn was_good_for_too_long(conditions: &[Condition], generation: i64) -> bool {
    let is_it = |condition: &Condition| {
        condition.reason == GOOD_FOR_TOO_LONG && condition.observed_generation == Some(generation)
    };
    conditions.iter().any(is_it)
}

/// INVARIANT O1: Writes `suspend` into each of `records` that this TezosSigner owns, also if the write to another one fails. It is called before the
/// rest of the spec is validated: otherwise the signers would go on while their user believes that they do not. The suspension is lifted
/// when a record is claimed, so not before the spec is accepted, and not while the TezosSigner is paused.
pub(crate) async fn suspend(claims: &Claims, records: BTreeSet<String>) -> Result<(), ClaimError> {
    join_all(records.iter().map(|record| claims.suspend(record))).await.into_iter().collect()
}

/// Whether `remembered` has records of keys that were removed from the spec.
pub(crate) fn has_former(records: &[ClaimedRecord], remembered: &TezosSignerStatus) -> bool {
    remembered.keys.iter().any(|key| records.iter().all(|claim| claim.key.record != key.record))
}

/// Releases the records of keys that were removed from the spec, once no pod uses them: all of `pods` run with `config`.
pub(crate) async fn release_former(
    claims: &Claims,
    records: &[ClaimedRecord],
    remembered: &mut TezosSignerStatus,
    config: &str,
    pods: &[Pod],
) -> Result<(), ClaimError> {
    if pods.iter().any(|pod| pod.annotations().get(names::CONFIG_ANNOTATION).is_none_or(|name| name != config)) {
        return Ok(());
    }
    for former in remembered.keys.clone() {
        if records.iter().all(|claim| claim.key.record != former.record) {
            claims.release(&former.record).await?;
            *remembered = forget(remembered, &former.record);
        }
    }
    Ok(())
}
