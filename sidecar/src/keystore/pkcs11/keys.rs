//! The keys that the sessions sign with. They change on a reload of the configuration, and each session follows.

use std::sync::{Arc, PoisonError, RwLock};
use tezos_signer_core::config::{KeyConfig, KeySelector, KeySource};
use tezos_signer_core::key::{PublicKeyHash, SigningPublicKey};

/// A configured key that is in the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenKey {
    pub(super) public_key: SigningPublicKey,
    pub(super) selector: KeySelector,
}

impl TokenKey {
    /// `None` for a key that is elsewhere.
    pub(super) fn of(key: &KeyConfig) -> Option<Self> {
        match &key.source {
            KeySource::Pkcs11(selector) => {
                Some(Self { public_key: key.public_key.clone(), selector: selector.clone() })
            }
            KeySource::AwsKms(_) | KeySource::Sealed(_) => None,
        }
    }

    pub(super) fn hash(&self) -> PublicKeyHash {
        self.public_key.hash()
    }
}

/// Those of `keys` that are in the token.
pub(super) fn in_token(keys: &[KeyConfig]) -> Vec<TokenKey> {
    keys.iter().filter_map(TokenKey::of).collect()
}

pub(super) struct Keys {
    now: RwLock<Arc<[TokenKey]>>,
}

impl Keys {
    pub(super) fn new(keys: &[TokenKey]) -> Self {
        Self { now: RwLock::new(keys.into()) }
    }

    pub(super) fn now(&self) -> Arc<[TokenKey]> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, keys: &[TokenKey]) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }
}
