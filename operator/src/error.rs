//! Why a reconcile fails. Each failure is retried with back-off; after several in a row the status reports it.

use crate::apply::ApplyError;
use crate::claim::ClaimError;
use crate::identity::MissingIdentity;
use crate::message;
use crate::report::SignerError;
use jiff::Timestamp;
use std::time::Duration;

/// Why a reconcile failed. A retry may help with every variant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TezosSigner has no identity; the API server does not let that happen.
    #[error("metadata: {0}")]
    Nameless(#[from] MissingIdentity),
    /// A watermark record could not be claimed, read or written.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// An object could not be read, applied or deleted.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The TezosSigner itself, or its status, could not be read or written.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The TezosSigner is being deleted, and its pods have not ended yet.
    #[error("waiting for its pods to end, until {until} at the latest: {}", message::list(.pods))]
    PodsEnding {
        /// The names of the pods.
        pods: Vec<String>,
        /// When the cleanup goes on without waiting for them.
        until: Timestamp,
    },
    /// The reconcile took longer than this.
    #[error("the reconcile did not finish within {} s", .0.as_secs())]
    Deadline(Duration),
}
