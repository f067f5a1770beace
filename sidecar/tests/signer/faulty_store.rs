//! The file store, and around it what only a store in a network does, at the moment that a test wants: it has a lease, it has
//! other writers, and its answers get lost. Every write and read is the file store's own.

use crate::test_env::TestEnv;
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tezos_signer::store::{FileStore, Hints, Snapshot, Store, StoreError};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::{Lease, Record, RecordName};
use tokio::sync::{Mutex as AsyncMutex, Notify, broadcast};
use tokio::time::Instant;

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
    /// It is lost, and that takes so long to be found out.
    LostAfter(Duration),
    /// It takes so long.
    Slow(Duration),
    /// It signals that it was reached, and goes on when it is released.
    Waits(Arc<Notify>, Arc<Notify>),
    /// It is written at once, and the answer comes so much later.
    AnswerLate(Duration),
}

pub(crate) struct FaultyStore {
    file: FileStore,
    leased: bool,
    lease: AsyncMutex<Lease>,
    faults: Mutex<VecDeque<Fault>>,
    /// After how long reads fail, if they do.
    reads_fail: Mutex<Option<Duration>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
    /// The records that signers have sent, in their order, whatever became of them.
    sent: Mutex<Vec<Record>>,
    /// What those who watch are sent.
    hints: broadcast::Sender<Lease>,
}

impl FaultyStore {
    /// Without a lease, as on a host of its own.
    pub(crate) fn exclusive(env: &TestEnv) -> Arc<Self> {
        Self::new(env, false)
    }

    /// With a lease, as in a cluster. For one record only.
    pub(crate) fn leased(env: &TestEnv) -> Arc<Self> {
        Self::new(env, true)
    }

    fn new(env: &TestEnv, leased: bool) -> Arc<Self> {
        Arc::new(Self {
            file: FileStore::open(&env.records()).unwrap(),
            leased,
            lease: AsyncMutex::default(),
            faults: Mutex::default(),
            reads_fail: Mutex::default(),
            reads: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            sent: Mutex::default(),
            hints: broadcast::Sender::new(16),
        })
    }

    /// What becomes of the next writes.
    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// From now on reads fail, each after so long.
    pub(crate) fn fail_reads_after(&self, time: Duration) {
        *self.reads_fail.lock().unwrap() = Some(time);
    }

    /// Nothing more goes wrong.
    pub(crate) fn heal(&self) {
        self.faults.lock().unwrap().clear();
        *self.reads_fail.lock().unwrap() = None;
    }

    /// How many reads were asked for.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// How many writes were asked for, whatever became of them.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Whether the store was ever sent a signature for this level, whether it took the write or not.
    pub(crate) fn received_signature_at(&self, level: u32) -> bool {
        let is_signed = |row: &String| row.starts_with(&format!("{level} ")) && !row.ends_with(" -");
        self.sent.lock().unwrap().iter().any(|record| record.to_data().values().any(is_signed))
    }

    pub(crate) async fn lease(&self) -> Lease {
        self.lease.lock().await.clone()
    }

    /// A watch says that the lease is this one now, whether that is so or not.
    pub(crate) fn hint(&self, lease: Lease) {
        // Nobody may be watching yet.
        let _ = self.hints.send(lease);
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
        let fails = *self.reads_fail.lock().unwrap();
        if let Some(time) = fails {
            tokio::time::sleep(time).await;
            return Err(StoreError::Unavailable("the read failed".into()));
        }
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
        self.sent.lock().unwrap().push(record.clone());
        let mut record = self.next_state(record);
        let fault = self.faults.lock().unwrap().pop_front();
        match &fault {
            Some(Fault::Waits(reached, go_on)) => {
                reached.notify_one();
                go_on.notified().await;
            }
            Some(Fault::LostAfter(time)) => {
                tokio::time::sleep(*time).await;
                return Err(StoreError::Unavailable("no answer".into()));
            }
            Some(Fault::Slow(time)) => tokio::time::sleep(*time).await,
            Some(Fault::RequestLost) => return Err(StoreError::Unavailable("the request was lost".into())),
            Some(Fault::Overtaken(rival)) => {
                let now = self.file.read(name, deadline).await?;
                self.file.replace(name, &now, rival, lease, deadline).await?;
            }
            Some(Fault::Raises(level)) => record = record.raised_to(*level),
            Some(Fault::AnswerLost | Fault::AnswerLate(_)) | None => {}
        }
        let mut current = self.lease.lock().await;
        let mut snapshot = self.file.replace(name, basis, &record, lease, deadline).await?;
        *current = lease.clone();
        drop(current);
        snapshot.lease = lease.clone();
        match fault {
            Some(Fault::AnswerLate(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(snapshot)
            }
            Some(Fault::AnswerLost) => Err(StoreError::Unavailable("the answer was lost".into())),
            _ => Ok(snapshot),
        }
    }

    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError> {
        self.file.create(name, record).await
    }

    fn check_place(&self) -> Result<(), StoreError> {
        self.file.check_place()
    }

    fn watch(&self, _name: &RecordName, _from: &Snapshot) -> Option<Hints> {
        let hints = stream::unfold(self.hints.subscribe(), async |mut hints| Some((hints.recv().await.ok()?, hints)));
        self.leased.then(|| hints.boxed())
    }

    fn is_exclusive(&self) -> bool {
        !self.leased
    }
}
