//! The signing decision: whether a block or vote may be signed, was signed before, or must be refused.
//!
//! Pure functions over the rows of a [`Record`](crate::record::Record). Whoever calls them holds the record's lock, and
//! commits the result before a signature leaves the process.

use crate::key::{Digest, Signature};
use crate::payload::Consensus;
use crate::policy::Permitted;
use crate::position::{ConsensusKind, Level, Position};
use crate::record::Record;

/// What is remembered of one kind: the highest position, and what was signed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Nothing below this is signed.
    pub position: Position,
    /// What stands at the position itself.
    pub stored: Stored,
}

/// What stands at the highest position of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// A floor that somebody set: nothing may be signed there.
    Floor,
    /// Known to be signed, but the signature is not (imported from another signer): nothing may be signed there.
    Digest(Digest),
    /// Signed here: the same request gets the same signature again.
    Signature {
        /// Of the payload that was signed.
        digest: Digest,
        /// What was answered.
        signature: Signature,
    },
}

impl Stored {
    /// In words, for a table.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Floor => "floor, nothing signed here",
            Self::Digest(_) => "digest, signature unknown",
            Self::Signature { .. } => "signature",
        }
    }
}

impl Row {
    /// Nothing at or below `position` is signed.
    pub fn floor(position: Position) -> Self {
        Self { position, stored: Stored::Floor }
    }
}

/// The answer of [`decide`] where something may leave the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Higher than all that was signed: sign, commit, then answer.
    Advance(Advance),
    /// Signed before: answer with this signature, which the caller verifies first. Never sign it again: ECDSA in an HSM is
    /// randomised, and two signatures of one header are two block hashes, which is slashable.
    Replay(Signature),
}

/// A step that [`decide`] allowed; [`Record::advanced`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance(pub(crate) Step);

/// What an [`Advance`] does to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// One row rises.
    Row { kind: ConsensusKind, position: Position, digest: Digest },
    /// ◆ A generic operation has no position, and no row changes. Its commit moves the audit anchor all the same: it is a
    /// write like any other, so a holder that was displaced or suspended cannot make it.
    Operation,
}

impl Advance {
    /// Whether the record will be able to replay the signature. It is for consensus payloads; that of a generic operation is
    /// in no row, and asking again yields another one, which harms nobody.
    pub fn is_replayable(&self) -> bool {
        matches!(self.0, Step::Row { .. })
    }
}

/// Why nothing may be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Signing is suspended in the record.
    #[error("signing is suspended for this key (suspend in its watermark record)")]
    Suspended,
    /// The record does not know this kind.
    #[error(
        "the watermark record has no {0} row, and a missing watermark never means a fresh start: restore the row with the level \
         of the last {0} that was signed"
    )]
    NoRow(ConsensusKind),
    /// Below what was signed.
    #[error("{kind} at {requested} is below the watermark, {watermark}")]
    Below {
        /// Of what.
        kind: ConsensusKind,
        /// The request's.
        requested: Position,
        /// The record's.
        watermark: Position,
    },
    /// At the watermark, where something else was signed: signing it would be slashed.
    #[error("a different {kind} was already signed at {position}")]
    Conflict {
        /// Of what.
        kind: ConsensusKind,
        /// Where.
        position: Position,
    },
    /// At the watermark, whose signature is not known here.
    #[error(
        "{kind} at {position} is not above the watermark, and there is no stored signature to answer with (the row was set by \
         hand or imported)"
    )]
    NoStoredSignature {
        /// Of what.
        kind: ConsensusKind,
        /// Where.
        position: Position,
    },
    /// So far ahead that it must be a mistake; committing it would make every real block too low.
    #[error(
        "{requested} is {jump} levels above the highest level of the record, {highest}, more than maxLevelJump ({limit}): if the \
         chain really is there, raise the watermark by hand first"
    )]
    Jump {
        /// The request's.
        requested: Level,
        /// Of all rows.
        highest: Level,
        /// The difference.
        jump: u32,
        /// The most that is allowed.
        limit: u32,
    },
    /// Above the ceiling of a hand-over.
    #[error(
        "level {requested} is above the ceiling {ceiling}: this key was handed over to another cluster from there on"
    )]
    Ceiling {
        /// The request's.
        requested: Level,
        /// The record's.
        ceiling: Level,
    },
}

impl Refusal {
    /// Whether people can lift the reason by a change of the record.
    pub fn may_be_lifted(&self) -> bool {
        matches!(self, Self::Suspended | Self::NoRow(_) | Self::Jump { .. } | Self::Ceiling { .. })
    }

    /// In one word, of [`REFUSALS`].
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::NoRow(_) => "no_row",
            Self::Below { .. } => "below",
            Self::Conflict { .. } => "conflict",
            Self::NoStoredSignature { .. } => "no_stored_signature",
            Self::Jump { .. } => "jump",
            Self::Ceiling { .. } => "ceiling",
        }
    }
}

/// Every [`Refusal::reason`], for metrics.
pub const REFUSALS: [&str; 7] = ["suspended", "no_row", "below", "conflict", "no_stored_signature", "jump", "ceiling"];

/// How far above the record's highest row a request may be, in levels: about a week of 6-second blocks.
pub const DEFAULT_MAX_LEVEL_JUMP: u32 = 100_000;

/// Decides on `request`, whose payload has `digest`, by what `record` remembers.
pub fn decide(record: &Record, request: &Permitted, digest: &Digest, max_level_jump: u32) -> Result<Decision, Refusal> {
    if record.suspend {
        return Err(Refusal::Suspended);
    }
    let Consensus { kind, position: requested, .. } = match request {
        Permitted::Consensus(consensus) => *consensus,
        Permitted::Operation => return Ok(Decision::Advance(Advance(Step::Operation))),
    };
    let Some(row) = record.rows.get(kind) else {
        return Err(Refusal::NoRow(kind));
    };
    if requested < row.position {
        return Err(Refusal::Below { kind, requested, watermark: row.position });
    }
    if requested == row.position {
        return match &row.stored {
            Stored::Signature { digest: signed, signature } if signed == digest => Ok(Decision::Replay(*signature)),
            Stored::Digest(signed) if signed == digest => Err(Refusal::NoStoredSignature { kind, position: requested }),
            Stored::Floor => Err(Refusal::NoStoredSignature { kind, position: requested }),
            Stored::Signature { .. } | Stored::Digest(_) => Err(Refusal::Conflict { kind, position: requested }),
        };
    }
    if let Some(ceiling) = record.ceiling
        && requested.level > ceiling
    {
        return Err(Refusal::Ceiling { requested: requested.level, ceiling });
    }
    if !record.is_fresh() {
        let highest = record.rows.highest_level();
        let jump = requested.level.get().saturating_sub(highest.get());
        if jump > max_level_jump {
            return Err(Refusal::Jump { requested: requested.level, highest, jump, limit: max_level_jump });
        }
    }
    Ok(Decision::Advance(Advance(Step::Row { kind, position: requested, digest: *digest })))
}
