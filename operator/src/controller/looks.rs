//! What the last look found at each TezosSigner that is well. Where nothing has changed since, the next one need only ask the
//! signers how they are: it costs the API server nothing.

use super::Guarded;
use super::observe::Seen;
use kube::runtime::reflector::ObjectRef;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After how long a TezosSigner is looked at as a whole, also if no watch has told of a change: how far its records have come
/// is told in its status then.
const WHOLE: Duration = Duration::from_mins(10);

/// By TezosSigner.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<HashMap<ObjectRef<Guarded>, Look>>);

#[derive(Debug, Default)]
struct Look {
    /// Whether something has changed since the last look at all began.
    changed: bool,
    /// The version that our own write of the status has made.
    wrote: Option<String>,
    found: Option<Found>,
}

/// What a look found where all was well.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// What the signers said.
    pub(super) seen: Seen,
    /// Why no more pods can be made, if they cannot.
    pub(super) failure: Option<String>,
    /// When that was.
    pub(super) at: Instant,
}

impl Looks {
    fn all(&self) -> MutexGuard<'_, HashMap<ObjectRef<Guarded>, Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that belongs to `signer` has changed.
    pub(super) fn changed(&self, signer: &ObjectRef<Guarded>) {
        let mut all = self.all();
        let look = all.entry(signer.clone()).or_default();
        (look.changed, look.found) = (true, None);
    }

    /// We have written the status, and that made this version.
    pub(super) fn wrote(&self, signer: &ObjectRef<Guarded>, version: Option<String>) {
        self.all().entry(signer.clone()).or_default().wrote = version;
    }

    /// Whether this version is what we have written ourselves.
    pub(super) fn is_own(&self, signer: &ObjectRef<Guarded>, version: Option<&String>) -> bool {
        version.is_some() && self.all().get(signer).is_some_and(|look| look.wrote.as_ref() == version)
    }

    /// What the last look found, if nothing has changed since.
    pub(super) fn last(&self, signer: &ObjectRef<Guarded>) -> Option<Found> {
        self.all().get(signer)?.found.clone().filter(|found| found.at.elapsed() < WHOLE)
    }

    /// A look at all begins: what changes from now on counts against what it finds.
    pub(super) fn begin(&self, signer: &ObjectRef<Guarded>) {
        let mut all = self.all();
        let look = all.entry(signer.clone()).or_default();
        (look.changed, look.found) = (false, None);
    }

    /// It found this, unless something has changed meanwhile.
    pub(super) fn found(&self, signer: &ObjectRef<Guarded>, found: Found) {
        let mut all = self.all();
        let look = all.entry(signer.clone()).or_default();
        look.found = (!look.changed).then_some(found);
    }

    /// The TezosSigner is gone.
    pub(super) fn forget(&self, signer: &ObjectRef<Guarded>) {
        self.all().remove(signer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::observe::Sight;

    fn found(age: Duration) -> Found {
        let seen = Seen::Baker(Sight::NoPod(None), None);
        Found { seen, failure: None, at: Instant::now().checked_sub(age).unwrap() }
    }

    #[test]
    fn only_what_is_as_it_was_is_not_looked_at_as_a_whole() {
        let (looks, signer) = (Looks::default(), ObjectRef::new("baker-one"));
        assert!(looks.last(&signer).is_none(), "the first time");
        looks.begin(&signer);
        looks.found(&signer, found(Duration::ZERO));
        assert!(looks.last(&signer).is_some());
        looks.changed(&signer);
        assert!(looks.last(&signer).is_none(), "something changed");
        looks.begin(&signer);
        looks.changed(&signer);
        looks.found(&signer, found(Duration::ZERO));
        assert!(looks.last(&signer).is_none(), "something changed while it was looked at");
        looks.begin(&signer);
        assert!(looks.last(&signer).is_none(), "a look that failed found nothing");
        looks.found(&signer, found(WHOLE));
        assert!(looks.last(&signer).is_none(), "long ago");
    }

    #[test]
    fn our_own_status_is_no_change() {
        let (looks, signer) = (Looks::default(), ObjectRef::new("baker-one"));
        assert!(!looks.is_own(&signer, None));
        looks.wrote(&signer, Some("7".to_owned()));
        assert!(looks.is_own(&signer, Some(&"7".to_owned())) && !looks.is_own(&signer, Some(&"8".to_owned())));
    }
}
