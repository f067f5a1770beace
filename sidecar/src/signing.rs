//! The signing path: one function, from the bytes of a request to a signature that may leave the process.

mod answer;
pub mod concurrency_limit;
mod detached;
mod error;
mod proof;
mod report;
mod trace;

pub use answer::Answer;
pub use error::SignError;
pub use proof::ProofError;

use crate::attestations::Attestations;
use crate::audit::AuditLog;
use crate::keyring::{Key, Keys, expected};
use crate::keystore::{Keystore, KeystoreError};
use crate::metrics::Metrics;
use crate::peer::{PeerAnswer, PeerError, Peers};
use crate::records::session::{Holder, RecordSessionError, Releasable};
use crate::request::{Origin, Request};
use crate::stage::Stage;
use crate::store::StoreError;
use concurrency_limit::ConcurrencyLimit;
use detached::Detached;
use futures::FutureExt as _;
use jiff::Timestamp;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tezos_signer_core::admit::{Admitted, RequestFacts, admit};
use tezos_signer_core::audit::Outcome;
use tezos_signer_core::config::DEFAULT_MAX_CONCURRENT_REQUESTS;
use tezos_signer_core::key::{Message, PublicKeyHash};
use tezos_signer_core::lease::HSM_PATIENCE;
use tezos_signer_core::status::AttestationTimes;
use tezos_signer_core::watermark::{self, Decision, Refusal};
use tokio::sync::watch;
use tokio::time::Instant;
use trace::RequestTrace;
use tracing::Instrument as _;

/// The maximum number of attempts to sign and commit one request. There is more than one only if a write failed or lost a race.
const MAX_ATTEMPTS: u32 = 3;

/// After how long a holder that could not be reached is tried again.
const CONNECT_AGAIN: Duration = Duration::from_millis(50);

/// How long each request still tries an HSM that has failed for long, while the lease cannot be released.
const LAST_TRY: Duration = Duration::from_millis(200);

/// Everything that a request needs.
pub struct Signer {
    /// A request takes its key out once, and ends by what it has taken, whatever is configured meanwhile.
    keys: watch::Sender<Keys>,
    keystore: Arc<dyn Keystore>,
    audit: AuditLog,
    metrics: Metrics,
    attestations: Attestations,
    request_deadline: Duration,
    /// Of all ports together.
    slots: ConcurrencyLimit,
    /// `None`: nothing is forwarded.
    peers: Option<Peers>,
    closing: AtomicBool,
}

impl Signer {
    /// A signer for `keys`, which are looked up by their hash.
    pub fn new(
        keys: impl IntoIterator<Item = Key>,
        keystore: Arc<dyn Keystore>,
        audit: AuditLog,
        metrics: Metrics,
        request_deadline: Duration,
    ) -> Self {
        let keys = watch::Sender::new(expected(keys, &metrics));
        let slots = ConcurrencyLimit::new(DEFAULT_MAX_CONCURRENT_REQUESTS);
        let attestations = Attestations::new(Timestamp::now());
        let closing = AtomicBool::new(false);
        Self { keys, keystore, audit, metrics, attestations, request_deadline, slots, peers: None, closing }
    }

    /// Signs at most `requests` at once.
    #[must_use]
    pub fn limited_to(mut self, requests: u16) -> Self {
        self.slots = ConcurrencyLimit::new(requests);
        self
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

    /// The configured key with this hash.
    pub fn key(&self, hash: &PublicKeyHash) -> Option<Arc<Key>> {
        self.keys.borrow().get(hash).cloned()
    }

    /// Serves `keys` and no others from now on. Earlier requests are answered with the previous configuration.
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
        let other = |key: Arc<Key>| Holder::of(&key.record.view().lease).filter(|other| !key.is_served_here(other));
        self.forwards() && self.keys().filter_map(other).any(|other| other.address.is_some())
    }

    /// Where the private keys are.
    pub fn keystore(&self) -> &dyn Keystore {
        &*self.keystore
    }

    /// The audit log of this process.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// When `key` last attested, with DAL and without. A companion key has no times of its own.
    pub(crate) fn attestation_times(&self, key: &Key) -> Option<AttestationTimes> {
        let companions = self.keys().filter(|other| other.config.companion).map(|other| other.config.hash());
        (!key.config.companion).then(|| self.attestations.of(key.config.hash(), companions))
    }

    /// From now on nothing is signed any more: requests are forwarded, or answered with 502.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        for key in self.keys() {
            key.record.want();
        }
        self.keys.send_modify(|_| {});
    }

    /// Whether [`Signer::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Answers one request: the whole path.
    ///
    /// INVARIANT S7: A client that disconnects neither stops it half way nor makes room for another request, because the request goes on, and
    /// keeps its slot, to the end.
    pub async fn sign(self: &Arc<Self>, request: Request) -> Result<Answer, SignError> {
        let signer = self.clone();
        let mut trace = RequestTrace::new(&request);
        let mut of_bug = trace.clone();
        let span = trace.span();
        let span_of_bug = span.clone();
        let task = async move {
            let key = signer.key(&request.key);
            let answer = signer.answer(&request, key.as_deref(), &mut trace).await;
            let answer = answer.map_err(|error| signer.with_slowest_stage(error, key.as_deref(), &trace));
            signer.account_for(trace, answer.as_ref());
            answer
        };
        let task = AssertUnwindSafe(task.instrument(span)).catch_unwind();
        Detached::new(task).await.unwrap_or_else(|_| {
            of_bug.outcome = Outcome::Bug;
            span_of_bug.in_scope(|| self.account_for(of_bug, Err(&SignError::Bug)));
            Err(SignError::Bug)
        })
    }

    /// What is decided about one request, from top to bottom.
    async fn answer(
        &self,
        request: &Request,
        key: Option<&Key>,
        trace: &mut RequestTrace,
    ) -> Result<Answer, SignError> {
        let deadline = trace.started + self.request_deadline;
        let key = key.ok_or(SignError::UnknownKey(request.key))?;
        let mut facts = RequestFacts::default();
        let admitted = admit(&key.config.admission_rules(&key.authorized_keys), &request.to_admit(), &mut facts);
        trace.knows(&facts);
        let admitted = admitted?;
        let _slot = self.slots.take()?;

        let (times, pace, message) = (trace.times.clone(), key.record.pace(), admitted.message());
        let mut failure = None;
        loop {
            let holder = match self.sign_here(key, &admitted, deadline, trace).await {
                Err(SignError::Record(RecordSessionError::HeldElsewhere { holder })) => holder,
                // The time was spent on a holder that could not be asked, and only ran out here.
                Err(SignError::Record(
                    RecordSessionError::Busy
                    | RecordSessionError::Late
                    | RecordSessionError::Store(StoreError::Unavailable(_)),
                )) if let Some(failure) = failure.take_if(|_| Instant::now() >= deadline) => {
                    return Err(failure);
                }
                answer => {
                    if self.forwards() && matches!(answer, Err(SignError::Keystore(_))) {
                        // Perhaps for long enough now to leave it to another.
                        key.record.want();
                    }
                    return answer.map(Answer::Signature);
                }
            };
            let (from_client, forwards) = (request.origin == Origin::Client, self.peers.is_some());
            match &holder {
                // This process is shutting down and about to release the lease, or the lease is free and about to be taken.
                Some(holder) if forwards && key.is_served_here(holder) => {}
                None if forwards && from_client => {}
                Some(other) if forwards && from_client && other.address.is_some() => {
                    let forwarded = self.forward(key, request, message, other, deadline, &mut failure);
                    match times.during(Stage::Holder, pace, forwarded).await? {
                        Some(answer) => return Ok(Answer::Forwarded(answer)),
                        None => continue,
                    }
                }
                // A forwarded request is not forwarded again.
                _ => return Err(RecordSessionError::HeldElsewhere { holder }.into()),
            }
            let waited = key.record.other_holder_than(holder.as_ref(), deadline);
            let waited = times.during(Stage::Holder, pace, waited).await;
            waited.map_err(|error| failure.take().unwrap_or(error.into()))?;
        }
    }

    /// Forwards a request to `holder`. Returns `None` if the record has another holder by now, or may have one soon, and must be read
    /// again. A response is passed on unchanged, including 502 as long as that replica holds the record.
    async fn forward(
        &self,
        key: &Key,
        request: &Request,
        message: &Message,
        holder: &Holder,
        deadline: Instant,
        failure: &mut Option<SignError>,
    ) -> Result<Option<PeerAnswer>, SignError> {
        let Some(peers) = &self.peers else { return Ok(None) };
        let asked = tokio::select! {
            asked = peers.ask(holder, request, deadline) => asked,
            // A holder that does not answer is not waited for once another replica has taken over.
            Ok(()) = key.record.other_holder_than(Some(holder), deadline) => Err(PeerError::Displaced),
        };
        let asked =
            asked.and_then(|answer| answer.checked(|signature| key.config.public_key.verify(message, signature)));
        self.metrics.forwarded(match &asked {
            Ok(answer) => answer.outcome(),
            Err(error) => error.outcome(),
        });
        let error = match asked {
            Ok(answer) if answer.status != 502 => return Ok(Some(answer)),
            Ok(answer) => {
                let now = async { key.record.lock(deadline).await?.holder(Duration::ZERO, deadline).await };
                let displaced = now.await.is_ok_and(|now| now.is_none_or(|now| now.identity != holder.identity));
                return Ok((!displaced).then_some(answer));
            }
            Err(PeerError::Displaced) => return Ok(None),
            Err(error) => error,
        };
        tracing::warn!(key = %request.key, %holder, %error, "not forwarded");
        // If the holder could not be reached, nothing was sent, so it can be tried again. After any other failure the request waits for
        // another holder, because a holder that does not answer is replaced soon.
        let again = if error.is_before_sending() { Instant::now() + CONNECT_AGAIN } else { deadline };
        *failure = Some(SignError::Peer { holder: holder.clone(), error });
        let displaced = key.record.other_holder_than(Some(holder), again.min(deadline)).await.is_ok();
        if displaced || Instant::now() < deadline {
            return Ok(None);
        }
        Err(failure.take().unwrap_or(SignError::ShuttingDown))
    }

    /// Signs or replays with the locked record, if this signer holds it.
    ///
    /// A signature of a block or vote leaves only by a replay of the record. A new signature is committed to the record first, and then
    /// replayed from the state that the store returned. A signature that is not in the store is therefore never released, whatever the
    /// result of a write, and whoever else writes.
    async fn sign_here(
        &self,
        key: &Key,
        admitted: &Admitted,
        deadline: Instant,
        trace: &mut RequestTrace,
    ) -> Result<Releasable, SignError> {
        // What came before is finished.
        let closing = self.is_closing();
        if closing && self.peers.is_none() {
            return Err(SignError::ShuttingDown);
        }
        let (times, pace) = (trace.times.clone(), key.record.pace());
        let mut record = times.during(Stage::Turn, pace, key.record.lock(deadline)).await?;
        if closing {
            let holder = times.during(Stage::Record, pace, record.holder(Duration::ZERO, deadline)).await?;
            return Err(RecordSessionError::HeldElsewhere { holder }.into());
        }
        let (mut attempts, mut read_anew) = (0, false);
        // What the keystore has made for this request, which was verified: it need not be once more.
        let mut made = None;
        loop {
            let current = times.during(Stage::Record, pace, record.current(deadline)).await?;
            trace.record_known();
            let decision = watermark::decide(&current.record, admitted, key.config.max_level_jump);
            // INVARIANT D7: Nobody writes while a key is suspended, so nothing else shows that it no longer is, and a client asks no second
            // time after this refusal.
            if decision.as_ref().is_err_and(Refusal::may_be_lifted) && !read_anew {
                times.during(Stage::Record, pace, record.observe(deadline)).await?;
                read_anew = true;
                continue;
            }
            let step = match decision? {
                Decision::Replay(signature) => {
                    if made != Some(signature) && !key.config.public_key.verify(admitted.message(), &signature) {
                        return Err(SignError::StoredSignature);
                    }
                    let signature = record.releasable(signature)?;
                    trace.replays(current.record.audit);
                    return Ok(signature);
                }
                Decision::Advance(step) => step,
            };
            attempts += 1;
            // At the same time, because each takes a while; nothing is done with either before both are there.
            let replaces = current.record.audit;
            let intent = self.audit.intent(trace.request.clone(), key.record.name().clone(), replaces, deadline);
            let until = self.patience_with_hsm(key, deadline);
            let signature = self.keystore.sign(admitted.key(), admitted.message(), until);
            let (signature, intent) = tokio::try_join!(
                async { times.during(Stage::Token, pace, signature).await.map_err(SignError::Keystore) },
                async { times.during(Stage::Audit, pace, intent).await.map_err(SignError::Audit) },
            )?;
            let signature = signature.of(&admitted.key(), &admitted.digest()).ok_or_else(KeystoreError::of_another)?;
            made = Some(signature);
            trace.signed(intent);
            // INVARIANT S2: After a pause, another signer may have taken over, and a write would show it this signature.
            if record.is_silent() {
                continue;
            }
            let next = step.apply_to(&current.record, signature, intent);
            match times.during(Stage::Commit, pace, record.commit(&current, &next, deadline)).await {
                // INVARIANT S8: No row can replay a generic operation. That this very commit succeeded is what lets it leave.
                Ok(()) if !step.is_replayable() => {
                    let signature = record.releasable(signature)?;
                    trace.replays(Some(intent));
                    return Ok(signature);
                }
                Ok(()) => trace.committed(),
                // INVARIANT S5: Whatever the result of the write was, the local signature is dropped here. The record is read again, and
                // its state decides: replay, advance or refuse.
                Err(error) => {
                    trace.committed();
                    trace.commit_failed = Some(error.clone());
                    tracing::warn!(record = %key.record.name(), %error, "not committed, deciding again");
                    self.metrics.commit_failed();
                    if attempts >= MAX_ATTEMPTS {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// The deadline for the HSM. If the HSM fails, another replica is to take over soon, and the lease is released only after the request
    /// that has the record locked.
    fn patience_with_hsm(&self, key: &Key, deadline: Instant) -> Instant {
        match self.keystore.failing_for(&key.config.hash()) {
            Some(time) if self.forwards() => {
                deadline.min(Instant::now() + HSM_PATIENCE.saturating_sub(time).max(LAST_TRY))
            }
            _ => deadline,
        }
    }
}
