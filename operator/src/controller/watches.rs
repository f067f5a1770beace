//! Watches of the API server as streams of changes that do not end: what is, and what is gone, also what went while nothing
//! could be watched.

use super::Guarded;
use futures::{Stream, StreamExt as _};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long to wait until the API server is asked again after a watch of it has failed: the same time each time. ◆ With waits
/// that grow, an API server that was away for seconds is minutes in which nothing is noticed.
#[derive(Debug)]
struct WatchAgain;

const WAIT: Duration = Duration::from_millis(500);

impl Iterator for WatchAgain {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(WAIT)
    }
}

impl Backoff for WatchAgain {
    fn reset(&mut self) {}
}

/// How often it is said that a watch still fails.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// The events of all objects of `api` that `config` selects. What cannot be watched is logged as `what`, and tried again.
pub(super) fn events<K>(
    api: Api<K>,
    config: watcher::Config,
    what: &'static str,
) -> impl Stream<Item = Event<K>> + Send + 'static
where
    K: Resource<DynamicType: Clone> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut said: Option<Instant> = None;
    // Who manages which field is half of an object, and of no interest here.
    let events = watch(api, config).modify(|object| object.managed_fields_mut().clear()).backoff(WatchAgain);
    events.filter_map(move |event| {
        let event = match event {
            Ok(event) => {
                // Which comes before each list, also before one that fails.
                if !matches!(event, Event::Init) {
                    said = None;
                }
                Some(event)
            }
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                    tracing::warn!("cannot watch {what}, trying again all the time: {}", explained(&error));
                    said = Some(Instant::now());
                }
                None
            }
        };
        std::future::ready(event)
    })
}

/// The error, and what to do about it where that is known.
fn explained(error: &watcher::Error) -> String {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchFailed(kube::Error::Api(status))) = error
    else {
        return error.to_string();
    };
    let advice = match status.code {
        404 => "; is the CRD installed (helm: crds.enabled)?",
        403 => "; the operator's Role is that of an older chart, or not bound to its ServiceAccount",
        _ => "",
    };
    format!("{} ({}){advice}", status.message.trim(), status.code)
}

/// What happened to an object.
#[derive(Debug)]
pub(super) enum Change<K> {
    /// It is there, as it is now.
    Is(K),
    /// It is not there any more. What it was called, and whose it was.
    Gone(Gone),
}

/// An object that is not there any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Gone {
    /// Its name.
    pub(super) name: String,
    /// Its TezosSigner.
    pub(super) of: Option<ObjectRef<Guarded>>,
}

/// What a watch says, and when it has told all that there is.
#[derive(Debug)]
pub(super) enum News<K> {
    /// One change.
    Change(Change<K>),
    /// All that there was is told.
    Complete,
}

/// The changes that `events` make. `of` says which TezosSigner an object belongs to.
pub(super) fn changes<K>(
    events: impl Stream<Item = Event<K>> + Send + 'static,
    of: impl Fn(&K) -> Option<ObjectRef<Guarded>> + Send + 'static,
) -> impl Stream<Item = News<K>> + Send + 'static
where
    K: Resource + Send + 'static,
{
    let mut tracker = Tracker::default();
    events.flat_map(move |event| futures::stream::iter(tracker.take(event, &of)))
}

type Place = (Option<String>, String);

/// What is there, so that what a new list does not name any more is told as gone.
#[derive(Default)]
struct Tracker {
    known: HashMap<Place, Option<ObjectRef<Guarded>>>,
    listed: HashSet<Place>,
}

impl Tracker {
    fn take<K: Resource>(&mut self, event: Event<K>, of: impl Fn(&K) -> Option<ObjectRef<Guarded>>) -> Vec<News<K>> {
        let place = |object: &K| (object.meta().namespace.clone(), object.meta().name.clone().unwrap_or_default());
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(place(&object));
                self.is(place(&object), object, of)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone: Vec<Place> = self.known.keys().filter(|place| !listed.contains(*place)).cloned().collect();
                let mut news: Vec<News<K>> = gone.into_iter().map(|place| self.gone(place)).collect();
                news.push(News::Complete);
                news
            }
            Event::Apply(object) => self.is(place(&object), object, of),
            Event::Delete(object) => vec![self.gone(place(&object))],
        }
    }

    /// ◆ To whom it belonged before, it is gone: somebody has changed the label that says whose it is.
    fn is<K>(&mut self, place: Place, object: K, of: impl Fn(&K) -> Option<ObjectRef<Guarded>>) -> Vec<News<K>> {
        let (name, of) = (place.1.clone(), of(&object));
        let before = self.known.insert(place, of.clone()).flatten().filter(|before| of.as_ref() != Some(before));
        let gone = before.map(|before| News::Change(Change::Gone(Gone { name, of: Some(before) })));
        gone.into_iter().chain([News::Change(Change::Is(object))]).collect()
    }

    fn gone<K>(&mut self, place: Place) -> News<K> {
        let of = self.known.remove(&place).flatten();
        News::Change(Change::Gone(Gone { name: place.1, of }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn an_outage_makes_no_wait_longer() {
        assert!(WatchAgain.take(1000).all(|wait| wait == WAIT));
    }

    fn object(name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        (object.metadata.name, object.metadata.namespace) = (Some(name.to_owned()), Some("bakers".to_owned()));
        object
    }

    /// `+name` for what is, `-name` for what is gone, `.` for complete.
    fn told(tracker: &mut Tracker, event: Event<ConfigMap>) -> String {
        let mut all: Vec<String> = tracker
            .take(event, |object| Some(ObjectRef::new(&object.name_any())))
            .into_iter()
            .map(|news| match news {
                News::Change(Change::Is(object)) => format!("+{}", object.name_any()),
                News::Change(Change::Gone(gone)) => {
                    assert_eq!(gone.of.map(|of| of.name), Some(gone.name.clone()), "whose it was is remembered");
                    format!("-{}", gone.name)
                }
                News::Complete => ".".to_owned(),
            })
            .collect();
        all.sort();
        all.join(" ")
    }

    #[test]
    fn what_belongs_to_another_now_is_gone_for_its_owner() {
        let mut tracker = Tracker::default();
        let mut take = |event, owner: Option<&str>| -> Vec<String> {
            let news = tracker.take(event, |_: &ConfigMap| owner.map(ObjectRef::new));
            let told = news.into_iter().map(|news| match news {
                News::Change(Change::Is(_)) => "is".to_owned(),
                News::Change(Change::Gone(gone)) => format!("gone for {}", gone.of.unwrap().name),
                News::Complete => "complete".to_owned(),
            });
            told.collect()
        };
        assert_eq!(take(Event::InitApply(object("a")), Some("one")), ["is"]);
        assert_eq!(take(Event::Apply(object("a")), Some("one")), ["is"]);
        assert_eq!(take(Event::Apply(object("a")), Some("two")), ["gone for one", "is"]);
        assert_eq!(take(Event::InitApply(object("a")), None), ["gone for two", "is"], "its label was taken off");
        assert_eq!(take(Event::Apply(object("a")), Some("one")), ["is"]);
    }

    #[test]
    fn what_went_while_nothing_was_watched_is_told() {
        let mut tracker = Tracker::default();
        assert_eq!(told(&mut tracker, Event::Init), "");
        assert_eq!(told(&mut tracker, Event::InitApply(object("a"))), "+a");
        assert_eq!(told(&mut tracker, Event::InitDone), ".");
        assert_eq!(told(&mut tracker, Event::Apply(object("b"))), "+b");
        assert_eq!(told(&mut tracker, Event::Apply(object("c"))), "+c");
        assert_eq!(told(&mut tracker, Event::Delete(object("c"))), "-c");
        assert_eq!(told(&mut tracker, Event::Init), "");
        assert_eq!(told(&mut tracker, Event::InitApply(object("b"))), "+b");
        assert_eq!(told(&mut tracker, Event::Init), "", "the list broke off, and begins anew");
        assert_eq!(told(&mut tracker, Event::InitApply(object("d"))), "+d");
        assert_eq!(told(&mut tracker, Event::InitDone), "-a -b .");
    }
}
