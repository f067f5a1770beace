//! Where watermark records are kept. The trait is what both stores can do: read, and replace what was read. An unconditional
//! write cannot be expressed: to write one needs a [`Snapshot`], which only a read or a successful write gives.

mod config_map;
mod file;

pub use config_map::ConfigMapStore;
pub use file::FileStore;

use async_trait::async_trait;
use futures::stream::BoxStream;
use std::time::Instant;
use tezos_signer_core::record::{Lease, Record, RecordError, RecordName};

/// A record as the store had it at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The record.
    pub record: Record,
    /// Who serves it.
    pub lease: Lease,
    basis: Basis,
}

/// What a write is conditional on. Only the stores make and read one.
#[derive(Debug, Clone)]
enum Basis {
    ConfigMap(Box<config_map::ReadObject>),
    File(file::ReadText),
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

/// That a record has changed, and whose its lease seems to be now. ◆ A reason to look, never one to decide on: what a watch tells
/// may be old, or not the last. It ends when nothing more can be heard.
pub type Hints = BoxStream<'static, Lease>;

/// Why a record could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is none, which never means a fresh start.
    #[error(
        "there is no watermark record {0}, and a missing one never means a fresh start: restore it, or create it deliberately \
         (initialWatermark of the TezosSigner, or `tezos-signer watermarks initialise`)"
    )]
    Missing(RecordName),
    /// There is one already.
    #[error("the watermark record {0} exists already")]
    Exists(RecordName),
    /// It cannot be understood.
    #[error("the watermark record {name} cannot be used: {source}")]
    Invalid {
        /// Which.
        name: RecordName,
        /// What is wrong with it.
        source: RecordError,
    },
    /// It has changed since it was read; nothing was written.
    #[error("the watermark record {0} was changed by somebody else in the meantime")]
    Conflict(RecordName),
    /// This process may not do that; nothing was written.
    #[error("the API server does not allow it: {0}")]
    Forbidden(String),
    /// The store cannot be reached, or refused; a write may have happened or not.
    #[error("the watermark store did not answer as it should: {0}")]
    Unavailable(String),
    /// The directory is in use.
    #[error("another process uses the watermark directory {0}: two signers must not share one")]
    Locked(std::path::PathBuf),
}

/// Reads and conditionally replaces records.
#[async_trait]
pub trait Store: Send + Sync {
    /// The newest committed state, never a cached one.
    async fn read(&self, name: &RecordName, deadline: Instant) -> Result<Snapshot, StoreError>;

    /// Replaces the state of `basis`, and only that one, by `record` and `lease`; returns what the store now has. After any
    /// error the write may have happened or not: only a read tells.
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

    /// Tells of changes after the state `from`, where the store can; where not, it must be looked at.
    fn watch(&self, _name: &RecordName, _from: &Snapshot) -> Option<Hints> {
        None
    }

    /// Whether nobody else can sign by these records while this store is open, so that no lease is needed.
    fn is_exclusive(&self) -> bool;
}
