//! A TezosSigner that is paused: the operator changes none of its objects, but observes its signers and records and reports them.
//!
//! INVARIANT O1: A pause does not keep the right to sign: `suspend: true` is written into all records, and the record of a key that was removed from
//! the spec is suspended. The Role stays as it is, because a signer that starts without a right on one of its records signs with no key.
//! Restrictions that need a new configuration (`allow`, `authorizedKeys`) wait for the end of the pause, because the pods would be
//! replaced.

use crate::api::{SignerRef, TezosSigner, annotations};
use crate::apply::{ApplyError, Cluster};
use crate::claim::{self, ClaimError, Claims};
use crate::context::Context;
use crate::error::Error;
use crate::identity::Identity;
use crate::names;
use crate::observation::injection::SidecarVersions;
use crate::observation::{self, Shape};
use crate::observe::Observed;
use crate::report::Report;
use crate::requeue::{requeue_action, resync_interval};
use crate::status::{self, PausedObservation};
use crate::validate;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;

/// Suspends records where the spec says so, observes, and writes the status.
pub(crate) async fn reconcile_paused(
    signer: &TezosSigner,
    context: &Context,
    key: &SignerRef,
) -> Result<Action, Error> {
    let identity = Identity::of(&signer.metadata)?;
    let claims = Claims::new(context.client.clone(), identity.clone());
    let records = if signer.spec.suspend { validate::records(signer) } else { validate::former_records(signer) };
    claim::suspend(&claims, records).await?;
    let observation = observe(signer, &identity, &claims, context, key).await?;
    let old = signer.status.clone().unwrap_or_default();
    let (pause, suspend) = (annotations::pause(signer), signer.spec.suspend);
    let next = status::paused(&old, &pause, suspend, &observation, signer.metadata.generation, &Time(Timestamp::now()));
    Report { signer, context }.write_status_and_events(&next, status::events).await?;
    match observation {
        PausedObservation::Signers { observed, .. } if status::is_ready(&next) => {
            context.caches.backoff.reset(key);
            Ok(Action::requeue(resync_interval(&observed.observation)))
        }
        _ => Ok(requeue_action(context, key)),
    }
}

/// Observes the signers of the Deployment that runs, and the records that the status remembers.
async fn observe(
    signer: &TezosSigner,
    identity: &Identity,
    claims: &Claims,
    context: &Context,
    key: &SignerRef,
) -> Result<PausedObservation, Error> {
    let remembered = signer.status.as_ref().map(|status| status.keys.as_slice()).unwrap_or_default();
    if remembered.is_empty() {
        return Ok(PausedObservation::Nothing);
    }
    context.caches.records.set_wanted(key, remembered.iter().map(|key| key.record.clone()).collect());
    let mut read = Vec::new();
    for observation in remembered {
        match claims.read(observation).await {
            Ok(claim) => read.push(claim),
            Err(ClaimError::Refused(refusal)) => return Ok(PausedObservation::Refused(refusal)),
            Err(error) => return Err(error.into()),
        }
    }
    let cluster = Cluster::new(&context.client, &context.caches.objects, identity);
    let live = match cluster.live_deployment().await {
        Ok(live) => live.map(|live| live.known()),
        Err(ApplyError::NotOurs { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let shape = match (Shape::of_spec(&signer.spec), &live) {
        (Shape::Baker | Shape::Service { .. }, Some(live)) => Shape::of_deployment(live),
        (shape, _) => shape,
    };
    let unreachable = match shape {
        Shape::Baker | Shape::Inject => None,
        Shape::Service { .. } => cluster.service_problem().await?,
    };
    let failure = match shape {
        Shape::Inject => Some(format!("no pod has the label {}: {}", names::INJECT_LABEL, identity.name)),
        Shape::Baker | Shape::Service { .. } => failure(live.as_ref()),
    };
    let pods = context.caches.pods.of(key);
    let sidecar = if shape == Shape::Inject { cluster.live_sidecar().await? } else { None };
    let sidecars =
        sidecar.map(|live| SidecarVersions::of(&pods, &live.spec.sidecar.digest, &live.spec.service_account_name));
    let mut observation = observation::observe_pods(&context.http, shape, failure.clone(), &pods).await;
    observation::observe_volumes(&cluster.api(), &pods, &mut observation).await;
    let observed =
        Observed { records: read, pods: observation::names_by_uid(&pods), observation, failure, dal: None, sidecars };
    Ok(PausedObservation::Signers { observed, unreachable })
}

/// Why the Deployment makes no pods, if it makes none.
fn failure(live: Option<&Deployment>) -> Option<String> {
    let Some(live) = live else {
        return Some("its Deployment was deleted, and is restored after the pause".to_owned());
    };
    if live.spec.as_ref().and_then(|spec| spec.replicas) == Some(0) {
        return Some("its Deployment was scaled to 0 replicas, which stays until the pause ends".to_owned());
    }
    observation::replica_failure(live)
}
