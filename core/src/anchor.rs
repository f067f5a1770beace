//! A reference to a line of an audit log, as a watermark record stores it.

use crate::key::{Digest, DigestError};
use crate::{lower_hex, serde_as_text};
use std::fmt;
use std::str::FromStr;

/// The name of one process's log: 16 random bytes. Text: 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId([u8; 16]);

impl LogId {
    /// An id from 16 bytes, which must be random: ids of two logs must not be equal.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for LogId {
    type Err = AnchorError;
    fn from_str(text: &str) -> Result<Self, AnchorError> {
        lower_hex::decode(text).map(Self).ok_or(AnchorError::Log)
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
    /// The log that has the line.
    pub log: LogId,
    /// The line's number in it, from 0.
    pub sequence: u64,
    /// BLAKE2b-256 of the line's text, without the line end.
    pub hash: Digest,
}

/// Why a text is not an [`AuditAnchor`]. A retry does not help: a signer writes anchors, so that somebody has edited this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// It is not three words.
    #[error("expected three words with one space between them: log sequence hash")]
    Words,
    /// The first word is not the id of a log.
    #[error("the log is not 32 hex digits in lower case")]
    Log,
    /// The second word is not a number.
    #[error("the sequence is not a whole number")]
    Sequence,
    /// The third word is not a hash.
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

serde_as_text!(LogId, AuditAnchor);
