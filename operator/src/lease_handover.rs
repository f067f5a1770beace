//! Hands the lease of a record over when the node of a baker's pod is lost and the replacement waits. The old signer may go on and renew
//! its lease, because only its kubelet is dead; so the operator names the new pod as the `preferredHolder` of the lease. The old signer
//! releases the lease when it reads the name, and the new one takes the record at once.
//!
//! A pod that is terminated releases its leases by itself, after its baker has ended. Signers behind a Service take over from each other.

use crate::claim::{ClaimError, ClaimedRecord, Claims, PreferredHolder};
use crate::observation::{Observation, PodObservation, is_over};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// How long after its deletion timestamp a pod counts as one that nobody ends: clocks differ.
const OVERDUE: SignedDuration = SignedDuration::from_secs(2);

/// What to do with the `preferredHolder` of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HandoverAction {
    /// Leave it as it is.
    Leave,
    /// Leave it for now: the holder is lost, and the pod that replaces it cannot sign yet.
    Wait,
    /// Write this pod as `preferredHolder` into the lease.
    Write(PreferredHolder),
}

/// The pod that could take a record at once: it is not being deleted, and its HSM works.
fn candidate<'a>(observation: &Observation, pods: &'a [Pod]) -> Option<&'a Pod> {
    let Observation::Baker(PodObservation::Answer { pod: name, status }, _) = observation else { return None };
    let pod = pods.iter().find(|pod| pod.name_any() == *name)?;
    (status.hsm.ready && pod.metadata.deletion_timestamp.is_none()).then_some(pod)
}

/// What to do with the lease of `claim`. `candidate` is the pod that could take it.
fn action(
    claim: &ClaimedRecord,
    observation: &Observation,
    pods: &[Pod],
    candidate: Option<&Pod>,
    now: Timestamp,
) -> HandoverAction {
    let lease = &claim.lease;
    let write =
        |to: &str| HandoverAction::Write(PreferredHolder { holder: lease.holder_identity.clone(), to: to.to_owned() });
    let find = |uid: &str| pods.iter().find(|pod| pod.metadata.uid.as_deref() == Some(uid));
    let named = &lease.preferred_holder;
    let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none() && !is_over(pod);
    if !named.is_empty() && *named != lease.holder_identity && find(named).is_some_and(stays) {
        return HandoverAction::Leave;
    }
    let holder_is_lost = match find(&lease.holder_identity) {
        Some(pod) => is_lost(pod, now),
        // The pod does not exist any more, unless the holder is a signer outside the cluster.
        None => !lease.holder_identity.is_empty() && !claim.has_external_signer,
    };
    let to = candidate.and_then(|pod| pod.metadata.uid.as_deref()).filter(|uid| *uid != lease.holder_identity);
    match (holder_is_lost && matches!(observation, Observation::Baker(..)), to) {
        (true, Some(uid)) => write(uid),
        // The name of the present holder, or of a pod that does not exist, would keep others from taking a released lease.
        _ if !named.is_empty() => write(""),
        (true, None) if pods.iter().any(stays) => HandoverAction::Wait,
        _ => HandoverAction::Leave,
    }
}

/// Sets the `preferredHolder` of records whose holders are lost, and clears stale ones. Returns whether a hand-over is under way.
pub(crate) async fn hand_over(
    claims: &Claims,
    claimed: &[ClaimedRecord],
    observation: &Observation,
    pods: &[Pod],
) -> Result<bool, ClaimError> {
    let candidate = candidate(observation, pods);
    let mut requeue_soon = false;
    for claim in claimed {
        let record = &claim.key.record;
        match action(claim, observation, pods, candidate, Timestamp::now()) {
            HandoverAction::Leave => {}
            HandoverAction::Wait => requeue_soon = true,
            HandoverAction::Write(preferred) => {
                tracing::info!(%record, from = %preferred.holder, to = %preferred.to, "setting preferredHolder");
                claims.set_preferred_holder(record, &preferred).await?;
                requeue_soon |= !preferred.to.is_empty();
            }
        }
    }
    Ok(requeue_soon)
}

/// Whether the pod cannot be expected to end by itself: its node does not answer, or it should have ended by now.
fn is_lost(pod: &Pod, now: Timestamp) -> bool {
    if is_over(pod) {
        return true;
    }
    let Some(deletion) = &pod.metadata.deletion_timestamp else { return false };
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let evicted_by_taint = conditions.into_iter().flatten().any(|condition| {
        condition.type_ == "DisruptionTarget" && condition.reason.as_deref() == Some("DeletionByTaintManager")
    });
    evicted_by_taint || now.duration_since(deletion.0) > OVERDUE
}

#[cfg(test)]
mod tests;
