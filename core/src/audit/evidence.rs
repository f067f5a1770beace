//! The evidence that an audit log has about watermark records: the highest positions that were certainly committed to them. A
//! record that is lower was restored from an old copy.
//!
//! Two kinds of lines are evidence. The first is a request for a block or vote that was answered with a signature, whether
//! new, repeated or forwarded: only signatures in the record are released. The second is an intent that a later intent names
//! as the anchor that it replaces: the record held it at that time. A single intent is no evidence, because its commit may
//! have failed.

use super::{Event, Line, Request};
use crate::anchor::{AuditAnchor, LogId};
use crate::key::Digest;
use crate::position::{ConsensusKind, Level, Position};
use crate::record::{Record, RecordName, Stored};

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One thing that was committed, and the line that proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningEvidence {
    /// The kind of the block or vote.
    pub kind: ConsensusKind,
    /// Its level and round.
    pub position: Position,
    /// What it was, where that is known.
    pub digest: Option<Digest>,
    /// Where it was found.
    pub source: EvidenceSource,
}

/// Where a [`SigningEvidence`] was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvidenceSource {
    /// In an audit log.
    Line {
        /// The log that has the line.
        log: LogId,
        /// The number of the line in that log.
        sequence: u64,
    },
    /// In a block of the chain: [`crate::chain_evidence`].
    Block {
        /// The block's own level.
        level: Level,
    },
}

impl fmt::Display for SigningEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, position, .. } = self;
        match (self.source, kind) {
            (EvidenceSource::Line { log, sequence }, _) => {
                write!(f, "line {sequence} of log {log} proves that the {kind} at {position} was signed")
            }
            (EvidenceSource::Block { level }, ConsensusKind::Block) => {
                write!(f, "block {level} of the chain proves that the {kind} at {position} or later was signed")
            }
            (EvidenceSource::Block { level }, _) => {
                write!(f, "block {level} of the chain proves that the {kind} at {position} was signed")
            }
        }
    }
}

/// A block or vote that was committed to a record, and the line that proves it or announced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedLine {
    /// The kind of the block or vote.
    pub kind: ConsensusKind,
    /// At which level and round.
    #[serde(flatten)]
    pub position: Position,
    /// BLAKE2b-256 of what was signed.
    pub digest: Digest,
    /// The log that has the line.
    #[serde(rename = "lineLog")]
    pub log: LogId,
    /// The number of the line in that log.
    #[serde(rename = "lineSequence")]
    pub sequence: u64,
}

impl Line {
    /// What this line says was signed, or was announced, for `record`; `None` where it says nothing of the kind.
    pub(super) fn proves(&self, record: &RecordName) -> Option<SignedLine> {
        let (request, of) = match &self.event {
            Event::Intent { request, record, .. } => (request, record.clone()),
            Event::Outcome { request, status: 200, .. } => {
                (request, RecordName::new(request.key.as_ref()?, request.chain.as_ref()?))
            }
            _ => return None,
        };
        (of == *record).then(|| SignedLine::of(self.log, self.sequence, request))?
    }
}

impl SignedLine {
    /// What line `sequence` of `log` says of `request`; `None` where that is no block or vote, or lacks its position or digest.
    fn of(log: LogId, sequence: u64, request: &Request) -> Option<Self> {
        let kind = ConsensusKind::ALL.into_iter().find(|kind| request.kind.as_deref() == Some(kind.as_str()))?;
        Some(Self { kind, position: request.position?, digest: request.digest?, log, sequence })
    }

    fn proof(self) -> SigningEvidence {
        let Self { kind, position, digest, log, sequence } = self;
        SigningEvidence { kind, position, digest: Some(digest), source: EvidenceSource::Line { log, sequence } }
    }
}

/// An intent whose commit is not proved yet: the next intent for the record proves it by naming it as the one that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedLine {
    /// What was announced, and the line of the intent.
    #[serde(flatten)]
    pub line: SignedLine,
    /// The hash of that line.
    pub hash: Digest,
}

impl AnnouncedLine {
    fn anchor(&self) -> AuditAnchor {
        AuditAnchor { log: self.line.log, sequence: self.line.sequence, hash: self.hash }
    }
}

/// All that a [`EvidenceIndex`] knows of one record: an entry of an [`Event::Evidence`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordEvidence {
    /// The record that the evidence is about.
    pub record: RecordName,
    /// The newest proved position of each kind: at most one entry a kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<SignedLine>,
    /// The newest intent, if its commit is not proved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<AnnouncedLine>,
}

/// What lines of audit logs prove of all records. The lines are given in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub struct EvidenceIndex {
    newest: BTreeMap<RecordName, BTreeMap<ConsensusKind, SignedLine>>,
    /// The newest intent of each record that announced a block or vote: it may have been committed.
    announced: BTreeMap<RecordName, AnnouncedLine>,
}

/// The texts of which a line has one that says something to a witness. A quote in a value is escaped, so no value has them.
const TELLING: [&str; 3] = ["\"event\":\"intent\"", "\"status\":200,", EVIDENCE];

/// The text that an [`Event::Evidence`] has, and no other line.
pub const EVIDENCE: &str = "\"event\":\"evidence\"";

impl EvidenceIndex {
    /// Takes a line into account; one that is none of an audit log says nothing.
    pub fn read(&mut self, text: &str) {
        // Most lines are refusals, and strangers can make gigabytes of them: they are not parsed.
        if !TELLING.iter().any(|telling| text.contains(telling)) {
            return;
        }
        let Ok(Line { log, sequence, event, .. }) = serde_json::from_str::<Line>(text) else { return };
        match event {
            Event::Intent { request, record, replaces } => {
                let announced = SignedLine::of(log, sequence, &request)
                    .map(|line| AnnouncedLine { line, hash: Digest::of(text.as_bytes()) });
                if let Some(before) = self.announce(&record, announced)
                    && replaces == Some(before.anchor())
                {
                    self.learn(&record, before.line);
                }
            }
            Event::Outcome { request, status: 200, .. } => {
                if let (Some(line), Some(key), Some(chain)) =
                    (SignedLine::of(log, sequence, &request), request.key, request.chain)
                {
                    self.learn(&RecordName::new(&key, &chain), line);
                }
            }
            Event::Evidence { records } => {
                for RecordEvidence { record, signed, announced } in records {
                    for line in signed {
                        self.learn(&record, line);
                    }
                    self.announce(&record, announced);
                }
            }
            _ => {}
        }
    }

    /// What is known of one record.
    pub fn of(&self, name: &RecordName) -> EvidenceSet {
        self.newest.get(name).into_iter().flat_map(BTreeMap::values).map(|line| line.proof()).collect()
    }

    /// All that is known, as a line of a log: a witness that reads this line alone knows the same.
    pub fn evidence(&self) -> Event {
        let names: BTreeSet<&RecordName> = self.newest.keys().chain(self.announced.keys()).collect();
        let evidence = |record: &RecordName| RecordEvidence {
            record: record.clone(),
            signed: self.newest.get(record).into_iter().flat_map(BTreeMap::values).copied().collect(),
            announced: self.announced.get(record).copied(),
        };
        Event::Evidence { records: names.into_iter().map(evidence).collect() }
    }

    /// Replaces what was announced last for `record`, and returns that.
    fn announce(&mut self, record: &RecordName, announced: Option<AnnouncedLine>) -> Option<AnnouncedLine> {
        match announced {
            Some(announced) => self.announced.insert(record.clone(), announced),
            None => self.announced.remove(record),
        }
    }

    fn learn(&mut self, record: &RecordName, line: SignedLine) {
        let newest = self.newest.entry(record.clone()).or_default().entry(line.kind).or_insert(line);
        if line.position > newest.position {
            *newest = line;
        }
    }
}

/// What is proved of one record. The default one proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EvidenceSet(Vec<SigningEvidence>);

impl FromIterator<SigningEvidence> for EvidenceSet {
    fn from_iter<I: IntoIterator<Item = SigningEvidence>>(proofs: I) -> Self {
        Self(proofs.into_iter().collect())
    }
}

impl EvidenceSet {
    /// Whether there is no evidence of any record.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes `more` into account too.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// What `record` has forgotten: it has no row of a kind that was signed, a lower one, or something else where that was signed.
    /// A floor at the same place and every higher row remember: nothing is signed there again.
    pub fn forgotten_by(&self, record: &Record) -> Option<SigningEvidence> {
        let remembers = |proof: &SigningEvidence| {
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
