//! The rows of a record: the highest position of each kind, with its digest and signature, and their text.

use crate::anchor::AnchorError;
use crate::key::{Digest, DigestError, KeyError, Signature};
use crate::position::{ConsensusKind, Level, OutOfRange, Position};
use std::fmt;
use std::str::FromStr;

/// The rows of a record, one for each kind. A kind without a row is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rows {
    block: Option<Row>,
    preattestation: Option<Row>,
    attestation: Option<Row>,
}

impl Rows {
    /// The row of `kind`.
    pub fn get(&self, kind: ConsensusKind) -> Option<&Row> {
        match kind {
            ConsensusKind::Block => self.block.as_ref(),
            ConsensusKind::Preattestation => self.preattestation.as_ref(),
            ConsensusKind::Attestation => self.attestation.as_ref(),
        }
    }

    /// The rows that `row` gives for each kind: for an import, which brings rows that another signer has remembered.
    pub fn from_fn(row: impl Fn(ConsensusKind) -> Option<Row>) -> Self {
        Self {
            block: row(ConsensusKind::Block),
            preattestation: row(ConsensusKind::Preattestation),
            attestation: row(ConsensusKind::Attestation),
        }
    }

    pub(crate) fn slot(&mut self, kind: ConsensusKind) -> &mut Option<Row> {
        match kind {
            ConsensusKind::Block => &mut self.block,
            ConsensusKind::Preattestation => &mut self.preattestation,
            ConsensusKind::Attestation => &mut self.attestation,
        }
    }

    /// The highest level of any row; 0 where there is none.
    pub fn highest_level(&self) -> Level {
        ConsensusKind::ALL
            .into_iter()
            .filter_map(|kind| self.get(kind))
            .map(|row| row.position.level)
            .max()
            .unwrap_or_default()
    }
}

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
        /// The hash of the payload that was signed.
        digest: Digest,
        /// The signature that was given out.
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

/// Why a row of a record cannot be read. A retry does not help: somebody has to correct the row, by hand or from a backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The row of a kind is not four words.
    #[error("expected four words with one space between them: level round digest signature")]
    Words,
    /// The level or round of a kind, or the ceiling, is out of range.
    #[error(transparent)]
    Position(#[from] OutOfRange),
    /// The third word of the row of a kind is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The fourth word of the row of a kind is not a signature.
    #[error("the signature is {0}")]
    Signature(#[from] KeyError),
    /// The row of a kind has a signature and no digest.
    #[error("there is a signature, but no digest of the signed payload")]
    SignatureWithoutDigest,
    /// The row `audit` is not an anchor.
    #[error(transparent)]
    Audit(#[from] AnchorError),
    /// The row `suspend` is not one of its two words.
    #[error("expected \"true\" or \"false\"")]
    Suspend,
}

impl FromStr for Row {
    type Err = RowError;
    fn from_str(text: &str) -> Result<Self, RowError> {
        let words: Vec<&str> = text.split(' ').collect();
        let [level, round, digest, signature] = words[..] else {
            return Err(RowError::Words);
        };
        let position = Position { level: level.parse()?, round: round.parse()? };
        let stored = match (digest, signature) {
            ("-", "-") => Stored::Floor,
            ("-", _) => return Err(RowError::SignatureWithoutDigest),
            (digest, "-") => Stored::Digest(digest.parse()?),
            (digest, signature) => Stored::Signature { digest: digest.parse()?, signature: signature.parse()? },
        };
        Ok(Row { position, stored })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.position.level, self.position.round)?;
        match &self.stored {
            Stored::Floor => f.write_str("- -"),
            Stored::Digest(digest) => write!(f, "{digest} -"),
            Stored::Signature { digest, signature } => write!(f, "{digest} {signature}"),
        }
    }
}
