//! Claims on watermark records: a record is created once, taken over when its owner does not exist any more, and released at the end.
//!
//! A record is created by POST, because its name is the claim and only one POST succeeds. It is changed by a PUT of the version that was
//! read, because the signer writes it as well; never by server-side apply. It is never created a second time: if a record that was seen
//! does not exist any more, the memory of what was signed is lost.

use super::refusal::ClaimRefusal;
use crate::api::{KeyStatus, TezosSigner};
use crate::identity::Identity;
use crate::names;
use crate::report::SignerError;
use crate::validate::{InitialWatermark, Start};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use std::collections::{BTreeMap, BTreeSet};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::position::FloorLevel;
use tezos_signer_core::record::{
    CHAIN_ANNOTATION, EXTERNAL_SIGNER_ANNOTATION, Lease, OWNER_ANNOTATION, Owner, PUBLIC_KEY_HASH_ANNOTATION,
    RECORDS_NAMESPACE, Record, suspend_by_spec,
};

/// How far ahead `spec.initialWatermark.notAfter` may be when the record is created. A level is stale after a day: the key may have signed
/// 14 400 levels more elsewhere.
const LONGEST_NOT_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// How often a change is tried while a signer writes the record too.
const ATTEMPTS: usize = 10;

/// A record that this TezosSigner owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRecord {
    /// What the status remembers of it.
    pub key: KeyStatus,
    /// Whether the record is suspended.
    pub suspended: bool,
    /// The record as it was read; `suspend` may have been changed since.
    pub record: Record,
    /// The lease as it was read.
    pub lease: Lease,
    /// Whether a signer outside the cluster may hold it.
    pub has_external_signer: bool,
}

/// A change of the `preferredHolder` of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferredHolder {
    /// The holder when this was decided.
    pub holder: String,
    /// The preferred holder; empty: none.
    pub to: String,
}

/// Why a record could not be claimed, read or written.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The record, or its absence, forbids it. A retry helps once somebody has changed that.
    #[error(transparent)]
    Refused(#[from] ClaimRefusal),
    /// The API server did not do it. A retry may help.
    #[error("cannot {0} the watermark record {1}: {said}", said = crate::api_message::api_message(.2))]
    Api(&'static str, String, #[source] kube::Error),
    /// The status that remembers the records could not be written. A retry may help.
    #[error(transparent)]
    NotRemembered(#[from] SignerError),
    /// The record was changed between each read and write. A retry may help.
    #[error("the watermark record {0} was changed by another writer at each attempt to write it; retrying")]
    Contended(String),
}

/// The records in the cluster, as one TezosSigner may use them.
#[derive(Clone)]
pub struct Claims {
    client: Client,
    records: Api<ConfigMap>,
    me: Identity,
}

/// Whether the record of a key exists.
pub enum RecordState {
    /// It exists, and may be claimed.
    Exists(ConfigMap),
    /// It does not exist yet. What it would be created as.
    Missing(Record),
}

impl Claims {
    /// The records as the TezosSigner `me` may use them.
    pub fn new(client: Client, me: Identity) -> Self {
        Self { records: Api::namespaced(client.clone(), RECORDS_NAMESPACE), client, me }
    }

    /// Reads the record of `key`, and refuses one that cannot be claimed. `remembered_key` is what the status remembers of it.
    pub async fn inspect(
        &self,
        key: &KeyConfig,
        initial: Option<&InitialWatermark>,
        remembered_key: Option<&KeyStatus>,
        now: Timestamp,
    ) -> Result<RecordState, ClaimError> {
        let name = key.record_name().to_string();
        let found = self.records.get_opt(&name).await.map_err(|e| ClaimError::Api("read", name.clone(), e))?;
        let Some(record) = found else {
            return Ok(RecordState::Missing(first_record(key, initial, remembered_key, now)?));
        };
        readable(&name, &record)?;
        self.check_owner(key, &record).await?;
        Ok(RecordState::Exists(record))
    }

    /// The state of a record that the watch has not seen, without a read. `None` if it may not be created: then a read has to tell why.
    pub fn unseen(key: &KeyConfig, initial: Option<&InitialWatermark>, now: Timestamp) -> Option<RecordState> {
        first_record(key, initial, None, now).ok().map(RecordState::Missing)
    }

    /// Claims the record of `key`, and creates it if it does not exist yet. `inspected` is what is known of it, and may be outdated.
    pub async fn claim(
        &self,
        key: &KeyConfig,
        initial: Option<&InitialWatermark>,
        remembered_key: Option<&KeyStatus>,
        mut inspected: Option<RecordState>,
        suspend: bool,
        now: Timestamp,
    ) -> Result<ClaimedRecord, ClaimError> {
        let name = key.record_name().to_string();
        for _ in 0..ATTEMPTS {
            let state = match inspected.take() {
                Some(state) => state,
                None => self.inspect(key, initial, remembered_key, now).await?,
            };
            let record = match state {
                RecordState::Exists(record) => record,
                RecordState::Missing(first) => match self.create(key, first).await? {
                    Some(record) => record,
                    None => continue,
                },
            };
            let read = readable(&name, &record)?;
            let mut wanted = record.clone();
            Owner::from(&self.me).write_to(annotations(&mut wanted));
            let suspended = set_suspend(&mut wanted, suspend, read.suspend);
            if wanted == record || self.replace(&name, &wanted).await? {
                return Ok(ClaimedRecord {
                    key: key_status(key, &record),
                    suspended,
                    record: read,
                    lease: lease_of(&record).unwrap_or_default(),
                    has_external_signer: annotations(&mut wanted).contains_key(EXTERNAL_SIGNER_ANNOTATION),
                });
            }
        }
        Err(ClaimError::Contended(name))
    }

    /// Reads the record that the status remembers as `remembered_key`, and refuses one that this TezosSigner does not own.
    pub async fn read(&self, remembered_key: &KeyStatus) -> Result<ClaimedRecord, ClaimError> {
        let name = &remembered_key.record;
        let found = self.records.get_opt(name).await.map_err(|e| ClaimError::Api("read", name.clone(), e))?;
        let Some(mut object) = found else {
            return Err(
                ClaimRefusal::Vanished { record: name.clone(), key: remembered_key.public_key_hash.clone() }.into()
            );
        };
        let record = readable(name, &object)?;
        if !is_owned_by(&self.me, &object) {
            let reason = format!("its annotation {OWNER_ANNOTATION} names another owner than this TezosSigner");
            return Err(ClaimRefusal::Unreadable { record: name.clone(), reason: reason.into() }.into());
        }
        Ok(ClaimedRecord {
            key: KeyStatus { record_uid: object.metadata.uid.clone().unwrap_or_default(), ..remembered_key.clone() },
            suspended: record.suspend,
            lease: lease_of(&object).unwrap_or_default(),
            has_external_signer: annotations(&mut object).contains_key(EXTERNAL_SIGNER_ANNOTATION),
            record,
        })
    }

    /// The names of all records that this TezosSigner owns.
    pub async fn all(&self) -> Result<BTreeSet<String>, ClaimError> {
        let found = self.records.list_metadata(&ListParams::default()).await;
        let found = found.map_err(|error| ClaimError::Api("list", "of this TezosSigner".to_owned(), error))?.items;
        let ours = found.into_iter().filter(|record| is_owned_by(&self.me, record));
        Ok(ours.map(|record| record.name_any()).collect())
    }

    /// Suspends a record that this TezosSigner owns. One that cannot be parsed is left alone: no signer uses it.
    pub async fn suspend(&self, name: &str) -> Result<(), ClaimError> {
        self.change(name, |record| {
            if let Ok(Record { suspend, .. }) = readable(name, record) {
                set_suspend(record, true, suspend);
            }
        })
        .await
    }

    /// Releases a record that this TezosSigner owns: any other may claim it then, with all its rows.
    pub async fn release(&self, name: &str) -> Result<(), ClaimError> {
        self.change(name, |record| {
            let annotations = annotations(record);
            annotations.remove(OWNER_ANNOTATION);
            if let Ok(lease) = Lease::from_annotations(annotations) {
                Lease { preferred_holder: String::new(), ..lease.let_go() }.write_to(annotations);
            }
        })
        .await
    }

    /// Sets the `preferredHolder` of a record that this TezosSigner owns, unless another pod has become the holder.
    pub async fn set_preferred_holder(&self, name: &str, preferred: &PreferredHolder) -> Result<(), ClaimError> {
        self.change(name, |record| {
            let lease = lease_of(record).filter(|lease| lease.holder_identity == preferred.holder);
            if let Some(lease) = lease.filter(|lease| lease.preferred_holder != preferred.to) {
                Lease { preferred_holder: preferred.to.clone(), ..lease }.write_to(annotations(record));
            }
        })
        .await
    }

    /// Changes a record, and reads it again while it changes in between. One that is missing, or has another owner, is left alone.
    async fn change(&self, name: &str, change: impl Fn(&mut ConfigMap)) -> Result<(), ClaimError> {
        for _ in 0..ATTEMPTS {
            let found = self.records.get_opt(name).await.map_err(|e| ClaimError::Api("read", name.to_owned(), e))?;
            let Some(record) = found.filter(|record| is_owned_by(&self.me, record)) else { return Ok(()) };
            let mut wanted = record.clone();
            change(&mut wanted);
            if wanted == record || self.replace(name, &wanted).await? {
                return Ok(());
            }
        }
        Err(ClaimError::Contended(name.to_owned()))
    }

    /// Creates the record. `None` if it exists by now.
    async fn create(&self, key: &KeyConfig, record: Record) -> Result<Option<ConfigMap>, ClaimError> {
        let name = key.record_name().to_string();
        let labels = BTreeMap::from([
            (names::MANAGED_BY_LABEL.to_owned(), names::OPERATOR.to_owned()),
            ("app.kubernetes.io/component".to_owned(), "watermark".to_owned()),
        ]);
        let mut annotations = BTreeMap::from([
            (PUBLIC_KEY_HASH_ANNOTATION.to_owned(), key.hash().to_string()),
            (CHAIN_ANNOTATION.to_owned(), key.policy.chain.to_string()),
        ]);
        Owner::from(&self.me).write_to(&mut annotations);
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            data: Some(record.to_data()),
            ..ConfigMap::default()
        };
        match self.records.create(&parameters(), &object).await {
            Ok(created) => Ok(Some(created)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            Err(error) => Err(ClaimError::Api("create", name, error)),
        }
    }

    /// Replaces the version that `record` was read at. False if that is not the current version any more.
    async fn replace(&self, name: &str, record: &ConfigMap) -> Result<bool, ClaimError> {
        match self.records.replace(name, &parameters(), record).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(false),
            Err(error) => Err(ClaimError::Api("change", name.to_owned(), error)),
        }
    }

    /// Refuses a record that another TezosSigner owns. An owner that does not exist any more does not count.
    async fn check_owner(&self, key: &KeyConfig, record: &ConfigMap) -> Result<(), ClaimError> {
        let owner = Owner::from_annotations(record.annotations()).map_err(|error| ClaimRefusal::Unreadable {
            record: key.record_name().to_string(),
            reason: Cause::of(error),
        })?;
        let Some(owner) = owner.filter(|owner| *owner != Owner::from(&self.me)) else { return Ok(()) };
        let signers = Api::<TezosSigner>::namespaced(self.client.clone(), &owner.namespace);
        let found = signers.get_metadata_opt(&owner.name).await;
        let (record, name) = (key.record_name().to_string(), format!("{}/{}", owner.namespace, owner.name));
        let (key, chain) = (key.hash().to_string(), key.policy.chain.to_string());
        match found {
            // The owner may exist where this operator may not read.
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                Err(ClaimRefusal::OutOfSight { key, chain, owner: name, record }.into())
            }
            Err(error) => Err(ClaimError::Api("find the owner of", record, error)),
            Ok(Some(found)) if found.metadata.uid.as_ref() == Some(&owner.uid) => {
                Err(ClaimRefusal::Taken { key, chain, owner: name }.into())
            }
            Ok(_) => Ok(()),
        }
    }
}

/// What a record that does not exist would be created as, or why it may not be created.
fn first_record(
    key: &KeyConfig,
    initial: Option<&InitialWatermark>,
    remembered_key: Option<&KeyStatus>,
    now: Timestamp,
) -> Result<Record, ClaimRefusal> {
    let (record, chain, key) = (key.record_name().to_string(), key.policy.chain.to_string(), key.hash().to_string());
    if remembered_key.is_some() {
        return Err(ClaimRefusal::Vanished { record, key });
    }
    match initial {
        None => Err(ClaimRefusal::NoInitialWatermark { key, chain }),
        Some(initial) if now > initial.not_after => {
            Err(ClaimRefusal::Expired { key, chain, not_after: initial.not_after })
        }
        Some(InitialWatermark { not_after, .. }) if not_after.duration_since(now) > LONGEST_NOT_AFTER => {
            Err(ClaimRefusal::GoodForTooLong { key, chain, not_after: *not_after })
        }
        Some(InitialWatermark { start: Start::Fresh, .. }) => Ok(Record::fresh()),
        Some(InitialWatermark { start: Start::Above(level), .. }) => match FloorLevel::try_from(*level) {
            Ok(level) => Ok(Record::starting_above(level.get())),
            Err(error) => Err(ClaimRefusal::LevelTooHigh { key, chain, error }),
        },
    }
}

/// The lease of the record. `None` if it cannot be parsed, which the signer reports.
fn lease_of(record: &ConfigMap) -> Option<Lease> {
    let none = BTreeMap::new();
    Lease::from_annotations(record.metadata.annotations.as_ref().unwrap_or(&none)).ok()
}

fn readable(name: &str, object: &ConfigMap) -> Result<Record, ClaimRefusal> {
    let empty = BTreeMap::new();
    Record::from_data(object.data.as_ref().unwrap_or(&empty))
        .map_err(|error| ClaimRefusal::Unreadable { record: name.to_owned(), reason: Cause::of(error) })
}

fn key_status(key: &KeyConfig, record: &ConfigMap) -> KeyStatus {
    KeyStatus {
        chain: key.policy.chain.to_string(),
        public_key_hash: key.hash().to_string(),
        record: key.record_name().to_string(),
        record_uid: record.metadata.uid.clone().unwrap_or_default(),
        ..KeyStatus::default()
    }
}

/// Sets `suspend` of the record as the spec says, and returns whether it is suspended then. A suspension by hand stays.
fn set_suspend(record: &mut ConfigMap, wanted: bool, suspended: bool) -> bool {
    let (data, metadata) = (record.data.get_or_insert_default(), &mut record.metadata);
    suspend_by_spec(data, metadata.annotations.get_or_insert_default(), wanted, suspended)
}

fn annotations(record: &mut ConfigMap) -> &mut BTreeMap<String, String> {
    record.metadata.annotations.get_or_insert_default()
}

fn is_owned_by(owner: &Identity, record: &impl kube::Resource) -> bool {
    Owner::from_annotations(record.annotations()) == Ok(Some(owner.into()))
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(names::OPERATOR.to_owned()), ..PostParams::default() }
}

#[cfg(test)]
mod tests;
