//! The last stage: from what the other stages found out to conditions with sentences. Pure, but for the clock that stamps
//! the flips.
//!
//! A sentence says what is wrong and what to do. Nothing in it changes with each signature: a steady state is written once.

mod keys;
mod replicas;

use crate::api::{KeyStatus, TezosSignerStatus};
use crate::controller::claim::{Claimed, Refusal};
use crate::controller::observe::{Seen, Sight, SignerStatus};
use crate::controller::validate::Invalid;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::collections::BTreeMap;

/// How far a reconcile came.
#[derive(Debug)]
pub enum Outcome {
    /// The spec cannot be used.
    Invalid(Invalid),
    /// The API server does not take the pods of this spec.
    NotTaken(Invalid),
    /// A record is not ours.
    Refused(Refusal),
    /// An object could not be applied, and somebody must do something about it.
    NotApplied {
        /// One word for it.
        reason: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Everything is applied.
    Applied {
        /// The records.
        claims: Vec<Claimed>,
        /// The names of the pods, by UID.
        pods: BTreeMap<String, String>,
        /// What can be seen of the pods.
        seen: Seen,
        /// Why no more can be made, if they cannot.
        failure: Option<String>,
        /// The image of the signer.
        image: String,
        /// Whether a record is being given to another pod.
        soon: bool,
    },
}

/// A condition before it is compared with the one that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

fn finding(type_: &'static str, status: &'static str, reason: &str, message: impl Into<String>) -> Finding {
    Finding { type_, status, reason: reason.to_owned(), message: message.into() }
}

const ACCEPTED: &str = "Accepted";
const WATERMARK: &str = "WatermarkReady";
const HSM: &str = "HsmReady";
const READY: &str = "Ready";
const PAUSED: &str = "Paused";

/// What the sentence of Ready begins with while the TezosSigner is paused: it is what `kubectl get` shows.
const PAUSED_PREFIX: &str = "paused: ";

/// The reason of a record that knows less than a signer: somebody has to decide.
const WENT_BACK: &str = "RecordWentBack";

/// The reason of what is only a matter of time.
const STARTING: &str = "Starting";

/// Whether the status says that all is well.
pub fn is_ready(status: &TezosSignerStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True")
}

/// The status after `outcome`. What `old` remembers of records stays: only [`forget`] takes it away.
pub fn status(old: &TezosSignerStatus, outcome: &Outcome, generation: Option<i64>, now: &Time) -> TezosSignerStatus {
    let holder = match outcome {
        Outcome::Applied { claims, seen, .. } => holder(claims, seen),
        _ => None,
    };
    let image = match outcome {
        Outcome::Applied { image, .. } => Some(image.clone()),
        _ => old.image.clone(),
    };
    let conditions =
        findings(outcome).into_iter().map(|finding| condition(&old.conditions, finding, generation, now)).collect();
    let keys = match outcome {
        Outcome::Applied { claims, pods, .. } => keys::read(&old.keys, claims, pods, now),
        _ => old.keys.clone(),
    };
    let next = TezosSignerStatus { conditions, holder, image, keys, observed_generation: generation };
    // Rows that only rose are no reason to write, unless nothing was written for long.
    let earlier = TezosSignerStatus { keys: keys::with_earlier_rows(&next.keys, &old.keys), ..next.clone() };
    if earlier == *old && !keys::are_old(&old.keys, now) { earlier } else { next }
}

/// The status of a spec that is not in use, with what ran before: what is seen of its pods. `suspended`: all records say it.
pub fn with_what_runs(mut status: TezosSignerStatus, pods: &[Sight], suspended: bool) -> TezosSignerStatus {
    let pods = |does: fn(&SignerStatus) -> bool| {
        let pods = pods.iter().filter_map(|sight| heard(sight).ok()).filter(|(_, status)| does(status));
        pods.map(|(pod, _)| pod).collect::<Vec<_>>().join(", ")
    };
    let holder = pods(|status| status.keys.iter().any(|key| key.held));
    let signs = pods(|status| status.ready && status.keys.iter().any(|key| key.held && !key.suspended));
    if holder.is_empty() {
        return status;
    }
    let goes_on = if suspended || signs.is_empty() {
        format!("; what ran before does not sign either (pod {holder})")
    } else {
        format!("; what ran before signs on (pod {signs})")
    };
    for ready in status.conditions.iter_mut().filter(|condition| condition.type_ == READY) {
        ready.message.push_str(&goes_on);
    }
    status.holder = Some(holder);
    status
}

/// The status while nothing is changed: as it was, and that it may be out of date.
pub fn paused(old: &TezosSignerStatus, generation: Option<i64>, now: &Time) -> TezosSignerStatus {
    let mut conditions = old.conditions.clone();
    match conditions.iter_mut().find(|condition| condition.type_ == READY) {
        Some(ready) if ready.message.starts_with(PAUSED_PREFIX) => {}
        Some(ready) => ready.message.insert_str(0, PAUSED_PREFIX),
        None => {
            let message = format!("{PAUSED_PREFIX}nothing has been made for it yet");
            conditions.push(condition(&[], finding(READY, "False", PAUSED, message), generation, now));
        }
    }
    let message = format!(
        "nothing of this TezosSigner is changed and its signers are not asked how they are, so the other conditions tell \
         how it was before: take the annotation {} away to go on",
        super::pause::PAUSED_ANNOTATION
    );
    put(&mut conditions, &old.conditions, finding(PAUSED, "True", PAUSED, message), generation, now);
    TezosSignerStatus { conditions, ..old.clone() }
}

/// The status while it is being deleted, and waits.
pub fn deleting(old: &TezosSignerStatus, what: &str, generation: Option<i64>, now: &Time) -> TezosSignerStatus {
    let mut conditions = old.conditions.clone();
    let ready = finding(READY, "False", "Deleting", format!("being deleted: {what}"));
    put(&mut conditions, &old.conditions, ready, generation, now);
    TezosSignerStatus { conditions, ..old.clone() }
}

/// The status while the operator cannot do its work. Signers may go on without it.
pub fn failing(old: &TezosSignerStatus, what: &str, generation: Option<i64>, now: &Time) -> TezosSignerStatus {
    let mut conditions = old.conditions.clone();
    // What has never been well is not; of the other nobody knows.
    let never = conditions.iter().all(|condition| condition.type_ != READY || condition.status == "False");
    let message = format!("the operator cannot do its work, and tries again: {what}");
    let ready = finding(READY, if never { "False" } else { "Unknown" }, "OperatorError", message);
    put(&mut conditions, &old.conditions, ready, generation, now);
    TezosSignerStatus { conditions, ..old.clone() }
}

/// The condition of a TezosSigner that cannot be read.
pub fn undecodable(old: &[Condition], error: &str, generation: Option<i64>, now: &Time) -> Condition {
    let message = format!(
        "this release of the operator cannot read this TezosSigner, is it from a later one? It changes nothing of it, and its \
         signers go on: {error}"
    );
    condition(old, finding(READY, "Unknown", "Undecodable", message), generation, now)
}

/// The status with `claimed` remembered.
pub fn remember(status: &TezosSignerStatus, claimed: KeyStatus) -> TezosSignerStatus {
    let mut status = status.clone();
    match status.keys.iter_mut().find(|key| key.record == claimed.record) {
        Some(key) => {
            let KeyStatus { chain, public_key_hash, record, record_uid, .. } = claimed;
            *key = KeyStatus { chain, public_key_hash, record, record_uid, ..key.clone() };
        }
        None => status.keys.push(claimed),
    }
    status
}

/// The status without the record of that name.
pub fn forget(status: &TezosSignerStatus, record: &str) -> TezosSignerStatus {
    let mut status = status.clone();
    status.keys.retain(|key| key.record != record);
    status
}

fn condition(old: &[Condition], finding: Finding, generation: Option<i64>, now: &Time) -> Condition {
    let before = old.iter().find(|condition| condition.type_ == finding.type_ && condition.status == finding.status);
    Condition {
        type_: finding.type_.to_owned(),
        status: finding.status.to_owned(),
        reason: finding.reason,
        message: finding.message,
        observed_generation: generation,
        last_transition_time: before.map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone()),
    }
}

/// Puts what was found in the place of what is there of that type.
fn put(conditions: &mut Vec<Condition>, old: &[Condition], finding: Finding, generation: Option<i64>, now: &Time) {
    let new = condition(old, finding, generation, now);
    match conditions.iter_mut().find(|condition| condition.type_ == new.type_) {
        Some(condition) => *condition = new,
        None => conditions.push(new),
    }
}

fn findings(outcome: &Outcome) -> Vec<Finding> {
    match outcome {
        Outcome::Invalid(invalid) | Outcome::NotTaken(invalid) => {
            let message = invalid.to_string();
            let unknown = "the spec cannot be used, see Accepted";
            vec![
                finding(READY, "False", "Invalid", &message),
                finding(ACCEPTED, "False", "Invalid", message),
                finding(WATERMARK, "Unknown", "Invalid", unknown),
                finding(HSM, "Unknown", "Invalid", unknown),
            ]
        }
        Outcome::Refused(refusal) => {
            let message = refusal.to_string();
            vec![
                finding(READY, "False", refusal.reason(), &message),
                accepted(),
                finding(WATERMARK, "False", refusal.reason(), message),
                finding(HSM, "Unknown", refusal.reason(), "not looked at, see WatermarkReady"),
            ]
        }
        Outcome::NotApplied { reason, message } => {
            let unknown = "not looked at, see Ready";
            vec![
                finding(READY, "False", reason, message),
                accepted(),
                finding(WATERMARK, "Unknown", reason, unknown),
                finding(HSM, "Unknown", reason, unknown),
            ]
        }
        Outcome::Applied { claims, seen: Seen::Baker(sight, beside), .. } => {
            let watermark = watermark(claims, sight);
            let hsm = hsm(sight);
            vec![ready(claims, sight, beside.as_deref(), &watermark, &hsm), accepted(), watermark, hsm]
        }
        Outcome::Applied { claims, seen: Seen::Service { replicas, pods, failure }, .. } => {
            let replicas = replicas::Replicas { wanted: *replicas, pods, failure: failure.as_deref() };
            vec![replicas.ready(claims), accepted(), replicas.watermark(claims), replicas.hsm()]
        }
    }
}

fn accepted() -> Finding {
    finding(ACCEPTED, "True", "Valid", "the spec can be used")
}

/// The pod and what its signer says, or the reason and the sentence of its silence.
fn heard(sight: &Sight) -> Result<(&str, &SignerStatus), (&'static str, String)> {
    match sight {
        Sight::NoPod(None) => Err((STARTING, "the pod is being made".to_owned())),
        Sight::NoPod(Some(reason)) => Err(("NoPod", format!("no pod can be made: {reason}"))),
        Sight::Silent { pod, reason, starting: true } => Err((STARTING, format!("pod {pod}: {reason}"))),
        Sight::Silent { pod, reason, starting: false } => Err(("NoAnswer", format!("pod {pod}: {reason}"))),
        Sight::Answer { pod, status } => Ok((pod, status)),
    }
}

/// The pods that hold the records, if each is held.
fn holder(claims: &[Claimed], seen: &Seen) -> Option<String> {
    let mut pods = claims
        .iter()
        .map(|claim| seen.answers().find(|(_, status)| holds(status, claim)).map(|(pod, _)| pod))
        .collect::<Option<Vec<&str>>>()?;
    pods.sort_unstable();
    pods.dedup();
    Some(pods.join(", "))
}

fn holds(status: &SignerStatus, claim: &Claimed) -> bool {
    status.keys.iter().any(|key| key.record == claim.key.record && key.held)
}

/// The first record that knows less than one of the signers: an old copy was restored.
fn went_back<'a>(mut signers: impl Iterator<Item = (&'a str, &'a SignerStatus)>, claims: &[Claimed]) -> Option<String> {
    let is_claimed = |record: &str| claims.iter().any(|claim| claim.key.record == record);
    signers.find_map(|(pod, status)| {
        let key = status.keys.iter().find(|key| key.went_back && is_claimed(&key.record))?;
        let reason = key.reason.as_deref().unwrap_or("see docs/record.md, \"When a backup is restored\"");
        Some(format!("pod {pod} refuses to sign by {}: {reason}", key.record))
    })
}

fn watermark(claims: &[Claimed], sight: &Sight) -> Finding {
    let Sight::Answer { pod, status } = sight else { return unknown(WATERMARK) };
    if let Some(back) = went_back([(pod.as_str(), status)].into_iter(), claims) {
        return finding(WATERMARK, "False", WENT_BACK, back);
    }
    for claim in claims {
        let record = &claim.key.record;
        match status.keys.iter().find(|key| key.record == *record) {
            Some(key) if key.held => {}
            Some(key) => {
                let reason = key.reason.as_deref().unwrap_or("the lease is not held yet");
                let message = format!("pod {pod} does not hold {record}: {reason}");
                return finding(WATERMARK, "False", "NotHeld", message);
            }
            None => {
                let message =
                    format!("pod {pod} runs with an older configuration, without {record}; it is being replaced");
                return finding(WATERMARK, "False", "NotHeld", message);
            }
        }
    }
    let message = match claims {
        [claim] => format!("pod {pod} holds {}", claim.key.record),
        claims => format!("pod {pod} holds the records of all {} keys", claims.len()),
    };
    finding(WATERMARK, "True", "Held", message)
}

fn hsm(sight: &Sight) -> Finding {
    match sight {
        Sight::Answer { status, .. } if status.hsm.ready => {
            finding(HSM, "True", "LoggedIn", "logged in, and all keys found with the public keys of the spec")
        }
        Sight::Answer { status, .. } => {
            let reason = status.hsm.reason.as_deref().unwrap_or("the signer has not logged in yet");
            finding(HSM, "False", "NotUsable", format!("the HSM cannot be used: {reason}"))
        }
        _ => unknown(HSM),
    }
}

fn unknown(type_: &'static str) -> Finding {
    finding(type_, "Unknown", "NoAnswer", "the signer does not answer, see Ready")
}

fn suspended(claims: &[Claimed]) -> Option<Finding> {
    let claim = claims.iter().find(|claim| claim.suspended)?;
    let message = format!(
        "signing is suspended: set spec.suspend to false, or take the row suspend out of {} if it was set by hand",
        claim.key.record
    );
    Some(finding(READY, "False", "Suspended", message))
}

fn ready(claims: &[Claimed], sight: &Sight, beside: Option<&str>, watermark: &Finding, hsm: &Finding) -> Finding {
    if let Some(suspended) = suspended(claims) {
        return suspended;
    }
    let (pod, status) = match heard(sight) {
        Ok(heard) => heard,
        Err((reason, message)) => return finding(READY, "False", reason, message),
    };
    if let Some(bad) = [hsm, watermark].into_iter().find(|finding| finding.status != "True") {
        return finding(READY, "False", &bad.reason, &bad.message);
    }
    if !status.ready {
        let reason =
            if status.reasons.is_empty() { "it gives no reason".to_owned() } else { status.reasons.join("; ") };
        return finding(READY, "False", "NotReady", format!("{pod} does not sign: {reason}"));
    }
    match (beside, claims) {
        (Some(trouble), _) => {
            let message = format!("pod {pod} can sign, but nobody asks: {trouble}");
            finding(READY, "False", "BakerNotRunning", message)
        }
        // The pod is in the column beside it.
        (None, [claim]) => finding(READY, "True", "Signing", format!("signing for {}", claim.key.public_key_hash)),
        (None, claims) => finding(READY, "True", "Signing", format!("signing with all {} keys", claims.len())),
    }
}

/// What is worth an event: conditions whose status or reason is another than before, each reason once.
pub fn news<'a>(old: &'a TezosSignerStatus, new: &'a TezosSignerStatus) -> Vec<&'a Condition> {
    let mut news: Vec<&Condition> = Vec::new();
    for condition in &new.conditions {
        let before = old.conditions.iter().find(|before| before.type_ == condition.type_);
        let changed = before.is_none_or(|b| b.status != condition.status || b.reason != condition.reason);
        let tells = condition.status != "Unknown" || condition.type_ == READY;
        if changed && tells && news.iter().all(|told| told.reason != condition.reason) {
            news.push(condition);
        }
    }
    news
}

/// Whether a condition is something to look into.
pub fn is_warning(condition: &Condition) -> bool {
    condition.type_ != PAUSED && condition.status != "True" && ![STARTING, PAUSED].contains(&condition.reason.as_str())
}

#[cfg(test)]
mod tests;
