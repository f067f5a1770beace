//! Records in ConfigMaps. A write is a PUT of the object as it was read, with its uid and `resourceVersion`, so the API
//! server rejects it if anything has changed.

mod connection;

use super::{Basis, Hints, Snapshot, Store, StoreError};
use async_trait::async_trait;
use connection::{CALL_TIMEOUT, Call, Connection};
use futures::{StreamExt as _, future, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, WatchEvent, WatchParams};
use tezos_signer_core::record::{Lease, Record, RecordName};
use tokio::time::Instant;

/// The state that a write is conditional on. ConfigMaps accept a PUT without a `resourceVersion`, or with `""` or `"0"`, as
/// an unconditional one: an object with such a version is never held here.
#[derive(Debug, Clone)]
pub(super) struct ReadObject {
    object: ConfigMap,
    version: ResourceVersion,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ResourceVersion {
    uid: String,
    version: String,
}

impl ReadObject {
    fn new(object: ConfigMap) -> Result<Self, StoreError> {
        let uid = object.metadata.uid.clone().filter(|uid| !uid.is_empty());
        let version = object.metadata.resource_version.clone().filter(|version| !matches!(version.as_str(), "" | "0"));
        match (uid, version) {
            (Some(uid), Some(version)) => Ok(Self { object, version: ResourceVersion { uid, version } }),
            _ => {
                Err(StoreError::Unavailable("the API server returned an object without uid or resourceVersion".into()))
            }
        }
    }

    pub(super) fn is_same_state(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

/// The records of one namespace.
pub struct ConfigMapStore {
    connection: Connection,
}

impl ConfigMapStore {
    /// Uses the pod's service account, or outside a cluster the kubeconfig. Connects only when needed.
    pub async fn connect(namespace: &str) -> Result<Self, StoreError> {
        Ok(Self { connection: Connection::new(namespace).await? })
    }

    /// A record that is to be created.
    pub fn object(name: &RecordName, record: &Record) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta { name: Some(name.to_string()), ..Default::default() },
            data: Some(record.to_data()),
            ..Default::default()
        }
    }

    fn snapshot(name: &RecordName, object: ConfigMap) -> Result<Snapshot, StoreError> {
        let invalid = |source| StoreError::Invalid { name: name.clone(), source };
        let data = object.data.clone().unwrap_or_default();
        let annotations = object.metadata.annotations.as_ref();
        Ok(Snapshot {
            record: Record::from_data(&data).map_err(invalid)?,
            lease: annotations.map_or(Ok(Lease::default()), Lease::from_annotations).map_err(invalid)?,
            basis: Basis::ConfigMap(Box::new(ReadObject::new(object)?)),
        })
    }
}

#[async_trait]
impl Store for ConfigMapStore {
    async fn read(&self, name: &RecordName, deadline: Instant) -> Result<Snapshot, StoreError> {
        let object = self.connection.call(Call::Get(name), deadline).await?;
        Self::snapshot(name, object)
    }

    async fn replace(
        &self,
        name: &RecordName,
        basis: &Snapshot,
        record: &Record,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<Snapshot, StoreError> {
        let Basis::ConfigMap(read) = &basis.basis else {
            return Err(StoreError::Conflict(name.clone()));
        };
        let mut object = read.object.clone();
        object.data = Some(record.to_data());
        lease.write_to(object.metadata.annotations.get_or_insert_default());
        let written = self.connection.call(Call::Replace(name, &object), deadline).await?;
        Self::snapshot(name, written)
    }

    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError> {
        let object = Self::object(name, record);
        let deadline = Instant::now() + CALL_TIMEOUT;
        self.connection.call(Call::Create(name, &object), deadline).await.map(|_| ())
    }

    fn watch(&self, name: &RecordName, from: &Snapshot) -> Option<Hints> {
        let Basis::ConfigMap(read) = &from.basis else { return None };
        Some(hints(self.connection.config_maps(), name, read.version.version.clone()))
    }

    fn check_place(&self) -> Result<(), StoreError> {
        // The API server accepts only a write of the newest state of this uid, so the record cannot be replaced by another one.
        Ok(())
    }

    fn is_exclusive(&self) -> bool {
        false
    }
}

/// A watch of one object from the state that was read, which asks for no right to list.
fn hints(api: Api<ConfigMap>, name: &RecordName, version: String) -> Hints {
    let name = name.clone();
    let opened = async move {
        let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
        let watch = api.watch(&parameters, &version);
        match tokio::time::timeout(CALL_TIMEOUT, watch).await {
            Ok(Ok(events)) => return events.map(|event| event.ok().and_then(lease_of)).boxed(),
            Ok(Err(error)) => tracing::debug!(record = %name, %error, "the record cannot be watched"),
            Err(_) => tracing::debug!(record = %name, "the record cannot be watched: no answer in time"),
        }
        stream::empty().boxed()
    };
    // The stream ends at the first error.
    stream::once(opened).flatten().take_while(|hint| future::ready(hint.is_some())).filter_map(future::ready).boxed()
}

/// The apparent holder. `None` if the record was deleted or cannot be parsed, which is also a reason to read it.
fn lease_of(event: WatchEvent<ConfigMap>) -> Option<Lease> {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let annotations = object.metadata.annotations.unwrap_or_default();
            Some(Lease::from_annotations(&annotations).unwrap_or_default())
        }
        WatchEvent::Deleted(_) => Some(Lease::default()),
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INVARIANT R1: `""` and `"0"` overwrite a ConfigMap unconditionally, as no version at all does.
    #[test]
    fn an_object_without_a_real_version_cannot_be_a_basis() {
        let object = |version: Option<&str>| ConfigMap {
            metadata: ObjectMeta {
                uid: Some("a-uid".to_owned()),
                resource_version: version.map(str::to_owned),
                ..Default::default()
            },
            ..Default::default()
        };
        for version in [None, Some(""), Some("0")] {
            assert!(ReadObject::new(object(version)).is_err(), "{version:?}");
        }
        assert!(ReadObject::new(object(Some("1"))).is_ok());
        let without_uid = ConfigMap {
            metadata: ObjectMeta { resource_version: Some("1".to_owned()), ..Default::default() },
            ..Default::default()
        };
        assert!(ReadObject::new(without_uid).is_err());
    }
}
