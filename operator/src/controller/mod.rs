//! Makes each TezosSigner true, in named stages:
//!
//! [`validate`] (what the user wrote can be used) → [`build`] (what must exist) → [`dry_run`] (the API server would take it) →
//! [`claim`] (the records are ours) → [`apply`] (it exists) → [`observe`] and [`status`] (how it is, and what to do). Between these
//! two, [`preference`]: a record whose holder is lost is given to the pod that replaces it.
//!
//! A steady state writes nothing, and reads next to nothing: [`triggers`] says what wakes a look, [`looks`] which of them need only
//! ask the signers. This file is the order of the stages; the way back is in [`deletion`].

pub mod apply;
mod backoff;
pub mod build;
pub mod claim;
mod deletion;
pub mod dry_run;
mod image;
mod looks;
pub mod observe;
pub mod owned;
pub mod pause;
mod pods;
mod preference;
mod records;
pub mod scope;
pub mod status;
mod triggers;
mod undecodable;
pub mod validate;
mod watches;

use crate::api::{TezosSigner, TezosSignerStatus};
use crate::metrics::Metrics;
use apply::{ApplyError, Cluster};
use backoff::Backoff;
use build::names;
use claim::{ClaimError, Claimed, Claims};
use dry_run::Refused;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Patch, PatchParams};
use kube::core::{DeserializeGuard, PartialObjectMeta, PartialObjectMetaExt as _};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::runtime::finalizer::{self, Event as Finalizer, finalizer};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use looks::{Found, Looks};
use observe::Seen;
use owned::Owned;
use pods::Pods;
use preference::Step;
use records::Records;
use serde_json::json;
use status::Outcome;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub use triggers::run;
use validate::{Identity, Invalid, ValidSigner};

/// Keeps a TezosSigner until its rights on the records are taken away, and the records are let go.
const FINALIZER: &str = "signer.tezos.io/release-records";

/// How often signers are asked that are well: they do not tell when they are not any more.
const RESYNC: Duration = Duration::from_mins(1);

/// The longest wait between two looks while a record is to be given to another pod: a baker waits, and the signer that could
/// take it does not tell when its HSM works.
const SOON: Duration = Duration::from_secs(3);

/// The longest that one look may take.
const DEADLINE: Duration = Duration::from_secs(45);

/// After how many failures in a row the status says so: what an API server does that is restarted is nobody's business.
const TELL_AFTER: u32 = 3;

/// A TezosSigner, or what could not be read as one: it must not stop the others.
pub type Guarded = DeserializeGuard<TezosSigner>;

/// Why a TezosSigner is looked at again soon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    #[error("cannot {0} the TezosSigner: {said}", said = said(.1))]
    Signer(&'static str, #[source] kube::Error),
    /// It is being deleted, and its pods have not ended yet.
    #[error("waiting for its pods to end: {}, not longer than until {until}", .pods.join(", "))]
    PodsEnding {
        /// The pods.
        pods: Vec<String>,
        /// Until when they are waited for.
        until: Timestamp,
    },
    /// The API server did not answer in time.
    #[error("not done within {} s", DEADLINE.as_secs())]
    Deadline,
}

/// What the API server said, without all that it comes in.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => format!("{} ({})", status.message, status.code),
        error => error.to_string(),
    }
}

/// By what the controller knows `signer`.
fn key_of(signer: &TezosSigner) -> ObjectRef<Guarded> {
    ObjectRef::new(&signer.name_any()).within(&signer.namespace().unwrap_or_default())
}

/// What every reconcile in one place needs.
struct Context {
    client: Client,
    http: reqwest::Client,
    recorder: Recorder,
    default_image: String,
    metrics: Metrics,
    /// How often in a row each was looked at and was not well.
    backoff: Backoff<ObjectRef<Guarded>>,
    /// And how often a look has failed.
    failures: Backoff<ObjectRef<Guarded>>,
    looks: Looks,
    owned: Owned,
    pods: Pods,
    records: Arc<Records>,
}

impl Context {
    /// A TezosSigner is gone.
    fn forget(&self, signer: &ObjectRef<Guarded>) {
        self.backoff.reset(signer);
        self.failures.reset(signer);
        self.looks.forget(signer);
        self.owned.forget(signer);
        self.records.forget(signer);
    }
}

async fn reconcile_in_time(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let (metrics, began) = (context.metrics.clone(), Instant::now());
    let result = tokio::time::timeout(DEADLINE, Box::pin(reconcile(&object, &context))).await;
    let result = result.unwrap_or(Err(Error::Deadline));
    match &result {
        Ok(_) => context.failures.reset(&ObjectRef::from_obj(&object)),
        Err(error) => {
            tracing::debug!(%error, "reconcile");
            Box::pin(tell_failure(&object, error, &context)).await;
        }
    }
    metrics.reconciled(result.is_ok(), began.elapsed());
    result
}

fn retry(object: &Guarded, context: &Context) -> Action {
    Action::requeue(context.failures.next(ObjectRef::from_obj(object)))
}

/// Says in the status what has failed again and again. The API server may not take that either.
async fn tell_failure(object: &Guarded, error: &Error, context: &Context) {
    let Ok(signer) = &object.0 else { return };
    // What a deletion waits for is told by it.
    if signer.metadata.deletion_timestamp.is_some() || context.failures.count(&ObjectRef::from_obj(object)) < TELL_AFTER
    {
        return;
    }
    let report = Report { signer, context };
    let old = signer.status.clone().unwrap_or_default();
    let next = status::failing(&old, &error.to_string(), signer.metadata.generation, &Time(Timestamp::now()));
    if let Err(error) = report.write_and_tell(&next).await {
        tracing::debug!(%error, "reconcile");
    }
}

async fn reconcile(object: &Guarded, context: &Context) -> Result<Action, Error> {
    let key = ObjectRef::from_obj(object);
    if let Ok(signer) = &object.0
        && let Some(found) = context.looks.last(&key)
        && is_as_it_was(signer, &found, context, &key).await
    {
        return Ok(Action::requeue(RESYNC));
    }
    context.looks.begin(&key);
    let namespace = object.namespace().unwrap_or_default();
    let signers: Api<Guarded> = Api::namespaced(context.client.clone(), &namespace);
    // Not the watch's copy, which may be older than the status that remembers a record.
    let fresh = signers.get_opt(&object.name_any()).await.map_err(|error| Error::Signer("read", error))?;
    let Some(object) = fresh else {
        context.forget(&key);
        return Ok(Action::await_change());
    };
    if object.meta().deletion_timestamp.is_none() {
        match &object.0 {
            Err(invalid) => return undecodable::tell(&object, invalid, context).await,
            Ok(signer) if pause::is_paused(signer) => return stand_still(signer, context, &key).await,
            Ok(_) => {}
        }
    }
    let metadata: PartialObjectMeta<TezosSigner> = object.meta().clone().into_response_partial();
    let signers: Api<PartialObjectMeta<TezosSigner>> = Api::namespaced(context.client.clone(), &namespace);
    let action = finalizer(&signers, FINALIZER, Arc::new(metadata), |event| async {
        match (event, &object.0) {
            (Finalizer::Apply(_), Ok(signer)) => Box::pin(make_true(signer, context, &key)).await,
            (Finalizer::Apply(_), Err(_)) => Ok(Action::await_change()),
            (Finalizer::Cleanup(_), _) => deletion::let_go(&object, context, &key).await,
        }
    });
    match action.await {
        Ok(action) => Ok(action),
        Err(finalizer::Error::ApplyFailed(error)) => Err(error),
        Err(finalizer::Error::CleanupFailed(error)) => deletion::tell(&object, error, context).await,
        Err(finalizer::Error::AddFinalizer(error)) => Err(Error::Signer("add a finalizer to", error)),
        Err(finalizer::Error::RemoveFinalizer(error)) => Err(Error::Signer("take the finalizer off", error)),
        // Neither can happen: it has a name, and a path of a number is one.
        Err(finalizer::Error::UnnamedObject | finalizer::Error::InvalidFinalizer) => Ok(Action::await_change()),
    }
}

/// Whether the signers say what they said the last time. All else would have been told by a watch.
async fn is_as_it_was(signer: &TezosSigner, found: &Found, context: &Context, key: &ObjectRef<Guarded>) -> bool {
    let Ok(valid) = validate::validate(signer) else { return false };
    let seen = observe::look(&context.http, &valid.form, found.failure.clone(), &context.pods.of(key)).await;
    seen == found.seen
}

/// When to look again at what is not well, if nothing changes: watches tell of everything but of what the signers say.
fn look_again(context: &Context, key: &ObjectRef<Guarded>) -> Action {
    let pods = context.pods.of(key);
    let asked = |pod: &Pod| pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
    // That a volume does not come, nobody tells.
    if pods.iter().any(|pod| asked(pod) || observe::waits_for_volumes(pod)) {
        Action::requeue(context.backoff.next(key.clone()))
    } else {
        Action::await_change()
    }
}

/// Nothing, but the status says so.
async fn stand_still(signer: &TezosSigner, context: &Context, key: &ObjectRef<Guarded>) -> Result<Action, Error> {
    let old = signer.status.clone().unwrap_or_default();
    let next = status::paused(&old, signer.metadata.generation, &Time(Timestamp::now()));
    Report { signer, context }.write_and_tell(&next).await?;
    context.backoff.reset(key);
    Ok(Action::await_change())
}

/// All stages, then the status and its events.
async fn make_true(signer: &TezosSigner, context: &Context, key: &ObjectRef<Guarded>) -> Result<Action, Error> {
    let report = Report { signer, context };
    let mut remembered = signer.status.clone().unwrap_or_default();
    let outcome = Box::pin(stages(signer, &report, &mut remembered)).await?;
    let now = Time(Timestamp::now());
    let mut next = status::status(&remembered, &outcome, signer.metadata.generation, &now);
    if !matches!(outcome, Outcome::Applied { .. }) {
        let pods = observe::look_at_all(&context.http, &context.pods.of(key)).await;
        next = status::with_what_runs(next, &pods, signer.spec.suspend);
    }
    report.write_and_tell(&next).await?;
    match outcome {
        // What others refuse they may take later.
        Outcome::NotTaken(_) | Outcome::Refused(_) | Outcome::NotApplied { .. } => {
            Ok(Action::requeue(context.backoff.next(key.clone())))
        }
        Outcome::Applied { soon: true, .. } => Ok(Action::requeue(context.backoff.next(key.clone()).min(SOON))),
        Outcome::Applied { seen, failure, .. } if status::is_ready(&next) => {
            context.backoff.reset(key);
            context.looks.found(key, Found { seen, failure, at: Instant::now() });
            Ok(Action::requeue(RESYNC))
        }
        Outcome::Invalid(_) | Outcome::Applied { .. } => Ok(look_again(context, key)),
    }
}

/// Validate, build, dry run, claim, apply, observe. `remembered` is written before anything runs that could sign.
async fn stages(
    signer: &TezosSigner,
    report: &Report<'_>,
    remembered: &mut TezosSignerStatus,
) -> Result<Outcome, Error> {
    let context = report.context;
    if signer.spec.suspend {
        suspend(signer, context).await?;
    }
    let valid = match validate::validate(signer) {
        Ok(valid) => valid,
        Err(invalid) => return Ok(Outcome::Invalid(invalid)),
    };
    let key = key_of(signer);
    context.records.want(&key, valid.keys.iter().map(|key| key.record_name().to_string()).collect());
    let cluster = Cluster::new(&context.client, &context.owned, &valid.identity);
    let claims = Claims::new(context.client.clone(), valid.identity.clone());
    let live = match cluster.live_deployment().await {
        Ok(live) => live,
        Err(error) => return not_applied(error),
    };
    let image = image::image(&valid, remembered, live.as_ref(), &context.default_image);
    let objects = build::build(&valid, &image);
    if let Err(refused) = dry_run::dry_run(&cluster, &valid.form, &objects.deployment, live.as_ref()).await {
        return match refused {
            Refused::Invalid(invalid) => Ok(Outcome::NotTaken(invalid)),
            Refused::Other(error) => not_applied(error),
        };
    }
    let claimed = match claim_all(&claims, &valid, remembered).await {
        Ok(claimed) => claimed,
        Err(ClaimError::Refused(refusal)) => return Ok(Outcome::Refused(refusal)),
        Err(error) => return Err(error.into()),
    };
    report.write(remembered).await?;

    let deployment = match cluster.apply(&objects, live).await {
        Ok(deployment) => deployment,
        Err(error) => return not_applied(error),
    };

    let config = objects.config.name_any();
    cluster.delete_old_configs(&config).await?;
    if remembered.keys.iter().any(|key| claimed.iter().all(|claim| claim.key.record != key.record)) {
        release_former(&claims, &claimed, remembered, &config, &cluster.pods().await?).await?;
    }
    let (pods, failure) = (context.pods.of(&key), observe::replica_failure(&deployment.known()));
    let seen = observe::look(&context.http, &valid.form, failure.clone(), &pods).await;
    let soon = prefer(&claims, &claimed, &seen, &pods).await?;
    let pods = pods.iter().filter_map(|pod| Some((pod.uid()?, pod.name_any()))).collect();
    Ok(Outcome::Applied { claims: claimed, pods, seen, failure, image, soon })
}

/// What somebody must do something about is an outcome; all else is tried again.
fn not_applied(error: ApplyError) -> Result<Outcome, Error> {
    let reason = match error {
        ApplyError::NotOurs { .. } => "NameTaken",
        ApplyError::Refused { .. } => "Refused",
        ApplyError::Api { .. } => return Err(error.into()),
    };
    Ok(Outcome::NotApplied { reason, message: error.to_string() })
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
///
/// ◆ Whoever is refused for one key claims no other: all are looked at before one is claimed anew. Of two that look at the same
/// time, both claim in one order, so that the second one is refused at the first key that both want.
async fn claim_all(
    claims: &Claims,
    signer: &ValidSigner,
    remembered: &mut TezosSignerStatus,
) -> Result<Vec<Claimed>, ClaimError> {
    let (initial, now) = (signer.initial.as_ref(), Timestamp::now());
    let mut keys: Vec<_> = signer.keys.iter().map(|key| (key.record_name().to_string(), key)).collect();
    keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let before = remembered.keys.clone();
    let seen = |name: &str| before.iter().find(|key| key.record == name);
    if keys.len() > 1 && keys.iter().any(|(name, _)| seen(name).is_none()) {
        for (name, key) in &keys {
            claims.look(key, initial, seen(name), now).await?;
        }
    }
    let mut claimed = Vec::new();
    for (name, key) in &keys {
        let claim = claims.claim(key, initial, seen(name), signer.suspend, now).await?;
        *remembered = status::remember(remembered, claim.key.clone());
        claimed.push(claim);
    }
    Ok(claimed)
}

/// ◆ Brings `suspend` to all records that are ours before the rest of the spec is looked at, and to each whatever becomes of the
/// others: what runs goes on signing otherwise, and its user believes that it does not. It is lifted where a record is claimed, so
/// not before the spec is accepted.
async fn suspend(signer: &TezosSigner, context: &Context) -> Result<(), Error> {
    let claims = Claims::new(context.client.clone(), Identity::of(&signer.metadata)?);
    let records = validate::records(signer);
    let done: Result<(), ClaimError> =
        join_all(records.iter().map(|record| claims.suspend(record))).await.into_iter().collect();
    Ok(done?)
}

/// Lets go of the records of keys that are not in the spec any more, once no pod uses them: all of `pods` run with `config`.
async fn release_former(
    claims: &Claims,
    claimed: &[Claimed],
    remembered: &mut TezosSignerStatus,
    config: &String,
    pods: &[Pod],
) -> Result<(), Error> {
    if pods.iter().any(|pod| pod.annotations().get(names::CONFIG_ANNOTATION) != Some(config)) {
        return Ok(());
    }
    for former in remembered.keys.clone() {
        if claimed.iter().all(|claim| claim.key.record != former.record) {
            claims.release(&former.record).await?;
            *remembered = status::forget(remembered, &former.record);
        }
    }
    Ok(())
}

/// Where a reconcile's result goes.
struct Report<'a> {
    signer: &'a TezosSigner,
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
        let signers: Api<PartialObjectMeta<TezosSigner>> =
            Api::namespaced(self.context.client.clone(), &self.signer.namespace().unwrap_or_default());
        let parameters = PatchParams::apply(names::OPERATOR).force();
        let written = signers.patch_status(&self.signer.name_any(), &parameters, &Patch::Apply(&patch)).await;
        let written = written.map_err(|error| Error::Signer("write the status of", error))?;
        self.context.looks.wrote(&key_of(self.signer), written.metadata.resource_version);
        Ok(())
    }

    /// Writes the status, and tells what is new in it.
    async fn write_and_tell(&self, status: &TezosSignerStatus) -> Result<(), Error> {
        self.write(status).await?;
        self.tell(status).await;
        Ok(())
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
