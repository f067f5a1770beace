//! Sealing, for the commands: what a token or AWS KMS does for it, and the order of the steps. After sealing, the text is opened again and
//! compared, before anybody sees it.

use crate::keystore::sealed::secret::{SECRET_BYTES, Secret, SecretError};
use async_trait::async_trait;
use rustix::rand::{GetRandomFlags, getrandom};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::{Signature, SigningPublicKey};
use tezos_signer_core::sealed::SealedKey;
use zeroize::Zeroizing;

/// Why no key was sealed. Nothing was kept; a retry helps once the reason is removed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The place of the sealing key cannot be used.
    #[error("{0}")]
    Keystore(#[source] Cause),
    /// The secret is none, or what was opened again is another one.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The system gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[source] std::io::Error),
    /// The text does not open again: the token is not to be trusted with it.
    #[error("the sealed text cannot be opened again, so it is not shown: {0}")]
    NotOpened(#[source] Box<SealError>),
}

/// What seals with one sealing key, for a command.
#[async_trait(?Send)]
pub trait Sealer {
    /// What is strange about the sealing key, as sentences.
    async fn remarks(&self) -> Result<Vec<String>, SealError>;

    /// Random numbers of its own.
    async fn random(&self) -> Result<Zeroizing<[u8; SECRET_BYTES]>, SealError>;

    /// Seals a scalar in little-endian order for `key`.
    async fn seal(&self, secret: &[u8; SECRET_BYTES], key: &SigningPublicKey) -> Result<SealedKey, SealError>;

    /// Opens it again.
    async fn open(&self, sealed: &SealedKey, key: &SigningPublicKey) -> Result<Zeroizing<Vec<u8>>, SealError>;
}

/// A key that was sealed.
#[derive(Debug)]
pub struct NewSealedKey {
    /// Its public key.
    pub public_key: SigningPublicKey,
    /// The text for the configuration.
    pub sealed: SealedKey,
    /// What is strange about the sealing key, as sentences.
    pub remarks: Vec<String>,
}

/// Makes a key and seals it. Its entropy is that of the operating system and of the place of the sealing key together.
pub async fn generate(sealer: &dyn Sealer) -> Result<NewSealedKey, SealError> {
    let mut entropy = Zeroizing::new([0; 2 * SECRET_BYTES]);
    let (ours, theirs) = entropy.split_at_mut(SECRET_BYTES);
    theirs.copy_from_slice(&sealer.random().await?[..]);
    let mut filled = 0;
    while filled < ours.len() {
        let more = getrandom(&mut ours[filled..], GetRandomFlags::empty());
        filled += more.map_err(|error| SealError::Random(error.into()))?;
    }
    seal_secret(sealer, &Secret::generate(&entropy[..])?).await
}

/// Seals a secret that exists: a scalar in little-endian order.
pub async fn seal(sealer: &dyn Sealer, secret: &[u8]) -> Result<NewSealedKey, SealError> {
    seal_secret(sealer, &Secret::from_little_endian(secret)?).await
}

/// The proof that somebody has the secret of a sealed key.
pub async fn prove_possession(
    sealer: &dyn Sealer,
    text: &SealedKey,
    key: &SigningPublicKey,
) -> Result<Signature, SealError> {
    let secret = Secret::from_little_endian(&sealer.open(text, key).await?)?.of(key)?;
    Ok(Signature::Bls12381(secret.prove_possession()?))
}

async fn seal_secret(sealer: &dyn Sealer, secret: &Secret) -> Result<NewSealedKey, SealError> {
    let key = secret.public_key();
    let remarks = sealer.remarks().await?;
    let text = sealer.seal(&secret.to_little_endian(), key).await?;
    let again = async { Secret::from_little_endian(&sealer.open(&text, key).await?)?.of(key).map_err(SealError::from) };
    again.await.map_err(|error| SealError::NotOpened(Box::new(error)))?;
    Ok(NewSealedKey { public_key: key.clone(), sealed: text, remarks })
}
