//! Takes, renews and releases the leases of all records, by the rules of [`tezos_signer_core::lease`].

use crate::lease::watch::LeaseWatch;
use crate::records::session::{RecordSession, RecordSessionError};
use crate::signing::Signer;
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::lease::{HolderAction, StandbyAction};
use tezos_signer_core::record::RecordName;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the store may take for one look, renewal or release.
const CALL: Duration = Duration::from_secs(1);

/// The longest wait for the record. Turns go in the order of asking, and a request keeps its own no longer than it may take: so
/// this one comes. Who gave up sooner might never get one, while requests wait out a token that does not answer.
const TURN: Duration = Duration::from_mins(1);

/// The interval at which a holder checks its HSM.
const LOOK: Duration = Duration::from_millis(500);

/// The minimum interval between two checks, however many requests wait.
const LOOK_AT_MOST: Duration = Duration::from_millis(20);

/// The interval at which a standby without a watch reads the record. The holder may release it at any time, and clients then wait for the
/// next holder.
const LOOK_OF_STANDBY: Duration = Duration::from_millis(250);

/// How long letting the lease of a key go may take that is not configured any more.
const LEAVE: Duration = Duration::from_secs(2);

/// After how long a release that failed is tried again.
const RELEASE_AGAIN: Duration = Duration::from_millis(100);

/// Takes and keeps the leases of all keys, including those that are configured later, until the signer is closed. Releases the lease of a
/// key that is no longer configured.
pub async fn keep(signer: Arc<Signer>) {
    let mut changes = signer.changes();
    let mut tasks: BTreeMap<RecordName, Task> = BTreeMap::new();
    while !signer.is_closing() {
        let keys: BTreeMap<_, _> =
            changes.borrow_and_update().values().map(|key| (key.record.name().clone(), key.clone())).collect();
        for (record, task) in &mut tasks {
            if task.keeps && !keys.contains_key(record) {
                // INVARIANT L3: The first task has ended before the other begins; otherwise it could take the released lease again.
                task.end().await;
                *task = Task {
                    keeps: false,
                    ..Task::spawn(task.session.clone(), leave(signer.clone(), task.session.clone()))
                };
            }
        }
        tasks.retain(|_, task| !task.handle.is_finished());
        for (record, key) in keys {
            let is_kept = tasks.get(&record).is_some_and(|task| task.keeps);
            if !is_kept {
                if let Some(mut task) = tasks.remove(&record) {
                    task.end().await;
                }
                let session = key.record.clone();
                tasks
                    .insert(record, Task::spawn(session.clone(), keep_one(signer.clone(), key.config.hash(), session)));
            }
        }
        // The sender is the signer, which is here.
        let _ = changes.changed().await;
    }
    for task in tasks.into_values() {
        // They end when the signer closes.
        let _ = task.handle.await;
    }
}

/// What is done with one record at a time.
struct Task {
    session: Arc<RecordSession>,
    /// Or lets it go.
    keeps: bool,
    handle: JoinHandle<()>,
}

impl Task {
    fn spawn(session: Arc<RecordSession>, task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { session, keeps: true, handle: tokio::spawn(task) }
    }

    /// Wherever it is: what becomes of a call that was under way, the next read of the record shows.
    async fn end(&mut self) {
        self.handle.abort();
        let _ = (&mut self.handle).await;
    }
}

/// Lets the lease go once nothing is in flight any more that was asked before.
async fn leave(signer: Arc<Signer>, session: Arc<RecordSession>) {
    let answered = tokio::time::sleep(signer.request_deadline());
    let mut changes = signer.changes();
    tokio::select! {
        () = answered => {}
        // In that case it is released together with those of the other keys.
        _ = changes.wait_for(|_| signer.is_closing()) => {}
    }
    release_one(&session, Instant::now() + LEAVE).await;
}

/// Releases every lease after the requests in flight, and returns whether all were released. A failed release is retried within `patience`,
/// because otherwise no signer can sign until the lease has expired.
pub async fn release(signer: &Signer, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let all = signer.keys().map(|key| async move { release_one(&key.record, until).await });
    futures::future::join_all(all).await.into_iter().all(|is_gone| is_gone)
}

async fn release_one(session: &RecordSession, until: Instant) -> bool {
    let record = session.name();
    loop {
        let released = async { session.lock(until).await?.release(until).await };
        match released.await {
            Ok(()) => {
                tracing::info!(%record, "lease released");
                return true;
            }
            Err(RecordSessionError::HeldElsewhere { .. }) => return true,
            Err(error) if Instant::now() + RELEASE_AGAIN >= until => {
                tracing::warn!(%record, %error, "the lease could not be released");
                return false;
            }
            Err(_) => tokio::time::sleep(RELEASE_AGAIN).await,
        }
    }
}

async fn keep_one(signer: Arc<Signer>, hash: PublicKeyHash, session: Arc<RecordSession>) {
    let mut reported = String::new();
    let mut watch = LeaseWatch::default();
    while !signer.is_closing() {
        let began = Instant::now();
        let (due, problem) = match step(&signer, hash, &session, &mut watch).await {
            Ok(due) => (due, String::new()),
            Err(error) => (LOOK, error.to_string()),
        };
        if problem != reported {
            if !problem.is_empty() {
                tracing::warn!(record = %session.name(), %problem, "the lease is not held");
            }
            reported = problem;
        }
        let pause = async {
            match session.terms().filter(|_| !session.view().held) {
                Some(terms) => watch.wait(terms, LOOK_OF_STANDBY).await,
                None => tokio::time::sleep(LOOK).await,
            }
        };
        tokio::select! {
            () = pause => {}
            () = tokio::time::sleep(due) => {}
            // A request without a holder need not wait for the next check.
            () = session.wanted() => {}
        }
        // Many such requests cost the API server no more than one.
        tokio::time::sleep_until(began + LOOK_AT_MOST).await;
    }
}

/// One check of one record. Returns the time until the next one at the latest.
async fn step(
    signer: &Signer,
    hash: PublicKeyHash,
    session: &RecordSession,
    watch: &mut LeaseWatch,
) -> Result<Duration, RecordSessionError> {
    let mut record = session.lock(Instant::now() + TURN).await?;
    let deadline = Instant::now() + CALL;
    let Some(terms) = session.terms() else {
        // Nobody else signs by the store, so nothing is renewed. But people edit it: what they lift must be seen without a write
        // that fails, and a missing record must be known before the first request.
        record.observe(deadline).await?;
        return record.current(deadline).await.map(|_| LOOK);
    };
    let keystore = signer.keystore();
    let view = session.view();
    if view.held {
        watch.end();
        return match terms.holder_action(&view.lease, record.silence(), keystore.failing_for(&hash)) {
            HolderAction::Release(reason) => {
                tracing::warn!(record = %session.name(), %reason, "releasing the lease");
                record.release(deadline).await.map(|()| LOOK)
            }
            HolderAction::Renew => {
                record.renew(deadline).await?;
                Ok(terms.renewal_interval().saturating_sub(record.silence()))
            }
            HolderAction::Wait(time) => Ok(time),
        };
    }
    let (seen, unchanged) = record.observe(deadline).await?;
    watch.follow(session, &seen);
    match terms.standby_action(&seen.lease, unchanged, keystore.reason(&hash).is_none()) {
        StandbyAction::AwaitHsm => Ok(LOOK),
        StandbyAction::Wait(time) => Ok(time),
        StandbyAction::Take => match record.take(&seen, deadline).await {
            // Another standby was faster.
            Err(RecordSessionError::Store(StoreError::Conflict(_))) => Ok(LOOK),
            taken => {
                taken?;
                tracing::info!(record = %session.name(), from = %seen.lease.holder_identity, "took the lease");
                Ok(terms.renewal_interval())
            }
        },
    }
}
