//! A store of ConfigMaps for commands: calls that the API server does not answer are retried until the command's deadline. A
//! signer does not retry; it answers 502, and its client retries.

use async_trait::async_trait;
use std::time::Duration;
use tezos_signer::store::{ConfigMapStore, Snapshot, Store, StoreError};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::record::{Lease, Record, RecordName};
use tokio::time::Instant;

/// Between two tries: an API server that refuses connections does so at once.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) struct RetryingStore {
    store: ConfigMapStore,
    /// How long a record may take to be created.
    patience: Duration,
}

impl RetryingStore {
    pub(super) async fn connect(namespace: &str, patience: Duration) -> Result<Self, StoreError> {
        Ok(Self { store: ConfigMapStore::connect(namespace).await?, patience })
    }
}

/// The tries of one call.
struct Tries {
    began: Instant,
    deadline: Instant,
    failed: u32,
}

impl Tries {
    fn until(deadline: Instant) -> Self {
        Self { began: Instant::now(), deadline, failed: 0 }
    }

    /// Waits for the next attempt after one that has failed for `reason`.
    ///
    /// # Errors
    ///
    /// If there is no time for another attempt.
    async fn again(&mut self, reason: Cause) -> Result<(), Cause> {
        self.failed += 1;
        if Instant::now() + PAUSE < self.deadline {
            tokio::time::sleep(PAUSE).await;
            return Ok(());
        }
        let times = if self.failed == 1 { "once".to_owned() } else { format!("{} times", self.failed) };
        Err(reason.map_text(|reason| format!("{reason}. Tried {times} in {:.0?}", self.began.elapsed())))
    }
}

/// The message about a write whose result is unknown.
fn unknown(name: &RecordName, reason: Cause) -> StoreError {
    StoreError::Unavailable(reason.map_text(|reason| {
        format!(
            "{reason}. The record {name} may have been changed, or may still be changed. Run the command again when the API \
             server answers; completed changes are not repeated"
        )
    }))
}

#[async_trait]
impl Store for RetryingStore {
    async fn read(&self, name: &RecordName, deadline: Instant) -> Result<Snapshot, StoreError> {
        let mut tries = Tries::until(deadline);
        loop {
            match self.store.read(name, deadline).await {
                Err(StoreError::Unavailable(reason)) => tries.again(reason).await.map_err(StoreError::Unavailable)?,
                read => return read,
            }
        }
    }

    /// Repeats a write only in the state that it is conditional on; in another one it was done, or is a conflict.
    async fn replace(
        &self,
        name: &RecordName,
        basis: &Snapshot,
        record: &Record,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<Snapshot, StoreError> {
        let mut tries = Tries::until(deadline);
        loop {
            let reason = match self.store.replace(name, basis, record, lease, deadline).await {
                Err(StoreError::Unavailable(reason)) => reason,
                // The result of an earlier attempt is unknown.
                Err(error) if tries.failed > 0 && !matches!(error, StoreError::Conflict(_)) => {
                    return Err(unknown(name, Cause::of(error)));
                }
                written => return written,
            };
            tries.again(reason).await.map_err(|reason| unknown(name, reason))?;
            let now = self.read(name, deadline).await.map_err(|error| unknown(name, Cause::of(error)))?;
            if now.record == *record {
                return Ok(now);
            }
            if !now.is_same_state(basis) {
                return Err(StoreError::Conflict(name.clone()));
            }
        }
    }

    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.patience;
        let mut tries = Tries::until(deadline);
        loop {
            match self.store.create(name, record).await {
                Err(StoreError::Unavailable(reason)) => {
                    tries.again(reason).await.map_err(|reason| unknown(name, reason))?;
                }
                // By a try before, whose answer was lost.
                Err(StoreError::Exists(_)) if tries.failed > 0 => {
                    let now = self.read(name, deadline).await.map_err(|error| unknown(name, Cause::of(error)))?;
                    let is_ours = now.record == *record;
                    return if is_ours { Ok(()) } else { Err(StoreError::Exists(name.clone())) };
                }
                Err(error) if tries.failed > 0 => return Err(unknown(name, Cause::of(error))),
                created => return created,
            }
        }
    }

    fn check_place(&self) -> Result<(), StoreError> {
        self.store.check_place()
    }

    fn is_exclusive(&self) -> bool {
        self.store.is_exclusive()
    }
}
