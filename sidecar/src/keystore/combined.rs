//! The one keystore of a process: keys in a token or in AWS KMS, and sealed ones. Each request goes to the keystore of its key.

use crate::keystore::sealed::SealedKeys;
use crate::keystore::{Keystore, KeystoreError};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{KeyConfig, KeySource};
use tezos_signer_core::key::{Message, PublicKeyHash, Signature, VerifiedSignature};
use tezos_signer_core::status::SealedStatus;
use tokio::time::Instant;

pub(super) struct Combined {
    /// Whose keys never leave it.
    pub(super) place: Arc<dyn Keystore>,
    pub(super) sealed: SealedKeys,
}

/// Those of `keys` whose private keys never leave their place.
pub(super) fn unsealed(keys: &[KeyConfig]) -> Vec<KeyConfig> {
    keys.iter().filter(|key| !matches!(key.source, KeySource::Sealed(_))).cloned().collect()
}

impl Combined {
    fn of(&self, key: &PublicKeyHash) -> &dyn Keystore {
        if self.sealed.has(key) { &self.sealed } else { &*self.place }
    }
}

#[async_trait]
impl Keystore for Combined {
    async fn sign(
        &self,
        key: PublicKeyHash,
        message: &Message,
        deadline: Instant,
    ) -> Result<VerifiedSignature, KeystoreError> {
        self.of(&key).sign(key, message, deadline).await
    }

    async fn prove_possession(&self, key: &PublicKeyHash, deadline: Instant) -> Result<Signature, KeystoreError> {
        self.of(key).prove_possession(key, deadline).await
    }

    async fn try_candidate(&self, candidate: &KeyConfig, deadline: Instant) -> Result<(), KeystoreError> {
        match &candidate.source {
            KeySource::Sealed(_) => self.sealed.try_candidate(candidate, deadline).await,
            KeySource::Pkcs11(_) | KeySource::AwsKms(_) => self.place.try_candidate(candidate, deadline).await,
        }
    }

    fn configure(&self, keys: &[KeyConfig]) {
        self.place.configure(&unsealed(keys));
        self.sealed.configure(keys);
    }

    fn reason(&self, key: &PublicKeyHash) -> Option<String> {
        self.of(key).reason(key)
    }

    fn reasons(&self) -> Vec<String> {
        [self.place.reasons(), self.sealed.reasons()].concat()
    }

    fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration> {
        self.of(key).failing_for(key)
    }

    fn sealed(&self, key: &PublicKeyHash) -> Option<SealedStatus> {
        self.sealed.sealed(key)
    }

    async fn given_up(&self) -> Cause {
        self.place.given_up().await
    }

    async fn stop(&self, patience: Duration) -> bool {
        self.sealed.stop(patience).await;
        self.place.stop(patience).await
    }
}
