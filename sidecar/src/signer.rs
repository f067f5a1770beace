//! The signing path: one function, from the bytes of a request to a signature that may leave the process.

use crate::audit::{AuditError, AuditLog};
use crate::custody::{Custody, CustodyError, Holder};
use crate::hsm::{Hsm, HsmError};
use crate::lease::HSM_PATIENCE;
use crate::metrics::Metrics;
use crate::peer::{HopError, PeerAnswer, Peers};
use crate::store::StoreError;
use crate::trail::{Trail, micros};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tezos_signer_core::audit::{self, Event, Microseconds, Outcome};
use tezos_signer_core::authentication::{AuthorizedKeys, Unauthenticated};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Digest, PublicKeyHash, Signature};
use tezos_signer_core::payload::{self, DecodeError};
use tezos_signer_core::policy::{Forbidden, Permitted};
use tezos_signer_core::watermark::{self, Decision, Refusal};
use tokio::sync::watch;

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
    /// How it came here.
    pub origin: Origin,
}

/// How a request came to this signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From who wants the signature.
    Client,
    /// Forwarded by another replica: it goes no further.
    Peer,
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A signature that the record holds.
    Signature(Signature),
    /// What the replica said that serves the key.
    Forwarded(PeerAnswer),
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
    /// The replica that serves the key did not answer.
    #[error("{holder} serves this key now, and could not be asked: {error}")]
    Hop {
        /// Who it is.
        holder: Holder,
        /// What went wrong.
        error: HopError,
    },
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
                CustodyError::Store(
                    StoreError::Unavailable(_) | StoreError::Forbidden(_) | StoreError::Conflict(_),
                )
                | CustodyError::HeldElsewhere { .. }
                | CustodyError::Busy => 502,
                CustodyError::Store(_) | CustodyError::WentBack { .. } | CustodyError::Forgotten { .. } => 409,
            },
            Self::Hsm(_) | Self::Audit(_) | Self::Hop { .. } | Self::ShuttingDown => 502,
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

/// After how long a holder that could not be reached is tried again.
const CONNECT_AGAIN: Duration = Duration::from_millis(50);

/// How long an HSM that has failed for long is still tried with each request, while the lease cannot be let go.
const LAST_TRY: Duration = Duration::from_millis(200);

/// A key with its record.
pub struct Key {
    /// Its configuration.
    pub config: KeyConfig,
    /// Its record. One that the configuration takes out and in again, or whose policy changes, keeps it.
    pub custody: Arc<Custody>,
    /// Who may ask.
    pub authorized_keys: AuthorizedKeys,
}

impl Key {
    /// A key whose record is in `custody`, and of which `authorized_keys` may ask for signatures.
    pub fn new(config: KeyConfig, custody: Arc<Custody>, authorized_keys: AuthorizedKeys) -> Self {
        Self { config, custody, authorized_keys }
    }

    fn is_served_here(&self, holder: &Holder) -> bool {
        self.custody.terms().is_some_and(|terms| terms.identity == holder.identity)
    }
}

/// The keys, by address.
pub type Keys = BTreeMap<PublicKeyHash, Arc<Key>>;

/// `keys` by address, with what is counted of each there from now on.
fn expected(keys: impl IntoIterator<Item = Key>, metrics: &Metrics) -> Keys {
    let keys: Keys = keys.into_iter().map(|key| (key.config.hash(), Arc::new(key))).collect();
    for key in keys.keys() {
        metrics.records().expect(key);
    }
    keys
}

/// Everything that a request needs.
pub struct Signer {
    /// A request takes its key out once, and ends by what it has taken, whatever is configured meanwhile.
    keys: watch::Sender<Keys>,
    hsm: Hsm,
    audit: AuditLog,
    metrics: Metrics,
    request_deadline: Duration,
    /// `None`: nothing is forwarded.
    peers: Option<Peers>,
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
        let keys = watch::Sender::new(expected(keys, &metrics));
        Self { keys, hsm, audit, metrics, request_deadline, peers: None, closing: AtomicBool::new(false) }
    }

    /// Forwards to `peers` what they serve.
    #[must_use]
    pub fn forwarding_to(mut self, peers: Peers) -> Self {
        self.peers = Some(peers);
        self
    }

    /// Whether requests are forwarded.
    pub fn forwards(&self) -> bool {
        self.peers.is_some()
    }

    /// The keys, by address, as they are configured now.
    pub fn keys(&self) -> impl Iterator<Item = Arc<Key>> + use<> {
        self.keys.borrow().values().cloned().collect::<Vec<_>>().into_iter()
    }

    /// One key.
    pub fn key(&self, hash: &PublicKeyHash) -> Option<Arc<Key>> {
        self.keys.borrow().get(hash).cloned()
    }

    /// From now on serves `keys`, and no others. What was asked before is answered by what was configured then.
    pub fn configure(&self, keys: impl IntoIterator<Item = Key>) {
        self.keys.send_replace(expected(keys, &self.metrics));
    }

    /// Tells of each [`Signer::configure`], and of [`Signer::close`].
    pub fn changes(&self) -> watch::Receiver<Keys> {
        self.keys.subscribe()
    }

    /// The longest that a request may take.
    pub fn request_deadline(&self) -> Duration {
        self.request_deadline
    }

    /// Whether there is a key that another replica serves, as far as is known, and that can be asked for it.
    pub fn is_served_elsewhere(&self) -> bool {
        let other = |key: Arc<Key>| Holder::of(&key.custody.view().lease).filter(|other| !key.is_served_here(other));
        self.forwards() && self.keys().filter_map(other).any(|other| other.address.is_some())
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

    /// From now on nothing is signed any more: requests are forwarded, or answered with 502.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        for key in self.keys() {
            key.custody.want();
        }
        self.keys.send_modify(|_| {});
    }

    /// Whether [`Signer::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Answers one request: the whole path.
    ///
    /// ◆ It runs detached from the client's connection: a client that goes away cannot stop it half way.
    pub async fn sign(self: &Arc<Self>, request: Request) -> Result<Answer, SignError> {
        let signer = self.clone();
        let mut trail = Trail::new(&request);
        let mut of_bug = trail.clone();
        let task = tokio::spawn(async move {
            let answer = signer.answer(&request, &mut trail).await;
            signer.account_for(trail, answer.as_ref());
            answer
        });
        task.await.unwrap_or_else(|_| {
            of_bug.outcome = Outcome::Bug;
            self.account_for(of_bug, Err(&SignError::Bug));
            Err(SignError::Bug)
        })
    }

    /// What is decided about one request, from top to bottom.
    async fn answer(&self, request: &Request, trail: &mut Trail) -> Result<Answer, SignError> {
        let deadline = trail.started + self.request_deadline;
        let key = &*self.key(&request.key).ok_or(SignError::UnknownKey(request.key))?;
        let authentication = request.authentication.as_deref();
        trail.request.authenticated_key =
            key.authorized_keys.authenticate(&request.key, &request.payload, authentication)?;
        let digest = Digest::of(&request.payload);
        trail.request.digest = Some(digest);
        key.config.policy.check_magic(&request.payload).inspect_err(|_| trail.is_operation())?;
        let payload = payload::decode(&request.payload, key.config.unknown_consensus_suffix)?;
        trail.decoded(&payload);
        let permitted = key.config.policy.check(&payload)?;

        let mut failure = None;
        loop {
            let holder = match self.sign_here(key, &permitted, digest, deadline, trail).await {
                Err(SignError::Custody(CustodyError::HeldElsewhere { holder })) => holder,
                // The time was spent on a holder that could not be asked, and only ran out here.
                Err(SignError::Custody(CustodyError::Busy | CustodyError::Store(StoreError::Unavailable(_))))
                    if let Some(failure) = failure.take_if(|_| Instant::now() >= deadline) =>
                {
                    return Err(failure);
                }
                answer => {
                    if self.forwards() && matches!(answer, Err(SignError::Hsm(_))) {
                        // Perhaps for long enough now to leave it to another.
                        key.custody.want();
                    }
                    return answer.map(Answer::Signature);
                }
            };
            let (from_client, forwards) = (request.origin == Origin::Client, self.peers.is_some());
            match &holder {
                // This one is closing, and about to let go; or nobody serves the key: it is about to be taken.
                Some(holder) if forwards && key.is_served_here(holder) => {}
                None if forwards && from_client => {}
                Some(other) if forwards && from_client && other.address.is_some() => {
                    match self.forward(key, request, digest, other, deadline, &mut failure).await? {
                        Some(answer) => return Ok(Answer::Forwarded(answer)),
                        None => continue,
                    }
                }
                // What another replica has forwarded goes no further.
                _ => return Err(CustodyError::HeldElsewhere { holder }.into()),
            }
            let waited = key.custody.other_holder_than(holder.as_ref(), deadline).await;
            waited.map_err(|error| failure.take().unwrap_or(error.into()))?;
        }
    }

    /// Has `holder` answer a request. Nothing where the record has another holder since, or may soon have: it must be looked at
    /// again. An answer is passed on as it is, and so is 502 as long as that one serves the key.
    async fn forward(
        &self,
        key: &Key,
        request: &Request,
        digest: Digest,
        holder: &Holder,
        deadline: Instant,
        failure: &mut Option<SignError>,
    ) -> Result<Option<PeerAnswer>, SignError> {
        let Some(peers) = &self.peers else { return Ok(None) };
        let asked = tokio::select! {
            asked = peers.ask(holder, request, deadline) => asked,
            // A holder that does not answer is not waited for once another has taken over.
            Ok(()) = key.custody.other_holder_than(Some(holder), deadline) => Err(HopError::Displaced),
        };
        let asked =
            asked.and_then(|answer| answer.checked(|signature| key.config.public_key.verify(&digest, signature)));
        self.metrics.forwarded(match &asked {
            Ok(answer) => answer.outcome(),
            Err(error) => error.outcome(),
        });
        let error = match asked {
            Ok(answer) if answer.status != 502 => return Ok(Some(answer)),
            Ok(answer) => {
                let now = async { key.custody.lock(deadline).await?.holder(Duration::ZERO, deadline).await };
                let displaced = now.await.is_ok_and(|now| now.is_none_or(|now| now.identity != holder.identity));
                return Ok((!displaced).then_some(answer));
            }
            Err(HopError::Displaced) => return Ok(None),
            Err(error) => error,
        };
        tracing::warn!(key = %request.key, %holder, %error, "not forwarded");
        // Nothing was sent where it could not be reached: that can be tried again. Whatever else went wrong, another one is waited
        // for: a holder that does not answer soon is none any more.
        let again = if error.is_before_sending() { Instant::now() + CONNECT_AGAIN } else { deadline };
        *failure = Some(SignError::Hop { holder: holder.clone(), error });
        let displaced = key.custody.other_holder_than(Some(holder), again.min(deadline)).await.is_ok();
        if displaced || Instant::now() < deadline {
            return Ok(None);
        }
        Err(failure.take().unwrap_or(SignError::ShuttingDown))
    }

    /// Signs or replays with the record in this signer's hands, if it serves it.
    ///
    /// A signature of a block or vote leaves by one door only, the replay of what the record holds. A new one is put into the
    /// record first, and then replayed from what the store says it has. So nothing that the store does not hold is ever
    /// released, whatever became of a write, and whoever else writes.
    async fn sign_here(
        &self,
        key: &Key,
        permitted: &Permitted,
        digest: Digest,
        deadline: Instant,
        trail: &mut Trail,
    ) -> Result<Signature, SignError> {
        // What came before is finished.
        let closing = self.is_closing();
        if closing && self.peers.is_none() {
            return Err(SignError::ShuttingDown);
        }
        let mut record = key.custody.lock(deadline).await?;
        if closing {
            let holder = record.holder(Duration::ZERO, deadline).await?;
            return Err(CustodyError::HeldElsewhere { holder }.into());
        }
        let (mut attempts, mut read_anew) = (0, false);
        loop {
            let current = record.current(deadline).await?;
            trail.record_known();
            let decision = watermark::decide(&current.record, permitted, &digest, key.config.max_level_jump);
            // ◆ Nobody writes while a key is suspended, so nothing else shows that it no longer is, and a client asks no second
            // time after this refusal.
            if decision.as_ref().is_err_and(Refusal::may_be_lifted) && !read_anew {
                record.observe(deadline).await?;
                read_anew = true;
                continue;
            }
            let step = match decision? {
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
            let until = self.patience_with_hsm(key, deadline);
            let (intent, signature) = tokio::try_join!(async { intent.await.map_err(SignError::Audit) }, async {
                self.hsm.sign(key.config.hash(), digest, until).await.map_err(SignError::Hsm)
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

    /// Until when the HSM may sign. One that fails is soon to be left to another replica with a working one, and the lease is let go
    /// after the request that has the record in its hands.
    fn patience_with_hsm(&self, key: &Key, deadline: Instant) -> Instant {
        match self.hsm.health().failing_for(&key.config.hash()) {
            Some(time) if self.forwards() => {
                deadline.min(Instant::now() + HSM_PATIENCE.saturating_sub(time).max(LAST_TRY))
            }
            _ => deadline,
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
    fn account_for(&self, trail: Trail, answer: Result<&Answer, &SignError>) {
        let (status, outcome, reason) = match answer {
            Ok(Answer::Signature(_)) => (200, trail.outcome, None),
            Ok(Answer::Forwarded(answer)) => {
                (answer.status, Outcome::Forwarded, Some(format!("forwarded to {}", answer.holder)))
            }
            Err(error) => (error.status(), error.outcome(), Some(error.to_string())),
        };
        let (kind, time) = (trail.request.kind.clone().unwrap_or("malformed".into()), trail.started.elapsed());
        self.metrics.answered(&kind, outcome, Some(time));
        if let (Some(key), Err(SignError::Watermark(refusal))) = (&trail.request.key, answer) {
            self.metrics.records().refused(key, &kind, refusal);
        }
        match answer {
            Ok(Answer::Signature(_)) => self.metrics.signed(&trail.request),
            Ok(Answer::Forwarded(_)) if status == 200 => {}
            _ => {
                let key = trail.request.key.map(tracing::field::display);
                tracing::info!(key, client = trail.request.client, status, reason, "not signed");
            }
        }
        let refused = matches!(answer, Err(SignError::Malformed(DecodeError::UnknownShape(_))));
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
        self.metrics.took(&trail.microseconds);
        let microseconds = Microseconds { total: micros(time), ..trail.microseconds };
        let intent = trail.intent.map(|intent| intent.sequence);
        self.audit.note(Event::Outcome { request: trail.request, status, outcome, reason, intent, microseconds });
    }
}
