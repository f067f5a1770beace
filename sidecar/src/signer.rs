//! The signing path: one function, from the bytes of a request to a signature that may leave the process.

use crate::audit::{AuditError, AuditLog};
use crate::custody::{Custody, CustodyError};
use crate::hsm::{Hsm, HsmError};
use crate::metrics::Metrics;
use crate::store::StoreError;
use crate::trail::{Trail, micros};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tezos_signer_core::audit::{self, Event, Microseconds, Outcome};
use tezos_signer_core::authentication::{AuthorizedKeys, Unauthenticated};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Digest, PublicKeyHash, Signature};
use tezos_signer_core::payload::{self, DecodeError};
use tezos_signer_core::policy::Forbidden;
use tezos_signer_core::watermark::{self, Decision, Refusal};

/// What a client asks.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks: an address and port, or the name of a socket.
    pub client: String,
    /// The key that is to sign.
    pub key: PublicKeyHash,
    /// What it is to sign.
    pub payload: Vec<u8>,
    /// The signature by which the client says who it is, as it was sent.
    pub authentication: Option<String>,
}

/// Why a request was not answered with a signature.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignError {
    /// The signer has no such key.
    #[error("this signer has no key {0}")]
    UnknownKey(PublicKeyHash),
    /// Nobody who may ask.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// No payload that is understood.
    #[error("the payload is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The key may not sign such a thing.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The record says no.
    #[error(transparent)]
    Watermark(#[from] Refusal),
    /// There is no record to decide on, now or at all.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The token did not sign.
    #[error(transparent)]
    Hsm(#[from] HsmError),
    /// The signature could not be announced.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What the record holds is no signature of this key.
    #[error(
        "the stored signature for this request does not verify with the key: the watermark record was edited; nothing is released"
    )]
    StoredSignature,
    /// Somebody else should be asked, or the next process.
    #[error("the signer is shutting down")]
    ShuttingDown,
    /// A panic.
    #[error("the signing task ended without an answer: a bug, please report it with the log")]
    Bug,
}

impl SignError {
    /// The HTTP status. Octez asks again for 502, and for no other: it says that the same request may succeed soon.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) | Self::Watermark(Refusal::Suspended) => 403,
            Self::UnknownKey(_) => 404,
            Self::Watermark(_) | Self::StoredSignature => 409,
            Self::Custody(error) => match error {
                CustodyError::Store(StoreError::Unavailable(_) | StoreError::Conflict(_))
                | CustodyError::HeldElsewhere { .. }
                | CustodyError::Busy => 502,
                CustodyError::Store(_) | CustodyError::WentBack { .. } => 409,
            },
            Self::Hsm(_) | Self::Audit(_) | Self::ShuttingDown => 502,
            Self::Bug => 500,
        }
    }

    /// In one word.
    pub fn outcome(&self) -> Outcome {
        match self.status() {
            400 => Outcome::Malformed,
            401 => Outcome::Unauthenticated,
            403 => Outcome::Forbidden,
            404 => Outcome::NotFound,
            409 => Outcome::Refused,
            502 => Outcome::Unavailable,
            _ => Outcome::Bug,
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
    /// Who may ask.
    pub authorized_keys: AuthorizedKeys,
}

impl Key {
    /// A key whose record is in `custody`, and of which `authorized_keys` may ask for signatures.
    pub fn new(config: KeyConfig, custody: Custody, authorized_keys: AuthorizedKeys) -> Self {
        Self { config, custody, authorized_keys }
    }
}

/// Everything that a request needs.
pub struct Signer {
    keys: BTreeMap<PublicKeyHash, Arc<Key>>,
    hsm: Hsm,
    audit: AuditLog,
    metrics: Metrics,
    request_deadline: Duration,
    closing: AtomicBool,
}

impl Signer {
    /// Serves `keys`.
    pub fn new(
        keys: impl IntoIterator<Item = Key>,
        hsm: Hsm,
        audit: AuditLog,
        metrics: Metrics,
        request_deadline: Duration,
    ) -> Self {
        let keys = keys.into_iter().map(|key| (key.config.hash(), Arc::new(key))).collect();
        Self { keys, hsm, audit, metrics, request_deadline, closing: AtomicBool::new(false) }
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

    /// The audit log.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
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
    /// ◆ It runs detached from the client's connection: a client that goes away cannot stop it half way.
    pub async fn sign(self: &Arc<Self>, request: Request) -> Result<Signature, SignError> {
        let signer = self.clone();
        let mut trail = Trail::new(&request);
        let mut of_bug = trail.clone();
        let task = tokio::spawn(async move {
            let answer = signer.answer(&request, &mut trail).await;
            signer.account_for(trail, answer.as_ref().err());
            answer
        });
        task.await.unwrap_or_else(|_| {
            of_bug.outcome = Outcome::Bug;
            self.account_for(of_bug, Some(&SignError::Bug));
            Err(SignError::Bug)
        })
    }

    /// What is decided about one request, from top to bottom.
    ///
    /// A signature of a block or vote leaves by one door only, the replay of what the record holds. A new one is put into the
    /// record first, and then replayed from what the store says it has. So nothing that the store does not hold is ever
    /// released, whatever became of a write, and whoever else writes.
    async fn answer(&self, request: &Request, trail: &mut Trail) -> Result<Signature, SignError> {
        let deadline = trail.started + self.request_deadline;
        let key = self.keys.get(&request.key).ok_or(SignError::UnknownKey(request.key))?;
        let authentication = request.authentication.as_deref();
        trail.request.authenticated_key =
            key.authorized_keys.authenticate(&request.key, &request.payload, authentication)?;
        let digest = Digest::of(&request.payload);
        trail.request.digest = Some(digest);
        key.config.policy.check_magic(&request.payload).inspect_err(|_| trail.is_operation())?;
        let payload = payload::decode(&request.payload, key.config.unknown_consensus_suffix)?;
        trail.decoded(&payload);
        let permitted = key.config.policy.check(&payload)?;
        if self.is_closing() {
            return Err(SignError::ShuttingDown);
        }

        let mut record = key.custody.lock(deadline).await?;
        let mut attempts = 0;
        loop {
            let current = record.current(deadline).await?;
            trail.record_known();
            let step = match watermark::decide(&current.record, &permitted, &digest, key.config.max_level_jump)? {
                Decision::Replay(signature) => {
                    if !key.config.public_key.verify(&digest, &signature) {
                        return Err(SignError::StoredSignature);
                    }
                    trail.replays(current.record.audit);
                    return Ok(signature);
                }
                Decision::Advance(step) => step,
            };
            attempts += 1;
            // At the same time, because each takes a while; nothing is done with either before both are there.
            let replaces = current.record.audit;
            let intent = self.audit.intent(trail.request.clone(), key.custody.name().clone(), replaces, deadline);
            let (intent, signature) = tokio::try_join!(async { intent.await.map_err(SignError::Audit) }, async {
                self.hsm.sign(key.config.hash(), digest, deadline).await.map_err(SignError::Hsm)
            },)?;
            trail.signed(intent);
            // ◆ A pause meanwhile: somebody else may have taken over, and a write would show them this signature.
            if record.is_silent() {
                continue;
            }
            let next = current.record.advanced(&step, signature, intent);
            match record.commit(&current, &next, deadline).await {
                // ◆ No row can replay a generic operation. That this very commit succeeded is what lets it leave.
                Ok(()) if !step.is_replayable() => {
                    trail.replays(Some(intent));
                    return Ok(signature);
                }
                Ok(()) => trail.committed(),
                // ◆ Whatever became of it, the signature in hand is forgotten here. The record is looked at again, and what
                // stands there decides: replay, advance or refuse.
                Err(error) => {
                    trail.committed();
                    tracing::warn!(record = %key.custody.name(), %error, "not committed, deciding again");
                    self.metrics.commit_failed();
                    if attempts == MAX_ATTEMPTS {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// A request that did not come so far as to ask for a signature: its path, its body or its HTTP could not be read, or
    /// there were too many.
    pub fn not_asked(&self, client: String, status: u16, outcome: Outcome, reason: String) {
        self.metrics.answered("unreadable", outcome, None);
        tracing::info!(client, status, reason, "not signed");
        let request = audit::Request { client, ..audit::Request::default() };
        let microseconds = Microseconds::default();
        self.audit.note(Event::Outcome { request, status, outcome, reason: Some(reason), intent: None, microseconds });
    }

    /// One line of the audit log, the metrics, and where there was no signature a line of the log for people.
    fn account_for(&self, trail: Trail, error: Option<&SignError>) {
        let outcome = error.map_or(trail.outcome, SignError::outcome);
        let (status, reason) = error.map_or((200, None), |error| (error.status(), Some(error.to_string())));
        let (kind, time) = (trail.request.kind.clone().unwrap_or("malformed".into()), trail.started.elapsed());
        self.metrics.answered(&kind, outcome, Some(time));
        match error {
            None => self.metrics.signed(&trail.request),
            Some(error) => {
                let key = trail.request.key.map(tracing::field::display);
                tracing::info!(key, client = trail.request.client, status, reason = %error, "not signed");
            }
        }
        let refused = matches!(error, Some(SignError::Malformed(DecodeError::UnknownShape(_))));
        if refused || trail.unknown_shape {
            let answer = if refused { "refused" } else { "accepted" };
            self.metrics.unknown_shape(answer);
            tracing::warn!(
                answer,
                digest = trail.request.digest.map(tracing::field::display),
                "a block or vote has a shape that is unknown to this release: upgrade it before the protocol that makes such is active \
                 (unknownConsensusSuffix)"
            );
        }
        let microseconds = Microseconds { total: micros(time), ..trail.microseconds };
        let intent = trail.intent.map(|intent| intent.sequence);
        self.audit.note(Event::Outcome { request: trail.request, status, outcome, reason, intent, microseconds });
    }
}
