//! The keys that the sessions sign with. They change on a reload of the configuration, and each session follows.

use std::sync::{Arc, PoisonError, RwLock};
use tezos_signer_core::config::KeyConfig;

pub(super) struct Keys {
    now: RwLock<Arc<[KeyConfig]>>,
}

impl Keys {
    pub(super) fn new(keys: &[KeyConfig]) -> Self {
        Self { now: RwLock::new(keys.into()) }
    }

    pub(super) fn now(&self) -> Arc<[KeyConfig]> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, keys: &[KeyConfig]) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }
}
