//! Makes keystores by a configuration: the one place that knows every kind.

use crate::keystore::Keystore;
use crate::keystore::aws_kms::{AwsKms, KmsMetrics, KmsSealer, KmsUnsealer};
use crate::keystore::combined::{Combined, unsealed};
use crate::keystore::pkcs11::{HsmMetrics, Logins, Sessions, TokenSealer, TokenUnsealer};
use crate::keystore::sealed::sealer::{SealError, Sealer};
use crate::keystore::sealed::unsealer::Unsealer;
use crate::keystore::sealed::{self, SealedKeys};
use prometheus::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::aws::KmsKeyError;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{KeystoreConfig, SignerConfig};
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::sealed::SealedKey;
use tokio::time::Instant;

/// Why there is no keystore. A retry does not help.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused a thread.
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The metrics cannot be registered: a bug.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The keystore of a process that serves by `config`. It reaches for the HSM by itself, and goes on trying. Must be called within the
/// runtime.
pub fn keystore(config: &SignerConfig, registry: &Registry) -> Result<Arc<dyn Keystore>, OpenError> {
    let (place, unsealer): (Arc<dyn Keystore>, Arc<dyn Unsealer>) = match &config.keystore {
        KeystoreConfig::Pkcs11(hsm) => {
            let logins = Arc::new(Logins::of_service(hsm.clone()));
            let metrics = HsmMetrics::new()?.register(registry)?;
            let sessions = Sessions::start(hsm, &unsealed(&config.keys), metrics, logins.clone())?;
            (Arc::new(sessions), Arc::new(TokenUnsealer::of_service(hsm.clone(), logins)))
        }
        KeystoreConfig::AwsKms(kms) => {
            let metrics = KmsMetrics::new()?.register(registry)?;
            let kms = AwsKms::start(kms, &config.keys, metrics);
            let unsealer = kms.unsealer();
            (Arc::new(kms), Arc::new(unsealer))
        }
    };
    let sealed = SealedKeys::start(&config.keys, config.sealed, unsealer, registry)?;
    Ok(Arc::new(Combined { place, sealed }))
}

/// How long a sealed key may take to be opened for [`examine_sealed`].
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a signature of each sealed key takes, or why there is none. Nobody gets what is signed. Must be called within the runtime.
pub async fn examine_sealed(config: &SignerConfig) -> BTreeMap<PublicKeyHash, Result<Duration, String>> {
    let unsealer: Arc<dyn Unsealer> = match &config.keystore {
        KeystoreConfig::Pkcs11(hsm) => Arc::new(TokenUnsealer::for_command(hsm.clone())),
        KeystoreConfig::AwsKms(kms) => Arc::new(KmsUnsealer::for_command(kms)),
    };
    sealed::examine(&config.keys, &*unsealer, Instant::now() + PATIENCE).await
}

/// What seals with the key of this name: a label of the token, or a key of KMS. Must be called within the runtime.
pub fn sealer(config: &KeystoreConfig, sealing_key: &str) -> Result<Box<dyn Sealer>, SealError> {
    match config {
        KeystoreConfig::Pkcs11(hsm) => Ok(Box::new(TokenSealer::open(hsm, sealing_key)?)),
        KeystoreConfig::AwsKms(kms) => {
            let key = sealing_key.parse().map_err(|error: KmsKeyError| SealError::Keystore(Cause::of(error)))?;
            Ok(Box::new(KmsSealer::new(kms, key)))
        }
    }
}

/// What opens `sealed`.
pub fn sealer_of(config: &KeystoreConfig, sealed: &SealedKey) -> Result<Box<dyn Sealer>, SealError> {
    match sealed {
        SealedKey::Pkcs11 { label, .. } => sealer(config, label),
        SealedKey::AwsKms { key, .. } => sealer(config, key.as_str()),
    }
}
