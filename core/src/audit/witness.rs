//! What an audit log knows of watermark records: the highest positions that were certainly committed to them, as far as its lines
//! prove that. A record that knows less was set back to an old copy.
//!
//! Two kinds of lines are proof. A request for a block or vote that was answered with a signature, new or again, here or by the
//! replica that was asked: no signature leaves that is not in the record. And an intent that a later one names as the anchor which
//! it replaces: the record held it then. An intent by itself proves nothing, because its commit may have failed.

use super::{AuditAnchor, Event, Line, LogId, Request};
use crate::key::Digest;
use crate::position::{ConsensusKind, Level, Position};
use crate::record::{Record, RecordName};
use crate::watermark::Stored;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// One thing that was committed, and the line that proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Of what kind.
    pub kind: ConsensusKind,
    /// Where it stands.
    pub position: Position,
    /// What it was, where that is known.
    pub digest: Option<Digest>,
    /// Where it was found.
    pub source: Source,
}

/// Where a [`Proof`] was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In an audit log.
    Line {
        /// The log.
        log: LogId,
        /// The line in it.
        sequence: u64,
    },
    /// In a block of the chain: [`crate::chain`].
    Block {
        /// The block's own level.
        level: Level,
    },
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, position, .. } = self;
        match (self.source, kind) {
            (Source::Line { log, sequence }, _) => {
                write!(f, "line {sequence} of log {log} says that the {kind} at {position} was signed")
            }
            (Source::Block { level }, ConsensusKind::Block) => {
                write!(f, "block {level} of the chain proves that the {kind} at {position} or later was signed")
            }
            (Source::Block { level }, _) => {
                write!(f, "block {level} of the chain proves that the {kind} at {position} was signed")
            }
        }
    }
}

/// What is known of all records. Made of lines, in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    newest: BTreeMap<(RecordName, ConsensusKind), Proof>,
    /// What was announced, and may have been committed: the newest of each record, which the next one of its holder would name.
    announced: HashMap<RecordName, (AuditAnchor, Option<Proof>)>,
}

impl Witness {
    /// Takes a line into account; one that is none of an audit log says nothing.
    pub fn read(&mut self, text: &str) {
        let Ok(Line { log, sequence, event, .. }) = serde_json::from_str::<Line>(text) else { return };
        let proof = |request: &Request| {
            let kind = ConsensusKind::ALL.into_iter().find(|kind| request.kind.as_deref() == Some(kind.as_str()))?;
            let source = Source::Line { log, sequence };
            Some(Proof { kind, position: request.position?, digest: Some(request.digest?), source })
        };
        match event {
            Event::Intent { request, record, replaces } => {
                let anchor = AuditAnchor { log, sequence, hash: Digest::of(text.as_bytes()) };
                let before = self.announced.insert(record.clone(), (anchor, proof(&request)));
                if let Some((committed, Some(proof))) = before
                    && replaces == Some(committed)
                {
                    self.learn(record, proof);
                }
            }
            Event::Outcome { request, status: 200, .. } => {
                if let (Some(proof), Some(key), Some(chain)) = (proof(&request), request.key, request.chain) {
                    self.learn(RecordName::new(&key, &chain), proof);
                }
            }
            _ => {}
        }
    }

    /// What is known of one record.
    pub fn of(&self, name: &RecordName) -> Proofs {
        let of_it = |kind| self.newest.get(&(name.clone(), kind)).copied();
        ConsensusKind::ALL.into_iter().filter_map(of_it).collect()
    }

    fn learn(&mut self, record: RecordName, proof: Proof) {
        let newest = self.newest.entry((record, proof.kind)).or_insert(proof);
        if proof.position > newest.position {
            *newest = proof;
        }
    }
}

/// What is proved of one record. The default one proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proofs(Vec<Proof>);

impl FromIterator<Proof> for Proofs {
    fn from_iter<I: IntoIterator<Item = Proof>>(proofs: I) -> Self {
        Self(proofs.into_iter().collect())
    }
}

impl Proofs {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes `more` into account too.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// What `record` has forgotten: it has no row of a kind that was signed, a lower one, or something else where that was signed.
    /// A floor at the same place and every higher row remember: nothing is signed there again.
    pub fn forgotten_by(&self, record: &Record) -> Option<Proof> {
        let remembers = |proof: &Proof| {
            record.rows.get(proof.kind).is_some_and(|row| match row.stored {
                _ if row.position != proof.position => row.position > proof.position,
                Stored::Floor => true,
                Stored::Digest(digest) | Stored::Signature { digest, .. } => {
                    proof.digest.is_none_or(|proved| proved == digest)
                }
            })
        };
        self.0.iter().find(|proof| !remembers(proof)).copied()
    }
}

#[cfg(test)]
mod tests;
