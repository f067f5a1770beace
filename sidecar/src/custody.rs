//! One record in this process's hands: the in-memory copy, who may use it when, and what must be true of it before anything
//! is decided on it. The lease is taken and let go here; when to do so is decided in [`crate::lease`].
//!
//! ◆ The copy comes only from a read or from the body of a successful write, never from what was sent.

use crate::store::{Hints, Snapshot, Store, StoreError};
use jiff::Timestamp;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::audit::witness::{Proof, Proofs};
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::record::{Lease, Record, RecordName};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Notify};

/// How often a request that waits for a holder looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why a record cannot be decided on, or was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CustodyError {
    /// The store says so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another signer serves it, or nobody yet.
    #[error("{}", holder.as_ref().map_or("no signer serves this key yet".to_owned(), |holder| format!("another signer serves this key now ({holder})")))]
    HeldElsewhere {
        /// The other, as the store had it when this was found out.
        holder: Option<Holder>,
    },
    /// ◆ The store shows less than was seen before.
    #[error(
        "the {kind} row of the watermark record went back behind what this signer has seen: was an old copy restored? Nothing is \
         signed until somebody has raised the record above all that was signed, and started the signer again: docs/record.md, \
         \"When a backup is restored\""
    )]
    WentBack {
        /// The first such row.
        kind: ConsensusKind,
    },
    /// ◆ The store shows less than the audit log of this signer's former processes proves, or the chain.
    #[error(
        "{proof}, and the watermark record does not know it: was an old copy restored? Nothing is signed until somebody has raised \
         the record above all that was signed: docs/record.md, \"When a backup is restored\""
    )]
    Forgotten {
        /// The line of the log.
        proof: Proof,
    },
    /// No turn within the deadline.
    #[error("other requests for this key took all the time")]
    Busy,
}

impl CustodyError {
    /// Every [`CustodyError::reason`].
    pub const REASONS: [&str; 5] = ["missing", "invalid", "forbidden", "unavailable", "went_back"];

    /// In one word, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Missing(_)) => "missing",
            Self::Store(StoreError::Invalid { .. }) => "invalid",
            Self::Store(StoreError::Forbidden(_)) => "forbidden",
            Self::WentBack { .. } | Self::Forgotten { .. } => "went_back",
            Self::Store(
                StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::Exists(_) | StoreError::Locked(_),
            )
            | Self::HeldElsewhere { .. }
            | Self::Busy => "unavailable",
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

/// What a standby waits for, and how long.
#[derive(Debug, Clone)]
pub struct LeaseTerms {
    /// Who this process is: the pod's UID, or the host's name.
    pub identity: String,
    /// Where other replicas can forward requests to; they are told with the lease.
    pub address: Option<SocketAddr>,
    /// After how long without a change another may take over.
    pub duration: Duration,
}

/// A record that this process uses.
pub struct Custody {
    name: RecordName,
    store: Arc<dyn Store>,
    /// `None` where the store is this process's alone.
    terms: Option<LeaseTerms>,
    state: AsyncMutex<State>,
    view: Mutex<View>,
    /// Somebody waits for a holder.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    /// What the store had when it was last asked; `None` when that is not known any more.
    snapshot: Option<Snapshot>,
    /// The newest state ever seen, to tell a change by.
    newest: Option<Snapshot>,
    /// When the store was last asked.
    asked: Option<Instant>,
    /// Since when the store has shown that state, as far as this process's clock knows.
    unchanged_since: Option<Instant>,
    /// When the newest write of this process was sent that the store took. ◆ A read does not count: nobody else sees it, and
    /// a standby counts from what it sees.
    confirmed: Option<Instant>,
    /// The highest record ever seen.
    seen: Option<Record>,
    went_back: Option<ConsensusKind>,
    /// What was certainly signed before this process started.
    proofs: Proofs,
    /// What the store does not know of that. Unlike the latch before, this is judged anew with each state of the store.
    forgotten: Option<Proof>,
}

/// What status and metrics show, without waiting for a signature in progress.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest record known.
    pub record: Option<Record>,
    /// Who serves it.
    pub lease: Lease,
    /// Whether that is this process.
    pub held: bool,
    /// Why it cannot be used.
    pub problem: Option<CustodyError>,
    /// Whether that is because the record knows less than this signer.
    pub went_back: bool,
}

impl Custody {
    /// Nothing is read yet.
    pub fn new(name: RecordName, store: Arc<dyn Store>, terms: Option<LeaseTerms>) -> Self {
        let terms = terms.filter(|_| !store.is_exclusive());
        let (state, view, wanted) = (AsyncMutex::default(), Mutex::default(), Notify::new());
        Self { name, store, terms, state, view, wanted }
    }

    /// Refuses a record that does not know what `proofs` prove.
    #[must_use]
    pub fn reminded_of(mut self, proofs: Proofs) -> Self {
        self.state.get_mut().proofs = proofs;
        self
    }

    /// The same of a record that may be in use: it is read again before anything more is decided on it.
    pub async fn remind(&self, proofs: Proofs, deadline: Instant) -> Result<(), CustodyError> {
        let mut held = self.lock(deadline).await?;
        held.state.proofs.extend(proofs);
        held.observe(deadline).await.map(|_| ())
    }

    /// The record's name.
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

    /// Tells of changes after the state `from`, where the store can.
    pub fn watch(&self, from: &Snapshot) -> Option<Hints> {
        self.store.watch(&self.name, from)
    }

    /// Asks for a look at the lease now: there is a request, and nobody to serve it.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits until a look is [asked for](Self::want).
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until the record has another holder than `holder`, if only nobody; meanwhile has the lease looked at, so that it is
    /// taken as soon as it may be. An error at the deadline.
    pub async fn other_holder_than(&self, holder: Option<&Holder>, deadline: Instant) -> Result<(), CustodyError> {
        let identity = holder.map(|holder| holder.identity.as_str());
        loop {
            self.want();
            tokio::time::sleep_until((Instant::now() + LOOK_AGAIN).min(deadline).into()).await;
            if Instant::now() >= deadline {
                return Err(CustodyError::HeldElsewhere { holder: holder.cloned() });
            }
            // A look that fails may succeed the next time.
            let now = async { self.lock(deadline).await?.holder(LOOK_AGAIN, deadline).await };
            if now.await.is_ok_and(|now| now.as_ref().map(|now| now.identity.as_str()) != identity) {
                return Ok(());
            }
        }
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        self.terms.as_ref().is_none_or(|terms| lease.holder_identity == terms.identity)
    }

    /// Waits for its turn: one decision at a time.
    pub async fn lock(&self, deadline: Instant) -> Result<Held<'_>, CustodyError> {
        let state =
            tokio::time::timeout_at(deadline.into(), self.state.lock()).await.map_err(|_| CustodyError::Busy)?;
        Ok(Held { custody: self, state })
    }

    fn show(&self, problem: Option<&CustodyError>, snapshot: Option<&Snapshot>) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = snapshot {
            view.record = Some(snapshot.record.clone());
            view.lease = snapshot.lease.clone();
            view.held = self.is_ours(&snapshot.lease);
            view.went_back = matches!(problem, Some(CustodyError::WentBack { .. } | CustodyError::Forgotten { .. }));
        }
        view.problem = problem.cloned();
    }
}

/// The record, locked.
pub struct Held<'a> {
    custody: &'a Custody,
    state: MutexGuard<'a, State>,
}

impl Held<'_> {
    /// The state to decide on: as the store has it, served by this process, and not behind what was seen before.
    ///
    /// ◆ After a silence as long as the lease it is read anew, and the lease renewed if it is still this process's: somebody
    /// else may have taken over meanwhile or be about to, and a write that the store refuses has already shown its signature to
    /// the API server.
    pub async fn current(&mut self, deadline: Instant) -> Result<Snapshot, CustodyError> {
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
        self.custody.terms.as_ref().is_some_and(|terms| self.silence() >= terms.duration)
    }

    async fn usable(&mut self, deadline: Instant) -> Result<Snapshot, CustodyError> {
        let snapshot = self.known(deadline).await?;
        self.refuse_after_going_back()?;
        if self.custody.is_ours(&snapshot.lease) {
            return Ok(snapshot);
        }
        Err(CustodyError::HeldElsewhere { holder: Holder::of(&snapshot.lease) })
    }

    /// Who serves the record, as the store had it no longer than `age` ago; a read, unless it was asked since.
    pub async fn holder(&mut self, age: Duration, deadline: Instant) -> Result<Option<Holder>, CustodyError> {
        let fresh = self.state.asked.is_some_and(|asked| asked.elapsed() < age);
        let snapshot = match self.state.snapshot.clone().filter(|_| fresh) {
            Some(snapshot) => snapshot,
            None => self.observe(deadline).await?.0,
        };
        Ok(Holder::of(&snapshot.lease))
    }

    fn refuse_after_going_back(&self) -> Result<(), CustodyError> {
        match (self.state.went_back, self.state.forgotten) {
            (Some(kind), _) => Err(CustodyError::WentBack { kind }),
            (None, Some(proof)) => Err(CustodyError::Forgotten { proof }),
            (None, None) => Ok(()),
        }
    }

    /// Puts `record` in place of `decided_on`, which [`Held::current`] returned, and of no other state. After any error it
    /// may have been written or not: the copy is forgotten, and the next [`Held::current`] reads.
    pub async fn commit(
        &mut self,
        decided_on: &Snapshot,
        record: &Record,
        deadline: Instant,
    ) -> Result<(), CustodyError> {
        let renew_time = self.custody.terms.as_ref().map(|_| Timestamp::now());
        let holder_address = self.custody.terms.as_ref().and_then(|terms| terms.address);
        let lease = Lease { renew_time, holder_address, ..decided_on.lease.clone() };
        self.write(decided_on, record, &lease, deadline).await
    }

    /// Shows that the holder lives, if it is this process.
    pub async fn renew(&mut self, deadline: Instant) -> Result<(), CustodyError> {
        if self.is_silent() {
            return self.current(deadline).await.map(|_| ());
        }
        let current = self.usable(deadline).await?;
        self.commit(&current, &current.record, deadline).await
    }

    /// Takes the lease in the state `seen`, and in no other. Whoever else was named there did not come: his name goes, or this process
    /// would let the lease go again, for him.
    pub async fn take(&mut self, seen: &Snapshot, deadline: Instant) -> Result<(), CustodyError> {
        let Some(terms) = &self.custody.terms else { return Ok(()) };
        // Who would refuse everything does not compete.
        self.refuse_after_going_back()?;
        let is_named = seen.lease.preferred_holder == terms.identity;
        let now = Some(Timestamp::now());
        let lease = Lease {
            holder_identity: terms.identity.clone(),
            lease_duration_seconds: u32::try_from(terms.duration.as_secs()).unwrap_or(u32::MAX),
            acquire_time: now,
            renew_time: now,
            leader_transitions: seen.lease.leader_transitions + 1,
            preferred_holder: if is_named { terms.identity.clone() } else { String::new() },
            holder_address: terms.address,
        };
        self.write(seen, &seen.record, &lease, deadline).await
    }

    /// Lets the lease go, if this process has it.
    pub async fn release(&mut self, deadline: Instant) -> Result<(), CustodyError> {
        if self.custody.terms.is_none() {
            return Ok(());
        }
        if self.is_silent() {
            self.state.snapshot = None;
        }
        let current = self.usable(deadline).await?;
        let lease = current.lease.let_go();
        // ◆ If its answer is lost it may still land, in the middle of a signature: a renewal must come before the next one.
        self.state.confirmed = None;
        self.write(&current, &current.record, &lease, deadline).await
    }

    /// Reads the store, whoever serves the record; also says for how long the state has been the same.
    pub async fn observe(&mut self, deadline: Instant) -> Result<(Snapshot, Duration), CustodyError> {
        self.state.snapshot = None;
        let snapshot = self.known(deadline).await?;
        Ok((snapshot, self.state.unchanged_since.map_or(Duration::ZERO, |since| since.elapsed())))
    }

    /// How long ago the newest write was sent that the store took.
    pub fn silence(&self) -> Duration {
        self.state.confirmed.map_or(Duration::MAX, |confirmed| confirmed.elapsed())
    }

    async fn write(
        &mut self,
        basis: &Snapshot,
        record: &Record,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<(), CustodyError> {
        // Forgotten first: if this future ends early, nobody knows what the store has.
        self.state.snapshot = None;
        let asked = Instant::now();
        let written = self.custody.store.replace(&self.custody.name, basis, record, lease, deadline).await?;
        self.saw(written);
        self.state.confirmed = Some(asked);
        Ok(())
    }

    /// What the store has: the copy, if this process serves the record. Who else does, only a read can tell.
    async fn known(&mut self, deadline: Instant) -> Result<Snapshot, CustodyError> {
        if let Some(snapshot) = self.state.snapshot.as_ref().filter(|copy| self.custody.is_ours(&copy.lease)) {
            return Ok(snapshot.clone());
        }
        match self.custody.store.read(&self.custody.name, deadline).await {
            Ok(snapshot) => {
                self.saw(snapshot.clone());
                Ok(snapshot)
            }
            Err(error) => {
                let error = error.into();
                self.custody.show(Some(&error), None);
                Err(error)
            }
        }
    }

    fn saw(&mut self, snapshot: Snapshot) {
        let state = &mut *self.state;
        if let Some(kind) = state.seen.as_ref().and_then(|seen| snapshot.record.forgets(seen)) {
            tracing::error!(record = %self.custody.name, %kind, "the watermark record went back: nothing more is signed with this key");
            state.went_back = Some(kind);
        } else {
            state.seen = Some(snapshot.record.clone());
        }
        let forgotten = state.proofs.forgotten_by(&snapshot.record);
        if let Some(proof) = forgotten.filter(|_| state.forgotten.is_none()) {
            tracing::error!(record = %self.custody.name, %proof, "the watermark record has forgotten what was signed: nothing is signed with this key");
        }
        state.forgotten = forgotten;
        let refused = self.refuse_after_going_back();
        self.custody.show(refused.as_ref().err(), Some(&snapshot));
        let state = &mut *self.state;
        if !state.newest.as_ref().is_some_and(|newest| newest.is_same_state(&snapshot)) {
            state.unchanged_since = Some(Instant::now());
            state.newest = Some(snapshot.clone());
        }
        state.asked = Some(Instant::now());
        state.snapshot = Some(snapshot);
    }
}
