//! The controllers, one for each scope, and the order of the stages that make what a TezosSigner says true:
//!
//! [`validate`] (the spec is valid) → [`build`] (what must exist) → [`dry_run`] (the API server would take it) → [`claim`] (the
//! records are this TezosSigner's, and remembered) → [`apply`](crate::apply) (it exists) → [`observe`] and [`status`] (how it is, and
//! what to do). Before the status, `lease_handover`: a record whose holder is lost is given to the pod that replaces it.
//!
//! A steady state writes nothing, and reads next to nothing: [`watch`] says what wakes a reconcile, `requeue` which reconciles need
//! only ask the signers. A TezosSigner that is paused, deleted or cannot be decoded takes a way of its own: `paused`, `cleanup`,
//! `invalid_object`.

use crate::api::{Guarded, SignerRef, TezosSigner, TezosSignerStatus, annotations, signer_ref};
use crate::apply::{ApplyError, Cluster};
use crate::claim::{self, ClaimError, Claims};
use crate::context::Context;
use crate::dry_run::{self, DryRunError};
use crate::error::Error;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::observation::injection;
use crate::report::{Report, SignerError};
use crate::scope::Scope;
use crate::status::{self, PipelineOutcome};
use crate::validate::Workload;
use crate::watch::Caches;
use crate::watch::record_index::RecordIndex;
use crate::{
    build, cleanup, former, image, invalid_object, lease_handover, names, observation, observe, paused, requeue,
    take_in, validate, watch,
};
use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::{PartialObjectMeta, PartialObjectMetaExt as _};
use kube::runtime::applier;
use kube::runtime::controller::{Action, Config, ReconcileRequest};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::finalizer::{self, Event as Finalizer, finalizer};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch::Receiver;

/// How many TezosSigners of a scope are reconciled at the same time.
const CONCURRENCY: u16 = 32;

/// The longest that one reconcile may take.
const DEADLINE: Duration = Duration::from_secs(45);

/// After how many failures in a row the status reports them. A restart of the API server causes fewer.
const REPORTED_FAILURES: u32 = 3;

/// The controllers of `scopes`, and the stores of the TezosSigners that they know. The controllers end when `stopping` becomes true,
/// after the reconciles that have begun.
pub fn run(
    client: &Client,
    http: &reqwest::Client,
    default_image: &str,
    metrics: &Metrics,
    scopes: &BTreeSet<Scope>,
    stopping: &Receiver<bool>,
) -> (Vec<Store<Guarded>>, impl Future<Output = ()> + use<>) {
    let records = Arc::new(RecordIndex::default());
    let (mut stores, mut controllers, mut senders) = (Vec::new(), Vec::new(), Vec::new());
    // One for each: a watch is of one namespace, or of all.
    for scope in scopes {
        let reporter = Reporter { controller: names::OPERATOR.to_owned(), instance: std::env::var("POD_NAME").ok() };
        let context = Arc::new(Context {
            client: client.clone(),
            http: http.clone(),
            recorder: Recorder::new(client.clone(), reporter),
            default_image: default_image.to_owned(),
            metrics: metrics.clone(),
            caches: Arc::new(Caches::new(records.clone())),
        });
        let (sender, record_changes) = mpsc::unbounded();
        let (store, requests) = watch::requests(client, scope, &context.caches, record_changes, stopping.clone());
        let controller = applier(
            |object, context| Box::pin(reconcile_in_time(object, context)),
            |object, _, context: Arc<Context>| {
                Action::requeue(context.caches.failures.next(ObjectRef::from_obj(&*object)))
            },
            context,
            store.clone(),
            requests.map(|signer| Ok::<_, Infallible>(ReconcileRequest::from(signer))),
            Config::default().concurrency(CONCURRENCY),
        );
        stores.push(store);
        controllers.push(controller.for_each(|_| std::future::ready(())));
        senders.push((scope.clone(), sender));
    }
    let record_changes = watch::record_changes(client.clone(), records, senders, watch::stopped(stopping.clone()));
    (stores, async move {
        futures::join!(join_all(controllers), record_changes);
    })
}

async fn reconcile_in_time(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let began = Instant::now();
    let result = tokio::time::timeout(DEADLINE, Box::pin(reconcile(&object, &context))).await;
    let result = result.unwrap_or(Err(Error::Deadline(DEADLINE)));
    match &result {
        Ok(_) => context.caches.failures.reset(&ObjectRef::from_obj(&*object)),
        Err(error) => {
            tracing::debug!(%error, "reconcile");
            Box::pin(report_failure(&object, error, &context)).await;
        }
    }
    context.metrics.reconciled(result.is_ok(), began.elapsed());
    result
}

/// Reports in the status what has failed several times in a row. The API server may not take that either.
async fn report_failure(object: &Guarded, error: &Error, context: &Context) {
    let Ok(signer) = &object.0 else { return };
    let failures = context.caches.failures.count(&ObjectRef::from_obj(object));
    // The cleanup of a deleted TezosSigner reports itself what it waits for.
    if signer.metadata.deletion_timestamp.is_some() || failures < REPORTED_FAILURES {
        return;
    }
    let old = signer.status.clone().unwrap_or_default();
    let next = status::failing(&old, &error.to_string(), signer.metadata.generation, &Time(Timestamp::now()));
    if let Err(error) = (Report { signer, context }).write_status_and_events(&next, status::events).await {
        tracing::debug!(%error, "reconcile");
    }
}

async fn reconcile(object: &Guarded, context: &Context) -> Result<Action, Error> {
    let key = ObjectRef::from_obj(object);
    if let Ok(signer) = &object.0
        && let Some(cached) = context.caches.reconciles.last(&key)
        && requeue::is_unchanged(signer, &cached, context, &key).await
    {
        return Ok(Action::requeue(requeue::resync_interval(&cached.observation)));
    }
    context.caches.reconciles.begin(&key);
    let namespace = object.namespace().unwrap_or_default();
    let signers: Api<Guarded> = Api::namespaced(context.client.clone(), &namespace);
    // Not the watch's copy, which may be older than the status that remembers a record.
    let Some(object) = take_in::read(&signers, object, context, &key).await? else {
        context.caches.forget(&key);
        return Ok(Action::await_change());
    };
    if object.meta().deletion_timestamp.is_none() {
        match &object.0 {
            Err(invalid) => return invalid_object::reconcile_invalid(&object, invalid, context).await,
            Ok(signer) if annotations::is_paused(signer) => {
                return paused::reconcile_paused(signer, context, &key).await;
            }
            Ok(_) => {}
        }
    }
    let metadata: PartialObjectMeta<TezosSigner> = object.meta().clone().into_response_partial();
    let signers: Api<PartialObjectMeta<TezosSigner>> = Api::namespaced(context.client.clone(), &namespace);
    let action = finalizer(&signers, names::FINALIZER, Arc::new(metadata), |event| async {
        match (event, &object.0) {
            (Finalizer::Apply(_), Ok(signer)) => Box::pin(reconcile_applied(signer, context, &key)).await,
            (Finalizer::Apply(_), Err(_)) => Ok(Action::await_change()),
            (Finalizer::Cleanup(_), _) => cleanup::cleanup(&object, context, &key).await,
        }
    });
    match action.await {
        Ok(action) => Ok(action),
        Err(finalizer::Error::ApplyFailed(error)) => Err(error),
        Err(finalizer::Error::CleanupFailed(error)) => cleanup::report(&object, error, context).await,
        Err(finalizer::Error::AddFinalizer(error)) => Err(SignerError("add a finalizer to", error).into()),
        Err(finalizer::Error::RemoveFinalizer(error)) => Err(SignerError("remove the finalizer of", error).into()),
        // Neither happens: the object has a name, and the path of the finalizer is a number.
        Err(finalizer::Error::UnnamedObject | finalizer::Error::InvalidFinalizer) => Ok(Action::await_change()),
    }
}

/// All stages, then the status and its events.
async fn reconcile_applied(signer: &TezosSigner, context: &Context, key: &SignerRef) -> Result<Action, Error> {
    let report = Report { signer, context };
    let mut remembered = signer.status.clone().unwrap_or_default();
    let outcome = Box::pin(pipeline(signer, &report, &mut remembered)).await?;
    let now = Time(Timestamp::now());
    let mut next = status::status(&remembered, &outcome, signer.metadata.generation, &now);
    if !matches!(outcome, PipelineOutcome::Applied { .. }) {
        // INVARIANT O8: The pods still run the earlier spec, with the keys that were removed from it.
        let former = validate::former_records(signer);
        let claims = Claims::new(context.client.clone(), Identity::of(&signer.metadata)?);
        claim::suspend(&claims, former.clone()).await?;
        let pods = observation::observe_running_pods(&context.http, &context.caches.pods.of(key)).await;
        next = status::with_former_pods(next, &pods, signer.spec.suspend, &former);
    }
    report.write_status_and_events(&next, status::events).await?;
    Ok(requeue::after(outcome, &next, context, key))
}

/// Validate, build, dry run, claim, apply, observe. Each stage takes what the one before it makes.
async fn pipeline(
    signer: &TezosSigner,
    report: &Report<'_>,
    remembered: &mut TezosSignerStatus,
) -> Result<PipelineOutcome, Error> {
    let (context, key) = (report.context, signer_ref(signer));
    let identity = Identity::of(&signer.metadata)?;
    let claims = Claims::new(context.client.clone(), identity.clone());
    if signer.spec.suspend {
        claim::suspend(&claims, validate::records(signer)).await?;
    }
    let valid = match validate::validate(signer) {
        Ok(valid) => valid,
        Err(invalid) => return Ok(PipelineOutcome::Invalid(invalid)),
    };
    context.caches.records.set_wanted(&key, valid.keys.iter().map(|key| key.record_name().to_string()).collect());
    let cluster = Cluster::new(&context.client, &context.caches.objects, &identity);
    let is_inject = matches!(valid.workload, Workload::Inject(_));
    // The one of that name may be the user's.
    let live = if is_inject { Ok(None) } else { cluster.seen_deployment().await };
    let live = match live {
        Ok(live) => live,
        Err(error) => return not_applied(error),
    };
    let live_sidecar = if is_inject { cluster.live_sidecar().await? } else { None };
    let image = image::image(&valid, remembered, live.as_ref(), &context.caches.pods.of(&key), &context.default_image);
    let mut built = build::build(valid, image);
    if is_inject {
        let former = former::former(signer, &built, &cluster, &claims, live_sidecar.clone()).await?;
        built = built.accepting(&former);
    }
    if let Err(refused) = dry_run::dry_run(&cluster, &built, live.as_ref(), live_sidecar.as_ref()).await {
        return match refused {
            DryRunError::Invalid(invalid) => Ok(PipelineOutcome::Rejected(invalid)),
            // It is read now.
            DryRunError::Exists => Box::pin(pipeline(signer, report, remembered)).await,
            DryRunError::Other(error) => not_applied(error),
        };
    }
    let claimed = match Box::pin(claim::claim(built, &claims, remembered, report)).await {
        Ok(claimed) => claimed,
        Err(ClaimError::Refused(refusal)) => return Ok(PipelineOutcome::NotClaimed(refusal)),
        Err(error) => return Err(error.into()),
    };
    let applied = match Box::pin(cluster.apply(claimed, live)).await {
        Ok(applied) => applied,
        Err(error) => return not_applied(error),
    };

    let (records, config) = (applied.claimed().records(), applied.claimed().built().objects.config.name_any());
    let configs = applied.claimed().built().objects.configs();
    cluster.delete_old_configs(&configs).await?;
    // Where the sidecar stands in the pod template, a pod may still be created with the one before, which needs the records of its keys.
    if claim::has_former(records, remembered)
        && (configs.iter().all(|name| *name == config) || injection::injects(&context.client).await)
    {
        claim::release_former(&claims, records, remembered, &config, &cluster.pods().await?).await?;
    }
    let pods = context.caches.pods.of(&key);
    let (observed, image) =
        Box::pin(observe::observe(applied, &cluster, &context.client, &context.http, &pods)).await?;
    let requeue_soon = lease_handover::hand_over(&claims, &observed.records, &observed.observation, &pods).await?;
    Ok(PipelineOutcome::Applied {
        observed,
        image,
        unknown_annotations: annotations::unknown_annotations(signer),
        requeue_soon,
    })
}

/// What somebody must do something about is an outcome; all else is tried again.
fn not_applied(error: ApplyError) -> Result<PipelineOutcome, Error> {
    let reason = match error {
        ApplyError::NotOurs { .. } => "NameTaken",
        ApplyError::Refused { .. } => "Refused",
        ApplyError::Api { .. } => return Err(error.into()),
    };
    Ok(PipelineOutcome::NotApplied { reason, message: error.to_string() })
}
