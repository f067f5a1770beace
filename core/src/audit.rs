//! The format of the audit log, and the hash chain that makes removed, edited and reordered lines detectable.
//!
//! A process writes one log: JSON lines, numbered from 0, each with the hash of the previous line. Before a new signature is
//! committed, an *intent* line is written to disk. The commit stores its [`AuditAnchor`] in the watermark record, and the
//! line names the anchor that it replaces in `replaces`. The anchored lines of all processes on all hosts therefore form one
//! linked list for each record, which begins at the record. [`verify`] walks it. [`evidence`] detects a record that was set
//! back. The signer writes the files.

pub mod evidence;
mod request_id;
pub mod verify;

pub use request_id::{RequestId, RequestIdError};

use crate::anchor::{AuditAnchor, LogId};
use crate::key::{ChainId, Digest, PublicKeyHash};
use crate::payload::operation::OperationKind;
use crate::position::Position;
use crate::record::RecordName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A line of the audit log, written as one JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The log that the line belongs to: one for each process.
    pub log: LogId,
    /// Its number there, from 0.
    pub sequence: u64,
    /// The hash of the line before; `null` for the first one.
    pub previous: Option<Digest>,
    /// When it was written, by the clock of the host. Nothing is judged by it.
    pub time: Timestamp,
    /// The event, with its fields beside those of the line.
    #[serde(flatten)]
    pub event: Event,
}

/// What a line reports; the JSON field `event` names the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The process started. The first line of each log.
    Start {
        /// The version of the signer.
        version: String,
        /// What the process calls itself in leases: the UID of its pod, or a random one.
        identity: String,
    },
    /// A signature is being made, and will be committed to `record` or dropped. Nothing has left the process yet.
    Intent {
        /// Of what, for whom.
        #[serde(flatten)]
        request: Request,
        /// The record that the commit goes to.
        record: RecordName,
        /// The anchor that the record held when this was decided; `null` when it held none.
        replaces: Option<AuditAnchor>,
    },
    /// A request was answered.
    Outcome {
        /// What was asked, by whom.
        #[serde(flatten)]
        request: Request,
        /// The HTTP status of the answer.
        status: u16,
        /// How the request ended.
        outcome: Outcome,
        /// Why there was no signature: what the client was told. Of a request that was forwarded, to whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The line of this log that announced the signature, where this request made a new one. Of several attempts, the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intent: Option<u64>,
        /// How long it took.
        microseconds: Microseconds,
    },
    /// A proof of possession is given: that the signer has the secret key of a tz4 key. It signs nothing of a chain. Releases before 0.3 wrote
    /// none.
    ProofOfPossession {
        /// For which key, for whom.
        #[serde(flatten)]
        request: Request,
    },
    /// The newest positions that are proved of each record: by the lines before this one, and by what the process read of former logs at
    /// its start. A signer that reads a log backwards need not go on behind this line, so no amount of other lines hides them.
    Evidence {
        /// One entry for each record of which anything is proved.
        records: Vec<evidence::RecordEvidence>,
    },
    /// Lines could not be written, and are lost.
    Gap {
        /// How many: at least 1.
        lines: u64,
        /// What the system said.
        reason: String,
    },
    /// The process ended in an orderly way. The last line of its log.
    End,
}

/// What is known of a request; of one that could not be read, little.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Its id, which a signer that forwards it passes on. Releases before 0.3 wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Who asked: an address and port, or the name of the Unix socket.
    pub client: String,
    /// The key that signed the request, where requests are authenticated and this one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_key: Option<PublicKeyHash>,
    /// The key that was to sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKeyHash>,
    /// What the payload is: `block`, `preattestation`, `attestation`, `operation`, `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'static, str>>,
    /// The chain that it is for. A generic operation does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainId>,
    /// Its level and round, of blocks and votes.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// The contents of a generic operation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<OperationKind>,
    /// BLAKE2b-256 of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// How a request ended, in one word; for metrics too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new signature was committed and given.
    Signed,
    /// The stored signature was given again.
    Replayed,
    /// Another signer, which serves the key now, was asked, and this is its answer. Its own log says what it did.
    Forwarded,
    /// HTTP 400: the request or its payload cannot be decoded.
    Malformed,
    /// HTTP 401: the request's authentication is missing or invalid.
    Unauthenticated,
    /// HTTP 403: the policy of the key forbids the payload.
    Forbidden,
    /// HTTP 404 or 405: no such key, path or method.
    NotFound,
    /// HTTP 409: the watermark record forbids the payload.
    Refused,
    /// 502: may succeed if it is asked again.
    Unavailable,
    /// HTTP 500: the signing task ended without an answer.
    Bug,
}

impl Outcome {
    /// The value of this outcome in the log and in labels of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Replayed => "replayed",
            Self::Forwarded => "forwarded",
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Bug => "bug",
        }
    }
}

/// Where the time of a request went, in microseconds. `null`: it did not get so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Microseconds {
    /// Waiting for earlier requests for the same key, and reading its record.
    pub record: Option<u64>,
    /// The token's signature and the intent's way to the disk, which happen at the same time.
    pub signature: Option<u64>,
    /// The write of the watermark record, with its answer.
    pub commit: Option<u64>,
    /// From the request's last byte to its answer.
    pub total: u64,
}

/// The end of a log that is being written.
#[derive(Debug, Clone)]
pub struct LogHead {
    log: LogId,
    next: u64,
    previous: Option<Digest>,
}

impl LogHead {
    /// The head of a log without a line: the next line has number 0.
    pub fn new(log: LogId) -> Self {
        Self { log, next: 0, previous: None }
    }

    /// The next line's text, without a line end, and its anchor. Whoever cannot bring it to disk goes on from a clone of the
    /// head that was before.
    pub fn append(&mut self, time: Timestamp, event: Event) -> (String, AuditAnchor) {
        let line = Line { log: self.log, sequence: self.next, previous: self.previous, time, event };
        // A struct of strings and numbers always serialises.
        let text = serde_json::to_string(&line).unwrap_or_default();
        let anchor = AuditAnchor { log: self.log, sequence: self.next, hash: Digest::of(text.as_bytes()) };
        self.next += 1;
        self.previous = Some(anchor.hash);
        (text, anchor)
    }
}
