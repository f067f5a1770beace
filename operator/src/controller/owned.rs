//! The objects of TezosSigners, as the watches last saw them and as the API server made them of what was applied. So a look at a
//! TezosSigner reads only what has changed since the last one, and a value that the API server writes in another way than it
//! was asked (a CPU of "1000m" as "1") is not taken for somebody's change.
//!
//! Versions and digests only. After a restart it is empty, and each object is read once.

use super::Guarded;
use super::watches::{Change, News};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt as _};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tezos_signer_core::key::Digest;

/// What is known of the objects of each TezosSigner in one place.
#[derive(Debug, Default)]
pub struct Owned(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<ObjectRef<Guarded>, HashMap<Object, Known>>,
    /// The kinds of which all objects have been seen.
    complete: HashSet<Cow<'static, str>>,
}

/// An object of a TezosSigner. Where it is follows from its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Object {
    kind: Cow<'static, str>,
    name: String,
}

impl Object {
    /// The one of kind `K` with this name.
    pub fn new<K: Resource<DynamicType = ()>>(name: &str) -> Self {
        Self { kind: K::kind(&()), name: name.to_owned() }
    }
}

/// One state of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    uid: String,
    resource_version: String,
}

impl Version {
    /// Of `object`.
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
    settled: Option<Settled>,
}

/// A state that is as it was asked for.
#[derive(Debug)]
struct Settled {
    version: Version,
    /// What was asked for.
    wanted: Digest,
    /// What the API server made of it.
    made: Digest,
}

impl Known {
    /// Whether nobody has changed it since.
    fn is_settled(&self) -> Option<&Settled> {
        self.settled.as_ref().filter(|settled| self.seen.as_ref() == Some(&settled.version))
    }
}

impl Owned {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a watch says of objects of kind `K`. The TezosSigner that must be looked at because of it.
    pub(super) fn learn<K>(
        &self,
        news: &News<K>,
        of: impl Fn(&K) -> Option<ObjectRef<Guarded>>,
    ) -> Option<ObjectRef<Guarded>>
    where
        K: Resource<DynamicType = ()>,
    {
        let mut inner = self.inner();
        match news {
            News::Complete => {
                inner.complete.insert(K::kind(&()));
                None
            }
            News::Change(Change::Is(object)) => {
                let of = of(object)?;
                let known = inner.objects.entry(of.clone()).or_default();
                let known = known.entry(Object::new::<K>(&object.name_any())).or_default();
                known.seen = Some(Version::of(object));
                // What was just applied needs no look.
                known.is_settled().is_none().then_some(of)
            }
            News::Change(Change::Gone(gone)) => {
                let of = gone.of.clone()?;
                if let Some(objects) = inner.objects.get_mut(&of) {
                    objects.remove(&Object::new::<K>(&gone.name));
                    if objects.is_empty() {
                        inner.objects.remove(&of);
                    }
                }
                Some(of)
            }
        }
    }

    /// Whether `object` is there as it is `wanted`, as far as the watch has seen.
    pub fn is_settled(&self, of: &ObjectRef<Guarded>, object: &Object, wanted: &Digest) -> bool {
        let inner = self.inner();
        let known = inner.objects.get(of).and_then(|objects| objects.get(object));
        known.and_then(Known::is_settled).is_some_and(|settled| settled.wanted == *wanted)
    }

    /// What the API server made of `wanted` in the object with this UID, if that is known.
    pub fn made(&self, of: &ObjectRef<Guarded>, object: &Object, uid: &str, wanted: &Digest) -> Option<Digest> {
        let inner = self.inner();
        let settled = inner.objects.get(of)?.get(object)?.settled.as_ref()?;
        (settled.version.uid == uid && settled.wanted == *wanted).then_some(settled.made)
    }

    /// `object` is as it was `wanted` in this version, and the API server has `made` that of it.
    pub fn settle(&self, of: &ObjectRef<Guarded>, object: Object, version: Version, wanted: Digest, made: Digest) {
        let mut inner = self.inner();
        let known = inner.objects.entry(of.clone()).or_default().entry(object).or_default();
        known.settled = Some(Settled { version, wanted, made });
    }

    /// Whether there may be an object of kind `K` with this name: it was seen, or not all have been seen yet.
    pub fn may_have<K: Resource<DynamicType = ()>>(&self, of: &ObjectRef<Guarded>, name: &str) -> bool {
        let inner = self.inner();
        let objects = inner.objects.get(of);
        let seen = objects.and_then(|objects| objects.get(&Object::new::<K>(name))).is_some_and(|o| o.seen.is_some());
        seen || !inner.complete.contains(&K::kind(&()))
    }

    /// The objects of kind `K` that were seen.
    pub fn names<K: Resource<DynamicType = ()>>(&self, of: &ObjectRef<Guarded>) -> Vec<String> {
        let inner = self.inner();
        let all = inner.objects.get(of).into_iter().flatten();
        let seen = all.filter(|(object, known)| object.kind == K::kind(&()) && known.seen.is_some());
        seen.map(|(object, _)| object.name.clone()).collect()
    }

    /// The TezosSigner is gone.
    pub(super) fn forget(&self, of: &ObjectRef<Guarded>) {
        let mut inner = self.inner();
        if let Some(objects) = inner.objects.get_mut(of) {
            // What is still seen is told as gone when it goes.
            objects.retain(|_, known| known.seen.is_some());
            for known in objects.values_mut() {
                known.settled = None;
            }
            if objects.is_empty() {
                inner.objects.remove(of);
            }
        }
    }
}
