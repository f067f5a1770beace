//! When a TezosSigner is reconciled again if no watch reports a change, and whether that reconcile need only ask the signers.

use crate::api::{SignerRef, TezosSigner, TezosSignerStatus};
use crate::context::Context;
use crate::observation::{self, Observation, Shape};
use crate::observe::Observed;
use crate::status::{self, PipelineOutcome};
use crate::validate;
use crate::watch::reconcile_cache::CachedResult;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::Action;
use std::time::{Duration, Instant};

/// How often signers are asked that are Ready: they do not report when they are not any more, nor that keys attest without DAL.
const RESYNC: Duration = Duration::from_mins(1);

/// How often signers are asked whose record has a ceiling: when it is reached they sign no more, and nobody reports it.
const RESYNC_AT_CEILING: Duration = Duration::from_secs(5);

/// The longest wait between two reconciles while a record is to be given to another pod: a baker waits, and the signer that could
/// take the record does not report when its HSM works.
const MAX_WAIT_FOR_HANDOVER: Duration = Duration::from_secs(3);

/// When to ask signers again that are Ready.
pub(crate) fn resync_interval(observation: &Observation) -> Duration {
    if observation.nears_ceiling() { RESYNC_AT_CEILING } else { RESYNC }
}

/// Whether the signers answer what they answered in the last reconcile. A watch would have reported every other change.
pub(crate) async fn is_unchanged(
    signer: &TezosSigner,
    cached: &CachedResult,
    context: &Context,
    key: &SignerRef,
) -> bool {
    let Ok(valid) = validate::validate(signer) else { return false };
    let (shape, pods) = (Shape::of_workload(&valid.workload), context.caches.pods.of(key));
    observation::observe_pods(&context.http, shape, cached.failure.clone(), &pods).await == cached.observation
}

/// When to reconcile what is not Ready, if no watch reports a change: with back-off where a pod has to be asked, else not at all.
pub(crate) fn requeue_action(context: &Context, key: &SignerRef) -> Action {
    let is_asked = |pod: &Pod| pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
    // No watch reports that a volume does not come.
    if context.caches.pods.of(key).iter().any(|pod| is_asked(pod) || observation::waits_for_volumes(pod)) {
        Action::requeue(context.caches.backoff.next(key.clone()))
    } else {
        Action::await_change()
    }
}

/// When to reconcile again after `outcome`, whose status is `next`. Remembers what was found where all is well.
pub(crate) fn after(outcome: PipelineOutcome, next: &TezosSignerStatus, context: &Context, key: &SignerRef) -> Action {
    let backoff = || context.caches.backoff.next(key.clone());
    match outcome {
        // Rejections can be transient.
        PipelineOutcome::Rejected(_) | PipelineOutcome::NotClaimed(_) | PipelineOutcome::NotApplied { .. } => {
            Action::requeue(backoff())
        }
        PipelineOutcome::Applied { requeue_soon: true, .. } => Action::requeue(backoff().min(MAX_WAIT_FOR_HANDOVER)),
        // The Deployment has yet to say that its rollout is complete.
        PipelineOutcome::Applied { image, .. } if !image.ran_well_last() && has_ready_signer(context, key) => {
            Action::requeue(backoff())
        }
        PipelineOutcome::Applied { observed: Observed { observation, failure, .. }, .. } if status::is_ready(next) => {
            context.caches.backoff.reset(key);
            let interval = resync_interval(&observation);
            context.caches.reconciles.finish(key, CachedResult { observation, failure, at: Instant::now() });
            Action::requeue(interval)
        }
        PipelineOutcome::Invalid(_) | PipelineOutcome::Applied { .. } => requeue_action(context, key),
    }
}

fn has_ready_signer(context: &Context, key: &SignerRef) -> bool {
    context.caches.pods.of(key).iter().any(observation::has_ready_signer)
}
