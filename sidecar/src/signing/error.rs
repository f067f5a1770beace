//! Why a request gets no signature: the error, its HTTP status, and its outcome in the audit log.

use crate::audit::AuditError;
use crate::keystore::KeystoreError;
use crate::peer::PeerError;
use crate::records::session::{Holder, RecordSessionError};
use crate::signing::concurrency_limit::Overloaded;
use crate::stage::{Stage, StageAt};
use crate::store::StoreError;
use std::time::Duration;
use tezos_signer_core::admit::{Rejection, UnsupportedVersion};
use tezos_signer_core::audit::Outcome;
use tezos_signer_core::authentication::Unauthenticated;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::payload::DecodeError;
use tezos_signer_core::policy::Forbidden;
use tezos_signer_core::watermark::Refusal;

/// Why a request was not answered with a signature. [`SignError::status`] says whether a retry can help: where it is 502, and otherwise only once
/// somebody has done what the message says.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignError {
    /// The signer has no such key.
    #[error("this signer has no key {0}")]
    UnknownKey(PublicKeyHash),
    /// No client that may ask has asked.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// The payload cannot be decoded.
    #[error("the payload is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The client asks for a signature of a version that the key does not sign in.
    #[error(transparent)]
    Version(#[from] UnsupportedVersion),
    /// The key's policy does not allow the payload.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Too many requests are being signed already.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The record does not allow the payload.
    #[error(transparent)]
    Watermark(#[from] Refusal),
    /// The record cannot be used, temporarily or permanently.
    #[error(transparent)]
    Record(#[from] RecordSessionError),
    /// The keystore did not sign.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The signature could not be announced.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The replica that serves the key did not answer.
    #[error("{holder} holds the record of this key, and the request could not be forwarded to it: {error}")]
    Peer {
        /// The holder of the record.
        holder: Holder,
        /// The error of the request to the holder.
        #[source]
        error: PeerError,
    },
    /// The request timed out. It names the stage that took the most time, which may be another one than the stage that failed in the end.
    #[error(
        "the {} ms of this request are over: {stage} took {} ms{}",
        limit.as_millis(),
        took.as_millis(),
        more.as_ref().map_or(String::new(), |more| format!(" ({more})"))
    )]
    OutOfTime {
        /// The longest that a request may take.
        limit: Duration,
        /// What took the most time.
        stage: StageAt,
        /// The time that the stage took.
        took: Duration,
        /// What is known besides of why that took so long.
        #[source]
        more: Option<Cause>,
    },
    /// The stored signature is none of this key: somebody has edited the record. A retry does not help.
    #[error(
        "the stored signature for this request does not verify with the key: the watermark record was edited; no signature is released"
    )]
    StoredSignature,
    /// The process is ending. A retry reaches another replica, or the next process.
    #[error("the signer is shutting down")]
    ShuttingDown,
    /// The task that signs has panicked.
    #[error("the signing task ended without an answer: a bug, please report it with the log")]
    Bug,
}

impl From<Rejection> for SignError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Unauthenticated(error) => Self::Unauthenticated(error),
            Rejection::Malformed(error) => Self::Malformed(error),
            Rejection::Version(version) => Self::Version(version),
            Rejection::Forbidden(error) => Self::Forbidden(error),
        }
    }
}

impl SignError {
    /// The HTTP status. Octez retries only after 502, which means that the same request may succeed soon.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Version(_) => 400,
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) | Self::Watermark(Refusal::Suspended) => 403,
            Self::UnknownKey(_) => 404,
            Self::Watermark(_) | Self::StoredSignature => 409,
            Self::Record(error) => match error {
                RecordSessionError::Store(
                    StoreError::Unavailable(_)
                    | StoreError::FileLocked(_)
                    | StoreError::Refused(_)
                    | StoreError::Forbidden(_)
                    | StoreError::Conflict(_),
                )
                | RecordSessionError::HeldElsewhere { .. }
                | RecordSessionError::Busy
                | RecordSessionError::Late => 502,
                RecordSessionError::Store(_)
                | RecordSessionError::WentBack { .. }
                | RecordSessionError::Forgotten { .. } => 409,
            },
            Self::Overloaded(_)
            | Self::Keystore(_)
            | Self::Audit(_)
            | Self::Peer { .. }
            | Self::OutOfTime { .. }
            | Self::ShuttingDown => 502,
            Self::Bug => 500,
        }
    }

    /// The stages that may have caused this error by not ending in time. Empty if the error does not depend on time.
    pub(super) fn is_late(&self) -> Option<&'static [Stage]> {
        match self {
            Self::Record(RecordSessionError::Late) => Some(&[]),
            Self::Record(RecordSessionError::Busy) => Some(&[Stage::Turn]),
            Self::Record(RecordSessionError::Store(StoreError::Unavailable(_) | StoreError::FileLocked(_))) => {
                Some(&[Stage::Record, Stage::Commit])
            }
            Self::Keystore(error) if error.is_late() => Some(&[Stage::Token]),
            Self::Audit(AuditError::Timeout) => Some(&[Stage::Audit]),
            _ => None,
        }
    }

    /// The outcome for the audit log and the metrics.
    pub fn outcome(&self) -> Outcome {
        match self.status() {
            400 => Outcome::Malformed,
            401 => Outcome::Unauthenticated,
            403 => Outcome::Forbidden,
            404 => Outcome::NotFound,
            409 => Outcome::Refused,
            502 => Outcome::Unavailable,
            _ => Outcome::Bug,
        }
    }
}
