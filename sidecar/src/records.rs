//! Which record belongs to which configured key. A record is kept for the life of the process once a key had it: what was seen of it
//! must not be forgotten because its key was taken out of the configuration for a while.

use crate::custody::{Custody, LeaseTerms};
use crate::signer::Key;
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use tezos_signer_core::audit::witness::Witness;
use tezos_signer_core::config::{KeyConfig, SignerConfig};
use tezos_signer_core::record::RecordName;

/// All records that this process has used.
pub(crate) struct Records {
    store: Arc<dyn Store>,
    terms: Option<LeaseTerms>,
    /// What former processes have signed.
    witness: Witness,
    known: BTreeMap<RecordName, Arc<Custody>>,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>, terms: Option<LeaseTerms>, witness: Witness) -> Self {
        Self { store, terms, witness, known: BTreeMap::new() }
    }

    /// ◆ The same for each key that has this record, now and later: two would take turns without knowing of each other.
    pub(crate) fn custody(&mut self, name: &RecordName) -> Arc<Custody> {
        let known = self.known.entry(name.clone()).or_insert_with(|| {
            let custody = Custody::new(name.clone(), self.store.clone(), self.terms.clone());
            Arc::new(custody.reminded_of(self.witness.of(name)))
        });
        known.clone()
    }

    /// The keys of `config`, each with its record.
    pub(crate) fn keys_of(&mut self, config: &SignerConfig) -> Vec<Key> {
        let mut key = |key: &KeyConfig| {
            let authorized_keys = config.authorized_keys_of(key).clone();
            Key::new(key.clone(), self.custody(&key.record_name()), authorized_keys)
        };
        config.keys.iter().map(&mut key).collect()
    }
}
