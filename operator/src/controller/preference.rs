//! Who should hold a record, where its holder cannot be trusted to let it go: the node of a baker's pod is lost, and its
//! replacement waits. The signer there may run on and renew its lease, because only its kubelet is dead; so the operator names
//! the new pod in the lease. The old one lets go when it finds the name, and the new one takes the record at once.
//!
//! A pod that ends in peace lets go by itself, after its baker. Signers behind a Service take over from each other.

use crate::controller::claim::{Claimed, Preferred};
use crate::controller::observe::{Seen, Sight, is_over};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// How long after its time a pod has to be there still, until it is one that nobody ends: clocks differ.
const OVERDUE: SignedDuration = SignedDuration::from_secs(2);

/// What to do with the name in a record's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Leave,
    /// Nothing yet: the holder is lost, and the pod that replaces it cannot sign yet.
    Wait,
    /// This.
    Write(Preferred),
}

/// The pod that could take a record at once: it stays, and its HSM works.
pub(super) fn candidate<'a>(seen: &Seen, pods: &'a [Pod]) -> Option<&'a Pod> {
    let Seen::Baker(Sight::Answer { pod: name, status }, _) = seen else { return None };
    let pod = pods.iter().find(|pod| pod.name_any() == *name)?;
    (status.hsm.ready && pod.metadata.deletion_timestamp.is_none()).then_some(pod)
}

/// What to do about the record of `claim`. `candidate` is who could take it.
pub(super) fn step(claim: &Claimed, seen: &Seen, pods: &[Pod], candidate: Option<&Pod>, now: Timestamp) -> Step {
    let lease = &claim.lease;
    let write = |to: &str| Step::Write(Preferred { holder: lease.holder_identity.clone(), to: to.to_owned() });
    let find = |uid: &str| pods.iter().find(|pod| pod.metadata.uid.as_deref() == Some(uid));
    let named = &lease.preferred_holder;
    let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none() && !is_over(pod);
    if !named.is_empty() && *named != lease.holder_identity && find(named).is_some_and(stays) {
        return Step::Leave;
    }
    let holder_is_lost = match find(&lease.holder_identity) {
        Some(pod) => is_lost(pod, now),
        // Gone, unless it is no pod at all.
        None => !lease.holder_identity.is_empty() && !claim.has_external_signer,
    };
    let to = candidate.and_then(|pod| pod.metadata.uid.as_deref()).filter(|uid| *uid != lease.holder_identity);
    match (holder_is_lost && matches!(seen, Seen::Baker(..)), to) {
        (true, Some(uid)) => write(uid),
        // A name that has done its work, or whose pod is gone, would keep others from taking what is let go.
        _ if !named.is_empty() => write(""),
        (true, None) if pods.iter().any(stays) => Step::Wait,
        _ => Step::Leave,
    }
}

/// Whether nobody can be expected to end the pod's signer: its node does not answer, or it should have ended by now.
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
