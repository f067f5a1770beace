//! Sealed keys whose sealing key is a symmetric key of KMS: sealing for the commands, and unsealing for the process that signs. The ciphertext
//! is bound to its purpose and to the public key by the encryption context.

use super::client::KmsClient;
use super::error::KmsError;
use crate::keystore::sealed::sealer::{SealError, Sealer};
use crate::keystore::sealed::secret::SECRET_BYTES;
use crate::keystore::sealed::unsealer::{UnsealError, Unsealer};
use async_trait::async_trait;
use std::time::Duration;
use tezos_signer_core::aws::KmsKey;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::AwsKmsConfig;
use tezos_signer_core::key::SigningPublicKey;
use tezos_signer_core::sealed::{SealedKey, encryption_context};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The longest that one request of a command may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Opens sealed keys.
pub(crate) struct KmsUnsealer {
    client: KmsClient,
}

impl KmsUnsealer {
    pub(super) fn new(client: KmsClient) -> Self {
        Self { client }
    }

    /// For a command, which registers no metrics. Must be called within the runtime.
    pub(crate) fn for_command(config: &AwsKmsConfig) -> Self {
        Self { client: KmsClient::start(config, None) }
    }
}

/// What KMS has sealed, and with which key.
fn in_kms(sealed: &SealedKey) -> Option<(&KmsKey, &[u8])> {
    match sealed {
        SealedKey::AwsKms { key, blob } => Some((key, blob)),
        SealedKey::Pkcs11 { .. } => None,
    }
}

async fn open(
    client: &KmsClient,
    sealed: &SealedKey,
    key: &SigningPublicKey,
    deadline: Instant,
) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let (sealing_key, blob) = in_kms(sealed).ok_or(KmsError::NotSealedHere)?;
    client.decrypt(sealing_key, &encryption_context(key), blob, deadline).await
}

/// A refusal is what KMS says of this key or this text; that it cannot be asked is none. Credentials that AWS does not accept any more are
/// one: who had the right is known no longer.
impl From<KmsError> for UnsealError {
    fn from(error: KmsError) -> Self {
        let is_refusal = error.is_of_one_key() || matches!(error, KmsError::CredentialsRefused(_));
        if is_refusal { Self::Refused(Cause::of(error)) } else { Self::Unreachable(Cause::of(error)) }
    }
}

#[async_trait]
impl Unsealer for KmsUnsealer {
    async fn unseal(
        &self,
        sealed: &SealedKey,
        key: &SigningPublicKey,
        deadline: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        Ok(open(&self.client, sealed, key, deadline).await?)
    }

    /// Each request asks IAM and the key's policy anew.
    async fn check(&self, sealed: &SealedKey, key: &SigningPublicKey, deadline: Instant) -> Result<(), UnsealError> {
        Ok(open(&self.client, sealed, key, deadline).await.map(|_| ())?)
    }
}

/// Seals with one key of KMS.
pub(crate) struct KmsSealer {
    client: KmsClient,
    key: KmsKey,
}

impl KmsSealer {
    /// Must be called within the runtime.
    pub(crate) fn new(config: &AwsKmsConfig, key: KmsKey) -> Self {
        Self { client: KmsClient::start(config, None), key }
    }
}

fn failed(error: KmsError) -> SealError {
    SealError::Keystore(Cause::of(error))
}

#[async_trait(?Send)]
impl Sealer for KmsSealer {
    async fn remarks(&self) -> Result<Vec<String>, SealError> {
        Ok(Vec::new())
    }

    async fn random(&self) -> Result<Zeroizing<[u8; SECRET_BYTES]>, SealError> {
        let random = self.client.random(&self.key, SECRET_BYTES, Instant::now() + PATIENCE).await.map_err(failed)?;
        let random = <[u8; SECRET_BYTES]>::try_from(&random[..]);
        random.map(Zeroizing::new).map_err(|_| SealError::Keystore("AWS KMS returned too few random bytes".into()))
    }

    async fn seal(&self, secret: &[u8; SECRET_BYTES], key: &SigningPublicKey) -> Result<SealedKey, SealError> {
        let context = encryption_context(key);
        let blob = self.client.encrypt(&self.key, &context, secret, Instant::now() + PATIENCE).await.map_err(failed)?;
        Ok(SealedKey::AwsKms { key: self.key.clone(), blob })
    }

    async fn open(&self, sealed: &SealedKey, key: &SigningPublicKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
        open(&self.client, sealed, key, Instant::now() + PATIENCE).await.map_err(failed)
    }
}
