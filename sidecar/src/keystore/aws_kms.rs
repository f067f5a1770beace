//! Signs with keys in AWS KMS.
//!
//! Keys are named, never listed: the signer asks only about those of its configuration, and one that cannot be used stops that key only.
//! Requests run side by side, each within its deadline ([`client`]); a task for each key looks after it when nobody asks for signatures
//! ([`watch`]); credentials are kept fresh beside both ([`credentials`]). What KMS returns as a signature is verified here before it is
//! passed on. The process never gives up: what is wrong is at AWS, and another process could do nothing else.

mod client;
mod credentials;
mod error;
mod examine;
mod health;
mod metrics;
mod public_key;
mod sealing;
mod watch;

pub use error::{Action, KmsError, key_spec};
pub use examine::{examine, public_keys};
pub use metrics::KmsMetrics;
pub(crate) use sealing::{KmsSealer, KmsUnsealer};

use crate::keystore::{Keystore, KeystoreError};
use async_trait::async_trait;
use client::KmsClient;
use health::Health;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{AwsKmsConfig, KeyConfig, KeySource};
use tezos_signer_core::key::{Message, PublicKeyHash, VerifiedSignature};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use watch::WatchedKey;

/// The keys of one region, used with one role.
pub struct AwsKms {
    client: KmsClient,
    health: Arc<Health>,
    keys: Mutex<HashMap<PublicKeyHash, Entry>>,
}

struct Entry {
    key: Arc<WatchedKey>,
    /// Told of requests that failed.
    failed: Arc<Notify>,
    watch: JoinHandle<()>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl AwsKms {
    /// Begins to load credentials and to try the keys, in tasks of the runtime that this is called in. Those that are not in KMS are not
    /// its concern.
    pub fn start(config: &AwsKmsConfig, keys: &[KeyConfig], metrics: KmsMetrics) -> Self {
        let kms = Self {
            client: KmsClient::start(config, Some(metrics.clone())),
            health: Arc::new(Health::new(metrics)),
            keys: Mutex::default(),
        };
        kms.configure(keys);
        kms
    }

    /// What opens keys that are sealed by a key of KMS, by the same credentials.
    pub(crate) fn unsealer(&self) -> KmsUnsealer {
        KmsUnsealer::new(self.client.clone())
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<PublicKeyHash, Entry>> {
        // Each change is whole before anything could panic.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, key: WatchedKey) -> Entry {
        self.health.joins(key.public_key.hash());
        let failed = Arc::new(Notify::new());
        let watch = watch::watch(key.clone(), self.client.clone(), self.health.clone(), failed.clone());
        Entry { key: Arc::new(key), failed, watch: tokio::spawn(watch) }
    }
}

/// Where the secret of a key is, if it is in KMS.
fn watched(key: &KeyConfig) -> Option<WatchedKey> {
    match &key.source {
        KeySource::AwsKms(kms_key) => Some(WatchedKey { public_key: key.public_key.clone(), kms_key: kms_key.clone() }),
        _ => None,
    }
}

impl From<KmsError> for KeystoreError {
    fn from(error: KmsError) -> Self {
        let is_late = matches!(error, KmsError::Timeout);
        Self::new(error, is_late)
    }
}

#[async_trait]
impl Keystore for AwsKms {
    /// Signs `message` with the configured key `key`, within `deadline`. The signature is low-S and verified. One that comes later, or in
    /// answer to another attempt, is dropped unseen.
    async fn sign(
        &self,
        key: PublicKeyHash,
        message: &Message,
        deadline: Instant,
    ) -> Result<VerifiedSignature, KeystoreError> {
        let found = self.keys().get(&key).map(|entry| (entry.key.clone(), entry.failed.clone()));
        let (watched, failed) = found.ok_or(KmsError::NotConfigured(key))?;
        let asked = std::time::Instant::now();
        let signed = self.client.sign(&watched.kms_key, &watched.public_key, message, deadline).await;
        match &signed {
            Ok(_) => self.health.signs(&key),
            Err(error) => {
                self.health.fails(&key, error, asked);
                failed.notify_one();
            }
        }
        Ok(signed?)
    }

    /// Whether KMS signs with `candidate`, which need not be configured: by comparing its public key, and a trial signature.
    async fn try_candidate(&self, candidate: &KeyConfig, deadline: Instant) -> Result<(), KeystoreError> {
        let key = watched(candidate).ok_or(KmsError::NotConfigured(candidate.hash()))?;
        key.compare(&self.client, deadline).await?;
        Ok(key.try_to_sign(&self.client, deadline).await?)
    }

    /// From now on signs with `keys`, and no others. A key whose place has changed begins anew.
    fn configure(&self, keys: &[KeyConfig]) {
        let configured: HashMap<_, _> =
            keys.iter().filter_map(watched).map(|key| (key.public_key.hash(), key)).collect();
        let mut entries = self.keys();
        entries.retain(|hash, _| {
            let stays = configured.contains_key(hash);
            if !stays {
                self.health.leaves(hash);
            }
            stays
        });
        for (hash, key) in configured {
            if entries.get(&hash).is_none_or(|entry| *entry.key != key) {
                // First the old task ends, so that it reports nothing of the new key.
                entries.remove(&hash);
                entries.insert(hash, self.join(key));
            }
        }
    }

    fn reason(&self, key: &PublicKeyHash) -> Option<String> {
        self.health.cause(key).map(|cause| cause.to_string())
    }

    fn reasons(&self) -> Vec<String> {
        self.health.causes().iter().map(Cause::to_string).collect()
    }

    fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration> {
        self.health.failing_for(key)
    }

    /// Never: nothing is wrong that another process could mend.
    async fn given_up(&self) -> Cause {
        std::future::pending().await
    }

    /// Ends the tasks. Nothing of them has to end in order.
    async fn stop(&self, _patience: Duration) -> bool {
        self.keys().clear();
        true
    }
}
