//! Which changes of watermark records are worth a reconcile, and of which TezosSigners. A new holder, which the status names, and a
//! `suspend` or `ceiling` that comes or goes concern the owner. A new owner, a deletion and a return concern whoever uses the record or
//! waits for it. Every other change is a signature or a renewal, and they come by the hundred.

use super::events::WatchEvent;
use crate::api::SignerRef;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tezos_signer_core::record::{CEILING_ROW, Lease, OWNER_ANNOTATION, Owner, SUSPEND_ROW};

/// The records as their watch last saw them, and which TezosSigners use or want them. All scopes share one index.
#[derive(Debug, Default)]
pub(crate) struct RecordIndex(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether the watch has listed all records.
    is_listed: bool,
    known: HashMap<String, Known>,
    /// Records that were known and are deleted.
    deleted: HashSet<String>,
    /// The TezosSigners that use a record or want it.
    interested: HashMap<String, HashSet<SignerRef>>,
    /// The records that a TezosSigner uses or wants.
    wanted: HashMap<SignerRef, BTreeSet<String>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Known {
    uid: String,
    owner: Option<String>,
    holder: String,
    /// Whether the record has the rows `ceiling` and `suspend`.
    limits: [bool; 2],
}

/// Whether the record has the rows `ceiling` and `suspend`. The watch leaves the rows out, but its managed fields name them.
fn limits(record: &PartialObjectMeta<ConfigMap>) -> [bool; 2] {
    let managers = record.metadata.managed_fields.as_deref().unwrap_or_default();
    let fields = managers.iter().filter_map(|manager| manager.fields_v1.as_ref());
    [CEILING_ROW, SUSPEND_ROW]
        .map(|row| fields.clone().any(|fields| fields.0["f:data"][format!("f:{row}")].is_object()))
}

impl Known {
    fn of(record: &PartialObjectMeta<ConfigMap>) -> Self {
        Self {
            uid: record.uid().unwrap_or_default(),
            owner: record.annotations().get(OWNER_ANNOTATION).cloned(),
            // The claim stage reports a lease that cannot be read.
            holder: Lease::from_annotations(record.annotations()).unwrap_or_default().holder_identity,
            limits: limits(record),
        }
    }

    fn owner(&self) -> Option<SignerRef> {
        let Owner { namespace, name, .. } = self.owner.as_ref()?.parse().ok()?;
        Some(ObjectRef::new(&name).within(&namespace))
    }
}

impl RecordIndex {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that `signer` uses or wants these records and no others. Call it before the records are read, so that no change is missed.
    pub(crate) fn set_wanted(&self, signer: &SignerRef, records: BTreeSet<String>) {
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

    /// Whether the watch has listed all records, and seen none of this name. There may be one that it has not reported yet.
    pub(crate) fn has_not_seen(&self, record: &str) -> bool {
        let inner = self.inner();
        inner.is_listed && !inner.known.contains_key(record)
    }

    /// Drops the interest of a TezosSigner that does not exist any more.
    pub(crate) fn forget(&self, signer: &SignerRef) {
        self.inner().forget(signer);
    }

    /// Takes in an event. Returns the TezosSigners that it concerns.
    pub(crate) fn affected(&self, event: &WatchEvent<PartialObjectMeta<ConfigMap>>) -> HashSet<SignerRef> {
        let mut inner = self.inner();
        match event {
            WatchEvent::Listed => {
                inner.is_listed = true;
                HashSet::new()
            }
            WatchEvent::Applied(record) => inner.applied(&record.name_any(), Known::of(record)),
            WatchEvent::Deleted(record) => {
                let before = inner.known.remove(&record.name);
                inner.deleted.insert(record.name.clone());
                let mut affected = inner.interested(&record.name);
                affected.extend(before.and_then(|before| before.owner()));
                affected
            }
        }
    }
}

impl Inner {
    fn forget(&mut self, signer: &SignerRef) {
        for record in self.wanted.remove(signer).unwrap_or_default() {
            if let Some(interested) = self.interested.get_mut(&record) {
                interested.remove(signer);
                if interested.is_empty() {
                    self.interested.remove(&record);
                }
            }
        }
    }

    fn interested(&self, record: &str) -> HashSet<SignerRef> {
        self.interested.get(record).cloned().unwrap_or_default()
    }

    fn applied(&mut self, name: &str, now: Known) -> HashSet<SignerRef> {
        let owner = now.owner();
        let was_deleted = self.deleted.remove(name);
        let Some(before) = self.known.insert(name.to_owned(), now) else {
            // The owner of a new record has just created it, and knows. It does not know that a deleted one is back.
            let mut affected = self.interested(name);
            if let Some(owner) = owner.filter(|_| !was_deleted) {
                affected.remove(&owner);
            }
            return affected;
        };
        let now = &self.known[name];
        let mut affected = HashSet::new();
        if before.uid != now.uid || before.owner != now.owner {
            affected = self.interested(name);
            if before.owner.is_none() && before.uid == now.uid {
                // The owner has just claimed it, and knows.
                owner.as_ref().map(|owner| affected.remove(owner));
            }
        }
        if before.holder != now.holder || before.limits != now.limits {
            affected.extend(owner);
        }
        affected
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::DeletedObject;
    use super::*;
    use serde_json::json;
    use tezos_signer_core::record::LEASE_ANNOTATION;

    const OWNER: &str = "bakers/baker-one/a-uid";

    fn record(uid: &str, owner: Option<&str>, holder: &str, renewed: u8) -> WatchEvent<PartialObjectMeta<ConfigMap>> {
        let lease = json!({"holderIdentity": holder, "leaseDurationSeconds": 5, "acquireTime": null,
            "renewTime": format!("2026-11-25T15:14:{renewed:02}Z"), "leaderTransitions": 1});
        let mut annotations = json!({LEASE_ANNOTATION: lease.to_string()});
        if let Some(owner) = owner {
            annotations[OWNER_ANNOTATION] = json!(owner);
        }
        let metadata = json!({"name": "watermark-a", "uid": uid, "annotations": annotations});
        WatchEvent::Applied(serde_json::from_value(json!({"metadata": metadata})).unwrap())
    }

    fn gone() -> WatchEvent<PartialObjectMeta<ConfigMap>> {
        WatchEvent::Deleted(DeletedObject { name: "watermark-a".to_owned(), signer: None })
    }

    fn signer(name: &str) -> SignerRef {
        ObjectRef::new(name).within("bakers")
    }

    /// The names of those that are concerned, with spaces between them.
    fn affected(records: &RecordIndex, change: &WatchEvent<PartialObjectMeta<ConfigMap>>) -> String {
        let mut names: Vec<String> = records.affected(change).into_iter().map(|signer| signer.name).collect();
        names.sort();
        names.join(" ")
    }

    /// Records of which baker-one and a second one want the same.
    fn records() -> RecordIndex {
        let records = RecordIndex::default();
        for name in ["baker-one", "second"] {
            records.set_wanted(&signer(name), BTreeSet::from(["watermark-a".to_owned()]));
        }
        records.set_wanted(&signer("third"), BTreeSet::from(["watermark-b".to_owned()]));
        records
    }

    #[test]
    fn another_holder_concerns_the_owner_and_a_renewal_nobody() {
        let records = records();
        affected(&records, &record("1", Some(OWNER), "pod-a", 1));
        assert_eq!(affected(&records, &record("1", Some(OWNER), "pod-a", 2)), "", "a renewal");
        assert_eq!(affected(&records, &record("1", Some(OWNER), "", 3)), "baker-one", "let go");
        assert_eq!(affected(&records, &record("1", Some(OWNER), "pod-b", 4)), "baker-one", "taken");
        assert_eq!(affected(&records, &record("1", Some(OWNER), "pod-b", 5)), "", "a renewal");
    }

    #[test]
    fn a_limit_that_somebody_sets_or_takes_away_concerns_the_owner() {
        let limited = |rows: &[&str]| {
            let WatchEvent::Applied(mut record) = record("1", Some(OWNER), "pod-a", 1) else { unreachable!() };
            let fields: serde_json::Map<_, _> = rows.iter().map(|row| (format!("f:{row}"), json!({}))).collect();
            let managed =
                json!([{"manager": "signer", "fieldsV1": {"f:metadata": {}}}, {"fieldsV1": {"f:data": fields}}]);
            record.metadata.managed_fields = serde_json::from_value(managed).unwrap();
            WatchEvent::Applied(record)
        };
        let records = records();
        affected(&records, &limited(&["block"]));
        assert_eq!(affected(&records, &limited(&["block", "attestation"])), "", "a signature");
        assert_eq!(affected(&records, &limited(&["block", "ceiling"])), "baker-one");
        assert_eq!(affected(&records, &limited(&["block", "ceiling"])), "", "a signature");
        assert_eq!(affected(&records, &limited(&["block", "ceiling", "suspend"])), "baker-one");
        assert_eq!(affected(&records, &limited(&["block"])), "baker-one");
    }

    #[test]
    fn a_record_that_is_free_or_gone_or_back_concerns_who_wants_it_and_nobody_else() {
        let records = records();
        assert_eq!(affected(&records, &record("1", Some(OWNER), "", 1)), "second", "its owner made it");
        assert_eq!(affected(&records, &record("1", None, "", 1)), "baker-one second", "let go");
        assert_eq!(affected(&records, &record("1", Some(OWNER), "", 1)), "second", "claimed");
        assert_eq!(
            affected(&records, &record("1", Some("bakers/second/b-uid"), "", 1)),
            "baker-one second",
            "taken away"
        );
        assert_eq!(affected(&records, &gone()), "baker-one second");
        assert_eq!(affected(&records, &record("2", Some(OWNER), "", 1)), "baker-one second", "restored");
        assert_eq!(affected(&records, &record("3", Some(OWNER), "", 1)), "baker-one second", "replaced in between");
        records.forget(&signer("second"));
        records.set_wanted(&signer("baker-one"), BTreeSet::new());
        assert_eq!(affected(&records, &record("3", None, "", 1)), "", "nobody wants it any more");
        assert_eq!(affected(&records, &record("3", Some(OWNER), "", 1)), "");
        assert_eq!(affected(&records, &gone()), "baker-one", "it says that it is its owner");
    }

    #[test]
    fn a_record_counts_as_not_seen_only_once_all_are_listed() {
        let records = records();
        assert!(!records.has_not_seen("watermark-a"), "the list may yet name it");
        affected(&records, &record("1", Some(OWNER), "", 1));
        records.affected(&WatchEvent::Listed);
        assert!(!records.has_not_seen("watermark-a") && records.has_not_seen("watermark-b"));
        affected(&records, &gone());
        assert!(records.has_not_seen("watermark-a"));
    }

    #[test]
    fn a_lease_that_cannot_be_read_concerns_nobody() {
        let records = records();
        affected(&records, &record("1", None, "pod-a", 1));
        let WatchEvent::Applied(mut broken) = record("1", None, "pod-b", 2) else { unreachable!() };
        broken.annotations_mut().insert(LEASE_ANNOTATION.to_owned(), "nonsense".to_owned());
        assert_eq!(affected(&records, &WatchEvent::Applied(broken)), "");
    }
}
