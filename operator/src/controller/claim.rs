//! The claims on watermark records: made once, taken over when their owner is gone, let go at the end.
//!
//! A record is created by POST, because its name is the claim and only one POST succeeds, and changed by a PUT of what was
//! read, because the signer writes it as well; never by server-side apply. It is never created a second time: a record that
//! was seen and is gone means that somebody lost the memory of what was signed.

use crate::api::{KeyStatus, TezosSigner};
use crate::controller::build::names;
use crate::controller::validate::{Identity, InitialWatermark};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use std::collections::{BTreeMap, BTreeSet};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::record::{Lease, OWNER_ANNOTATION, RECORDS_NAMESPACE, Record};

/// Marks a record that was suspended by `spec.suspend`, and not by hand: only that is taken back with it.
const SUSPENDED_BY_SPEC_ANNOTATION: &str = "signer.tezos.io/suspended-by-spec";

/// Says who may sign with a record that is no pod: docs/record.md.
const EXTERNAL_SIGNER_ANNOTATION: &str = "signer.tezos.io/external-signer";

/// How often a change is tried against a signer that writes the record at the same time.
const ATTEMPTS: usize = 10;

/// A record that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// What is remembered of it in the status.
    pub key: KeyStatus,
    /// Whether the record says that nothing may be signed.
    pub suspended: bool,
    /// What the record said when it was read for this, but for `suspend`.
    pub record: Record,
    /// Who serves it, and who should.
    pub lease: Lease,
    /// Whether a signer that is no pod may hold it.
    pub has_external_signer: bool,
}

/// Who should hold a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferred {
    /// Who holds it, as this was decided.
    pub holder: String,
    /// Who should; empty: whoever takes it.
    pub to: String,
}

/// Why a record is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another TezosSigner has it.
    #[error(
        "{key} on {chain} belongs to TezosSigner {owner}, and a key is used by one TezosSigner at a time: delete that one, or \
         use another key here"
    )]
    Taken {
        /// The address of the key.
        key: String,
        /// The chain.
        chain: String,
        /// `namespace/name` of the other.
        owner: String,
    },
    /// Another TezosSigner has it, or had: this operator may not look into its namespace.
    #[error(
        "{key} on {chain} belongs to TezosSigner {owner}, in a namespace that this operator may not read, so that it counts as \
         used: delete that one, or use another key here. If it is gone, the operator that watched it did not let go of the \
         record {record}: take its annotation signer.tezos.io/owner away as docs/record.md, break-glass, says"
    )]
    OutOfSight {
        /// The address of the key.
        key: String,
        /// The chain.
        chain: String,
        /// `namespace/name` of the other.
        owner: String,
        /// The record.
        record: String,
    },
    /// There is none, and nobody said where to start.
    #[error(
        "there is no watermark record for {key} on {chain}, and a missing one never means a fresh start: set \
         spec.initialWatermark, with the last level that this key has signed anywhere, or fresh: true if it never has"
    )]
    NoInitialWatermark {
        /// The address of the key.
        key: String,
        /// The chain.
        chain: String,
    },
    /// There is none, and it is too late to make it.
    #[error(
        "there is no watermark record for {key} on {chain}, and spec.initialWatermark was good until {not_after} only: find \
         the last level that this key has signed anywhere, set level to it, and notAfter to a time shortly from now"
    )]
    Expired {
        /// The address of the key.
        key: String,
        /// The chain.
        chain: String,
        /// Until when it was good.
        not_after: Timestamp,
    },
    /// There was one.
    #[error(
        "the watermark record {record} of {key} is gone, and with it the memory of what was signed; nothing is signed, and it \
         is not made anew: find out who deleted it, then restore it with rows at least at the last level that was signed"
    )]
    Vanished {
        /// The record.
        record: String,
        /// The address of the key.
        key: String,
    },
    /// It cannot be understood.
    #[error("the watermark record {record} cannot be used: {reason}")]
    Unreadable {
        /// The record.
        record: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Refusal {
    /// One word for it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Taken { .. } | Self::OutOfSight { .. } => "ClaimedByAnother",
            Self::NoInitialWatermark { .. } => "NoInitialWatermark",
            Self::Expired { .. } => "InitialWatermarkExpired",
            Self::Vanished { .. } => "RecordVanished",
            Self::Unreadable { .. } => "RecordUnreadable",
        }
    }
}

/// Why there is no claim now.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Because of what the record says, or that there is none.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Because the API server did not do it.
    #[error("cannot {0} the watermark record {1}: {said}", said = super::said(.2))]
    Api(&'static str, String, #[source] kube::Error),
    /// Because the record changed each time.
    #[error("the watermark record {0} was changed by somebody else each time it was written; trying again")]
    Contended(String),
}

/// The records of a cluster, as one TezosSigner sees them.
#[derive(Clone)]
pub struct Claims {
    client: Client,
    records: Api<ConfigMap>,
    me: Identity,
}

/// What there is of a key's record.
pub enum Look {
    /// It, as it is.
    There(ConfigMap),
    /// Nothing yet; so it would be made.
    First(Record),
}

impl Claims {
    /// For the TezosSigner `me`.
    pub fn new(client: Client, me: Identity) -> Self {
        Self { records: Api::namespaced(client.clone(), RECORDS_NAMESPACE), client, me }
    }

    /// The record of `key`, or why it cannot be ours. `seen` is what the status remembers of it. Writes nothing.
    pub async fn look(
        &self,
        key: &KeyConfig,
        initial: Option<&InitialWatermark>,
        seen: Option<&KeyStatus>,
        now: Timestamp,
    ) -> Result<Look, ClaimError> {
        let name = key.record_name().to_string();
        let found = self.records.get_opt(&name).await.map_err(|e| ClaimError::Api("read", name.clone(), e))?;
        let Some(record) = found else { return Ok(Look::First(first_record(key, initial, seen, now)?)) };
        readable(&name, &record)?;
        self.check_owner(key, &record).await?;
        Ok(Look::There(record))
    }

    /// Makes the record of `key` ours, or finds out why it cannot be.
    pub async fn claim(
        &self,
        key: &KeyConfig,
        initial: Option<&InitialWatermark>,
        seen: Option<&KeyStatus>,
        suspend: bool,
        now: Timestamp,
    ) -> Result<Claimed, ClaimError> {
        let name = key.record_name().to_string();
        for _ in 0..ATTEMPTS {
            let record = match self.look(key, initial, seen, now).await? {
                Look::There(record) => record,
                Look::First(first) => match self.create(key, first).await? {
                    Some(record) => record,
                    None => continue,
                },
            };
            let read = readable(&name, &record)?;
            let mut wanted = record.clone();
            annotations(&mut wanted).insert(OWNER_ANNOTATION.to_owned(), owner_text(&self.me));
            let suspended = set_suspend(&mut wanted, suspend, read.suspend);
            if wanted == record || self.replace(&name, &wanted).await? {
                return Ok(Claimed {
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

    /// The names of all records that say that they are ours.
    pub async fn all(&self) -> Result<BTreeSet<String>, ClaimError> {
        let found = self.records.list_metadata(&ListParams::default()).await;
        let found = found.map_err(|error| ClaimError::Api("list", "of this TezosSigner".to_owned(), error))?.items;
        let ours = found.into_iter().filter(|record| is_owned_by(&self.me, record));
        Ok(ours.map(|record| record.name_any()).collect())
    }

    /// Writes into a record that is ours that nothing may be signed. One that cannot be read is left alone: nobody signs by it.
    pub async fn suspend(&self, name: &str) -> Result<(), ClaimError> {
        self.change(name, |record| {
            if let Ok(Record { suspend, .. }) = readable(name, record) {
                set_suspend(record, true, suspend);
            }
        })
        .await
    }

    /// Lets go of a record that is ours: anybody may claim it then, with everything that it remembers.
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

    /// Writes who should hold a record that is ours, unless its holder is another by now.
    pub async fn prefer(&self, name: &str, preferred: &Preferred) -> Result<(), ClaimError> {
        self.change(name, |record| {
            let lease = lease_of(record).filter(|lease| lease.holder_identity == preferred.holder);
            if let Some(lease) = lease.filter(|lease| lease.preferred_holder != preferred.to) {
                Lease { preferred_holder: preferred.to.clone(), ..lease }.write_to(annotations(record));
            }
        })
        .await
    }

    /// Changes a record that is ours, until nobody has written it in between. One that is gone, or another's, is left alone.
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

    /// Creates the record; nothing if somebody else has just done so.
    async fn create(&self, key: &KeyConfig, record: Record) -> Result<Option<ConfigMap>, ClaimError> {
        let name = key.record_name().to_string();
        let labels = BTreeMap::from([
            (names::MANAGED_BY_LABEL.to_owned(), names::OPERATOR.to_owned()),
            ("app.kubernetes.io/component".to_owned(), "watermark".to_owned()),
        ]);
        let annotations = BTreeMap::from([
            (OWNER_ANNOTATION.to_owned(), owner_text(&self.me)),
            ("signer.tezos.io/public-key-hash".to_owned(), key.hash().to_string()),
            ("signer.tezos.io/chain".to_owned(), key.policy.chain.to_string()),
        ]);
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

    /// Writes `record` over the state that it was made from; false if that is not the current one any more.
    async fn replace(&self, name: &str, record: &ConfigMap) -> Result<bool, ClaimError> {
        match self.records.replace(name, &parameters(), record).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(false),
            Err(error) => Err(ClaimError::Api("change", name.to_owned(), error)),
        }
    }

    /// Whether the record is ours or nobody's. An owner that does not exist any more is nobody.
    async fn check_owner(&self, key: &KeyConfig, record: &ConfigMap) -> Result<(), ClaimError> {
        let Some(text) = record.metadata.annotations.as_ref().and_then(|a| a.get(OWNER_ANNOTATION)) else {
            return Ok(());
        };
        let Some(owner) = parse_owner(text) else {
            let reason = format!("its annotation {OWNER_ANNOTATION} is {text:?}, expected <namespace>/<name>/<uid>");
            return Err(Refusal::Unreadable { record: key.record_name().to_string(), reason }.into());
        };
        if owner == self.me {
            return Ok(());
        }
        let signers = Api::<TezosSigner>::namespaced(self.client.clone(), &owner.namespace);
        let found = signers.get_metadata_opt(&owner.name).await;
        let (record, name) = (key.record_name().to_string(), format!("{}/{}", owner.namespace, owner.name));
        let (key, chain) = (key.hash().to_string(), key.policy.chain.to_string());
        match found {
            // Not seeing it is not seeing that it is gone.
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                Err(Refusal::OutOfSight { key, chain, owner: name, record }.into())
            }
            Err(error) => Err(ClaimError::Api("look for the owner of", record, error)),
            Ok(Some(found)) if found.metadata.uid.as_ref() == Some(&owner.uid) => {
                Err(Refusal::Taken { key, chain, owner: name }.into())
            }
            Ok(_) => Ok(()),
        }
    }
}

/// What a record starts with that does not exist, or why it may not be made.
fn first_record(
    key: &KeyConfig,
    initial: Option<&InitialWatermark>,
    seen: Option<&KeyStatus>,
    now: Timestamp,
) -> Result<Record, Refusal> {
    let (record, chain, key) = (key.record_name().to_string(), key.policy.chain.to_string(), key.hash().to_string());
    if seen.is_some() {
        return Err(Refusal::Vanished { record, key });
    }
    match initial {
        None => Err(Refusal::NoInitialWatermark { key, chain }),
        Some(initial) if now > initial.not_after => Err(Refusal::Expired { key, chain, not_after: initial.not_after }),
        Some(initial) => Ok(initial.record.clone()),
    }
}

/// The lease beside the record; nothing if it cannot be read, which the signer says.
fn lease_of(record: &ConfigMap) -> Option<Lease> {
    let none = BTreeMap::new();
    Lease::from_annotations(record.metadata.annotations.as_ref().unwrap_or(&none)).ok()
}

fn readable(name: &str, object: &ConfigMap) -> Result<Record, Refusal> {
    let empty = BTreeMap::new();
    Record::from_data(object.data.as_ref().unwrap_or(&empty))
        .map_err(|error| Refusal::Unreadable { record: name.to_owned(), reason: error.to_string() })
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

/// Brings `suspend` of the record to what the spec says; returns what it says then. What somebody suspended by hand stays.
fn set_suspend(record: &mut ConfigMap, wanted: bool, suspended: bool) -> bool {
    let by_spec = annotations(record).contains_key(SUSPENDED_BY_SPEC_ANNOTATION);
    let data = record.data.get_or_insert_default();
    if wanted && !suspended {
        data.insert("suspend".to_owned(), "true".to_owned());
        annotations(record).insert(SUSPENDED_BY_SPEC_ANNOTATION.to_owned(), "true".to_owned());
    } else if !wanted && by_spec {
        data.remove("suspend");
        annotations(record).remove(SUSPENDED_BY_SPEC_ANNOTATION);
    }
    wanted || (suspended && !by_spec)
}

fn annotations(record: &mut ConfigMap) -> &mut BTreeMap<String, String> {
    record.metadata.annotations.get_or_insert_default()
}

fn is_owned_by(owner: &Identity, record: &impl kube::Resource) -> bool {
    record.annotations().get(OWNER_ANNOTATION) == Some(&owner_text(owner))
}

fn owner_text(owner: &Identity) -> String {
    format!("{}/{}/{}", owner.namespace, owner.name, owner.uid)
}

fn parse_owner(text: &str) -> Option<Identity> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        [namespace, name, uid] if parts.iter().all(|part| !part.is_empty()) => {
            Some(Identity { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() })
        }
        _ => None,
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(names::OPERATOR.to_owned()), ..PostParams::default() }
}

#[cfg(test)]
mod tests;
