//! When to take a record's lease, to renew it, and to let it go. Safety does not depend on any of this: every write is
//! conditional on what it was decided on. The lease keeps a second signer from trying, and says when it should.

use crate::custody::{Custody, CustodyError, LeaseTerms};
use crate::lookout::Lookout;
use crate::signer::Signer;
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::record::{Lease, RecordName};
use tokio::task::JoinHandle;

/// ◆ A holder whose HSM has been failing for so long lets go, so that a signer with a working one can take over.
pub(crate) const HSM_PATIENCE: Duration = Duration::from_secs(2);

/// How long the store may take for one look, renewal or release.
const CALL: Duration = Duration::from_secs(1);

/// The longest wait for the record. Turns go in the order of asking, and a request keeps its own no longer than it may take: so
/// this one comes. Who gave up sooner might never get one, while requests wait out a token that does not answer.
const TURN: Duration = Duration::from_mins(1);

/// How often the HSM of a holder is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How often it is looked at, at most, however many requests wait.
const LOOK_AT_MOST: Duration = Duration::from_millis(20);

/// How often a standby looks that is told nothing: the holder may let the record go at any time, with clients that wait for the next,
/// or a baker that does.
const LOOK_OF_STANDBY: Duration = Duration::from_millis(250);

/// How long letting the lease of a key go may take that is not configured any more.
const LEAVE: Duration = Duration::from_secs(2);

/// After how long a release that failed is tried again.
const RELEASE_AGAIN: Duration = Duration::from_millis(100);

/// Takes and keeps the leases of all keys, also of those that are configured later, until the signer is closed. That of a key which
/// is not configured any more is let go.
pub async fn keep(signer: Arc<Signer>) {
    let mut changes = signer.changes();
    let mut tasks: BTreeMap<RecordName, Task> = BTreeMap::new();
    while !signer.is_closing() {
        let keys: BTreeMap<_, _> =
            changes.borrow_and_update().values().map(|key| (key.custody.name().clone(), key.clone())).collect();
        for (record, task) in &mut tasks {
            if task.keeps && !keys.contains_key(record) {
                // ◆ The one has ended before the other begins: it would take back what is let go.
                task.end().await;
                *task = Task {
                    keeps: false,
                    ..Task::spawn(task.custody.clone(), leave(signer.clone(), task.custody.clone()))
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
                let custody = key.custody.clone();
                tasks
                    .insert(record, Task::spawn(custody.clone(), keep_one(signer.clone(), key.config.hash(), custody)));
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
    custody: Arc<Custody>,
    /// Or lets it go.
    keeps: bool,
    handle: JoinHandle<()>,
}

impl Task {
    fn spawn(custody: Arc<Custody>, task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { custody, keeps: true, handle: tokio::spawn(task) }
    }

    /// Wherever it is: what becomes of a call that was under way, the next read of the record shows.
    async fn end(&mut self) {
        self.handle.abort();
        let _ = (&mut self.handle).await;
    }
}

/// Lets the lease go once nothing is in flight any more that was asked before.
async fn leave(signer: Arc<Signer>, custody: Arc<Custody>) {
    let answered = tokio::time::sleep(signer.request_deadline());
    let mut changes = signer.changes();
    tokio::select! {
        () = answered => {}
        // Then there is no time for that, and it is let go as those of the other keys.
        _ = changes.wait_for(|_| signer.is_closing()) => {}
    }
    release_one(&custody, Instant::now() + LEAVE).await;
}

/// Lets every lease go, after what is in flight, and says whether all are gone. One that cannot be is tried again for as long as
/// `patience`: where it is not let go, nobody signs until it has run out.
pub async fn release(signer: &Signer, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let all = signer.keys().map(|key| async move { release_one(&key.custody, until).await });
    futures::future::join_all(all).await.into_iter().all(|is_gone| is_gone)
}

async fn release_one(custody: &Custody, until: Instant) -> bool {
    let record = custody.name();
    loop {
        let released = async { custody.lock(until).await?.release(until).await };
        match released.await {
            Ok(()) => {
                tracing::info!(%record, "the lease was let go");
                return true;
            }
            Err(CustodyError::HeldElsewhere { .. }) => return true,
            Err(error) if Instant::now() + RELEASE_AGAIN >= until => {
                tracing::warn!(%record, %error, "the lease could not be let go");
                return false;
            }
            Err(_) => tokio::time::sleep(RELEASE_AGAIN).await,
        }
    }
}

async fn keep_one(signer: Arc<Signer>, hash: PublicKeyHash, custody: Arc<Custody>) {
    let mut reported = String::new();
    let mut lookout = Lookout::default();
    while !signer.is_closing() {
        let began = Instant::now();
        let (due, problem) = match step(&signer, hash, &custody, &mut lookout).await {
            Ok(due) => (due, String::new()),
            Err(error) => (LOOK, error.to_string()),
        };
        if problem != reported {
            if !problem.is_empty() {
                tracing::warn!(record = %custody.name(), %problem, "the lease is not held");
            }
            reported = problem;
        }
        let pause = async {
            match custody.terms().filter(|_| !custody.view().held) {
                Some(terms) => lookout.wait(terms, LOOK_OF_STANDBY).await,
                None => tokio::time::sleep(LOOK).await,
            }
        };
        tokio::select! {
            () = pause => {}
            () = tokio::time::sleep(due) => {}
            // A request that nobody serves need not wait for the next look.
            () = custody.wanted() => {}
        }
        // Many such requests cost the API server no more than one.
        tokio::time::sleep_until((began + LOOK_AT_MOST).into()).await;
    }
}

/// One look at one record. Returns after how long the next is due at the latest.
async fn step(
    signer: &Signer,
    hash: PublicKeyHash,
    custody: &Custody,
    lookout: &mut Lookout,
) -> Result<Duration, CustodyError> {
    let mut record = custody.lock(Instant::now() + TURN).await?;
    let deadline = Instant::now() + CALL;
    let Some(terms) = custody.terms() else {
        // Nobody else signs by the store, so nothing is renewed. But people edit it: what they lift must be seen without a write
        // that fails, and a missing record must be known before the first request.
        record.observe(deadline).await?;
        return record.current(deadline).await.map(|_| LOOK);
    };
    let health = signer.hsm().health();
    let view = custody.view();
    let renewal = terms.duration / 3;
    if view.held {
        lookout.end();
        let hsm_failed = health.failing_for(&hash).is_some_and(|time| time >= HSM_PATIENCE);
        if hsm_failed || prefers_another(&view.lease, terms) {
            tracing::warn!(record = %custody.name(), hsm_failed, "letting the lease go");
            return record.release(deadline).await.map(|()| LOOK);
        }
        if record.silence() >= renewal {
            record.renew(deadline).await?;
        }
        return Ok(renewal.saturating_sub(record.silence()));
    }
    let (seen, unchanged) = record.observe(deadline).await?;
    lookout.follow(custody, &seen);
    if health.reason(&hash).is_some() {
        return Ok(LOOK);
    }
    if may_take(&seen.lease, terms, unchanged) {
        match record.take(&seen, deadline).await {
            // Another standby was faster.
            Err(CustodyError::Store(StoreError::Conflict(_))) => return Ok(LOOK),
            taken => taken?,
        }
        tracing::info!(record = %custody.name(), from = %seen.lease.holder_identity, "took the lease");
        return Ok(renewal);
    }
    Ok(runs_out(&seen.lease, terms).saturating_sub(unchanged))
}

fn prefers_another(lease: &Lease, terms: &LeaseTerms) -> bool {
    !lease.preferred_holder.is_empty() && lease.preferred_holder != terms.identity
}

/// Whether this signer may take the lease: at once when it is free, or when it was named; else when its holder has given no
/// sign for the lease's duration, by this process's own clock. One that is its own already, because a container restarted in
/// its pod, needs no taking.
pub(crate) fn may_take(lease: &Lease, terms: &LeaseTerms, unchanged: Duration) -> bool {
    let free = lease.holder_identity.is_empty() && !prefers_another(lease, terms);
    let named = lease.preferred_holder == terms.identity;
    free || named || unchanged >= runs_out(lease, terms)
}

/// For how long a holder may be silent.
fn runs_out(lease: &Lease, terms: &LeaseTerms) -> Duration {
    Duration::from_secs(lease.lease_duration_seconds.into()).max(terms.duration)
}
