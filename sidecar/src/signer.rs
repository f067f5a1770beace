//! The signing path: one function, from the bytes of a request to a signature that may leave the process.

use crate::custody::{Custody, CustodyError};
use crate::hsm::{Hsm, HsmError};
use crate::metrics::Metrics;
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Digest, PublicKeyHash, Signature};
use tezos_signer_core::payload::{self, DecodeError, UnknownSuffix};
use tezos_signer_core::policy::{Forbidden, Policy};
use tezos_signer_core::watermark::{self, Decision, Refusal};

/// Why a request was not answered with a signature.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignError {
    /// 404.
    #[error("this signer has no key {0}")]
    UnknownKey(PublicKeyHash),
    /// 400.
    #[error("the payload is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// 403.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// 409; 403 when suspended.
    #[error(transparent)]
    Watermark(#[from] Refusal),
    /// 409 or 502, by what happened.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// 502.
    #[error(transparent)]
    Hsm(#[from] HsmError),
    /// 409.
    #[error(
        "the stored signature for this request does not verify with the key: the watermark record was edited; nothing is released"
    )]
    StoredSignature,
    /// 502.
    #[error("the signer is shutting down")]
    ShuttingDown,
    /// 500.
    #[error("the signing task ended without an answer: a bug, please report it with the log")]
    Bug,
}

impl SignError {
    /// Whether the same request may succeed if it is sent again soon. Octez repeats a request for status 502 only.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Hsm(_) | Self::ShuttingDown => true,
            Self::Custody(error) => match error {
                CustodyError::HeldElsewhere { .. } | CustodyError::Busy => true,
                CustodyError::WentBack { .. } => false,
                CustodyError::Store(error) => matches!(error, StoreError::Unavailable(_) | StoreError::Conflict(_)),
            },
            _ => false,
        }
    }
}

/// How often one request is signed and offered to the store. More than once only where a write failed or lost a race.
const MAX_ATTEMPTS: u32 = 3;

/// A key with its record.
pub struct Key {
    /// Its configuration.
    pub config: KeyConfig,
    /// Its record.
    pub custody: Custody,
    policy: Policy,
}

impl Key {
    /// A key whose record is in `custody`.
    pub fn new(config: KeyConfig, custody: Custody) -> Self {
        Self { policy: config.policy(), config, custody }
    }
}

/// Everything that a request needs.
pub struct Signer {
    keys: BTreeMap<PublicKeyHash, Arc<Key>>,
    hsm: Hsm,
    metrics: Metrics,
    request_deadline: Duration,
    closing: AtomicBool,
}

impl Signer {
    /// Serves `keys`.
    pub fn new(keys: impl IntoIterator<Item = Key>, hsm: Hsm, metrics: Metrics, request_deadline: Duration) -> Self {
        let keys = keys.into_iter().map(|key| (key.config.hash(), Arc::new(key))).collect();
        Self { keys, hsm, metrics, request_deadline, closing: AtomicBool::new(false) }
    }

    /// The keys, by address.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.values()
    }

    /// One key.
    pub fn key(&self, hash: &PublicKeyHash) -> Option<&Arc<Key>> {
        self.keys.get(hash)
    }

    /// The token.
    pub fn hsm(&self) -> &Hsm {
        &self.hsm
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// From now on every request is answered with 502.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Whether [`Signer::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Answers one request: the whole path.
    ///
    /// A signature leaves by one door only, the replay of what the record holds. A new one is put into the record first, and
    /// then replayed from what the store says it has. So nothing that the store does not hold is ever released, whatever
    /// became of a write, and whoever else writes.
    pub async fn sign(&self, key: &PublicKeyHash, payload: &[u8]) -> Result<Signature, SignError> {
        let started = Instant::now();
        let deadline = started + self.request_deadline;
        let mut kind = "malformed";
        let answer = async {
            let key = self.keys.get(key).ok_or(SignError::UnknownKey(*key))?.clone();
            let decoded = payload::decode(payload, UnknownSuffix::Refuse)?;
            kind = decoded.kind();
            let request = key.policy.check(&decoded)?;
            let digest = Digest::of(payload);
            if self.is_closing() {
                return Err(SignError::ShuttingDown);
            }

            // ◆ Detached: a client that goes away cannot stop this half way.
            let (hsm, metrics) = (self.hsm.clone(), self.metrics.clone());
            let task = tokio::spawn(async move {
                let mut record = key.custody.lock(deadline).await?;
                let mut attempts = 0;
                loop {
                    let current = record.current(deadline).await?;
                    match watermark::decide(&current.record, &request, &digest, key.config.max_level_jump)? {
                        Decision::Replay(signature) => {
                            if !key.config.public_key.verify(&digest, &signature) {
                                return Err(SignError::StoredSignature);
                            }
                            metrics.signed(&key.config, &request);
                            return Ok(signature);
                        }
                        Decision::Advance(step) => {
                            attempts += 1;
                            let signature = hsm.sign(key.config.hash(), digest, deadline).await?;
                            let next = current.record.advanced(&step, signature);
                            // ◆ Whatever becomes of it, the signature in hand is forgotten here. The record is looked at
                            // again, and what stands there decides: replay, advance or refuse.
                            if let Err(error) = record.commit(&current, &next, deadline).await {
                                tracing::warn!(record = %key.custody.name(), %error, "not committed, deciding again");
                                metrics.commit_failed();
                                if attempts == MAX_ATTEMPTS {
                                    return Err(error.into());
                                }
                            }
                        }
                    }
                }
            });
            task.await.map_err(|_| SignError::Bug)?
        }
        .await;
        self.metrics.answered(kind, &answer, started.elapsed());
        answer
    }
}
