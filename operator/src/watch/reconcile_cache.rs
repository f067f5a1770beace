//! What the last reconcile found for each TezosSigner that is Ready. Where nothing has changed since, the next reconcile need only ask
//! the signers how they are, which costs the API server nothing.

use crate::api::SignerRef;
use crate::observation::Observation;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a result is good for if no watch reports a change. The reconcile after it reports in the status how far the records have
/// come.
const MAX_AGE: Duration = Duration::from_mins(10);

/// A reconcile writes the TezosSigner three times at most. The watch may be a reconcile late.
const OWN_VERSIONS: usize = 6;

/// The results, by TezosSigner.
#[derive(Debug, Default)]
pub(crate) struct ReconcileCache(Mutex<HashMap<SignerRef, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    /// Whether something has changed since the last full reconcile began.
    changed: bool,
    /// The resource versions of the TezosSigner that the operator's own writes have made, the latest last.
    own_versions: VecDeque<String>,
    result: Option<CachedResult>,
}

/// What a reconcile found where all was well.
#[derive(Debug, Clone)]
pub(crate) struct CachedResult {
    /// What the signers reported.
    pub(crate) observation: Observation,
    /// Why the Deployment cannot make more pods, if it cannot.
    pub(crate) failure: Option<String>,
    /// When the signers were asked.
    pub(crate) at: Instant,
}

impl ReconcileCache {
    fn all(&self) -> MutexGuard<'_, HashMap<SignerRef, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that belongs to `signer` has changed, so its result is not good any more.
    pub(crate) fn mark_changed(&self, signer: &SignerRef) {
        let mut all = self.all();
        let entry = all.entry(signer.clone()).or_default();
        (entry.changed, entry.result) = (true, None);
    }

    /// The operator has written the TezosSigner or its status, which made this resource version.
    pub(crate) fn written(&self, signer: &SignerRef, version: Option<String>) {
        let mut all = self.all();
        let own = &mut all.entry(signer.clone()).or_default().own_versions;
        own.extend(version);
        while own.len() > OWN_VERSIONS {
            own.pop_front();
        }
    }

    /// Whether the operator itself has made this resource version.
    pub(crate) fn is_own_write(&self, signer: &SignerRef, version: &String) -> bool {
        self.all().get(signer).is_some_and(|entry| entry.own_versions.contains(version))
    }

    /// The last result, if nothing has changed since.
    pub(crate) fn last(&self, signer: &SignerRef) -> Option<CachedResult> {
        self.all().get(signer)?.result.clone().filter(|result| result.at.elapsed() < MAX_AGE)
    }

    /// A full reconcile begins: a change from now on invalidates what it finds.
    pub(crate) fn begin(&self, signer: &SignerRef) {
        let mut all = self.all();
        let entry = all.entry(signer.clone()).or_default();
        (entry.changed, entry.result) = (false, None);
    }

    /// Keeps what the reconcile found, unless something has changed meanwhile.
    pub(crate) fn finish(&self, signer: &SignerRef, result: CachedResult) {
        let mut all = self.all();
        let entry = all.entry(signer.clone()).or_default();
        entry.result = (!entry.changed).then_some(result);
    }

    /// Drops what is known of a TezosSigner that does not exist any more.
    pub(crate) fn forget(&self, signer: &SignerRef) {
        self.all().remove(signer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::PodObservation;
    use kube::runtime::reflector::ObjectRef;

    fn found(age: Duration) -> CachedResult {
        let observation = Observation::Baker(PodObservation::NoPod(None), None);
        CachedResult { observation, failure: None, at: Instant::now().checked_sub(age).unwrap() }
    }

    #[test]
    fn a_result_is_good_until_something_changes_or_it_is_old() {
        let (cache, signer) = (ReconcileCache::default(), ObjectRef::new("baker-one"));
        assert!(cache.last(&signer).is_none(), "the first time");
        cache.begin(&signer);
        cache.finish(&signer, found(Duration::ZERO));
        assert!(cache.last(&signer).is_some());
        cache.mark_changed(&signer);
        assert!(cache.last(&signer).is_none(), "something changed");
        cache.begin(&signer);
        cache.mark_changed(&signer);
        cache.finish(&signer, found(Duration::ZERO));
        assert!(cache.last(&signer).is_none(), "something changed during the reconcile");
        cache.begin(&signer);
        assert!(cache.last(&signer).is_none(), "a reconcile that failed found nothing");
        cache.finish(&signer, found(MAX_AGE));
        assert!(cache.last(&signer).is_none(), "long ago");
    }

    #[test]
    fn the_operators_own_status_is_no_change() {
        let (cache, signer) = (ReconcileCache::default(), ObjectRef::new("baker-one"));
        let is_own = |version: usize| cache.is_own_write(&signer, &version.to_string());
        assert!(!is_own(7));
        for version in [7, 9] {
            cache.written(&signer, Some(version.to_string()));
        }
        assert!(is_own(7) && !is_own(8) && is_own(9), "the watch may report the first after the second was written");
        for version in 10..100 {
            cache.written(&signer, Some(version.to_string()));
        }
        assert!(!is_own(7) && is_own(99), "they are forgotten");
    }
}
