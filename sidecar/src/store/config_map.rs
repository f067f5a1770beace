//! Records in ConfigMaps. A write is a PUT of the object as it was read, with its uid and `resourceVersion`, so that the
//! API server refuses it once anything has changed.

use super::{Basis, Snapshot, Store, StoreError};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, Config};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::record::{Lease, Record, RecordName};

/// The longest that one call may take. A call that hangs must leave time, within the deadline of a request, to find out on
/// a new connection what became of it.
const CALL_TIMEOUT: Duration = Duration::from_millis(700);

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
            _ => Err(StoreError::Unavailable(
                "the API server returned an object without uid or resourceVersion".to_owned(),
            )),
        }
    }

    pub(super) fn is_same_state(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

/// The records of one namespace.
pub struct ConfigMapStore {
    config: Config,
    namespace: String,
    client: Mutex<Client>,
}

impl ConfigMapStore {
    /// Uses the pod's service account, or outside a cluster the kubeconfig. Connects only when needed.
    pub async fn connect(namespace: &str) -> Result<Self, StoreError> {
        let mut config = Config::infer().await.map_err(|error| {
            StoreError::Unavailable(format!(
                "there is neither a service account nor a kubeconfig to reach the cluster with ({error})"
            ))
        })?;
        // A write that is repeated behind our back may land after we decided anew.
        config.default_retry = false;
        config.connect_timeout = Some(CALL_TIMEOUT);
        config.read_timeout = None;
        let client = Mutex::new(new_client(&config)?);
        Ok(Self { config, namespace: namespace.to_owned(), client })
    }

    fn api(&self) -> Api<ConfigMap> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Api::namespaced(client, &self.namespace)
    }

    /// Runs one call within its time. After a failure or timeout its connection is not used again: a dead one would cost
    /// every further call its whole timeout.
    async fn call<T>(
        &self,
        name: &RecordName,
        deadline: Instant,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, StoreError> {
        let until = deadline.min(Instant::now() + CALL_TIMEOUT);
        let reason = match tokio::time::timeout_at(until.into(), call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(kube::Error::Api(status))) => match status.code {
                403 => return Err(StoreError::Forbidden(status.message)),
                404 => return Err(StoreError::Missing(name.clone())),
                409 if status.reason == "AlreadyExists" => return Err(StoreError::Exists(name.clone())),
                409 => return Err(StoreError::Conflict(name.clone())),
                400..=499 => {
                    return Err(StoreError::Unavailable(format!(
                        "the API server says {}: {}",
                        status.code, status.message
                    )));
                }
                code => format!("the API server says {code}: {}", status.message),
            },
            Ok(Err(error)) => format!("the API server cannot be reached ({})", root_cause(&error)),
            Err(_) => "the API server has not answered in time".to_owned(),
        };
        match new_client(&self.config) {
            Ok(client) => *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client,
            Err(error) => tracing::warn!(%error, "no new connection to the API server"),
        }
        Err(StoreError::Unavailable(reason))
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

fn new_client(config: &Config) -> Result<Client, StoreError> {
    Client::try_from(config.clone())
        .map_err(|error| StoreError::Unavailable(format!("no client for the API server: {error}")))
}

/// The innermost error: "connection refused", not the layers around it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[async_trait]
impl Store for ConfigMapStore {
    async fn read(&self, name: &RecordName, deadline: Instant) -> Result<Snapshot, StoreError> {
        // Without resourceVersion, so a quorum read.
        let object = self.call(name, deadline, self.api().get(name.as_str())).await?;
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
        let api = self.api();
        let parameters = PostParams::default();
        let written = self.call(name, deadline, api.replace(name.as_str(), &parameters, &object)).await?;
        Self::snapshot(name, written)
    }

    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError> {
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_string()),
                annotations: Some(BTreeMap::new()),
                ..Default::default()
            },
            data: Some(record.to_data()),
            ..Default::default()
        };
        let (api, parameters) = (self.api(), PostParams::default());
        let deadline = Instant::now() + CALL_TIMEOUT;
        self.call(name, deadline, api.create(&parameters, &object)).await.map(|_| ())
    }

    fn is_exclusive(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ◆ `""` and `"0"` overwrite a ConfigMap unconditionally, as no version at all does.
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
