//! The watermark record: what must be remembered between two signatures of a key on a chain. This module is the only author
//! and parser of its text, of its lease and of its owner. Both stores and the operator use it.

mod annotations;
mod file;
mod lease;
mod name;
mod owner;
mod rows;
mod slots;
mod suspension;
mod text;

pub use annotations::{
    CHAIN_ANNOTATION, EXTERNAL_SIGNER_ANNOTATION, HOLDER_ADDRESS_ANNOTATION, LEASE_ANNOTATION, OWNER_ANNOTATION,
    PUBLIC_KEY_HASH_ANNOTATION, SUSPENDED_BY_SPEC_ANNOTATION,
};
pub use file::RecordFile;
pub use lease::Lease;
pub use name::{RECORDS_NAMESPACE, RecordName, RecordNameError};
pub use owner::{Owner, OwnerError};
pub use rows::{Row, RowError, Rows, Stored};
pub use slots::{SLOT, SlotsError};
pub use suspension::suspend_by_spec;
pub use text::{CEILING_ROW, RecordError, SUSPEND_ROW};

use crate::anchor::AuditAnchor;
use crate::position::{ConsensusKind, Level, Position};

/// A watermark record. The default one has no rows, so that nothing can be signed with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// What was signed last, by kind.
    pub rows: Rows,
    /// The newest committed line of the audit log.
    pub audit: Option<AuditAnchor>,
    /// Nothing above this level is signed.
    pub ceiling: Option<Level>,
    /// Nothing is signed at all.
    pub suspend: bool,
}

impl Record {
    /// Nothing at or below `level` is signed; the first thing signed is above it.
    pub fn starting_above(level: Level) -> Self {
        Self::with_floor(Position::end_of(level))
    }

    /// For a key that has never signed anything on this chain: whatever comes first is signed, whatever its level.
    pub fn fresh() -> Self {
        Self::with_floor(Position::GENESIS)
    }

    fn with_floor(position: Position) -> Self {
        Self { rows: Rows::from_fn(|_| Some(Row::floor(position))), ..Self::default() }
    }

    /// Whether this is [`Record::fresh`] and nothing was signed since.
    pub fn is_fresh(&self) -> bool {
        let fresh = Row::floor(Position::GENESIS);
        ConsensusKind::ALL.into_iter().all(|kind| self.rows.get(kind) == Some(&fresh))
    }

    /// The level above which the first signature is, while all three rows are floors: nothing has been signed since somebody set them.
    /// The highest of them; `None` once a row has a digest, and for a record that is [fresh](Record::is_fresh).
    pub fn floor(&self) -> Option<Level> {
        let is_floor = |kind| self.rows.get(kind).is_some_and(|row| row.stored == Stored::Floor);
        let all = ConsensusKind::ALL.into_iter().all(is_floor) && !self.is_fresh();
        all.then(|| self.rows.highest_level())
    }

    /// Whether something at the ceiling was signed, or a floor is there: nothing above is signed any more.
    pub fn is_at_ceiling(&self) -> bool {
        self.ceiling.is_some_and(|ceiling| self.rows.highest_level() >= ceiling)
    }

    /// The record with every row at least at the end of `level`. Never lowers, never makes a row that was missing.
    #[must_use]
    pub fn raised_to(&self, level: Level) -> Self {
        let mut next = self.clone();
        let floor = Position::end_of(level);
        for kind in ConsensusKind::ALL {
            if let Some(row) = next.rows.slot(kind)
                && row.position < floor
            {
                *row = Row::floor(floor);
            }
        }
        next
    }

    /// The first kind in which this record knows less than `seen` did: a row that is lower, gone, or changed at its
    /// position. That happens when somebody restores an old copy.
    pub fn forgets(&self, seen: &Record) -> Option<ConsensusKind> {
        ConsensusKind::ALL.into_iter().find(|&kind| match (self.rows.get(kind), seen.rows.get(kind)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(now), Some(before)) => {
                now.position < before.position || (now.position == before.position && now.stored != before.stored)
            }
        })
    }
}
