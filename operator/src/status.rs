//! The last stage: from the results of the other stages to the status. Pure: the time of a condition's transition is an argument.
//!
//! The message of a condition says what is wrong and what to do. Nothing in it changes with each signature: a steady state is written once.

mod bounds;
mod dal;
mod events;
mod keys;
mod paused;
mod replicas;
mod sealed;
mod sidecar;
mod suspension;

pub(crate) use events::event;
pub use events::events;
pub use paused::{PausedObservation, paused};

use crate::api::TezosSignerStatus;
use crate::api::annotations::PAUSED_ANNOTATION;
use crate::claim::{ClaimRefusal, ClaimedRecord};
use crate::image::Image;
use crate::message;
use crate::observation::{KeyObservation, NotReady, Observation, PodObservation, Progress, SignerObservation};
use crate::observe::Observed;
use crate::validate::Invalid;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::collections::BTreeSet;
use tezos_signer_core::status::HsmStatus;

/// How far the pipeline came.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for each reconcile")]
pub enum PipelineOutcome {
    /// The spec is invalid.
    Invalid(Invalid),
    /// The API server rejects the pods of this spec.
    Rejected(Invalid),
    /// A record could not be claimed.
    NotClaimed(ClaimRefusal),
    /// An object could not be applied, and somebody has to act.
    NotApplied {
        /// The reason of the condition.
        reason: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
    /// All objects are applied.
    Applied {
        /// The state of the signers.
        observed: Observed,
        /// The image of the signer.
        image: Image,
        /// Annotations of the TezosSigner that have the project's prefix and mean nothing.
        unknown_annotations: Vec<String>,
        /// Whether a record is being handed over to another pod.
        requeue_soon: bool,
    },
}

/// A condition before it is compared with the one in the status.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ConditionDraft {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

fn draft(type_: &'static str, status: &'static str, reason: &str, message: impl Into<String>) -> ConditionDraft {
    ConditionDraft { type_, status, reason: reason.to_owned(), message: message.into() }
}

const ACCEPTED: &str = "Accepted";
const WATERMARK: &str = "WatermarkReady";
const HSM: &str = "HsmReady";
const READY: &str = "Ready";
const PAUSED: &str = "Paused";

/// The reason of `Ready` for fewer signers than there should be.
const DEGRADED: &str = "Degraded";

/// The reason of `Accepted` for a valid spec beside an annotation that means nothing.
const UNKNOWN_ANNOTATION: &str = "UnknownAnnotation";

/// The reason of `Paused` for an annotation with an unknown value.
const UNCLEAR_PAUSE: &str = "UnknownValue";

/// The reason of a record that is lower than a signer has seen it: somebody has to decide.
const WENT_BACK: &str = "RecordWentBack";

/// The reason of a suspended record.
const SUSPENDED: &str = "Suspended";

/// The reason of what needs nothing but time.
const STARTING: &str = "Starting";

/// The reason of `Ready` where nothing is to be said.
const SIGNING: &str = "Signing";

/// Whether the condition `Ready` is True.
pub fn is_ready(status: &TezosSignerStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True")
}

/// The status after `outcome`. It remembers the records that `old` remembers: only [`forget`](crate::claim::forget) takes it away.
pub fn status(
    old: &TezosSignerStatus,
    outcome: &PipelineOutcome,
    generation: Option<i64>,
    now: &Time,
) -> TezosSignerStatus {
    let conditions =
        drafts(outcome).into_iter().map(|draft| condition(&old.conditions, draft, generation, now)).collect();
    let mut next = TezosSignerStatus { conditions, observed_generation: generation, holder: None, ..old.clone() };
    let PipelineOutcome::Applied { observed, image, .. } = outcome else { return next };
    image.remember(&mut next);
    with_records(next, old, observed, now)
}

/// `next`, with the holders and rows of the records.
fn with_records(
    next: TezosSignerStatus,
    old: &TezosSignerStatus,
    observed: &Observed,
    now: &Time,
) -> TezosSignerStatus {
    let Observed { records: claims, pods, observation, .. } = observed;
    let keys = keys::read(&old.keys, claims, pods, now);
    let next = TezosSignerStatus { holder: holder(claims, observation), keys, ..next };
    // Rows that have only risen are no reason to write, unless the last write was long ago.
    let earlier = TezosSignerStatus { keys: keys::with_earlier_rows(&next.keys, &old.keys), ..next.clone() };
    if earlier == *old && !keys::are_old(&old.keys, now) { earlier } else { next }
}

/// `status`, of a spec that is not in use, with the pods that run with the spec from before. `suspended`: all records are suspended.
/// `former`: the records that are suspended because their keys were removed from the spec.
pub fn with_former_pods(
    mut status: TezosSignerStatus,
    pods: &[PodObservation],
    suspended: bool,
    former: &BTreeSet<String>,
) -> TezosSignerStatus {
    let pods = |does: &dyn Fn(&SignerObservation) -> bool| {
        let pods = pods
            .iter()
            .filter_map(|pod_observation| answer_of(pod_observation).ok())
            .filter(|(_, status)| does(status));
        pods.map(|(pod, _)| pod).collect::<Vec<_>>()
    };
    let holder = pods(&|status| status.keys.iter().any(|key| key.held));
    let signs = pods(&|status| {
        let signs = |key: &KeyObservation| key.held && !key.suspended && !former.contains(&key.record);
        status.ready && status.keys.iter().any(signs)
    });
    if holder.is_empty() {
        return status;
    }
    let goes_on = if suspended || signs.is_empty() {
        format!("; the previous spec does not sign either (pod {})", message::list(&holder))
    } else {
        let keys = status.keys.iter().filter(|key| former.contains(&key.record));
        let keys = message::list(keys.map(|key| &key.public_key_hash));
        let but =
            if keys.is_empty() { keys } else { format!(", but not with {keys}, which was removed from spec.keys") };
        format!("; the previous spec continues to sign (pod {}){but}", message::list(&signs))
    };
    for ready in status.conditions.iter_mut().filter(|condition| condition.type_ == READY) {
        // What goes on is worth more than the end of a long reason.
        let room = message::MAX_MESSAGE.saturating_sub(goes_on.len());
        ready.message = message::cut(&(message::cut(&ready.message, room) + &goes_on), message::MAX_MESSAGE);
    }
    status.holder = Some(holder.join(", "));
    status
}

/// The status while the cleanup of a deleted TezosSigner waits for something.
pub fn deleting(old: &TezosSignerStatus, what: &str, generation: Option<i64>, now: &Time) -> TezosSignerStatus {
    let mut conditions = old.conditions.clone();
    let ready = draft(READY, "False", "Deleting", format!("being deleted: {what}"));
    put(&mut conditions, &old.conditions, ready, generation, now);
    TezosSignerStatus { conditions, ..old.clone() }
}

/// The status while reconciles fail. Signers may go on without the operator.
pub fn failing(old: &TezosSignerStatus, what: &str, generation: Option<i64>, now: &Time) -> TezosSignerStatus {
    let mut conditions = old.conditions.clone();
    // One that was never Ready is not Ready. Of any other it is unknown.
    let never = conditions.iter().all(|condition| condition.type_ != READY || condition.status == "False");
    let message = format!("reconciles fail and are retried: {what}");
    let ready = draft(READY, if never { "False" } else { "Unknown" }, "OperatorError", message);
    put(&mut conditions, &old.conditions, ready, generation, now);
    TezosSignerStatus { conditions, ..old.clone() }
}

/// The condition `Ready` of a TezosSigner that cannot be decoded. `suspend`: its spec says so, and its records are suspended. `former`: the
/// keys that were removed from its spec, whose records are suspended.
pub fn undecodable(
    old: &[Condition],
    error: &str,
    suspend: bool,
    former: &[String],
    generation: Option<i64>,
    now: &Time,
) -> Condition {
    let (status, done) = if suspend {
        let done = "Because spec.suspend is true, the operator has suspended all records; it changes nothing else. They stay \
             suspended until the TezosSigner can be decoded, whatever the value of spec.suspend";
        ("False", done.to_owned())
    } else {
        let keys = message::list(former);
        let but = if former.is_empty() {
            String::new()
        } else {
            format!(", but not with {keys}, which is no longer in the spec and whose record is therefore suspended")
        };
        let done = format!(
            "The operator does not change it, and its signers continue to sign{but}. Only suspend: true takes effect, and the \
             removal of a key if all other spec.keys can be decoded; a suspended record stays suspended until the TezosSigner can \
             be decoded"
        );
        ("Unknown", done)
    };
    let message = format!(
        "this release of the operator cannot decode this TezosSigner, which may be of a later release: {}. {done}",
        message::excerpt(error)
    );
    condition(old, draft(READY, status, "Undecodable", message), generation, now)
}

fn condition(old: &[Condition], draft: ConditionDraft, generation: Option<i64>, now: &Time) -> Condition {
    let before = old.iter().find(|condition| condition.type_ == draft.type_ && condition.status == draft.status);
    Condition {
        type_: draft.type_.to_owned(),
        status: draft.status.to_owned(),
        reason: draft.reason,
        message: message::cut(&draft.message, message::MAX_MESSAGE),
        observed_generation: generation,
        last_transition_time: before.map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone()),
    }
}

/// Replaces the condition of the same type.
fn put(conditions: &mut Vec<Condition>, old: &[Condition], draft: ConditionDraft, generation: Option<i64>, now: &Time) {
    let new = condition(old, draft, generation, now);
    match conditions.iter_mut().find(|condition| condition.type_ == new.type_) {
        Some(condition) => *condition = new,
        None => conditions.push(new),
    }
}

fn drafts(outcome: &PipelineOutcome) -> Vec<ConditionDraft> {
    match outcome {
        PipelineOutcome::Invalid(invalid) | PipelineOutcome::Rejected(invalid) => {
            let message = invalid.to_string();
            let unknown = "the spec is rejected, see Accepted";
            vec![
                draft(READY, "False", "Invalid", &message),
                draft(ACCEPTED, "False", "Invalid", message),
                draft(WATERMARK, "Unknown", "Invalid", unknown),
                draft(HSM, "Unknown", "Invalid", unknown),
            ]
        }
        PipelineOutcome::NotClaimed(refusal) => {
            let message = refusal.to_string();
            vec![
                draft(READY, "False", refusal.reason(), &message),
                accepted(),
                draft(WATERMARK, "False", refusal.reason(), message),
                draft(HSM, "Unknown", refusal.reason(), "not observed, see WatermarkReady"),
            ]
        }
        PipelineOutcome::NotApplied { reason, message } => {
            let unknown = "not observed, see Ready";
            vec![
                draft(READY, "False", reason, message),
                accepted(),
                draft(WATERMARK, "Unknown", reason, unknown),
                draft(HSM, "Unknown", reason, unknown),
            ]
        }
        PipelineOutcome::Applied { observed, image, unknown_annotations, .. } => {
            let [mut ready, watermark, hsm] = signing(observed);
            // The image may be the reason why the signer does not run.
            if let Some(other) =
                image.alternative().filter(|_| ["NoAnswer", "Degraded"].contains(&ready.reason.as_str()))
            {
                let advice = format!("; {other} is the last image that ran well: remove spec.image to use it again");
                ready.message.push_str(&advice);
            }
            let accepted = accepted_with(image, unknown_annotations);
            let sidecars = observed.sidecars.as_ref().map(sidecar::current);
            [ready, accepted, watermark, hsm].into_iter().chain(sidecars).collect()
        }
    }
}

/// `Ready`, `WatermarkReady` and `HsmReady`.
fn signing(observed: &Observed) -> [ConditionDraft; 3] {
    let [ready, watermark, hsm] = conditions(&observed.records, &observed.observation);
    let ready = suspension::of(observed).map_or(ready, |suspension| suspension.draft());
    [dal::told(ready, observed), watermark, hsm]
}

/// `Ready`, `WatermarkReady` and `HsmReady` for the keys of `claims`, as if none were suspended.
fn conditions(claims: &[ClaimedRecord], observation: &Observation) -> [ConditionDraft; 3] {
    match observation {
        Observation::Baker(pod_observation, beside) => {
            let watermark = watermark(claims, pod_observation);
            let hsm = hsm(pod_observation);
            [ready(claims, pod_observation, beside.as_ref(), &watermark, &hsm), watermark, hsm]
        }
        Observation::Service { replicas, pods, failure } => {
            let replicas = replicas::Replicas { wanted: *replicas, pods, failure: failure.as_deref() };
            [replicas.ready(claims), replicas.watermark(claims), replicas.hsm()]
        }
    }
}

fn accepted() -> ConditionDraft {
    draft(ACCEPTED, "True", "Valid", "the spec is valid")
}

fn accepted_with(image: &Image, unknown_annotations: &[String]) -> ConditionDraft {
    let message = format!("the spec is valid; {}", image.explained());
    if unknown_annotations.is_empty() {
        return draft(ACCEPTED, "True", "Valid", message);
    }
    let unknown = message::list(unknown_annotations);
    let message = format!("{message}; the annotation {unknown} has no effect, expected {PAUSED_ANNOTATION}");
    draft(ACCEPTED, "True", UNKNOWN_ANNOTATION, message)
}

/// The pod and the answer of its signer, or the reason and message of a condition that reports why there is none.
fn answer_of(pod_observation: &PodObservation) -> Result<(&str, &SignerObservation), (&'static str, String)> {
    match pod_observation {
        PodObservation::NoPod(None) => Err((STARTING, "the pod is being created".to_owned())),
        PodObservation::NoPod(Some(reason)) => Err(("NoPod", format!("the pod cannot be created: {reason}"))),
        PodObservation::NotInjected(advice) => Err((sidecar::NO_POD, advice.clone())),
        PodObservation::Unreachable { pod, reason, starting: true } => Err((STARTING, format!("pod {pod}: {reason}"))),
        PodObservation::Unreachable { pod, reason, starting: false } => {
            Err(("NoAnswer", format!("pod {pod}: {reason}")))
        }
        PodObservation::Answer { pod, status } => Ok((pod, status)),
    }
}

/// The pods that hold the records, if every record is held.
fn holder(claims: &[ClaimedRecord], observation: &Observation) -> Option<String> {
    let mut pods = claims
        .iter()
        .map(|claim| observation.answers().find(|(_, status)| holds(status, claim)).map(|(pod, _)| pod))
        .collect::<Option<Vec<&str>>>()?;
    pods.sort_unstable();
    pods.dedup();
    Some(pods.join(", "))
}

/// Why the signer in `pod` does not sign. Each reason that is about one key names it.
fn reasons(pod: &str, status: &SignerObservation) -> String {
    if status.reasons.is_empty() {
        return format!("its signer reports no reason; see kubectl logs {pod} -c signer");
    }
    message::list_by("; ", &status.reasons)
}

fn holds(status: &SignerObservation, claim: &ClaimedRecord) -> bool {
    status.keys.iter().any(|key| key.record == claim.key.record && key.held)
}

/// The first record that is lower than a signer has seen it: an old copy was restored.
fn went_back<'a>(
    mut signers: impl Iterator<Item = (&'a str, &'a SignerObservation)>,
    claims: &[ClaimedRecord],
) -> Option<String> {
    let is_claimed = |record: &str| claims.iter().any(|claim| claim.key.record == record);
    signers.find_map(|(pod, status)| {
        let key = status.keys.iter().find(|key| key.went_back && is_claimed(&key.record))?;
        let reason = key.reason.as_deref().unwrap_or("see docs/record.md, \"When a backup is restored\"");
        let of = claims.iter().find(|claim| claim.key.record == key.record);
        let of = of.map_or_else(String::new, |claim| format!(" of {}", claim.key.public_key_hash));
        Some(format!("pod {pod} refuses to sign with the record {}{of}: {reason}", key.record))
    })
}

fn watermark(claims: &[ClaimedRecord], pod_observation: &PodObservation) -> ConditionDraft {
    let PodObservation::Answer { pod, status } = pod_observation else { return unknown(WATERMARK) };
    if let Some(back) = went_back([(pod.as_str(), status)].into_iter(), claims) {
        return draft(WATERMARK, "False", WENT_BACK, back);
    }
    for claim in claims {
        let record = &claim.key.record;
        match status.keys.iter().find(|key| key.record == *record) {
            Some(key) if key.held => {}
            Some(key) => {
                let reason = key.reason.as_deref().unwrap_or("the lease is not held yet");
                let message = format!("pod {pod} does not hold {record} of {}: {reason}", claim.key.public_key_hash);
                return draft(WATERMARK, "False", "NotHeld", message);
            }
            None => {
                let message =
                    format!("pod {pod} runs with an older configuration, without {record}; it is being replaced");
                return draft(WATERMARK, "False", "NotHeld", message);
            }
        }
    }
    let message = match claims {
        [claim] => format!("pod {pod} holds {}", claim.key.record),
        claims => format!("pod {pod} holds the records of all {} keys", claims.len()),
    };
    draft(WATERMARK, "True", "Held", message)
}

fn hsm(pod_observation: &PodObservation) -> ConditionDraft {
    match pod_observation {
        PodObservation::Answer { pod, status } => {
            let signer = || [(pod.as_str(), status)].into_iter();
            sealed::refused(signer()).unwrap_or_else(|| match &status.hsm {
                HsmStatus { ready: true, .. } => usable(signer()),
                HsmStatus { reason, .. } => {
                    let reason = reason.as_deref().unwrap_or("the signer has not logged in yet");
                    draft(HSM, "False", "NotUsable", format!("the HSM or AWS KMS cannot be used: {reason}"))
                }
            })
        }
        _ => unknown(HSM),
    }
}

/// `HsmReady` of signers that sign with every key.
fn usable<'a>(signers: impl Iterator<Item = (&'a str, &'a SignerObservation)>) -> ConditionDraft {
    match sealed::unreachable(signers) {
        Some(unreachable) => draft(HSM, "True", sealed::UNREACHABLE, unreachable),
        None => draft(HSM, "True", "LoggedIn", "all keys were found and match their publicKey"),
    }
}

fn unknown(type_: &'static str) -> ConditionDraft {
    draft(type_, "Unknown", "NoAnswer", "the signer does not answer, see Ready")
}

fn ready(
    claims: &[ClaimedRecord],
    pod_observation: &PodObservation,
    beside: Option<&NotReady>,
    watermark: &ConditionDraft,
    hsm: &ConditionDraft,
) -> ConditionDraft {
    if let Some(forbidden) = bounds::nothing_left(claims) {
        return forbidden;
    }
    let (pod, status) = match answer_of(pod_observation) {
        Ok(answer) => answer,
        Err((reason, message)) => return draft(READY, "False", reason, message),
    };
    if let Some(bad) = [hsm, watermark].into_iter().find(|draft| draft.status != "True") {
        return draft(READY, "False", &bad.reason, &bad.message);
    }
    if !status.ready {
        return draft(READY, "False", "NotReady", format!("pod {pod} does not sign: {}", reasons(pod, status)));
    }
    let Some(NotReady { progress, reason }) = beside else {
        // `kubectl get` shows the pod in the next column.
        let ready = draft(READY, "True", SIGNING, bounds::signing(claims));
        return sealed::signing_on(ready, [(pod, status)].into_iter());
    };
    match progress {
        Progress::Starting => draft(READY, "False", STARTING, format!("pod {pod} can sign, and is starting: {reason}")),
        Progress::Unready => {
            draft(READY, "False", "PodNotReady", format!("pod {pod} can sign, but is not Ready: {reason}"))
        }
        Progress::Broken => draft(
            READY,
            "False",
            "BakerNotRunning",
            format!("pod {pod} can sign, but the baker does not run: {reason}"),
        ),
    }
}

#[cfg(test)]
mod tests;
