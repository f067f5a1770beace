//! Notices that a record has another holder: its TezosSigner's status names the holder, and whoever looks there during a failover
//! must not read yesterday's. All else that happens to a record is a signature or a renewal, and no reason for a look.

use super::Guarded;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tezos_signer_core::record::{Lease, OWNER_ANNOTATION};

/// The holders as they were last seen, by record.
#[derive(Debug, Default)]
pub(super) struct Holders(Mutex<HashMap<String, String>>);

impl Holders {
    /// The TezosSigner whose record this is, if the record has another holder than before. Not when it is seen for the first
    /// time: then the TezosSigner is looked at anyway.
    pub(super) fn changed(&self, record: &PartialObjectMeta<ConfigMap>) -> Option<ObjectRef<Guarded>> {
        // One that cannot be read is told of where the record is claimed.
        let holder = Lease::from_annotations(record.annotations()).ok()?.holder_identity;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.insert(record.name_any(), holder.clone())?;
        if before == holder {
            return None;
        }
        let mut owner = record.annotations().get(OWNER_ANNOTATION)?.split('/');
        let (namespace, name) = (owner.next()?, owner.next()?);
        Some(ObjectRef::new(name).within(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tezos_signer_core::record::LEASE_ANNOTATION;

    fn record(holder: &str, renewed: &str) -> PartialObjectMeta<ConfigMap> {
        let lease = json!({"holderIdentity": holder, "leaseDurationSeconds": 5, "acquireTime": null, "renewTime": renewed,
            "leaderTransitions": 1});
        let annotations = json!({LEASE_ANNOTATION: lease.to_string(), OWNER_ANNOTATION: "bakers/baker-one/a-uid"});
        serde_json::from_value(json!({"metadata": {"name": "watermark-a", "annotations": annotations}})).unwrap()
    }

    #[test]
    fn only_another_holder_is_a_change() {
        let holders = Holders::default();
        let of = |holder, renewed| holders.changed(&record(holder, renewed)).map(|signer| signer.to_string());
        let told = Some(ObjectRef::<Guarded>::new("baker-one").within("bakers").to_string());
        assert_eq!(of("pod-a", "2026-11-25T15:14:01Z"), None, "the first time");
        assert_eq!(of("pod-a", "2026-11-25T15:14:02Z"), None, "a renewal");
        assert_eq!(of("", "2026-11-25T15:14:03Z"), told, "let go");
        assert_eq!(of("pod-b", "2026-11-25T15:14:04Z"), told, "taken");
        assert_eq!(of("pod-b", "2026-11-25T15:14:05Z"), None, "a renewal");
    }

    #[test]
    fn a_record_that_is_nobodys_or_cannot_be_read_concerns_nobody() {
        let holders = Holders::default();
        let mut free = record("pod-a", "2026-11-25T15:14:01Z");
        free.annotations_mut().remove(OWNER_ANNOTATION);
        assert!(holders.changed(&free).is_none());
        let mut free = record("pod-b", "2026-11-25T15:14:02Z");
        free.annotations_mut().remove(OWNER_ANNOTATION);
        assert!(holders.changed(&free).is_none());
        free.annotations_mut().insert(LEASE_ANNOTATION.to_owned(), "nonsense".to_owned());
        assert!(holders.changed(&free).is_none());
    }
}
