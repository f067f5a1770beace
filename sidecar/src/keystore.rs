//! Keystores: the places of private keys. There is one trait, and one module for each kind. A keystore signs a message with a
//! configured key, or reports why it cannot. It knows neither HTTP nor watermark records, and the signing path knows no kind:
//! commit and release are the same for all. The type [`VerifiedSignature`] ensures that the configured key has signed.

pub mod aws_kms;
mod combined;
pub mod open;
pub mod pkcs11;
pub mod sealed;

use async_trait::async_trait;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Message, PublicKeyHash, Signature, VerifiedSignature};
use tezos_signer_core::status::SealedStatus;
use tokio::time::Instant;

/// What is signed where nobody asks for a signature. No node accepts a signature over it as anything: what Tezos signs begins
/// with a magic byte (0x03, 0x05, 0x11 to 0x13), this with `t`, so the digests differ unless `BLAKE2b` is broken. The
/// signature is verified and forgotten.
pub(crate) const TRIAL: &[u8] = b"tezos-signer: does the HSM sign? This is no Tezos payload.";

/// Why a keystore has not signed: an error of its kind, which is the `source`. The same request may succeed later, so that it is answered with
/// 502.
#[derive(Debug, Clone)]
pub struct KeystoreError {
    source: Arc<dyn Error + Send + Sync>,
    is_late: bool,
}

impl KeystoreError {
    /// An error of the keystore. `is_late`: it only means that there was no answer in time.
    pub fn new(source: impl Error + Send + Sync + 'static, is_late: bool) -> Self {
        Self { source: Arc::new(source), is_late }
    }

    /// The signature is of another key, or of another message: a bug of the keystore.
    pub(crate) fn of_another() -> Self {
        #[derive(Debug, thiserror::Error)]
        #[error(
            "the keystore returned a signature of another key or message; it was not committed. Report this as a bug"
        )]
        struct OfAnother;
        Self::new(OfAnother, false)
    }

    /// Whether there was only no answer in time.
    pub fn is_late(&self) -> bool {
        self.is_late
    }
}

/// The words of the kind.
impl fmt::Display for KeystoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for KeystoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// One sentence for each of the `failing` ones among `keys` keys, with the key; a single one where the same is wrong with all.
fn causes_of(failing: &[(&PublicKeyHash, Cause)], keys: usize) -> Vec<Cause> {
    match failing {
        [(_, cause), others @ ..] if failing.len() == keys && others.iter().all(|(_, other)| other == cause) => {
            vec![cause.clone()]
        }
        some => some.iter().map(|(key, cause)| cause.clone().map_text(|text| format!("{key}: {text}"))).collect(),
    }
}

/// Signs with the private keys of one place.
#[async_trait]
pub trait Keystore: Send + Sync {
    /// Signs `message` with a configured key, within `deadline`. A second signature that comes later is dropped unseen.
    async fn sign(
        &self,
        key: PublicKeyHash,
        message: &Message,
        deadline: Instant,
    ) -> Result<VerifiedSignature, KeystoreError>;

    /// The proof that it has the secret of `key`, a tz4 key, within `deadline`.
    async fn prove_possession(&self, key: &PublicKeyHash, _deadline: Instant) -> Result<Signature, KeystoreError> {
        #[derive(Debug, thiserror::Error)]
        #[error("{0} is no sealed key: only sealed keys, which are tz4 keys, prove possession")]
        struct NotSealed(PublicKeyHash);
        Err(KeystoreError::new(NotSealed(*key), false))
    }

    /// Whether it can sign with `candidate`, which need not be configured yet. It makes a trial signature, which is discarded.
    async fn try_candidate(&self, candidate: &KeyConfig, deadline: Instant) -> Result<(), KeystoreError>;

    /// From now on signs with `keys`, and no others.
    fn configure(&self, keys: &[KeyConfig]);

    /// Why it cannot sign with a key now; `None` if it can.
    fn reason(&self, key: &PublicKeyHash) -> Option<String>;

    /// Why it cannot sign with each of its keys now, a sentence each. Empty: it can.
    fn reasons(&self) -> Vec<String>;

    /// The state of a sealed key; `None` for other keys.
    fn sealed(&self, _key: &PublicKeyHash) -> Option<SealedStatus> {
        None
    }

    /// For how long it has not been able to sign with a key; `None` if it can.
    fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration>;

    /// Waits until nothing helps any more that this process could do, and returns why: the process should end, so that another begins.
    async fn given_up(&self) -> Cause;

    /// Stops, and returns whether the process can end in order. Waits no longer than `patience`.
    async fn stop(&self, patience: Duration) -> bool;
}
