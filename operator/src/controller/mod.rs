//! Makes each TezosSigner true, in named stages:
//!
//! [`validate`] (what the user wrote can be used) → [`build`] (what must exist) → [`dry_run`] (the API server would take it) →
//! [`claim`] (the records are ours) → [`apply`] (it exists) → [`observe`] and [`status`] (how it is, and what to do). Between these
//! two, [`preference`]: a record whose holder is lost is given to the pod that replaces it.
//!
//! A steady state writes nothing. This file is the order of the stages, what wakes them, and the way back: the finalizer.

pub mod apply;
mod backoff;
pub mod build;
pub mod claim;
pub mod dry_run;
mod holders;
pub mod observe;
pub mod pause;
mod preference;
pub mod scope;
pub mod status;
pub mod validate;
mod watch_again;

use crate::api::{TezosSigner, TezosSignerStatus};
use crate::metrics::Metrics;
use apply::{ApplyError, Cluster};
use backoff::Backoff;
use build::{OpenDeployment, names};
use claim::{ClaimError, Claimed, Claims};
use dry_run::Refused;
use futures::future::join_all;
use futures::{Stream, StreamExt as _};
use holders::Holders;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Patch, PatchParams};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as Finalizer, finalizer};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event as WatchEvent;
use kube::runtime::{WatchStreamExt as _, controller, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use observe::Seen;
use preference::Step;
use scope::Scope;
use serde_json::json;
use status::Outcome;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::record::{OWNER_ANNOTATION, RECORDS_NAMESPACE};
use validate::{Invalid, ValidSigner};
use watch_again::WatchAgain;

/// Keeps a TezosSigner until its rights on the records are taken away, and the records are let go.
const FINALIZER: &str = "signer.tezos.io/release-records";

/// How often a TezosSigner is looked at that is well: its signer does not tell when it is not any more, and nothing watches
/// Roles.
const RESYNC: Duration = Duration::from_mins(1);

/// The longest wait between two looks while a record is to be given to another pod: a baker waits, and the signer that could
/// take it does not tell when its HSM works.
const SOON: Duration = Duration::from_secs(3);

/// A starting pod changes many times in a row: one look for them all.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// How many TezosSigners are looked at at once.
const CONCURRENCY: u16 = 8;

/// The longest that one look may take.
const DEADLINE: Duration = Duration::from_secs(45);

/// How long a deletion waits for the pods to end in peace, so that they let go of their records by themselves. Safety does
/// not need it: after it their rights are taken away.
const PEACEFUL_END: Duration = Duration::from_mins(1);

/// A TezosSigner, or what could not be read as one: it must not stop the others.
pub type Guarded = DeserializeGuard<TezosSigner>;

/// Why a TezosSigner is looked at again soon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not of this release's shape.
    #[error("this TezosSigner cannot be read, is it from a later release? {0}")]
    Undecodable(String),
    /// It has no name; the API server does not let that happen.
    #[error(transparent)]
    Nameless(#[from] Invalid),
    /// A record.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// An object.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The TezosSigner itself.
    #[error("cannot {0} the TezosSigner: {1}")]
    Signer(&'static str, #[source] kube::Error),
    /// Its finalizer.
    #[error(transparent)]
    Finalizer(#[from] Box<kube::runtime::finalizer::Error<Error>>),
    /// It is being deleted, and its pods have not ended yet.
    #[error("waiting for the pods to end: {0}")]
    PodsEnding(String),
    /// The API server did not answer in time.
    #[error("not done within {} s", DEADLINE.as_secs())]
    Deadline,
}

/// What every reconcile needs.
struct Context {
    client: Client,
    http: reqwest::Client,
    recorder: Recorder,
    default_image: String,
    metrics: Metrics,
    backoff: Backoff<ObjectRef<Guarded>>,
}

/// The stores that tell when the controller knows all TezosSigners of `scopes`, and the controller itself, which ends on a
/// signal.
pub fn run(
    client: &Client,
    http: reqwest::Client,
    default_image: String,
    metrics: Metrics,
    scopes: &BTreeSet<Scope>,
) -> (Vec<Store<Guarded>>, impl Future<Output = ()>) {
    let reporter = Reporter { controller: names::OPERATOR.to_owned(), instance: std::env::var("POD_NAME").ok() };
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client: client.clone(),
        http,
        default_image,
        metrics,
        backoff: Backoff::new(),
    });
    // One for each: a watch is of one namespace, or of all.
    let (stores, runs): (Vec<_>, Vec<_>) = scopes.iter().map(|scope| watch(scope, &context)).unzip();
    (stores, async move {
        join_all(runs).await;
    })
}

/// The controller of one place.
fn watch(scope: &Scope, context: &Arc<Context>) -> (Store<Guarded>, impl Future<Output = ()> + use<>) {
    let client = &context.client;
    let ours = watcher::Config::default().labels(&format!("{}={}", names::MANAGED_BY_LABEL, names::OPERATOR));
    let holders = Holders::default();
    let controller = Controller::new(scope.api::<Guarded>(client), watcher::Config::default())
        .with_config(controller::Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY))
        .owns(scope.api::<PartialObjectMeta<Deployment>>(client), ours.clone())
        // Without it no client finds a signer; what else is missing waits for the next look.
        .owns(scope.api::<PartialObjectMeta<Service>>(client), ours.clone())
        .watches(scope.api::<PartialObjectMeta<Pod>>(client), ours, |pod| signer_of(&pod))
        .watches(records(client.clone()), watcher::Config::default(), move |record| holders.changed(&record))
        .reconcile_all_on(record_changes(client.clone()))
        .trigger_backoff(WatchAgain);
    let store = controller.store();
    let run = controller
        .shutdown_on_signal()
        .run(reconcile_in_time, |object, error, context| retry(&object, error, &context), context.clone())
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "reconcile");
            }
        });
    (store, run)
}

/// The TezosSigner that a pod belongs to.
fn signer_of(pod: &PartialObjectMeta<Pod>) -> Option<ObjectRef<Guarded>> {
    let name = pod.labels().get(names::INSTANCE_LABEL)?;
    Some(ObjectRef::new(name).within(&pod.namespace()?))
}

/// The watermark records, but not their rows.
fn records(client: Client) -> Api<PartialObjectMeta<ConfigMap>> {
    Api::namespaced(client, RECORDS_NAMESPACE)
}

/// Says when a record was deleted, or is free: somebody may be waiting for it. Everything else that happens to one is a
/// signature, or somebody's own claim.
fn record_changes(client: Client) -> impl Stream<Item = ()> + Send + 'static {
    let mut free: HashSet<String> = HashSet::new();
    let events = watcher(records(client), watcher::Config::default()).backoff(WatchAgain);
    events.filter_map(move |event| {
        let worth_a_look = match event {
            Ok(WatchEvent::Apply(record)) if record.annotations().contains_key(OWNER_ANNOTATION) => {
                free.remove(&record.name_any());
                false
            }
            Ok(WatchEvent::Apply(record)) => free.insert(record.name_any()),
            Ok(WatchEvent::Delete(record)) => {
                free.remove(&record.name_any());
                true
            }
            // At the start, and after a gap, in which something may have been deleted.
            Ok(WatchEvent::InitDone) => true,
            Ok(WatchEvent::Init | WatchEvent::InitApply(_)) => false,
            Err(error) => {
                tracing::warn!(%error, "cannot watch the watermark records in {RECORDS_NAMESPACE}");
                false
            }
        };
        std::future::ready(worth_a_look.then_some(()))
    })
}

async fn reconcile_in_time(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let (metrics, began) = (context.metrics.clone(), Instant::now());
    let result = tokio::time::timeout(DEADLINE, Box::pin(reconcile(object, context))).await;
    let result = result.unwrap_or(Err(Error::Deadline));
    metrics.reconciled(result.is_ok(), began.elapsed());
    result
}

fn retry(object: &Guarded, error: &Error, context: &Context) -> Action {
    let key = ObjectRef::from_obj(object);
    let wait = context.backoff.next(key.clone());
    match error {
        Error::Finalizer(error)
            if matches!(**error, kube::runtime::finalizer::Error::CleanupFailed(Error::PodsEnding(_))) =>
        {
            tracing::debug!(signer = %key, "{error}");
        }
        error => tracing::warn!(signer = %key, "{error}; trying again in {} s", wait.as_secs()),
    }
    Action::requeue(wait)
}

async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let key = ObjectRef::from_obj(&*object);
    if let Err(invalid) = &object.0 {
        return Err(Error::Undecodable(invalid.error.clone()));
    }
    let signers: Api<TezosSigner> =
        Api::namespaced(context.client.clone(), &object.meta().namespace.clone().unwrap_or_default());
    // Not the watch's copy, which may be older than the status that remembers a record.
    let fresh = signers.get_opt(&object.name_any()).await.map_err(|error| Error::Signer("read", error))?;
    let Some(signer) = fresh else {
        context.backoff.reset(&key);
        return Ok(Action::await_change());
    };
    let action = finalizer(&signers, FINALIZER, Arc::new(signer), |event| async {
        match event {
            Finalizer::Apply(signer) => Box::pin(make_true(&signer, &signers, &context, &key)).await,
            Finalizer::Cleanup(signer) => let_go(&signer, &context, &key).await,
        }
    });
    action.await.map_err(|error| match error {
        kube::runtime::finalizer::Error::ApplyFailed(error) => error,
        error => Error::Finalizer(Box::new(error)),
    })
}

/// All stages, then the status and its events.
async fn make_true(
    signer: &TezosSigner,
    signers: &Api<TezosSigner>,
    context: &Context,
    key: &ObjectRef<Guarded>,
) -> Result<Action, Error> {
    let report = Report { signer, signers, context };
    let mut remembered = signer.status.clone().unwrap_or_default();
    let outcome = Box::pin(stages(signer, &report, &mut remembered)).await?;
    let now = Time(Timestamp::now());
    let next = status::status(&remembered, &outcome, signer.metadata.generation, &now);
    report.write(&next).await?;
    report.tell(&next).await;
    if let Outcome::NotApplied(error @ ApplyError::Api { .. }) = outcome {
        return Err(error.into());
    }
    if matches!(outcome, Outcome::Applied { soon: true, .. }) {
        return Ok(Action::requeue(context.backoff.next(key.clone()).min(SOON)));
    }
    if status::is_ready(&next) {
        context.backoff.reset(key);
        return Ok(Action::requeue(RESYNC));
    }
    Ok(Action::requeue(context.backoff.next(key.clone())))
}

/// Validate, build, dry run, claim, apply, observe. `remembered` is written before anything runs that could sign.
async fn stages(
    signer: &TezosSigner,
    report: &Report<'_>,
    remembered: &mut TezosSignerStatus,
) -> Result<Outcome, Error> {
    let context = report.context;
    let valid = match validate::validate(signer) {
        Ok(valid) => valid,
        Err(invalid) => return Ok(Outcome::Invalid(invalid)),
    };
    let cluster = Cluster::new(&context.client, &valid.identity);
    let claims = Claims::new(context.client.clone(), valid.identity.clone());
    let live = match cluster.live_deployment().await {
        Ok(live) => live,
        Err(error) => {
            suspend_claimed(&claims, &valid, remembered).await?;
            return Ok(Outcome::NotApplied(error));
        }
    };
    let image =
        valid.image.clone().or_else(|| running_image(live.as_ref()?)).unwrap_or_else(|| context.default_image.clone());
    let objects = build::build(&valid, &image);
    if let Err(refused) = dry_run::dry_run(&cluster, &valid.form, &objects.deployment, live.as_ref()).await {
        suspend_claimed(&claims, &valid, remembered).await?;
        return Ok(match refused {
            Refused::Invalid(invalid) => Outcome::Invalid(invalid),
            Refused::Other(error) => Outcome::NotApplied(error),
        });
    }
    let claimed = match claim_all(&claims, &valid, remembered).await {
        Ok(claimed) => claimed,
        Err(ClaimError::Refused(refusal)) => return Ok(Outcome::Refused(refusal)),
        Err(error) => return Err(error.into()),
    };
    report.write(remembered).await?;

    let deployment = match cluster.apply(&objects, live).await {
        Ok(deployment) => deployment,
        Err(error) => return Ok(Outcome::NotApplied(error)),
    };

    let pods = cluster.pods().await?;
    let config = objects.config.name_any();
    cluster.delete_old_configs(&config, &pods).await?;
    if pods.iter().all(|pod| pod.annotations().get(names::CONFIG_ANNOTATION) == Some(&config)) {
        release_former(&claims, &claimed, remembered).await?;
    }
    let seen = observe::look(&context.http, &valid.form, &deployment.known(), &pods).await;
    let soon = prefer(&claims, &claimed, &seen, &pods).await?;
    let pods = pods.iter().filter_map(|pod| Some((pod.uid()?, pod.name_any()))).collect();
    Ok(Outcome::Applied { claims: claimed, pods, seen, image, soon })
}

/// Names who should hold the records whose holders are lost, and takes names out that have done their work. Whether more is to
/// be done about it soon.
async fn prefer(claims: &Claims, claimed: &[Claimed], seen: &Seen, pods: &[Pod]) -> Result<bool, ClaimError> {
    let candidate = preference::candidate(seen, pods);
    let mut soon = false;
    for claim in claimed {
        let record = &claim.key.record;
        match preference::step(claim, seen, pods, candidate, Timestamp::now()) {
            Step::Leave => {}
            Step::Wait => soon = true,
            Step::Write(preferred) => {
                tracing::info!(%record, from = %preferred.holder, to = %preferred.to, "naming who should hold the record");
                claims.prefer(record, &preferred).await?;
                soon |= !preferred.to.is_empty();
            }
        }
    }
    Ok(soon)
}

/// Claims every record; what was claimed is remembered even if a later one is refused.
async fn claim_all(
    claims: &Claims,
    signer: &ValidSigner,
    remembered: &mut TezosSignerStatus,
) -> Result<Vec<Claimed>, ClaimError> {
    let mut claimed = Vec::new();
    for key in &signer.keys {
        let name = key.record_name().to_string();
        let seen = remembered.keys.iter().find(|key| key.record == name);
        let claim = claims.claim(key, signer.initial.as_ref(), seen, signer.suspend, Timestamp::now()).await?;
        *remembered = status::remember(remembered, claim.key.clone());
        claimed.push(claim);
    }
    Ok(claimed)
}

/// ◆ Brings `suspend` to the records that are claimed already, though the rest of the spec is refused: what runs goes on signing
/// otherwise, and its user believes that it does not.
async fn suspend_claimed(
    claims: &Claims,
    signer: &ValidSigner,
    remembered: &TezosSignerStatus,
) -> Result<(), ClaimError> {
    for key in &signer.keys {
        let name = key.record_name().to_string();
        if let Some(seen) = remembered.keys.iter().find(|key| key.record == name) {
            match claims.claim(key, None, Some(seen), signer.suspend, Timestamp::now()).await {
                Ok(_) | Err(ClaimError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Lets go of the records of keys that are not in the spec any more, once no pod uses them.
async fn release_former(claims: &Claims, claimed: &[Claimed], remembered: &mut TezosSignerStatus) -> Result<(), Error> {
    for former in remembered.keys.clone() {
        if claimed.iter().all(|claim| claim.key.record != former.record) {
            claims.release(&former.record).await?;
            *remembered = status::forget(remembered, &former.record);
        }
    }
    Ok(())
}

/// The image that the signer runs now: an upgrade of the operator restarts no baker.
fn running_image(live: &OpenDeployment) -> Option<String> {
    build::running_signer(&live.known())?.1.image.clone()
}

/// The way back: no pod, then no rights on the records, then nobody's records.
async fn let_go(signer: &TezosSigner, context: &Context, key: &ObjectRef<Guarded>) -> Result<Action, Error> {
    let identity = validate::identity(signer)?;
    let cluster = Cluster::new(&context.client, &identity);
    cluster.delete_deployment().await?;
    let deleted = signer.metadata.deletion_timestamp.as_ref().map_or_else(Timestamp::now, |time| time.0);
    let pods: Vec<String> = cluster.pods().await?.iter().map(kube::ResourceExt::name_any).collect();
    if !pods.is_empty() && Timestamp::now().duration_since(deleted).unsigned_abs() < PEACEFUL_END {
        return Err(Error::PodsEnding(pods.join(", ")));
    }
    cluster.delete_access().await?;
    let claims = Claims::new(context.client.clone(), identity);
    for record in records_of(signer) {
        claims.release(&record).await?;
    }
    context.backoff.reset(key);
    tracing::info!(signer = %key, "its records are let go");
    Ok(Action::await_change())
}

/// The records that a TezosSigner may own: those it remembers, and those of its spec, if the status was never written.
fn records_of(signer: &TezosSigner) -> Vec<String> {
    let remembered = signer.status.iter().flat_map(|status| &status.keys).map(|key| key.record.clone());
    let in_spec = validate::validate(signer).map(|valid| valid.keys).unwrap_or_default();
    let mut records: Vec<String> = remembered.chain(in_spec.iter().map(|key| key.record_name().to_string())).collect();
    records.sort();
    records.dedup();
    records
}

/// Where a reconcile's result goes.
struct Report<'a> {
    signer: &'a TezosSigner,
    signers: &'a Api<TezosSigner>,
    context: &'a Context,
}

impl Report<'_> {
    /// Writes the status if it is another than the one that was read.
    async fn write(&self, status: &TezosSignerStatus) -> Result<(), Error> {
        if self.signer.status.as_ref() == Some(status) {
            return Ok(());
        }
        let patch = json!({
            "apiVersion": TezosSigner::api_version(&()),
            "kind": TezosSigner::kind(&()),
            "metadata": {"name": self.signer.name_any(), "uid": self.signer.uid()},
            "status": status,
        });
        let parameters = PatchParams::apply(names::OPERATOR).force();
        let written = self.signers.patch_status(&self.signer.name_any(), &parameters, &Patch::Apply(&patch)).await;
        written.map(drop).map_err(|error| Error::Signer("write the status of", error))
    }

    /// Tells what is new as events. They are a courtesy: an error is logged, and that is all.
    async fn tell(&self, status: &TezosSignerStatus) {
        let default = TezosSignerStatus::default();
        let old = self.signer.status.as_ref().unwrap_or(&default);
        for condition in status::news(old, status) {
            let event = event(condition);
            if let Err(error) = self.context.recorder.publish(&event, &self.signer.object_ref(&())).await {
                tracing::warn!(%error, "cannot publish an event");
            }
        }
    }
}

fn event(condition: &Condition) -> Event {
    // An event's note is cut by nobody: the API server refuses one of more than 1 kB.
    let mut note = format!("{}: {}", condition.type_, condition.message);
    note.truncate(note.floor_char_boundary(1000));
    Event {
        type_: if status::is_warning(condition) { EventType::Warning } else { EventType::Normal },
        reason: condition.reason.clone(),
        note: Some(note),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}
