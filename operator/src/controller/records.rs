//! What happens to watermark records that is worth a look: one has another holder, which the status names, or another owner; one
//! is free, gone or there again, for which somebody may be waiting. All else that happens to a record is a signature or a
//! renewal, and comes by the hundred.

use super::Guarded;
use super::watches::Change;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tezos_signer_core::record::{Lease, OWNER_ANNOTATION};

/// The records as they were last seen, and who is interested in which. All controllers of the process share it.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<String, Known>,
    /// Those that were known and are not there any more.
    gone: HashSet<String>,
    /// Who uses a record, or would like to.
    interested: HashMap<String, HashSet<ObjectRef<Guarded>>>,
    wanted: HashMap<ObjectRef<Guarded>, BTreeSet<String>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Known {
    uid: String,
    owner: Option<String>,
    holder: String,
}

impl Known {
    fn of(record: &PartialObjectMeta<ConfigMap>) -> Self {
        Self {
            uid: record.uid().unwrap_or_default(),
            owner: record.annotations().get(OWNER_ANNOTATION).cloned(),
            // One that cannot be read is told of where the record is claimed.
            holder: Lease::from_annotations(record.annotations()).unwrap_or_default().holder_identity,
        }
    }

    fn owner(&self) -> Option<ObjectRef<Guarded>> {
        let mut parts = self.owner.as_ref()?.split('/');
        let (namespace, name) = (parts.next()?, parts.next()?);
        Some(ObjectRef::new(name).within(namespace))
    }
}

impl Records {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `signer` uses these records, or would like to. Said before they are read, so that nothing falls between.
    pub(super) fn want(&self, signer: &ObjectRef<Guarded>, records: BTreeSet<String>) {
        let mut inner = self.inner();
        if inner.wanted.get(signer) == Some(&records) {
            return;
        }
        inner.forget(signer);
        for record in &records {
            inner.interested.entry(record.clone()).or_default().insert(signer.clone());
        }
        inner.wanted.insert(signer.clone(), records);
    }

    /// `signer` is gone.
    pub(super) fn forget(&self, signer: &ObjectRef<Guarded>) {
        self.inner().forget(signer);
    }

    /// The TezosSigners that this change concerns.
    pub(super) fn concerned(&self, change: &Change<PartialObjectMeta<ConfigMap>>) -> HashSet<ObjectRef<Guarded>> {
        let mut inner = self.inner();
        match change {
            Change::Is(record) => inner.is(&record.name_any(), Known::of(record)),
            Change::Gone(record) => {
                let before = inner.known.remove(&record.name);
                inner.gone.insert(record.name.clone());
                let mut concerned = inner.interested(&record.name);
                concerned.extend(before.and_then(|before| before.owner()));
                concerned
            }
        }
    }
}

impl Inner {
    fn forget(&mut self, signer: &ObjectRef<Guarded>) {
        for record in self.wanted.remove(signer).unwrap_or_default() {
            if let Some(interested) = self.interested.get_mut(&record) {
                interested.remove(signer);
                if interested.is_empty() {
                    self.interested.remove(&record);
                }
            }
        }
    }

    fn interested(&self, record: &str) -> HashSet<ObjectRef<Guarded>> {
        self.interested.get(record).cloned().unwrap_or_default()
    }

    fn is(&mut self, name: &str, now: Known) -> HashSet<ObjectRef<Guarded>> {
        let owner = now.owner();
        let was_gone = self.gone.remove(name);
        let Some(before) = self.known.insert(name.to_owned(), now) else {
            // New: whoever made it for himself knows. One that was gone and is back is news for its owner too.
            let mut concerned = self.interested(name);
            if let Some(owner) = owner.filter(|_| !was_gone) {
                concerned.remove(&owner);
            }
            return concerned;
        };
        let now = &self.known[name];
        let mut concerned = HashSet::new();
        if before.uid != now.uid || before.owner != now.owner {
            concerned = self.interested(name);
            if before.owner.is_none() && before.uid == now.uid {
                // Who has just claimed it knows.
                owner.as_ref().map(|owner| concerned.remove(owner));
            }
        }
        if before.holder != now.holder {
            concerned.extend(owner);
        }
        concerned
    }
}

#[cfg(test)]
mod tests {
    use super::super::watches::Gone;
    use super::*;
    use serde_json::json;
    use tezos_signer_core::record::LEASE_ANNOTATION;

    const OWNER: &str = "bakers/baker-one/a-uid";

    fn record(uid: &str, owner: Option<&str>, holder: &str, renewed: u8) -> Change<PartialObjectMeta<ConfigMap>> {
        let lease = json!({"holderIdentity": holder, "leaseDurationSeconds": 5, "acquireTime": null,
            "renewTime": format!("2026-11-25T15:14:{renewed:02}Z"), "leaderTransitions": 1});
        let mut annotations = json!({LEASE_ANNOTATION: lease.to_string()});
        if let Some(owner) = owner {
            annotations[OWNER_ANNOTATION] = json!(owner);
        }
        let metadata = json!({"name": "watermark-a", "uid": uid, "annotations": annotations});
        Change::Is(serde_json::from_value(json!({"metadata": metadata})).unwrap())
    }

    fn gone() -> Change<PartialObjectMeta<ConfigMap>> {
        Change::Gone(Gone { name: "watermark-a".to_owned(), of: None })
    }

    fn signer(name: &str) -> ObjectRef<Guarded> {
        ObjectRef::new(name).within("bakers")
    }

    /// The names of those that are concerned, with spaces between them.
    fn told(records: &Records, change: &Change<PartialObjectMeta<ConfigMap>>) -> String {
        let mut names: Vec<String> = records.concerned(change).into_iter().map(|signer| signer.name).collect();
        names.sort();
        names.join(" ")
    }

    /// Records of which baker-one and a second one want the same.
    fn records() -> Records {
        let records = Records::default();
        for name in ["baker-one", "second"] {
            records.want(&signer(name), BTreeSet::from(["watermark-a".to_owned()]));
        }
        records.want(&signer("third"), BTreeSet::from(["watermark-b".to_owned()]));
        records
    }

    #[test]
    fn another_holder_concerns_the_owner_and_a_renewal_nobody() {
        let records = records();
        told(&records, &record("1", Some(OWNER), "pod-a", 1));
        assert_eq!(told(&records, &record("1", Some(OWNER), "pod-a", 2)), "", "a renewal");
        assert_eq!(told(&records, &record("1", Some(OWNER), "", 3)), "baker-one", "let go");
        assert_eq!(told(&records, &record("1", Some(OWNER), "pod-b", 4)), "baker-one", "taken");
        assert_eq!(told(&records, &record("1", Some(OWNER), "pod-b", 5)), "", "a renewal");
    }

    #[test]
    fn a_record_that_is_free_or_gone_or_back_concerns_who_wants_it_and_nobody_else() {
        let records = records();
        assert_eq!(told(&records, &record("1", Some(OWNER), "", 1)), "second", "its owner made it");
        assert_eq!(told(&records, &record("1", None, "", 1)), "baker-one second", "let go");
        assert_eq!(told(&records, &record("1", Some(OWNER), "", 1)), "second", "claimed");
        assert_eq!(told(&records, &record("1", Some("bakers/second/b-uid"), "", 1)), "baker-one second", "taken away");
        assert_eq!(told(&records, &gone()), "baker-one second");
        assert_eq!(told(&records, &record("2", Some(OWNER), "", 1)), "baker-one second", "restored");
        assert_eq!(told(&records, &record("3", Some(OWNER), "", 1)), "baker-one second", "replaced in between");
        records.forget(&signer("second"));
        records.want(&signer("baker-one"), BTreeSet::new());
        assert_eq!(told(&records, &record("3", None, "", 1)), "", "nobody wants it any more");
        assert_eq!(told(&records, &record("3", Some(OWNER), "", 1)), "");
        assert_eq!(told(&records, &gone()), "baker-one", "it says that it is its owner");
    }

    #[test]
    fn a_lease_that_cannot_be_read_concerns_nobody() {
        let records = records();
        told(&records, &record("1", None, "pod-a", 1));
        let Change::Is(mut broken) = record("1", None, "pod-b", 2) else { unreachable!() };
        broken.annotations_mut().insert(LEASE_ANNOTATION.to_owned(), "nonsense".to_owned());
        assert_eq!(told(&records, &Change::Is(broken)), "");
    }
}
