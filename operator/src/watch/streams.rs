//! The streams of TezosSigners that must be reconciled: because of a change of them, of what belongs to them, or of a record that they
//! use or want to use. One watch for each kind, which asks for metadata only where no more is needed.

use super::Caches;
use super::changes::{Cause, Change, debounced};
use super::events::{WatchEvent, events, events_with_managed_fields, tracked};
use super::record_index::RecordIndex;
use crate::api::{Guarded, SignerRef, TezosSignerSidecar};
use crate::names;
use crate::scope::Scope;
use futures::channel::mpsc;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt as _};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::record::RECORDS_NAMESPACE;
use tokio::sync::watch;

/// Signatures and renewals are read from the watch of the records in batches: to be woken costs more than to see that one is of no
/// interest. A batch ends when nothing has come for `END_OF_BATCH`; the next one begins after `BATCH_INTERVAL`.
const BATCH_INTERVAL: Duration = Duration::from_millis(250);
const END_OF_BATCH: Duration = Duration::from_millis(2);

/// Changes that watches report.
type Changes = BoxStream<'static, Change>;

/// Ends when `stopping` becomes true.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever could stop this.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The TezosSigners of `scope` that must be reconciled, until `stopping` becomes true, and the store of all of them.
/// `record_changes` are TezosSigners whose records have changed.
pub(crate) fn requests(
    client: &Client,
    scope: &Scope,
    caches: &Arc<Caches>,
    record_changes: mpsc::UnboundedReceiver<SignerRef>,
    stopping: watch::Receiver<bool>,
) -> (Store<Guarded>, impl Stream<Item = SignerRef> + Send + use<>) {
    let managed = format!("{}={}", names::MANAGED_BY_LABEL, names::OPERATOR);
    // Records are the operator's too, but belong to no TezosSigner, and change with each signature.
    let ours = watcher::Config::default().labels(&format!("{managed},{}", names::INSTANCE_LABEL));
    let in_records = watcher::Config::default().labels(&match scope {
        Scope::Cluster => managed,
        Scope::Namespace(name) => format!("{managed},{}={name}", names::NAMESPACE_LABEL),
    });
    let roles: Api<PartialObjectMeta<Role>> = Api::namespaced(client.clone(), RECORDS_NAMESPACE);
    let bindings: Api<PartialObjectMeta<RoleBinding>> = Api::namespaced(client.clone(), RECORDS_NAMESPACE);
    let sidecars: Api<PartialObjectMeta<TezosSignerSidecar>> = Api::namespaced(client.clone(), RECORDS_NAMESPACE);
    let (store, signers) = signers(client, scope, caches);
    let all: Vec<Changes> = vec![
        signers,
        record_changes.map(other).boxed(),
        pods(scope.api(client), ours.clone(), caches),
        applied_objects::<Deployment>(scope.api(client), ours.clone(), "Deployments", caches, signer_in_namespace),
        applied_objects::<Service>(scope.api(client), ours.clone(), "Services", caches, signer_in_namespace),
        applied_objects::<ConfigMap>(scope.api(client), ours.clone(), "ConfigMaps", caches, signer_in_namespace),
        applied_objects::<ServiceAccount>(
            scope.api(client),
            ours.clone(),
            "ServiceAccounts",
            caches,
            signer_in_namespace,
        ),
        applied_objects::<NetworkPolicy>(
            scope.api(client),
            ours.clone(),
            "NetworkPolicies",
            caches,
            signer_in_namespace,
        ),
        applied_objects::<PodDisruptionBudget>(
            scope.api(client),
            ours,
            "PodDisruptionBudgets",
            caches,
            signer_in_namespace,
        ),
        injected_pods(scope.api(client), caches),
        applied_objects::<TezosSignerSidecar>(
            sidecars,
            in_records.clone(),
            "TezosSignerSidecars",
            caches,
            signer_by_labels,
        ),
        applied_objects::<Role>(roles, in_records.clone(), "Roles", caches, signer_by_labels),
        applied_objects::<RoleBinding>(bindings, in_records, "RoleBindings", caches, signer_by_labels),
    ];
    let changes = stream::select_all(all).take_until(stopped(stopping));
    (store, debounced(changes, caches.clone()))
}

fn other(signer: SignerRef) -> Change {
    Change { signer, cause: Cause::Other, is_new: false }
}

/// The TezosSigners of `scope`, and their changes.
fn signers(client: &Client, scope: &Scope, caches: &Arc<Caches>) -> (Store<Guarded>, Changes) {
    let (store, writer) = store();
    let listed = events(scope.api::<Guarded>(client), watcher::Config::default(), "TezosSigners");
    let kept =
        reflector(writer, listed.map(Ok::<_, watcher::Error>)).filter_map(|event| std::future::ready(event.ok()));
    let caches = caches.clone();
    let changed = tracked(kept, |signer| Some(ObjectRef::from_obj(signer))).filter_map(move |event| {
        std::future::ready(match event {
            WatchEvent::Applied(signer) => {
                let version = signer.meta().resource_version.clone().unwrap_or_default();
                let is_taken_in = signer.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER);
                let is_new = !is_taken_in && signer.0.as_ref().is_ok_and(|signer| signer.status.is_none());
                Some(Change { signer: ObjectRef::from_obj(&signer), cause: Cause::Signer(version), is_new })
            }
            WatchEvent::Deleted(deleted) => {
                if let Some(key) = deleted.signer {
                    caches.forget(&key);
                }
                None
            }
            WatchEvent::Listed => None,
        })
    });
    (store, changed.boxed())
}

/// The changes of the objects of kind `K` that are applied for TezosSigners.
fn applied_objects<K>(
    api: Api<PartialObjectMeta<K>>,
    config: watcher::Config,
    what: &'static str,
    caches: &Arc<Caches>,
    signer_of: fn(&PartialObjectMeta<K>) -> Option<SignerRef>,
) -> Changes
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + Sync + 'static,
{
    let caches = caches.clone();
    tracked(events(api, config, what), signer_of)
        .flat_map(move |event| {
            let changed = caches.objects.on_event(&event, signer_of).into_iter();
            stream::iter(changed.map(|(signer, object)| Change { signer, cause: Cause::Object(object), is_new: false }))
        })
        .boxed()
}

/// The TezosSigners whose pods have changed.
fn pods(api: Api<Pod>, config: watcher::Config, caches: &Arc<Caches>) -> Changes {
    let caches = caches.clone();
    tracked(events(api, config, "Pods"), signer_in_namespace::<Pod>)
        .filter_map(move |event| std::future::ready(caches.pods.on_event(event, signer_in_namespace::<Pod>).map(other)))
        .boxed()
}

/// The TezosSigners whose sidecar is in a pod of the user's that has changed.
fn injected_pods(api: Api<Pod>, caches: &Arc<Caches>) -> Changes {
    let caches = caches.clone();
    let config = watcher::Config::default().labels(names::INJECT_LABEL);
    tracked(events(api, config, "Pods with a sidecar"), signer_by_inject_label)
        .filter_map(move |event| std::future::ready(caches.pods.on_event(event, signer_by_inject_label).map(other)))
        .boxed()
}

/// The TezosSigner in the same namespace whose sidecar `pod` asks for.
fn signer_by_inject_label(pod: &Pod) -> Option<SignerRef> {
    let name = pod.labels().get(names::INJECT_LABEL)?;
    Some(ObjectRef::new(name).within(&pod.namespace()?))
}

/// The TezosSigner in the same namespace that `object` belongs to.
fn signer_in_namespace<K: Resource>(object: &K) -> Option<SignerRef> {
    let name = object.labels().get(names::INSTANCE_LABEL)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// The TezosSigner that `object`, in the records' namespace, belongs to.
fn signer_by_labels<K: Resource>(object: &K) -> Option<SignerRef> {
    let (name, namespace) = (object.labels().get(names::INSTANCE_LABEL)?, object.labels().get(names::NAMESPACE_LABEL)?);
    Some(ObjectRef::new(name).within(namespace))
}

/// Watches the records, once for all scopes, and without their rows. Sends each TezosSigner that an event concerns to its scope.
pub(crate) async fn record_changes(
    client: Client,
    records: Arc<RecordIndex>,
    scopes: Vec<(Scope, mpsc::UnboundedSender<SignerRef>)>,
    stopped: impl Future<Output = ()>,
) {
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(client, RECORDS_NAMESPACE);
    let mut all: BoxStream<'static, _> =
        tracked(events_with_managed_fields(api, watcher::Config::default(), "the watermark records"), |_| None).boxed();
    let send = |event: WatchEvent<_>| {
        for signer in records.affected(&event) {
            let its = |(scope, _): &&(Scope, _)| signer.namespace.as_ref().is_some_and(|name| scope.contains(name));
            if let Some((_, sender)) = scopes.iter().find(its) {
                // An error means that the scope has ended; so does this.
                let _ = sender.unbounded_send(signer);
            }
        }
    };
    let sending = async {
        while let Some(first) = all.next().await {
            send(first);
            while let Ok(Some(next)) = tokio::time::timeout(END_OF_BATCH, all.next()).await {
                send(next);
            }
            tokio::time::sleep(BATCH_INTERVAL).await;
        }
    };
    tokio::select! {
        () = sending => {}
        () = stopped => {}
    }
}
