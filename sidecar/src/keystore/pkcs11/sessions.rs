//! The sessions of a token, once there is a key that needs them: a signer whose keys are all sealed has none.

use crate::keystore::pkcs11::login::Logins;
use crate::keystore::pkcs11::{Hsm, HsmError, HsmMetrics};
use crate::keystore::{Keystore, KeystoreError};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{HsmConfig, KeyConfig};
use tezos_signer_core::key::{Message, PublicKeyHash, VerifiedSignature};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) struct Sessions {
    config: HsmConfig,
    metrics: HsmMetrics,
    logins: Arc<Logins>,
    hsm: OnceLock<Hsm>,
    /// Held while the threads are started.
    starts: Mutex<()>,
    started: Notify,
}

impl Sessions {
    /// Starts the threads where there are keys for them.
    pub(crate) fn start(
        config: &HsmConfig,
        keys: &[KeyConfig],
        metrics: HsmMetrics,
        logins: Arc<Logins>,
    ) -> std::io::Result<Self> {
        let (hsm, starts, started) = (OnceLock::new(), Mutex::default(), Notify::new());
        let sessions = Self { config: config.clone(), metrics, logins, hsm, starts, started };
        if !keys.is_empty() {
            sessions.hsm_for(keys)?;
        }
        Ok(sessions)
    }

    /// The threads; where there are none yet, they begin with `keys`.
    fn hsm_for(&self, keys: &[KeyConfig]) -> std::io::Result<&Hsm> {
        let _one = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hsm) = self.hsm.get() {
            return Ok(hsm);
        }
        let hsm = Hsm::start_with(&self.config, keys, self.metrics.clone(), self.logins.clone())?;
        let hsm = self.hsm.get_or_init(|| hsm);
        self.started.notify_one();
        Ok(hsm)
    }
}

#[async_trait]
impl Keystore for Sessions {
    async fn sign(
        &self,
        key: PublicKeyHash,
        message: &Message,
        deadline: Instant,
    ) -> Result<VerifiedSignature, KeystoreError> {
        match self.hsm.get() {
            Some(hsm) => hsm.sign(key, message, deadline).await,
            None => Err(HsmError::NoKey { key, selector: "not configured".to_owned() }.into()),
        }
    }

    async fn try_candidate(&self, candidate: &KeyConfig, deadline: Instant) -> Result<(), KeystoreError> {
        let hsm = self.hsm_for(&[]).map_err(|error| HsmError::Unusable(Cause::of(error)))?;
        hsm.try_candidate(candidate, deadline).await
    }

    fn configure(&self, keys: &[KeyConfig]) {
        if keys.is_empty() && self.hsm.get().is_none() {
            return;
        }
        match self.hsm_for(keys) {
            Ok(hsm) => hsm.configure(keys),
            Err(error) => tracing::error!(%error, "the threads of the token's sessions could not be started"),
        }
    }

    fn reason(&self, key: &PublicKeyHash) -> Option<String> {
        self.hsm.get()?.reason(key)
    }

    fn reasons(&self) -> Vec<String> {
        self.hsm.get().map(Hsm::reasons).unwrap_or_default()
    }

    fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration> {
        self.hsm.get()?.failing_for(key)
    }

    async fn given_up(&self) -> Cause {
        loop {
            if let Some(hsm) = self.hsm.get() {
                return hsm.given_up().await;
            }
            self.started.notified().await;
        }
    }

    async fn stop(&self, patience: Duration) -> bool {
        match self.hsm.get() {
            Some(hsm) => hsm.stop(patience).await,
            None => true,
        }
    }
}
