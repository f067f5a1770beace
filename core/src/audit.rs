//! The audit log: what its lines say, and how they hang together, so that cutting, editing or reordering them is found.
//!
//! A process writes one log: JSON lines, numbered from 0, each with the hash of the one before. Before a new signature is
//! committed, a line that says so (the *intent*) is durable, and its [`AuditAnchor`] goes into the watermark record with the
//! commit, in place of the one that it names in `replaces`. So the anchored lines of all processes, of all hosts, form one
//! list for each record, back from what the record holds. [`verify`] walks it; a [`witness`] tells a record that was
//! set back. Writing files is the signer's business.

pub mod verify;
pub mod witness;

use crate::key::{ChainId, Digest, DigestError, PublicKeyHash};
use crate::payload::operation::OperationKind;
use crate::position::Position;
use crate::record::RecordName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The name of one process's log: 16 random bytes. Text: 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId([u8; 16]);

impl LogId {
    /// From random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for LogId {
    type Err = AnchorError;
    fn from_str(text: &str) -> Result<Self, AnchorError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| AnchorError::Log)?;
        if text.bytes().any(|digit| digit.is_ascii_uppercase()) { Err(AnchorError::Log) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// One line of one log: what a watermark record holds of the newest commit. Text: `<log> <sequence> <hash>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditAnchor {
    /// The log.
    pub log: LogId,
    /// The line's number in it, from 0.
    pub sequence: u64,
    /// BLAKE2b-256 of the line's text, without the line end.
    pub hash: Digest,
}

/// Why a text is not an [`AuditAnchor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Not three words.
    #[error("expected three words with one space between them: log sequence hash")]
    Words,
    /// Not the id of a log.
    #[error("the log is not 32 hex digits in lower case")]
    Log,
    /// Not a number.
    #[error("the sequence is no whole number")]
    Sequence,
    /// Not a hash.
    #[error("the hash is {0}")]
    Hash(#[from] DigestError),
}

impl FromStr for AuditAnchor {
    type Err = AnchorError;
    fn from_str(text: &str) -> Result<Self, AnchorError> {
        let words: Vec<&str> = text.split(' ').collect();
        let [log, sequence, hash] = words[..] else {
            return Err(AnchorError::Words);
        };
        let number = sequence.parse().ok().filter(|number: &u64| number.to_string() == sequence);
        Ok(Self { log: log.parse()?, sequence: number.ok_or(AnchorError::Sequence)?, hash: hash.parse()? })
    }
}

impl fmt::Display for AuditAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.log, self.sequence, self.hash)
    }
}

crate::key::serde_as_text!(LogId, AuditAnchor);

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Whose log.
    pub log: LogId,
    /// Its number there, from 0.
    pub sequence: u64,
    /// The hash of the line before; `null` for the first one.
    pub previous: Option<Digest>,
    /// When it was written, by the clock of the host. Nothing is judged by it.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
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
        /// The HTTP status.
        status: u16,
        /// In one word.
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
    /// Lines could not be written, and are lost.
    Gap {
        /// How many.
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
    /// 400.
    Malformed,
    /// 401.
    Unauthenticated,
    /// 403.
    Forbidden,
    /// 404 and 405.
    NotFound,
    /// 409.
    Refused,
    /// 502: may succeed if it is asked again.
    Unavailable,
    /// 500.
    Bug,
}

impl Outcome {
    /// The word.
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
    /// The record's write.
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
    /// An empty log.
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
