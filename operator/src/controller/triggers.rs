//! What wakes a look at a TezosSigner: a change of it, of what belongs to it, or of a record that it uses or would like to. One watch
//! for each kind, which asks for metadata only where no more is needed.

use super::build::names;
use super::looks::Looks;
use super::owned::Owned;
use super::pods::Pods;
use super::records::Records;
use super::scope::Scope;
use super::watches::{Change, News, changes, events};
use super::{Backoff, Context, Guarded, reconcile_in_time, retry};
use crate::metrics::Metrics;
use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::future::join_all;
use futures::stream::{self, BoxStream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{self, ReconcileRequest};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::{applier, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::record::RECORDS_NAMESPACE;
use tokio::sync::watch;

/// A starting pod changes many times in a row: one look for them all.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Signatures and renewals are read from the watch many at a time: to be woken costs more than to see that one is of no interest.
/// All that has gathered is read, until nothing has come for as long as `NO_MORE`, and then nothing for as long as `GATHER`.
const GATHER: Duration = Duration::from_millis(250);
const NO_MORE: Duration = Duration::from_millis(2);

/// How many TezosSigners are looked at at once.
const CONCURRENCY: u16 = 8;

/// The TezosSigners that must be looked at.
type Refs = BoxStream<'static, ObjectRef<Guarded>>;

/// The stores that tell when the controller knows all TezosSigners of `scopes`, and the controller itself. It ends when
/// `stopping` becomes true, after the looks that have begun.
pub fn run(
    client: &Client,
    http: &reqwest::Client,
    default_image: &str,
    metrics: &Metrics,
    scopes: &BTreeSet<Scope>,
    stopping: &watch::Receiver<bool>,
) -> (Vec<Store<Guarded>>, impl Future<Output = ()> + use<>) {
    let records = Arc::new(Records::default());
    let (mut stores, mut runs, mut places) = (Vec::new(), Vec::new(), Vec::new());
    // One for each: a watch is of one namespace, or of all.
    for scope in scopes {
        let reporter = Reporter { controller: names::OPERATOR.to_owned(), instance: std::env::var("POD_NAME").ok() };
        let context = Arc::new(Context {
            recorder: Recorder::new(client.clone(), reporter),
            client: client.clone(),
            http: http.clone(),
            default_image: default_image.to_owned(),
            metrics: metrics.clone(),
            backoff: Backoff::default(),
            failures: Backoff::default(),
            looks: Looks::default(),
            owned: Owned::default(),
            pods: Pods::default(),
            records: records.clone(),
        });
        let (sender, concerned) = mpsc::unbounded();
        let (store, run) = in_one_place(scope, &context, concerned, stopping.clone());
        stores.push(store);
        runs.push(run);
        places.push((scope.clone(), sender));
    }
    let told = tell_of_records(client.clone(), records, places, stopped(stopping.clone()));
    (stores, async move {
        futures::join!(join_all(runs), told);
    })
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that nobody can say it any more.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The controller of one place. `concerned` are TezosSigners whose records have changed.
fn in_one_place(
    scope: &Scope,
    context: &Arc<Context>,
    concerned: mpsc::UnboundedReceiver<ObjectRef<Guarded>>,
    stopping: watch::Receiver<bool>,
) -> (Store<Guarded>, impl Future<Output = ()> + use<>) {
    let client = &context.client;
    let managed = format!("{}={}", names::MANAGED_BY_LABEL, names::OPERATOR);
    // Records are the operator's too, but belong to no TezosSigner, and change with each signature.
    let ours = watcher::Config::default().labels(&format!("{managed},{}", names::INSTANCE_LABEL));
    let in_records = watcher::Config::default().labels(&match scope {
        Scope::Cluster => managed,
        Scope::Namespace(name) => format!("{managed},{}={name}", names::NAMESPACE_LABEL),
    });
    let records: Api<PartialObjectMeta<Role>> = Api::namespaced(client.clone(), RECORDS_NAMESPACE);
    let bindings: Api<PartialObjectMeta<RoleBinding>> = Api::namespaced(client.clone(), RECORDS_NAMESPACE);
    let (store, signers) = signers(scope, context);
    let triggers: Vec<Refs> = vec![
        signers,
        concerned.boxed(),
        pods(scope.api(client), ours.clone(), context),
        owned::<Deployment>(scope.api(client), ours.clone(), "Deployments", context, beside_its_signer),
        owned::<Service>(scope.api(client), ours.clone(), "Services", context, beside_its_signer),
        owned::<ConfigMap>(scope.api(client), ours.clone(), "ConfigMaps", context, beside_its_signer),
        owned::<ServiceAccount>(scope.api(client), ours.clone(), "ServiceAccounts", context, beside_its_signer),
        owned::<NetworkPolicy>(scope.api(client), ours.clone(), "NetworkPolicies", context, beside_its_signer),
        owned::<PodDisruptionBudget>(scope.api(client), ours, "PodDisruptionBudgets", context, beside_its_signer),
        owned::<Role>(records, in_records.clone(), "Roles", context, far_from_its_signer),
        owned::<RoleBinding>(bindings, in_records, "RoleBindings", context, far_from_its_signer),
    ];
    let changed = context.clone();
    let queue = stream::select_all(triggers).take_until(stopped(stopping)).map(move |signer| {
        changed.looks.changed(&signer);
        Ok::<_, Infallible>(ReconcileRequest::from(signer))
    });
    let run = applier(
        |object, context| Box::pin(reconcile_in_time(object, context)),
        |object, _, context| retry(&object, &context),
        context.clone(),
        store.clone(),
        queue,
        controller::Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY),
    );
    (store, run.for_each(|_| std::future::ready(())))
}

/// The TezosSigners of `scope`, and which of them have changed, but for their status where we have written it.
fn signers(scope: &Scope, context: &Arc<Context>) -> (Store<Guarded>, Refs) {
    let (store, writer) = store();
    let listed = events(scope.api::<Guarded>(&context.client), watcher::Config::default(), "TezosSigners");
    let kept =
        reflector(writer, listed.map(Ok::<_, watcher::Error>)).filter_map(|event| std::future::ready(event.ok()));
    let context = context.clone();
    let changed = changes(kept, |signer| Some(ObjectRef::from_obj(signer))).filter_map(move |news| {
        std::future::ready(match news {
            News::Change(Change::Is(signer)) => {
                let key = ObjectRef::from_obj(&signer);
                let is_own = context.looks.is_own(&key, signer.meta().resource_version.as_ref());
                (!is_own).then_some(key)
            }
            News::Change(Change::Gone(gone)) => {
                if let Some(key) = gone.of {
                    context.forget(&key);
                }
                None
            }
            News::Complete => None,
        })
    });
    (store, changed.boxed())
}

/// The TezosSigners whose objects of kind `K` are not any more as they were made.
fn owned<K>(
    api: Api<PartialObjectMeta<K>>,
    config: watcher::Config,
    what: &'static str,
    context: &Arc<Context>,
    of: fn(&PartialObjectMeta<K>) -> Option<ObjectRef<Guarded>>,
) -> Refs
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + Sync + 'static,
{
    let context = context.clone();
    changes(events(api, config, what), of)
        .filter_map(move |news| std::future::ready(context.owned.learn(&news, of)))
        .boxed()
}

fn pods(api: Api<Pod>, config: watcher::Config, context: &Arc<Context>) -> Refs {
    let context = context.clone();
    changes(events(api, config, "Pods"), beside_its_signer::<Pod>)
        .filter_map(move |news| std::future::ready(context.pods.learn(news, beside_its_signer::<Pod>)))
        .boxed()
}

/// The TezosSigner that an object in its namespace belongs to.
fn beside_its_signer<K: Resource>(object: &K) -> Option<ObjectRef<Guarded>> {
    let name = object.labels().get(names::INSTANCE_LABEL)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// The TezosSigner that an object in the records' namespace belongs to.
fn far_from_its_signer<K: Resource>(object: &K) -> Option<ObjectRef<Guarded>> {
    let (name, namespace) = (object.labels().get(names::INSTANCE_LABEL)?, object.labels().get(names::NAMESPACE_LABEL)?);
    Some(ObjectRef::new(name).within(namespace))
}

/// Watches the records, once for all places, and without their rows: says in each place which of its TezosSigners are concerned.
async fn tell_of_records(
    client: Client,
    records: Arc<Records>,
    places: Vec<(Scope, mpsc::UnboundedSender<ObjectRef<Guarded>>)>,
    stopped: impl Future<Output = ()>,
) {
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(client, RECORDS_NAMESPACE);
    let mut all: BoxStream<'static, _> =
        changes(events(api, watcher::Config::default(), "the watermark records"), |_| None).boxed();
    let tell = |news| {
        let News::Change(change) = news else { return };
        for signer in records.concerned(&change) {
            let its = |(scope, _): &&(Scope, _)| signer.namespace.as_ref().is_some_and(|name| scope.has(name));
            if let Some((_, place)) = places.iter().find(its) {
                // It has ended, and so do we.
                let _ = place.unbounded_send(signer);
            }
        }
    };
    let told = async {
        while let Some(first) = all.next().await {
            tell(first);
            while let Ok(Some(next)) = tokio::time::timeout(NO_MORE, all.next()).await {
                tell(next);
            }
            tokio::time::sleep(GATHER).await;
        }
    };
    tokio::select! {
        () = told => {}
        () = stopped => {}
    }
}
