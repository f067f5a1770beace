//! Sealed keys: tz4 keys whose secret is in this process, opened at the start by the token or by AWS KMS, which keep their say: they are
//! asked again and again. A refusal ends the use of a key at once, an outage after `sealedGraceSeconds`.

mod entry;
mod metrics;
pub mod sealer;
pub(crate) mod secret;
pub mod secret_text;
pub(crate) mod unsealer;

use crate::keystore::sealed::entry::{Asked, Change, Entry};
use crate::keystore::sealed::metrics::SealedMetrics;
use crate::keystore::sealed::secret::{Secret, SecretError};
use crate::keystore::sealed::unsealer::{UnsealError, Unsealer};
use crate::keystore::{Keystore, KeystoreError, TRIAL};
use async_trait::async_trait;
use prometheus::Registry;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{KeyConfig, KeySource, SealedTerms};
use tezos_signer_core::key::{
    Message, PublicKeyHash, ReturnedSignatureError, Signature, SigningPublicKey, VerifiedSignature,
};
use tezos_signer_core::sealed::SealedKey;
use tezos_signer_core::status::SealedStatus;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long the place of a sealing key may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a sealed key has not signed.
#[derive(Debug, Clone, thiserror::Error)]
enum SealedError {
    /// There is no secret, or it may not be used any more. A retry helps once the reason is over.
    #[error("the sealed key cannot be used: {0}")]
    Closed(#[source] Cause),
    /// It is none of the configuration.
    #[error("{0} is no sealed key of this signer")]
    Unknown(PublicKeyHash),
    /// The secret was not the key's: a bug, because it was compared.
    #[error("{0}; it was not released")]
    Signature(#[from] ReturnedSignatureError),
    /// There is no secret to sign with.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The proof is not the key's: a bug.
    #[error("the proof of possession does not verify, so it is not given; report this as a bug")]
    Proof,
    /// There was no answer in time.
    #[error("the sealed key was not opened in time")]
    Late,
    /// The thread that signs has panicked.
    #[error("the thread that signs ended without a signature, which is a bug: please report it with the log")]
    Thread,
}

impl From<SealedError> for KeystoreError {
    fn from(error: SealedError) -> Self {
        let is_late = matches!(error, SealedError::Late);
        Self::new(error, is_late)
    }
}

/// The sealed keys of one signer.
pub(crate) struct SealedKeys {
    entries: Arc<Entries>,
    unsealer: Arc<dyn Unsealer>,
    metrics: SealedMetrics,
    keeper: tokio::task::AbortHandle,
}

/// What is known of each.
pub(super) struct Entries {
    terms: SealedTerms,
    keys: Mutex<BTreeMap<PublicKeyHash, Entry>>,
    /// Secrets that were opened for keys which are not configured yet.
    tried: Mutex<Vec<(SealedKey, Secret)>>,
    /// Told when there are others.
    changed: Notify,
}

impl Entries {
    fn keys(&self) -> MutexGuard<'_, BTreeMap<PublicKeyHash, Entry>> {
        // Each change is whole before anything could panic.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self, mut see: impl FnMut(&PublicKeyHash, &Entry, SealedTerms)) {
        self.keys().iter().for_each(|(hash, entry)| see(hash, entry, self.terms));
    }

    fn secret(&self, key: &PublicKeyHash) -> Result<(Arc<Secret>, SigningPublicKey), SealedError> {
        let keys = self.keys();
        let entry = keys.get(key).ok_or(SealedError::Unknown(*key))?;
        let secret = entry.secret(self.terms, Instant::now()).map_err(SealedError::Closed)?;
        Ok((secret, entry.key.clone()))
    }
}

impl SealedKeys {
    /// Opens the sealed ones of `keys`, and goes on trying; must be called within the runtime.
    pub(crate) fn start(
        keys: &[KeyConfig],
        terms: SealedTerms,
        unsealer: Arc<dyn Unsealer>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let entries =
            Arc::new(Entries { terms, keys: Mutex::default(), tried: Mutex::default(), changed: Notify::new() });
        let metrics = SealedMetrics::new()?;
        metrics.register(registry, &entries)?;
        let keeper = Keeper { entries: entries.clone(), unsealer: unsealer.clone(), metrics: metrics.clone() };
        let keeper = tokio::spawn(keeper.run()).abort_handle();
        let sealed = Self { entries, unsealer, metrics, keeper };
        sealed.configure(keys);
        Ok(sealed)
    }

    /// Whether `key` is one of these.
    pub(crate) fn has(&self, key: &PublicKeyHash) -> bool {
        self.entries.keys().contains_key(key)
    }
}

#[async_trait]
impl Keystore for SealedKeys {
    async fn sign(
        &self,
        key: PublicKeyHash,
        message: &Message,
        deadline: Instant,
    ) -> Result<VerifiedSignature, KeystoreError> {
        let (secret, public_key) = self.entries.secret(&key)?;
        let message = message.clone();
        // Signing and verifying take more than a millisecond of a processor, which other requests need not wait for.
        let signed = tokio::task::spawn_blocking(move || {
            let signature = secret.sign(message.bytes())?;
            Ok::<_, SealedError>(public_key.accept_signature(&message, &signature)?)
        });
        let signed = tokio::time::timeout_at(deadline, signed).await.map_err(|_| SealedError::Late)?;
        Ok(signed.map_err(|_| SealedError::Thread)??)
    }

    async fn prove_possession(&self, key: &PublicKeyHash, deadline: Instant) -> Result<Signature, KeystoreError> {
        let (secret, public_key) = self.entries.secret(key)?;
        let proof = tokio::task::spawn_blocking(move || secret.prove_possession());
        let proof = tokio::time::timeout_at(deadline, proof).await.map_err(|_| SealedError::Late)?;
        let proof = Signature::Bls12381(proof.map_err(|_| SealedError::Thread)?.map_err(SealedError::from)?);
        if public_key.verify_proof_of_possession(&proof) { Ok(proof) } else { Err(SealedError::Proof.into()) }
    }

    fn sealed(&self, key: &PublicKeyHash) -> Option<SealedStatus> {
        self.entries.keys().get(key).map(Entry::status)
    }

    /// Opens the sealed text of `candidate`, and keeps what is in it for [`Keystore::configure`].
    async fn try_candidate(&self, candidate: &KeyConfig, deadline: Instant) -> Result<(), KeystoreError> {
        let KeySource::Sealed(sealed) = &candidate.source else {
            return Err(SealedError::Unknown(candidate.hash()).into());
        };
        let opened = open(&*self.unsealer, sealed, &candidate.public_key, deadline).await;
        let secret = opened.map_err(|error| SealedError::Closed(error.into_cause()))?;
        self.entries.tried.lock().unwrap_or_else(PoisonError::into_inner).push((sealed.clone(), secret));
        Ok(())
    }

    fn configure(&self, keys: &[KeyConfig]) {
        let now = Instant::now();
        let mut tried = std::mem::take(&mut *self.entries.tried.lock().unwrap_or_else(PoisonError::into_inner));
        let mut known = self.entries.keys();
        let mut before = std::mem::take(&mut *known);
        for key in keys {
            let KeySource::Sealed(sealed) = &key.source else { continue };
            let (hash, terms) = (key.hash(), self.entries.terms);
            let public_key = || key.public_key.clone();
            let entry = match before.remove(&hash) {
                Some(entry) if entry.sealed == *sealed => entry,
                _ => match tried.iter().position(|(text, _)| text == sealed) {
                    Some(i) => Entry::open(public_key(), sealed.clone(), tried.swap_remove(i).1, terms, now),
                    None => Entry::new(public_key(), sealed.clone(), now),
                },
            };
            self.metrics.joins(&hash);
            known.insert(hash, entry);
        }
        before.keys().filter(|hash| !known.contains_key(hash)).for_each(|hash| self.metrics.forget(hash));
        drop(known);
        self.entries.changed.notify_one();
    }

    fn reason(&self, key: &PublicKeyHash) -> Option<String> {
        self.entries.secret(key).err().map(|error| error.to_string())
    }

    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        self.entries.each(|hash, entry, terms| {
            reasons.extend(entry.secret(terms, Instant::now()).err().map(|cause| format!("{hash}: {cause}")));
        });
        reasons
    }

    fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration> {
        self.entries.keys().get(key)?.closed_since().map(|since| since.elapsed())
    }

    /// There is always something that this process can do: ask again.
    async fn given_up(&self) -> Cause {
        std::future::pending().await
    }

    async fn stop(&self, _: Duration) -> bool {
        self.keeper.abort();
        true
    }
}

/// How long a signature of each sealed key of `keys` takes, or why there is none.
pub(crate) async fn examine(
    keys: &[KeyConfig],
    unsealer: &dyn Unsealer,
    deadline: Instant,
) -> BTreeMap<PublicKeyHash, Result<Duration, String>> {
    let tried = keys.iter().filter_map(|key| match &key.source {
        KeySource::Sealed(sealed) => {
            Some(async move { (key.hash(), time_to_sign(unsealer, sealed, key, deadline).await) })
        }
        KeySource::Pkcs11(_) | KeySource::AwsKms(_) => None,
    });
    futures::future::join_all(tried).await.into_iter().collect()
}

async fn time_to_sign(
    unsealer: &dyn Unsealer,
    sealed: &SealedKey,
    key: &KeyConfig,
    deadline: Instant,
) -> Result<Duration, String> {
    let secret = open(unsealer, sealed, &key.public_key, deadline).await.map_err(|error| error.to_string())?;
    let (begin, message) = (Instant::now(), Message::new(TRIAL));
    let signature = secret.sign(message.bytes()).map_err(|error| error.to_string())?;
    key.public_key.accept_signature(&message, &signature).map_err(|error| error.to_string())?;
    Ok(begin.elapsed())
}

/// The secret of `key`, compared with it.
async fn open(
    unsealer: &dyn Unsealer,
    sealed: &SealedKey,
    key: &SigningPublicKey,
    deadline: Instant,
) -> Result<Secret, UnsealError> {
    let plaintext = unsealer.unseal(sealed, key, deadline).await?;
    let secret = Secret::from_little_endian(&plaintext).and_then(|secret| secret.of(key));
    secret.map_err(|error| match error {
        SecretError::Memory(_) => UnsealError::Unreachable(Cause::of(error)),
        error => UnsealError::Refused(Cause::of(error)),
    })
}

/// Asks for each key when it is time to.
struct Keeper {
    entries: Arc<Entries>,
    unsealer: Arc<dyn Unsealer>,
    metrics: SealedMetrics,
}

/// How long it waits where there is nothing to ask.
const NOTHING_TO_DO: Duration = Duration::from_hours(1);

impl Keeper {
    async fn run(self) {
        loop {
            let now = Instant::now();
            let mut due = Vec::new();
            let mut next = now + NOTHING_TO_DO;
            self.entries.each(|hash, entry, _| {
                if entry.next <= now {
                    due.push((*hash, entry.key.clone(), entry.sealed.clone(), entry.is_open()));
                } else {
                    next = next.min(entry.next);
                }
            });
            if due.is_empty() {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = self.entries.changed.notified() => {}
                }
                continue;
            }
            // At once, because one question can be for all of them.
            futures::future::join_all(due.into_iter().map(|(hash, key, sealed, is_open)| {
                let keeper = &self;
                async move {
                    let deadline = now + PATIENCE;
                    let answer = if is_open {
                        keeper.unsealer.check(&sealed, &key, deadline).await.map(|()| None)
                    } else {
                        open(&*keeper.unsealer, &sealed, &key, deadline).await.map(Some)
                    };
                    keeper.take(&hash, &sealed, answer, now);
                }
            }))
            .await;
        }
    }

    fn take(&self, hash: &PublicKeyHash, sealed: &SealedKey, answer: Asked, asked: Instant) {
        let mut keys = self.entries.keys();
        // It may have been taken out, or have another text.
        let Some(entry) = keys.get_mut(hash).filter(|entry| entry.sealed == *sealed) else { return };
        let result = match &answer {
            Ok(_) => "authentic",
            Err(UnsealError::Refused(_)) => "refused",
            Err(UnsealError::Unreachable(_)) => "unreachable",
        };
        let change = entry.apply(answer, self.entries.terms, asked, Instant::now());
        drop(keys);
        self.metrics.checked(hash, result);
        let key = hash;
        match change {
            Change::None => {}
            Change::Opened => tracing::info!(%key, "the sealed key is open"),
            Change::OutageEnded => tracing::info!(%key, "the sealed key could be checked again"),
            Change::Refused(reason) => {
                tracing::error!(%key, %reason, "the sealed key was refused, and is not signed with");
            }
            Change::Outage(reason) => tracing::warn!(%key, %reason, "the sealed key cannot be opened or checked"),
            Change::GraceOver(reason) => tracing::error!(%key, %reason, "the sealed key is no longer signed with"),
        }
    }
}
