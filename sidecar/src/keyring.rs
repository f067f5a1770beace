//! The configured keys, each with its record and its authorized clients.

pub(crate) mod registry;

use crate::metrics::Metrics;
use crate::records::session::{Holder, RecordSession};
use std::collections::BTreeMap;
use std::sync::Arc;
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::PublicKeyHash;

/// A key with its record.
pub struct Key {
    /// The key's entry of `keys` in the configuration.
    pub config: KeyConfig,
    /// Its record. One that the configuration takes out and in again, or whose policy changes, keeps it.
    pub record: Arc<RecordSession>,
    /// The clients that may ask for signatures with this key.
    pub authorized_keys: AuthorizedKeys,
}

impl Key {
    /// A key whose record is in `record`, and of which `authorized_keys` may ask for signatures.
    pub fn new(config: KeyConfig, record: Arc<RecordSession>, authorized_keys: AuthorizedKeys) -> Self {
        Self { config, record, authorized_keys }
    }

    pub(crate) fn is_served_here(&self, holder: &Holder) -> bool {
        self.record.terms().is_some_and(|terms| terms.identity == holder.identity)
    }
}

/// The keys, by address.
pub type Keys = BTreeMap<PublicKeyHash, Arc<Key>>;

/// `keys` by address. Registers their metrics.
pub(crate) fn expected(keys: impl IntoIterator<Item = Key>, metrics: &Metrics) -> Keys {
    let keys: Keys = keys.into_iter().map(|key| (key.config.hash(), Arc::new(key))).collect();
    for key in keys.keys() {
        metrics.records().expect(key);
    }
    keys
}
