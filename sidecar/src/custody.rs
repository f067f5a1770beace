//! One record in this process's hands: the in-memory copy, who may use it when, and what must be true of it before anything
//! is decided on it. The lease is taken and let go here; when to do so is decided in [`crate::lease`].
//!
//! ◆ The copy comes only from a read or from the body of a successful write, never from what was sent.

use crate::store::{Snapshot, Store, StoreError};
use jiff::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::record::{Lease, Record, RecordName};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

/// Why a record cannot be decided on, or was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CustodyError {
    /// The store says so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another signer serves it.
    #[error("another signer serves this key now ({holder})")]
    HeldElsewhere {
        /// The identity of the other; `nobody yet` when free.
        holder: String,
    },
    /// ◆ The store shows less than was seen before.
    #[error(
        "the {kind} row of the watermark record went back behind what this signer has seen: was an old copy restored? Nothing is \
         signed until somebody has raised the record and restarted the signer"
    )]
    WentBack {
        /// The first such row.
        kind: ConsensusKind,
    },
    /// No turn within the deadline.
    #[error("other requests for this key took all the time")]
    Busy,
}

/// What a standby waits for, and how long.
#[derive(Debug, Clone)]
pub struct LeaseTerms {
    /// Who this process is: the pod's UID.
    pub identity: String,
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
}

#[derive(Default)]
struct State {
    /// What the store had when it was last asked; `None` when that is not known any more.
    snapshot: Option<Snapshot>,
    /// The newest state ever seen, to tell a change by.
    newest: Option<Snapshot>,
    /// Since when the store has shown that state, as far as this process's clock knows.
    unchanged_since: Option<Instant>,
    /// When the newest write of this process was sent that the store took. ◆ A read does not count: nobody else sees it, and
    /// a standby counts from what it sees.
    confirmed: Option<Instant>,
    /// The highest record ever seen.
    seen: Option<Record>,
    went_back: Option<ConsensusKind>,
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
    pub problem: Option<String>,
}

impl Custody {
    /// Nothing is read yet.
    pub fn new(name: RecordName, store: Arc<dyn Store>, terms: Option<LeaseTerms>) -> Self {
        let terms = terms.filter(|_| !store.is_exclusive());
        Self { name, store, terms, state: AsyncMutex::default(), view: Mutex::default() }
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

    /// Waits for its turn: one decision at a time.
    pub async fn lock(&self, deadline: Instant) -> Result<Held<'_>, CustodyError> {
        let state =
            tokio::time::timeout_at(deadline.into(), self.state.lock()).await.map_err(|_| CustodyError::Busy)?;
        Ok(Held { custody: self, state })
    }

    fn show(&self, problem: Option<String>, snapshot: Option<&Snapshot>) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = snapshot {
            view.record = Some(snapshot.record.clone());
            view.lease = snapshot.lease.clone();
            view.held = self.terms.as_ref().is_none_or(|terms| snapshot.lease.holder_identity == terms.identity);
        }
        view.problem = problem;
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
        match &self.custody.terms {
            Some(terms) if snapshot.lease.holder_identity != terms.identity => {
                let holder = match snapshot.lease.holder_identity.as_str() {
                    "" => "nobody yet".to_owned(),
                    holder => format!("pod {holder}"),
                };
                Err(CustodyError::HeldElsewhere { holder })
            }
            _ => Ok(snapshot),
        }
    }

    fn refuse_after_going_back(&self) -> Result<(), CustodyError> {
        self.state.went_back.map_or(Ok(()), |kind| Err(CustodyError::WentBack { kind }))
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
        let lease = Lease { renew_time, ..decided_on.lease.clone() };
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

    /// Takes the lease in the state `seen`, and in no other.
    pub async fn take(&mut self, seen: &Snapshot, deadline: Instant) -> Result<(), CustodyError> {
        let Some(terms) = &self.custody.terms else { return Ok(()) };
        // Who would refuse everything does not compete.
        self.refuse_after_going_back()?;
        let now = Some(Timestamp::now());
        let lease = Lease {
            holder_identity: terms.identity.clone(),
            lease_duration_seconds: u32::try_from(terms.duration.as_secs()).unwrap_or(u32::MAX),
            acquire_time: now,
            renew_time: now,
            leader_transitions: seen.lease.leader_transitions + 1,
            preferred_holder: seen.lease.preferred_holder.clone(),
            holder_address: None,
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

    async fn known(&mut self, deadline: Instant) -> Result<Snapshot, CustodyError> {
        if let Some(snapshot) = &self.state.snapshot {
            return Ok(snapshot.clone());
        }
        match self.custody.store.read(&self.custody.name, deadline).await {
            Ok(snapshot) => {
                self.saw(snapshot.clone());
                Ok(snapshot)
            }
            Err(error) => {
                self.custody.show(Some(error.to_string()), None);
                Err(error.into())
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
        let problem = state.went_back.map(|kind| CustodyError::WentBack { kind }.to_string());
        self.custody.show(problem, Some(&snapshot));
        if !state.newest.as_ref().is_some_and(|newest| newest.is_same_state(&snapshot)) {
            state.unchanged_since = Some(Instant::now());
            state.newest = Some(snapshot.clone());
        }
        state.snapshot = Some(snapshot);
    }
}
