//! Watches of the API server as streams that do not end. A deletion is reported also where it happened while nothing could be watched.

use crate::api::SignerRef;
use futures::{Stream, StreamExt as _};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// The same wait after each failure of a watch. INVARIANT O6: With waits that grow, the operator would notice nothing for minutes after an API
/// server was away for seconds.
#[derive(Debug)]
struct ConstantBackoff;

/// How long to wait until the API server is asked again after a watch of it has failed.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

impl Iterator for ConstantBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(RETRY_INTERVAL)
    }
}

impl Backoff for ConstantBackoff {
    fn reset(&mut self) {}
}

/// How often the log repeats that a watch still fails.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// The events of all objects of `api` that `config` selects, without managed fields. A watch that fails is logged as `what`, and tried again.
pub(crate) fn events<K>(
    api: Api<K>,
    config: watcher::Config,
    what: &'static str,
) -> impl Stream<Item = Event<K>> + Send + 'static
where
    K: Resource<DynamicType: Clone> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    // Managed fields are half of an object.
    events_with_managed_fields(api, config, what)
        .map(|event| event.modify(|object| object.managed_fields_mut().clear()))
}

/// The same, with managed fields.
pub(crate) fn events_with_managed_fields<K>(
    api: Api<K>,
    config: watcher::Config,
    what: &'static str,
) -> impl Stream<Item = Event<K>> + Send + 'static
where
    K: Resource<DynamicType: Clone> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut logged: Option<Instant> = None;
    let events = watch(api, config).backoff(ConstantBackoff);
    events.filter_map(move |event| {
        let event = match event {
            Ok(event) => {
                // `Init` comes before each list, also before one that fails.
                if !matches!(event, Event::Init) {
                    logged = None;
                }
                Some(event)
            }
            Err(error) => {
                if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
                    tracing::warn!("cannot watch {what}, retrying: {}", with_advice(&error));
                    logged = Some(Instant::now());
                }
                None
            }
        };
        std::future::ready(event)
    })
}

/// The error, with what to do about it where that is known.
fn with_advice(error: &watcher::Error) -> String {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchFailed(kube::Error::Api(status))) = error
    else {
        return error.to_string();
    };
    let advice = match status.code {
        404 => "; is the CRD installed (helm: crds.enabled)?",
        403 => "; the operator's Role is of an older chart, or not bound to its ServiceAccount",
        _ => "",
    };
    format!("{} ({}){advice}", status.message.trim(), status.code)
}

/// What a watch reports of objects of kind `K`.
#[derive(Debug)]
pub(crate) enum WatchEvent<K> {
    /// The object exists, as it is now.
    Applied(K),
    /// The object does not exist any more, or belongs to another TezosSigner now.
    Deleted(DeletedObject),
    /// Every object that there was has been reported.
    Listed,
}

/// An object that does not exist any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DeletedObject {
    /// The `metadata.name` of the object.
    pub(crate) name: String,
    /// The TezosSigner that it belonged to.
    pub(crate) signer: Option<SignerRef>,
}

/// `events`, with a deletion for each object that a new list does not name any more. `signer_of` says which TezosSigner an object
/// belongs to.
pub(crate) fn tracked<K>(
    events: impl Stream<Item = Event<K>> + Send + 'static,
    signer_of: impl Fn(&K) -> Option<SignerRef> + Send + 'static,
) -> impl Stream<Item = WatchEvent<K>> + Send + 'static
where
    K: Resource + Send + 'static,
{
    let mut tracker = Tracker::default();
    events.flat_map(move |event| futures::stream::iter(tracker.on_event(event, &signer_of)))
}

/// Namespace and name of an object.
type ObjectKey = (Option<String>, String);

/// The objects that exist, each with the TezosSigner that it belongs to.
#[derive(Default)]
struct Tracker {
    known: HashMap<ObjectKey, Option<SignerRef>>,
    listed: HashSet<ObjectKey>,
}

impl Tracker {
    fn on_event<K: Resource>(
        &mut self,
        event: Event<K>,
        signer_of: impl Fn(&K) -> Option<SignerRef>,
    ) -> Vec<WatchEvent<K>> {
        let key = |object: &K| (object.meta().namespace.clone(), object.meta().name.clone().unwrap_or_default());
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(key(&object));
                self.applied(key(&object), object, signer_of)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let deleted: Vec<ObjectKey> = self.known.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                let mut events: Vec<WatchEvent<K>> = deleted.into_iter().map(|key| self.deleted(key)).collect();
                events.push(WatchEvent::Listed);
                events
            }
            Event::Apply(object) => self.applied(key(&object), object, signer_of),
            Event::Delete(object) => vec![self.deleted(key(&object))],
        }
    }

    /// INVARIANT O5: For the TezosSigner that it belonged to before, the object is deleted: somebody has changed the label that says whose it is.
    fn applied<K>(
        &mut self,
        key: ObjectKey,
        object: K,
        signer_of: impl Fn(&K) -> Option<SignerRef>,
    ) -> Vec<WatchEvent<K>> {
        let (name, signer) = (key.1.clone(), signer_of(&object));
        let before = self.known.insert(key, signer.clone()).flatten().filter(|before| signer.as_ref() != Some(before));
        let deleted = before.map(|before| WatchEvent::Deleted(DeletedObject { name, signer: Some(before) }));
        deleted.into_iter().chain([WatchEvent::Applied(object)]).collect()
    }

    fn deleted<K>(&mut self, key: ObjectKey) -> WatchEvent<K> {
        let signer = self.known.remove(&key).flatten();
        WatchEvent::Deleted(DeletedObject { name: key.1, signer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::reflector::ObjectRef;

    #[test]
    fn an_outage_makes_no_wait_longer() {
        assert!(ConstantBackoff.take(1000).all(|wait| wait == RETRY_INTERVAL));
    }

    fn object(name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        (object.metadata.name, object.metadata.namespace) = (Some(name.to_owned()), Some("bakers".to_owned()));
        object
    }

    /// `+name` for an object that is applied, `-name` for one that is deleted, `.` for the end of a list.
    fn reported(tracker: &mut Tracker, event: Event<ConfigMap>) -> String {
        let mut all: Vec<String> = tracker
            .on_event(event, |object| Some(ObjectRef::new(&object.name_any())))
            .into_iter()
            .map(|event| match event {
                WatchEvent::Applied(object) => format!("+{}", object.name_any()),
                WatchEvent::Deleted(deleted) => {
                    assert_eq!(deleted.signer.unwrap().name, deleted.name, "whose it was is remembered");
                    format!("-{}", deleted.name)
                }
                WatchEvent::Listed => ".".to_owned(),
            })
            .collect();
        all.sort();
        all.join(" ")
    }

    #[test]
    fn an_object_that_belongs_to_another_now_is_deleted_for_its_owner() {
        let mut tracker = Tracker::default();
        let mut take = |event, owner: Option<&str>| -> Vec<String> {
            let events = tracker.on_event(event, |_: &ConfigMap| owner.map(ObjectRef::new));
            let reported = events.into_iter().map(|event| match event {
                WatchEvent::Applied(_) => "applied".to_owned(),
                WatchEvent::Deleted(deleted) => format!("deleted for {}", deleted.signer.unwrap().name),
                WatchEvent::Listed => "listed".to_owned(),
            });
            reported.collect()
        };
        assert_eq!(take(Event::InitApply(object("a")), Some("one")), ["applied"]);
        assert_eq!(take(Event::Apply(object("a")), Some("one")), ["applied"]);
        assert_eq!(take(Event::Apply(object("a")), Some("two")), ["deleted for one", "applied"]);
        assert_eq!(
            take(Event::InitApply(object("a")), None),
            ["deleted for two", "applied"],
            "its label was taken off"
        );
        assert_eq!(take(Event::Apply(object("a")), Some("one")), ["applied"]);
    }

    #[test]
    fn a_deletion_while_nothing_was_watched_is_reported() {
        let mut tracker = Tracker::default();
        assert_eq!(reported(&mut tracker, Event::Init), "");
        assert_eq!(reported(&mut tracker, Event::InitApply(object("a"))), "+a");
        assert_eq!(reported(&mut tracker, Event::InitDone), ".");
        assert_eq!(reported(&mut tracker, Event::Apply(object("b"))), "+b");
        assert_eq!(reported(&mut tracker, Event::Apply(object("c"))), "+c");
        assert_eq!(reported(&mut tracker, Event::Delete(object("c"))), "-c");
        assert_eq!(reported(&mut tracker, Event::Init), "");
        assert_eq!(reported(&mut tracker, Event::InitApply(object("b"))), "+b");
        assert_eq!(reported(&mut tracker, Event::Init), "", "the list broke off, and begins anew");
        assert_eq!(reported(&mut tracker, Event::InitApply(object("d"))), "+d");
        assert_eq!(reported(&mut tracker, Event::InitDone), "-a -b .");
    }
}
