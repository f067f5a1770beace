//! Stores of watermark records. The trait has what both stores can do: read a record, and replace what was read. An
//! unconditional write cannot be expressed: a write needs a [`Snapshot`], which only a read or a successful write returns.

mod config_map;
mod directory;
mod file;
mod moves;

pub use config_map::ConfigMapStore;
pub use file::FileStore;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::record::{Lease, Record, RecordError, RecordName};
use tokio::time::Instant;

/// A record as the store had it at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The parsed record.
    pub record: Record,
    /// The lease that was read with it.
    pub lease: Lease,
    basis: Basis,
}

/// What a write is conditional on. Only the stores make and read one.
#[derive(Debug, Clone)]
enum Basis {
    ConfigMap(Box<config_map::ReadObject>),
    File(file::ReadFile),
}

impl Snapshot {
    /// Whether both are the same state of the same record.
    pub fn is_same_state(&self, other: &Snapshot) -> bool {
        match (&self.basis, &other.basis) {
            (Basis::ConfigMap(a), Basis::ConfigMap(b)) => a.is_same_state(b),
            (Basis::File(a), Basis::File(b)) => a == b,
            _ => false,
        }
    }
}

/// A report that a record has changed, with the apparent holder of its lease. INVARIANT L2: It is a reason to read the record, never a basis
/// of a decision, because a watch may report an old state. The stream ends when the watch ends.
pub type Hints = BoxStream<'static, Lease>;

/// Why a record could not be read or written. A retry helps for [`Conflict`](Self::Conflict), [`FileLocked`](Self::FileLocked) and
/// [`Unavailable`](Self::Unavailable), after the record was read anew; for the others once somebody has done what the message says.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no such record, which never means a fresh start: restore it, or create it deliberately.
    #[error(
        "there is no watermark record {0}, and a missing one never means a fresh start: restore it, or create it deliberately \
         (initialWatermark of the TezosSigner, or `tezos-signer watermarks initialise`)"
    )]
    Missing(RecordName),
    /// A record that was to be created exists already.
    #[error("the watermark record {0} already exists")]
    Exists(RecordName),
    /// The record cannot be parsed: correct it, or upgrade the signer.
    #[error("the watermark record {name} cannot be used: {source}")]
    Invalid {
        /// The name of the record.
        name: RecordName,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The record's file is none, or cannot be read as a text, or written. Only a person can change that.
    #[error("the watermark record {} cannot be used: {reason}", path.display())]
    Unusable {
        /// Where it should be.
        path: std::path::PathBuf,
        /// Why it cannot be used.
        #[source]
        reason: Cause,
    },
    /// The record has changed since it was read; nothing was written.
    #[error("the watermark record {0} was changed by another writer in the meantime")]
    Conflict(RecordName),
    /// The API server does not allow it to this process, by its rights or by an admission policy; nothing was written.
    #[error("the API server denies access: {0}")]
    Forbidden(#[source] Cause),
    /// The API server does not do what it was asked, and would not the next time; nothing was written.
    #[error("the API server rejected the request: {0}")]
    Refused(#[source] Cause),
    /// The store cannot be reached, or failed; a write may have happened or not.
    #[error("the watermark store failed: {0}")]
    Unavailable(#[source] Cause),
    /// Another process reads or writes the record's file, and has not ended in time; nothing was written.
    #[error(
        "another process has {} locked: it reads or writes the watermark record, such as a `tezos-signer watermarks` that is stopped",
        .0.display()
    )]
    FileLocked(std::path::PathBuf),
    /// Another process uses the directory. A retry helps once that process has ended.
    #[error("another process uses the watermark directory {0}: two signers must not share it")]
    Locked(std::path::PathBuf),
    /// INVARIANT R13: The path no longer names the directory that this process has opened and locked. Another process may have locked the
    /// directory that is there now. The error stays until the process ends, even if the directory comes back, because it is not known what
    /// was signed meanwhile.
    #[error(
        "the watermark directory {} was moved or replaced while this process used it: {reason}. Another signer can sign with the \
         records that are there now, so this process releases no more signatures, even if the directory is restored. Stop all \
         signers that use it, make sure that it has the newest records, raise them above everything that was signed if in doubt \
         (docs/record.md, \"When a backup is restored\"), and restart one signer",
        directory.display()
    )]
    Displaced {
        /// The path of the configuration.
        directory: std::path::PathBuf,
        /// What is there instead.
        reason: &'static str,
    },
}

/// Reads and conditionally replaces records.
#[async_trait]
pub trait Store: Send + Sync {
    /// The newest committed state, never a cached one.
    async fn read(&self, name: &RecordName, deadline: Instant) -> Result<Snapshot, StoreError>;

    /// Replaces the state of `basis`, and only that one, by `record` and `lease`. Returns the new state of the store. After an error the
    /// write may have happened or not; only a read can tell.
    async fn replace(
        &self,
        name: &RecordName,
        basis: &Snapshot,
        record: &Record,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<Snapshot, StoreError>;

    /// Makes a record where none exists.
    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError>;

    /// Reports changes after the state `from`, if the store supports it; otherwise the record must be polled.
    fn watch(&self, _name: &RecordName, _from: &Snapshot) -> Option<Hints> {
        None
    }

    /// Whether a read or write of the record waits for another process just now.
    fn waits_for_another_process(&self, _name: &RecordName) -> bool {
        false
    }

    /// That the place which the configuration names is still the one that this process has opened. INVARIANT R13: Asked before each
    /// signature leaves: a commit in a directory that was moved away is hidden from the signer that uses the copy in its place.
    fn check_place(&self) -> Result<(), StoreError>;

    /// Whether no other process can sign with these records while this store is open, so that no lease is needed.
    fn is_exclusive(&self) -> bool;
}
