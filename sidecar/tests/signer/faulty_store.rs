//! The file store, and around it what only a store in a network does, at the moment that a test wants: it has a lease, it has
//! other writers, and its answers get lost. Every write and read is the file store's own.

use crate::home::Home;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tezos_signer::store::{FileStore, Snapshot, Store, StoreError};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::{Lease, Record, RecordName};
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// What becomes of one write.
pub(crate) enum Fault {
    /// It is written, and the answer is lost.
    AnswerLost,
    /// It is lost itself.
    RequestLost,
    /// Somebody else's record is written first.
    Overtaken(Box<Record>),
    /// The store puts a higher floor than what was sent into the record, and says so in its answer.
    Raises(Level),
    /// It says that it was reached, and goes on when it is told so.
    Waits(Arc<Notify>, Arc<Notify>),
}

pub(crate) struct FaultyStore {
    file: FileStore,
    leased: bool,
    lease: AsyncMutex<Lease>,
    faults: Mutex<VecDeque<Fault>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
}

impl FaultyStore {
    /// Without a lease, as on a host of its own.
    pub(crate) fn exclusive(home: &Home) -> Arc<Self> {
        Self::new(home, false)
    }

    /// With a lease, as in a cluster. For one record only.
    pub(crate) fn leased(home: &Home) -> Arc<Self> {
        Self::new(home, true)
    }

    fn new(home: &Home, leased: bool) -> Arc<Self> {
        Arc::new(Self {
            file: FileStore::open(&home.records()).unwrap(),
            leased,
            lease: AsyncMutex::default(),
            faults: Mutex::default(),
            reads: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
        })
    }

    /// What becomes of the next writes.
    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// How many reads were asked for.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// How many writes were asked for, whatever became of them.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    pub(crate) async fn lease(&self) -> Lease {
        self.lease.lock().await.clone()
    }

    /// Somebody else writes the lease.
    pub(crate) async fn set_lease(&self, name: &RecordName, change: impl FnOnce(&mut Lease)) {
        let mut lease = self.lease.lock().await;
        change(&mut lease);
        let now = self.file.read(name, deadline()).await.unwrap();
        let record = self.next_state(&now.record);
        self.file.replace(name, &now, &record, &lease, deadline()).await.unwrap();
    }

    /// `record`, told apart from the state before by its text, as an API server does by the resourceVersion: by a ceiling far
    /// above all levels, which no two writes share.
    fn next_state(&self, record: &Record) -> Record {
        let write = i64::try_from(self.writes.fetch_add(1, Ordering::SeqCst)).unwrap();
        let ceiling = Some(Level::try_from(i64::from(Level::MAX.get()) - write).unwrap());
        Record { ceiling, ..record.clone() }
    }
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[async_trait]
impl Store for FaultyStore {
    async fn read(&self, name: &RecordName, deadline: Instant) -> Result<Snapshot, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let lease = self.lease.lock().await;
        let mut snapshot = self.file.read(name, deadline).await?;
        snapshot.lease = lease.clone();
        Ok(snapshot)
    }

    async fn replace(
        &self,
        name: &RecordName,
        basis: &Snapshot,
        record: &Record,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<Snapshot, StoreError> {
        let mut record = self.next_state(record);
        let fault = self.faults.lock().unwrap().pop_front();
        match &fault {
            Some(Fault::Waits(reached, go_on)) => {
                reached.notify_one();
                go_on.notified().await;
            }
            Some(Fault::RequestLost) => return Err(StoreError::Unavailable("the request was lost".to_owned())),
            Some(Fault::Overtaken(rival)) => {
                let now = self.file.read(name, deadline).await?;
                self.file.replace(name, &now, rival, lease, deadline).await?;
            }
            Some(Fault::Raises(level)) => record = record.raised_to(*level),
            Some(Fault::AnswerLost) | None => {}
        }
        let mut current = self.lease.lock().await;
        let mut snapshot = self.file.replace(name, basis, &record, lease, deadline).await?;
        *current = lease.clone();
        snapshot.lease = lease.clone();
        match fault {
            Some(Fault::AnswerLost) => Err(StoreError::Unavailable("the answer was lost".to_owned())),
            _ => Ok(snapshot),
        }
    }

    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError> {
        self.file.create(name, record).await
    }

    fn is_exclusive(&self) -> bool {
        !self.leased
    }
}
