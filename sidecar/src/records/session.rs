//! One record in this process: its in-memory copy, who may use it, and what must hold before a decision is made on it. The
//! lease is taken and released here; [`crate::lease`] decides when.
//!
//! INVARIANT S6: The copy comes only from a read or from the body of a successful write, never from what was sent.

use crate::stage::{Medium, Pace};
use crate::store::{Hints, Snapshot, Store, StoreError};
use jiff::Timestamp;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tezos_signer_core::audit::evidence::{EvidenceSet, SigningEvidence};
use tezos_signer_core::key::Signature;
pub use tezos_signer_core::lease::LeaseTerms;
use tezos_signer_core::lease::{LastWrite, WriteTimes};
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::record::{Lease, Record, RecordName};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Notify};
use tokio::time::Instant;

/// How often a request that waits for a holder reads the record again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A read with less time than this that gets no answer is no evidence of a failure of the store.
const FAIR_TIME: Duration = Duration::from_millis(250);

/// Why a record cannot be decided on, or was not committed. A retry helps where [`reason`](Self::reason) is `unavailable`; else once somebody has
/// done what the message says.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordSessionError {
    /// The store could not read or write it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another signer serves the record, or nobody yet.
    #[error("{}", holder.as_ref().map_or("no signer holds the record of this key yet".to_owned(), |holder| format!("another signer \
         holds the record of this key ({holder})")))]
    HeldElsewhere {
        /// The other, as the store had it when this was found out.
        holder: Option<Holder>,
    },
    /// INVARIANT R6: The store shows less than was seen before.
    #[error(
        "the {kind} row of the watermark record is lower than this signer has seen it: an old copy may have been restored. Nothing \
         is signed until the record is raised above everything that was signed, and the signer is restarted: docs/record.md, \"When \
         a backup is restored\""
    )]
    WentBack {
        /// The first such row.
        kind: ConsensusKind,
    },
    /// INVARIANT R7: The store shows less than the audit log of this signer's former processes proves, or the chain.
    #[error(
        "{proof}, but the watermark record does not have it: an old copy may have been restored. Nothing is signed until the record \
         is raised above everything that was signed: docs/record.md, \"When a backup is restored\""
    )]
    Forgotten {
        /// The line of the log.
        proof: SigningEvidence,
    },
    /// Other requests for the same key took all the time of this one.
    #[error("the request timed out while it waited for other requests for this key")]
    Busy,
    /// The deadline was over before the store could be asked.
    #[error("the request timed out before the watermark store was read")]
    Late,
}

impl RecordSessionError {
    /// Every [`RecordSessionError::reason`].
    pub const REASONS: [&str; 5] = ["missing", "invalid", "forbidden", "unavailable", "went_back"];

    /// In one word, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Missing(_)) => "missing",
            Self::Store(StoreError::Invalid { .. } | StoreError::Unusable { .. } | StoreError::Displaced { .. }) => {
                "invalid"
            }
            Self::Store(StoreError::Forbidden(_)) => "forbidden",
            Self::WentBack { .. } | Self::Forgotten { .. } => "went_back",
            Self::Store(
                StoreError::Unavailable(_)
                | StoreError::Refused(_)
                | StoreError::Conflict(_)
                | StoreError::Exists(_)
                | StoreError::FileLocked(_)
                | StoreError::Locked(_),
            )
            | Self::HeldElsewhere { .. }
            | Self::Busy
            | Self::Late => "unavailable",
        }
    }
}

/// Who serves a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The pod's UID, or the host's name.
    pub identity: String,
    /// Where requests can be forwarded to.
    pub address: Option<SocketAddr>,
}

impl Holder {
    /// That of `lease`; `None` when it is free.
    pub fn of(lease: &Lease) -> Option<Self> {
        let identity = lease.holder_identity.clone();
        (!identity.is_empty()).then_some(Self { identity, address: lease.holder_address })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity)?;
        self.address.map_or(Ok(()), |address| write!(f, " at {address}"))
    }
}

/// A record that this process uses.
pub struct RecordSession {
    name: RecordName,
    store: Arc<dyn Store>,
    /// `None` where the store is this process's alone.
    terms: Option<LeaseTerms>,
    state: AsyncMutex<State>,
    view: Mutex<View>,
    pace: Pace,
    medium: Medium,
    /// Somebody waits for a holder.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    /// What the store had when it was last asked; `None` when that is not known any more.
    snapshot: Option<Snapshot>,
    /// The newest state that was seen, to detect a change.
    newest: Option<Snapshot>,
    /// When the store was last asked.
    asked: Option<Instant>,
    /// Since when the store has shown that state, as far as this process's clock knows.
    unchanged_since: Option<Instant>,
    /// The newest write of this process that the store accepted.
    last_write: LastWrite<Instant>,
    /// The highest record ever seen.
    seen: Option<Record>,
    went_back: Option<ConsensusKind>,
    /// What was certainly signed before this process started.
    proofs: EvidenceSet,
    /// The evidence that the record in the store lacks. Unlike the latch above, it is evaluated again for each state of the store.
    forgotten: Option<SigningEvidence>,
}

/// What status and metrics show, without waiting for a signature in progress.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest record known.
    pub record: Option<Record>,
    /// The lease in the record: holder, renewal, preferred holder.
    pub lease: Lease,
    /// Whether that is this process.
    pub held: bool,
    /// Why it cannot be used.
    pub problem: Option<RecordSessionError>,
    /// Whether that is because the record knows less than this signer.
    pub went_back: bool,
}

impl RecordSession {
    /// Nothing is read yet.
    pub fn new(name: RecordName, store: Arc<dyn Store>, terms: Option<LeaseTerms>) -> Self {
        let terms = terms.filter(|_| !store.is_exclusive());
        let (state, view, wanted) = (AsyncMutex::default(), Mutex::default(), Notify::new());
        let medium = if store.is_exclusive() { Medium::Disk } else { Medium::ApiServer };
        Self { name, store, terms, state, view, pace: Pace::default(), medium, wanted }
    }

    /// Refuses a record that does not know what `proofs` prove.
    #[must_use]
    pub fn reminded_of(mut self, proofs: EvidenceSet) -> Self {
        self.state.get_mut().proofs = proofs;
        self
    }

    /// The same of a record that may be in use: it is read again before anything more is decided on it.
    pub async fn remind(&self, proofs: EvidenceSet, deadline: Instant) -> Result<(), RecordSessionError> {
        let mut held = self.lock(deadline).await?;
        held.state.proofs.extend(proofs);
        held.observe(deadline).await.map(|_| ())
    }

    /// The name of the record: the ConfigMap's, or the file's before `.json`.
    pub fn name(&self) -> &RecordName {
        &self.name
    }

    /// The terms of the lease; `None` where none is needed.
    pub fn terms(&self) -> Option<&LeaseTerms> {
        self.terms.as_ref()
    }

    /// What is known, for people.
    pub fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How fast requests for the key are answered.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Where the record is.
    pub fn medium(&self) -> Medium {
        match self.medium {
            Medium::Disk if self.store.waits_for_another_process(&self.name) => Medium::LockedFile,
            medium => medium,
        }
    }

    /// Tells of changes after the state `from`, where the store can.
    pub fn watch(&self, from: &Snapshot) -> Option<Hints> {
        self.store.watch(&self.name, from)
    }

    /// Requests a check of the lease now, because a request waits and the record has no holder.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits until a check is [requested](Self::want).
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until the record has another holder than `holder`, or none. Meanwhile it requests checks of the lease, so that the lease is
    /// taken as soon as the rules allow it. Returns an error at the deadline.
    pub async fn other_holder_than(
        &self,
        holder: Option<&Holder>,
        deadline: Instant,
    ) -> Result<(), RecordSessionError> {
        let identity = holder.map(|holder| holder.identity.as_str());
        loop {
            self.want();
            tokio::time::sleep_until((Instant::now() + LOOK_AGAIN).min(deadline)).await;
            if Instant::now() >= deadline {
                return Err(RecordSessionError::HeldElsewhere { holder: holder.cloned() });
            }
            // A read that fails may succeed the next time.
            let now = async { self.lock(deadline).await?.holder(LOOK_AGAIN, deadline).await };
            if now.await.is_ok_and(|now| now.as_ref().map(|now| now.identity.as_str()) != identity) {
                return Ok(());
            }
        }
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        self.terms.as_ref().is_none_or(|terms| terms.holds(lease))
    }

    /// Waits for its turn: one decision at a time.
    pub async fn lock(&self, deadline: Instant) -> Result<LockedRecord<'_>, RecordSessionError> {
        let state = tokio::time::timeout_at(deadline, self.state.lock()).await.map_err(|_| RecordSessionError::Busy)?;
        Ok(LockedRecord { session: self, state })
    }

    fn show(&self, problem: Option<&RecordSessionError>, snapshot: Option<&Snapshot>) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = snapshot {
            view.record = Some(snapshot.record.clone());
            view.lease = snapshot.lease.clone();
            view.held = self.is_ours(&snapshot.lease);
            view.went_back =
                matches!(problem, Some(RecordSessionError::WentBack { .. } | RecordSessionError::Forgotten { .. }));
        }
        view.problem = problem.cloned();
    }
}

/// A signature that may leave the process. Only [`LockedRecord::releasable`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Releasable(Signature);

impl Releasable {
    /// The signature to give out.
    pub fn signature(&self) -> &Signature {
        &self.0
    }
}

/// Exclusive access to the record: at most one decision at a time is made on it.
pub struct LockedRecord<'a> {
    session: &'a RecordSession,
    state: MutexGuard<'a, State>,
}

impl LockedRecord<'_> {
    /// The state to decide on: as in the store, held by this process, and not lower than it was seen before.
    ///
    /// INVARIANT S1: After a silence as long as the lease, the record is read again, and the lease renewed if this process still holds it.
    /// Another signer may have taken over meanwhile or be about to, and even a rejected write has shown its signature to the API server.
    pub async fn current(&mut self, deadline: Instant) -> Result<Snapshot, RecordSessionError> {
        if !self.is_silent() {
            return self.usable(deadline).await;
        }
        self.state.snapshot = None;
        let current = self.usable(deadline).await?;
        self.commit(&current, &current.record, deadline).await?;
        self.usable(deadline).await
    }

    /// Whether the store has taken no write of this process for as long as the lease lasts.
    pub fn is_silent(&self) -> bool {
        self.session.terms.as_ref().is_some_and(|terms| terms.is_silent(self.silence()))
    }

    async fn usable(&mut self, deadline: Instant) -> Result<Snapshot, RecordSessionError> {
        let snapshot = self.known(deadline).await?;
        self.refuse_after_going_back()?;
        if self.session.is_ours(&snapshot.lease) {
            return Ok(snapshot);
        }
        Err(RecordSessionError::HeldElsewhere { holder: Holder::of(&snapshot.lease) })
    }

    /// Who serves the record, as the store had it no longer than `age` ago; a read, unless it was asked since.
    pub async fn holder(&mut self, age: Duration, deadline: Instant) -> Result<Option<Holder>, RecordSessionError> {
        let fresh = self.state.asked.is_some_and(|asked| asked.elapsed() < age);
        let snapshot = match self.state.snapshot.clone().filter(|_| fresh) {
            Some(snapshot) => snapshot,
            None => self.observe(deadline).await?.0,
        };
        Ok(Holder::of(&snapshot.lease))
    }

    fn refuse_after_going_back(&self) -> Result<(), RecordSessionError> {
        match (self.state.went_back, self.state.forgotten) {
            (Some(kind), _) => Err(RecordSessionError::WentBack { kind }),
            (None, Some(proof)) => Err(RecordSessionError::Forgotten { proof }),
            (None, None) => Ok(()),
        }
    }

    /// Puts `record` in place of `decided_on`, which [`LockedRecord::current`] returned, and of no other state. After any error it
    /// may have been written or not: the copy is forgotten, and the next [`LockedRecord::current`] reads.
    pub async fn commit(
        &mut self,
        decided_on: &Snapshot,
        record: &Record,
        deadline: Instant,
    ) -> Result<(), RecordSessionError> {
        let renewed = self.session.terms.as_ref().map(|terms| terms.renewed(&decided_on.lease, Timestamp::now()));
        let lease = renewed.unwrap_or_else(|| decided_on.lease.clone());
        self.write(decided_on, record, &lease, deadline).await
    }

    /// INVARIANT R13: Returns `signature`, which the record holds, if the store of that record is still at the configured place. It is
    /// checked after the commit, because any later copy of the records includes the new state.
    pub fn releasable(&self, signature: Signature) -> Result<Releasable, RecordSessionError> {
        match self.session.store.check_place() {
            Ok(()) => Ok(Releasable(signature)),
            Err(error) => {
                let error = error.into();
                self.session.show(Some(&error), None);
                Err(error)
            }
        }
    }

    /// Shows that the holder lives, if it is this process.
    pub async fn renew(&mut self, deadline: Instant) -> Result<(), RecordSessionError> {
        if self.is_silent() {
            return self.current(deadline).await.map(|_| ());
        }
        let current = self.usable(deadline).await?;
        self.commit(&current, &current.record, deadline).await
    }

    /// Takes the lease in the state `seen`, and in no other.
    pub async fn take(&mut self, seen: &Snapshot, deadline: Instant) -> Result<(), RecordSessionError> {
        let Some(terms) = &self.session.terms else { return Ok(()) };
        // Who would refuse everything does not compete.
        self.refuse_after_going_back()?;
        let lease = terms.taken(&seen.lease, Timestamp::now());
        self.write(seen, &seen.record, &lease, deadline).await
    }

    /// Lets the lease go, if this process has it.
    pub async fn release(&mut self, deadline: Instant) -> Result<(), RecordSessionError> {
        if self.session.terms.is_none() {
            return Ok(());
        }
        if self.is_silent() {
            self.state.snapshot = None;
        }
        let current = self.usable(deadline).await?;
        let lease = current.lease.let_go();
        self.state.last_write.release_sent();
        self.write(&current, &current.record, &lease, deadline).await
    }

    /// Reads the store, whoever holds the record. Also returns for how long the state has been unchanged.
    pub async fn observe(&mut self, deadline: Instant) -> Result<(Snapshot, Duration), RecordSessionError> {
        self.state.snapshot = None;
        let snapshot = self.known(deadline).await?;
        Ok((snapshot, self.state.unchanged_since.map_or(Duration::ZERO, |since| since.elapsed())))
    }

    /// How long ago the newest write was sent that the store accepted; [`Duration::MAX`] without any.
    pub fn silence(&self) -> Duration {
        self.state.last_write.silence(|sent| sent.elapsed())
    }

    async fn write(
        &mut self,
        basis: &Snapshot,
        record: &Record,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<(), RecordSessionError> {
        // The copy is dropped first: if this future is cancelled, the state of the store is unknown.
        self.state.snapshot = None;
        let sent = Instant::now();
        let written = self.session.store.replace(&self.session.name, basis, record, lease, deadline).await?;
        self.saw(written);
        self.state.last_write.accepted(WriteTimes { sent, answered: Instant::now() });
        Ok(())
    }

    /// The state of the store: the copy, if this process holds the record; otherwise only a read can tell the holder.
    async fn known(&mut self, deadline: Instant) -> Result<Snapshot, RecordSessionError> {
        if let Some(snapshot) = self.state.snapshot.as_ref().filter(|copy| self.session.is_ours(&copy.lease)) {
            return Ok(snapshot.clone());
        }
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Err(RecordSessionError::Late);
        }
        match self.session.store.read(&self.session.name, deadline).await {
            Ok(snapshot) => {
                self.saw(snapshot.clone());
                Ok(snapshot)
            }
            Err(error) => {
                let error = error.into();
                if time >= FAIR_TIME || Instant::now() < deadline {
                    self.session.show(Some(&error), None);
                }
                Err(error)
            }
        }
    }

    fn saw(&mut self, snapshot: Snapshot) {
        let state = &mut *self.state;
        if let Some(kind) = state.seen.as_ref().and_then(|seen| snapshot.record.forgets(seen)) {
            tracing::error!(record = %self.session.name, %kind, "the watermark record went back: nothing is signed with this key");
            state.went_back = Some(kind);
        } else {
            state.seen = Some(snapshot.record.clone());
        }
        let forgotten = state.proofs.forgotten_by(&snapshot.record);
        if let Some(proof) = forgotten.filter(|_| state.forgotten.is_none()) {
            tracing::error!(record = %self.session.name, %proof, "the watermark record is lower than what was signed: nothing is \
                 signed with this key");
        }
        state.forgotten = forgotten;
        let refused = self.refuse_after_going_back();
        self.session.show(refused.as_ref().err(), Some(&snapshot));
        let state = &mut *self.state;
        if !state.newest.as_ref().is_some_and(|newest| newest.is_same_state(&snapshot)) {
            state.unchanged_since = Some(Instant::now());
            state.newest = Some(snapshot.clone());
        }
        state.asked = Some(Instant::now());
        state.snapshot = Some(snapshot);
    }
}
