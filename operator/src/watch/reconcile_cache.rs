//! What the last reconcile found for each TezosSigner that is Ready. Where nothing has changed since, the next reconcile need only ask
//! the signers how they are, which costs the API server nothing.

use crate::api::SignerRef;
use crate::observation::Observation;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a result is good for if no watch reports a change. The reconcile after it reports in the status how far the records have
/// come.
const MAX_AGE: Duration = Duration::from_mins(10);

/// The results, by TezosSigner.
#[derive(Debug, Default)]
pub(crate) struct ReconcileCache(Mutex<HashMap<SignerRef, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    /// Whether something has changed since the last full reconcile began.
    changed: bool,
    /// The resource version that the operator's own write of the status has made.
    own_version: Option<String>,
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

    /// The operator has written the status, which made this resource version.
    pub(crate) fn status_written(&self, signer: &SignerRef, version: Option<String>) {
        self.all().entry(signer.clone()).or_default().own_version = version;
    }

    /// Whether the operator itself has made this resource version.
    pub(crate) fn is_own_write(&self, signer: &SignerRef, version: Option<&String>) -> bool {
        version.is_some() && self.all().get(signer).is_some_and(|entry| entry.own_version.as_ref() == version)
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
        assert!(!cache.is_own_write(&signer, None));
        cache.status_written(&signer, Some("7".to_owned()));
        assert!(
            cache.is_own_write(&signer, Some(&"7".to_owned())) && !cache.is_own_write(&signer, Some(&"8".to_owned()))
        );
    }
}
