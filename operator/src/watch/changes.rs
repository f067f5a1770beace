//! From the changes that watches report to the TezosSigners that must be reconciled: several changes in a row are one reconcile, a new
//! TezosSigner does not wait for more of them, and what the operator has written itself is no change.

use super::Caches;
use super::object_cache::ObjectId;
use crate::api::SignerRef;
use futures::{Stream, StreamExt as _};
use kube::runtime::scheduler::{ScheduleRequest, debounced_scheduler};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A starting pod changes many times in a row: one reconcile for all of its changes. The answer to a write of the operator's comes within
/// this time too, often after the event.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// A change that a watch has reported.
#[derive(Debug)]
pub(crate) struct Change {
    /// The TezosSigner that it concerns.
    pub(crate) signer: SignerRef,
    /// The object that has changed.
    pub(crate) cause: Cause,
    /// Whether the TezosSigner is new, so that its user waits for it.
    pub(crate) is_new: bool,
}

/// The object that has changed, as precisely as it takes to tell the operator's own write from somebody else's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// The TezosSigner has this resource version.
    Signer(String),
    /// An object that is applied for it.
    Object(ObjectId),
    /// A pod or a record.
    Other,
}

/// The changes of each TezosSigner that no reconcile has been asked for yet.
#[derive(Debug, Default)]
pub(super) struct PendingChanges(Mutex<HashMap<SignerRef, HashSet<Cause>>>);

impl PendingChanges {
    fn add(&self, signer: SignerRef, cause: Cause) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(signer).or_default().insert(cause);
    }

    /// Takes out the changes of `signer`.
    pub(super) fn take(&self, signer: &SignerRef) -> HashSet<Cause> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(signer).unwrap_or_default()
    }
}

/// The TezosSigners that must be reconciled because of `changes`.
pub(super) fn debounced(
    changes: impl Stream<Item = Change> + Send + 'static,
    caches: Arc<Caches>,
) -> impl Stream<Item = SignerRef> + Send {
    let seen = caches.clone();
    let scheduled = changes.map(move |Change { signer, cause, is_new }| {
        let now = Instant::now();
        // The scheduler adds the debounce to it.
        let run_at = if is_new { now.checked_sub(DEBOUNCE).unwrap_or(now) } else { now };
        seen.changes.add(signer.clone(), cause);
        ScheduleRequest { message: signer, run_at }
    });
    debounced_scheduler(scheduled, DEBOUNCE).filter(move |signer| {
        let is_changed = caches.changes.take(signer).iter().any(|cause| caches.is_change(signer, cause));
        if is_changed {
            caches.reconciles.mark_changed(signer);
        }
        std::future::ready(is_changed)
    })
}

impl Caches {
    /// Whether somebody else than the operator is the cause.
    fn is_change(&self, signer: &SignerRef, cause: &Cause) -> bool {
        match cause {
            Cause::Other => true,
            Cause::Signer(version) => !self.reconciles.is_own_write(signer, version),
            Cause::Object(object) => self.objects.is_changed(signer, object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::WatchEvent;
    use super::super::object_cache::Version;
    use super::super::record_index::RecordIndex;
    use super::*;
    use futures::channel::mpsc;
    use k8s_openapi::api::core::v1::ServiceAccount;
    use kube::runtime::reflector::ObjectRef;
    use std::pin::pin;
    use tezos_signer_core::key::Digest;
    use tokio::time::{sleep, timeout};

    fn signer(name: &str) -> SignerRef {
        ObjectRef::new(name).within("bakers")
    }

    fn account(version: &str) -> ServiceAccount {
        let mut account = ServiceAccount::default();
        (account.metadata.name, account.metadata.uid) = (Some("a-signer".to_owned()), Some("uid".to_owned()));
        account.metadata.resource_version = Some(version.to_owned());
        account
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_one_is_reconciled_at_once_and_several_changes_are_one_reconcile() {
        let (send, changes) = mpsc::unbounded();
        let mut due = pin!(debounced(changes, Arc::new(Caches::new(Arc::default()))));
        let change = |name, is_new| {
            send.unbounded_send(Change { signer: signer(name), cause: Cause::Other, is_new }).unwrap();
        };
        change("old", false);
        change("new", true);
        assert_eq!(timeout(Duration::from_millis(5), due.next()).await, Ok(Some(signer("new"))));
        sleep(DEBOUNCE / 2).await;
        change("old", false);
        assert_eq!(timeout(DEBOUNCE * 2, due.next()).await, Ok(Some(signer("old"))));
        assert!(timeout(DEBOUNCE * 2, due.next()).await.is_err(), "once for both changes");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_operator_has_written_is_no_change_also_if_the_event_comes_before_the_answer() {
        let (send, changes) = mpsc::unbounded();
        let caches = Arc::new(Caches::new(Arc::new(RecordIndex::default())));
        let mut due = pin!(debounced(changes, caches.clone()));
        let see = |version: &str| {
            let event = WatchEvent::Applied(account(version));
            let (signer, object) = caches.objects.on_event(&event, |_| Some(signer("a"))).remove(0);
            send.unbounded_send(Change { signer, cause: Cause::Object(object), is_new: false }).unwrap();
        };
        see("7");
        let written = |version: &str| {
            let cause = Cause::Signer(version.to_owned());
            send.unbounded_send(Change { signer: signer("a"), cause, is_new: false }).unwrap();
        };
        written("8");
        let answered = async {
            sleep(DEBOUNCE / 2).await;
            let (object, version) = (ObjectId::new::<ServiceAccount>("a-signer"), Version::of(&account("7")));
            caches.objects.record_applied(&signer("a"), object, version, Digest::of(b"d"), Digest::of(b"d"));
            caches.reconciles.written(&signer("a"), Some("8".to_owned()));
        };
        let (none, ()) = futures::join!(timeout(DEBOUNCE * 2, due.next()), answered);
        assert!(none.is_err(), "both were the operator's");
        see("9");
        assert_eq!(timeout(DEBOUNCE * 2, due.next()).await, Ok(Some(signer("a"))), "somebody has changed it");
        written("10");
        assert_eq!(timeout(DEBOUNCE * 2, due.next()).await, Ok(Some(signer("a"))), "somebody has changed the spec");
    }

    /// No event reports its deletion.
    #[test]
    fn what_was_applied_and_deleted_before_the_first_list_has_changed() {
        let objects = crate::watch::object_cache::ObjectCache::default();
        let id = ObjectId::new::<ServiceAccount>("a-signer");
        objects.record_applied(
            &signer("a"),
            id.clone(),
            Version::of(&account("7")),
            Digest::of(b"d"),
            Digest::of(b"d"),
        );
        let listed = || objects.on_event(&WatchEvent::<ServiceAccount>::Listed, |_| None);
        assert_eq!(listed(), [(signer("a"), id.clone())]);
        assert!(objects.is_changed(&signer("a"), &id));
        objects.on_event(&WatchEvent::Applied(account("7")), |_| Some(signer("a")));
        assert_eq!(listed(), [], "it is there");
    }
}
