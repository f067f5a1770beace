//! The objects that were applied for TezosSigners, as the watches last saw them and as the API server returned them. So a reconcile
//! reads only what has changed since the last one, and a value that the API server writes in another way than it was asked (a CPU of
//! "1000m" as "1") is not taken for somebody's change.
//!
//! The cache has versions and digests only. After a restart of the operator it is empty, and each object is read once.

use super::events::WatchEvent;
use crate::api::SignerRef;
use kube::{Resource, ResourceExt as _};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tezos_signer_core::key::Digest;

/// What is known of the objects of each TezosSigner in one scope.
#[derive(Debug, Default)]
pub struct ObjectCache(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<SignerRef, HashMap<ObjectId, Known>>,
    /// The kinds of which the watch has listed all objects.
    listed: HashSet<Cow<'static, str>>,
}

/// Kind and name of an object of a TezosSigner. Its namespace follows from the kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId {
    kind: Cow<'static, str>,
    name: String,
}

impl ObjectId {
    /// The id of the object of kind `K` with this name.
    pub fn new<K: Resource<DynamicType = ()>>(name: &str) -> Self {
        Self { kind: K::kind(&()), name: name.to_owned() }
    }
}

/// One version of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    uid: String,
    resource_version: String,
}

impl Version {
    /// The version of `object`.
    pub fn of(object: &impl Resource) -> Self {
        let metadata = object.meta();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    seen: Option<Version>,
    applied: Option<AppliedVersion>,
}

/// A version of an object that is as it was applied.
#[derive(Debug)]
struct AppliedVersion {
    version: Version,
    /// Digest of what was applied.
    desired: Digest,
    /// Digest of what the API server made of it.
    returned: Digest,
}

impl Known {
    /// What was applied, if the watch has seen no later version.
    fn unchanged(&self) -> Option<&AppliedVersion> {
        self.applied.as_ref().filter(|applied| self.seen.as_ref() == Some(&applied.version))
    }
}

impl ObjectCache {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an event of objects of kind `K`. Returns the object, and the TezosSigner that it belongs to according to `signer_of`; after a
    /// list, all that were applied and are not in it: they were deleted before the watch saw them.
    pub(crate) fn on_event<K>(
        &self,
        event: &WatchEvent<K>,
        signer_of: impl Fn(&K) -> Option<SignerRef>,
    ) -> Vec<(SignerRef, ObjectId)>
    where
        K: Resource<DynamicType = ()>,
    {
        let mut inner = self.inner();
        match event {
            WatchEvent::Listed => {
                let kind = K::kind(&());
                inner.listed.insert(kind.clone());
                let all =
                    inner.objects.iter().flat_map(|(signer, objects)| objects.iter().map(move |known| (signer, known)));
                let unseen =
                    all.filter(|(_, (id, known))| id.kind == kind && known.applied.is_some() && known.seen.is_none());
                unseen.map(|(signer, (id, _))| (signer.clone(), id.clone())).collect()
            }
            WatchEvent::Applied(object) => {
                let Some(signer) = signer_of(object) else { return Vec::new() };
                let id = ObjectId::new::<K>(&object.name_any());
                let known = inner.objects.entry(signer.clone()).or_default().entry(id.clone()).or_default();
                known.seen = Some(Version::of(object));
                vec![(signer, id)]
            }
            WatchEvent::Deleted(deleted) => {
                let Some(signer) = deleted.signer.clone() else { return Vec::new() };
                let id = ObjectId::new::<K>(&deleted.name);
                if let Some(objects) = inner.objects.get_mut(&signer) {
                    objects.remove(&id);
                    if objects.is_empty() {
                        inner.objects.remove(&signer);
                    }
                }
                vec![(signer, id)]
            }
        }
    }

    /// Whether the watch has seen another version of `object` than the one that the operator has applied, or its deletion.
    pub(crate) fn is_changed(&self, signer: &SignerRef, object: &ObjectId) -> bool {
        let inner = self.inner();
        let known = inner.objects.get(signer).and_then(|objects| objects.get(object));
        known.and_then(Known::unchanged).is_none()
    }

    /// Whether `object` is as `desired` says, as far as the watch has seen.
    pub fn is_up_to_date(&self, signer: &SignerRef, object: &ObjectId, desired: &Digest) -> bool {
        let inner = self.inner();
        let known = inner.objects.get(signer).and_then(|objects| objects.get(object));
        known.and_then(Known::unchanged).is_some_and(|applied| applied.desired == *desired)
    }

    /// What the API server made of `desired` in the object with this UID, if that is known.
    pub fn returned(&self, signer: &SignerRef, object: &ObjectId, uid: &str, desired: &Digest) -> Option<Digest> {
        let inner = self.inner();
        let applied = inner.objects.get(signer)?.get(object)?.applied.as_ref()?;
        (applied.version.uid == uid && applied.desired == *desired).then_some(applied.returned)
    }

    /// Remembers that `desired` was applied to `object`, of which the API server made `returned` in this version.
    pub fn record_applied(
        &self,
        signer: &SignerRef,
        object: ObjectId,
        version: Version,
        desired: Digest,
        returned: Digest,
    ) {
        let mut inner = self.inner();
        let known = inner.objects.entry(signer.clone()).or_default().entry(object).or_default();
        known.applied = Some(AppliedVersion { version, desired, returned });
    }

    /// Whether there may be an object of kind `K` with this name: the watch has seen it or will, or has not listed all objects yet.
    ///
    /// INVARIANT O21: The watch sees objects with the operator's labels only. Where it excludes an object, there may be one of somebody else's, so the
    /// operator creates its own and does not apply it.
    pub fn may_have<K: Resource<DynamicType = ()>>(&self, signer: &SignerRef, name: &str) -> bool {
        let inner = self.inner();
        let objects = inner.objects.get(signer);
        objects.is_some_and(|objects| objects.contains_key(&ObjectId::new::<K>(name)))
            || !inner.listed.contains(&K::kind(&()))
    }

    /// Remembers that an object exists which the watch does not see: it is read from now on.
    pub(crate) fn found_unseen(&self, signer: &SignerRef, object: ObjectId) {
        self.inner().objects.entry(signer.clone()).or_default().entry(object).or_default();
    }

    /// The names of the objects of kind `K` that the watch has seen.
    pub fn names<K: Resource<DynamicType = ()>>(&self, signer: &SignerRef) -> Vec<String> {
        let inner = self.inner();
        let all = inner.objects.get(signer).into_iter().flatten();
        let seen = all.filter(|(object, known)| object.kind == K::kind(&()) && known.seen.is_some());
        seen.map(|(object, _)| object.name.clone()).collect()
    }

    /// Drops what was applied for a TezosSigner that does not exist any more.
    pub(crate) fn forget(&self, signer: &SignerRef) {
        let mut inner = self.inner();
        if let Some(objects) = inner.objects.get_mut(signer) {
            // The watch reports the deletion of those that it has seen.
            objects.retain(|_, known| known.seen.is_some());
            for known in objects.values_mut() {
                known.applied = None;
            }
            if objects.is_empty() {
                inner.objects.remove(signer);
            }
        }
    }
}
