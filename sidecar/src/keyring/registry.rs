//! The record of each configured key. A record stays in memory for the life of the process, even if its key is removed from
//! the configuration, so that the highest state seen of it is not forgotten.

use crate::keyring::Key;
use crate::records::session::{LeaseTerms, RecordSession};
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use tezos_signer_core::audit::evidence::EvidenceIndex;
use tezos_signer_core::config::{KeyConfig, SignerConfig};
use tezos_signer_core::record::RecordName;

/// All records that this process has used.
pub(crate) struct Records {
    store: Arc<dyn Store>,
    terms: Option<LeaseTerms>,
    /// What former processes have signed.
    witness: EvidenceIndex,
    known: BTreeMap<RecordName, Arc<RecordSession>>,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>, terms: Option<LeaseTerms>, witness: EvidenceIndex) -> Self {
        Self { store, terms, witness, known: BTreeMap::new() }
    }

    /// INVARIANT R10: The same for each key that has this record, now and later: two would take turns without knowing of each other.
    pub(crate) fn session(&mut self, name: &RecordName) -> Arc<RecordSession> {
        let known = self.known.entry(name.clone()).or_insert_with(|| {
            let session = RecordSession::new(name.clone(), self.store.clone(), self.terms.clone());
            Arc::new(session.reminded_of(self.witness.of(name)))
        });
        known.clone()
    }

    /// The keys of `config`, each with its record.
    pub(crate) fn keys_of(&mut self, config: &SignerConfig) -> Vec<Key> {
        let mut key = |key: &KeyConfig| {
            let authorized_keys = config.authorized_keys_of(key).clone();
            Key::new(key.clone(), self.session(&key.record_name()), authorized_keys)
        };
        config.keys.iter().map(&mut key).collect()
    }
}
