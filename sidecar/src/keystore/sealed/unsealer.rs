//! What opens sealed keys: the place of the sealing key, which is a PKCS#11 token or AWS KMS. It opens the text of a key at the start and
//! after a refusal, and says from time to time whether it still would.

use async_trait::async_trait;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::SigningPublicKey;
use tezos_signer_core::sealed::SealedKey;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Why a key was not unsealed. The signing path tells apart only these two: a refusal ends the use of the key at once, and an outage does
/// not.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum UnsealError {
    /// The place of the sealing key was reached, and it does not open this text for us: the PIN is refused or locked, the sealing key is
    /// not found by a search that works, the text is not authentic; access is denied, or the sealing key is disabled.
    #[error("{0}")]
    Refused(#[source] Cause),
    /// Everything else: an outage, a time-out, an error that may pass.
    #[error("{0}")]
    Unreachable(#[source] Cause),
}

impl UnsealError {
    pub(crate) fn into_cause(self) -> Cause {
        match self {
            Self::Refused(cause) | Self::Unreachable(cause) => cause,
        }
    }
}

/// The place of a sealing key.
#[async_trait]
pub(crate) trait Unsealer: Send + Sync {
    /// Opens `sealed` for `key`, within `deadline`. The plaintext is 32 bytes, the scalar in little-endian order. Whether it is the secret
    /// of `key` is checked by the caller.
    async fn unseal(
        &self,
        sealed: &SealedKey,
        key: &SigningPublicKey,
        deadline: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError>;

    /// Whether the right to unseal still exists, within `deadline`: by a new login or a new request, not by an old session. It compares
    /// the public key too, and keeps nothing.
    async fn check(&self, sealed: &SealedKey, key: &SigningPublicKey, deadline: Instant) -> Result<(), UnsealError>;
}
