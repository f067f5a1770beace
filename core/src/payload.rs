//! Decodes the bytes of a signing request. Decoding is strict: the whole payload must have the layout that its first byte
//! announces, otherwise it is rejected. A lenient decoder would let the sender choose which bytes are read as level and
//! round.
//!
//! Layouts: `reference/tezos.md` §4, checked there against Octez and mainnet.

mod block;
pub mod operation;
mod reader;
mod vote;

use crate::key::{ChainId, Curve};
use crate::position::{ConsensusKind, Position};
use operation::{Operation, OperationKind};
use reader::{Reader, non_negative};
use std::fmt;

/// The longest payload that is looked at, in bytes: what Octez allows an operation to be.
pub const MAX_PAYLOAD: usize = 32 * 1024;

/// The first byte of a generic operation.
pub const OPERATION: u8 = 0x03;

/// What the bytes of a signing request mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A block, preattestation or attestation.
    Consensus(Consensus),
    /// Starts with 0x03: a generic operation.
    Operation(Operation),
    /// Starts with a byte that no L1 baking payload starts with.
    Other {
        /// The first byte of the payload.
        magic: u8,
    },
}

impl Payload {
    /// The word for it in metrics and messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Payload::Consensus(consensus) => consensus.kind.as_str(),
            Payload::Operation(_) => "operation",
            Payload::Other { .. } => "other",
        }
    }
}

/// A payload that a watermark guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consensus {
    /// Which of the three.
    pub kind: ConsensusKind,
    /// The chain that it is for.
    pub chain: ChainId,
    /// Its level and round.
    pub position: Position,
    /// Whether all of its bytes are understood.
    pub shape: Shape,
    /// Whether it is an attestation with a DAL part. Those of tz4 keys never have one: the companion key signs for it.
    pub with_dal: bool,
}

/// Whether every byte of a block or vote is one that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A layout of the protocols from Ithaca to Ushuaia, to its last byte.
    Known,
    /// A vote whose operation tag no protocol up to Ushuaia has.
    UnknownTag(u8),
    /// A known layout, with so many bytes behind it.
    UnknownSuffix(usize),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known => f.write_str("a known layout"),
            Self::UnknownTag(tag) => write!(f, "the unknown operation tag {tag}"),
            Self::UnknownSuffix(1) => f.write_str("1 byte after the known layout"),
            Self::UnknownSuffix(bytes) => write!(f, "{bytes} bytes after the known layout"),
        }
    }
}

/// What to do with a block or vote that a newer protocol has made longer: `unknownConsensusSuffix` of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownSuffix {
    /// Refuse it, as [`DecodeError::UnknownShape`].
    #[default]
    Refuse,
    /// Read level and round where `octez-signer` reads them, and accept what follows.
    OctezCompatible,
}

/// Why bytes are not the payload that their first byte announces. A retry of the same bytes never helps: the client made them wrongly, or by a
/// protocol that is newer than this release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is no byte at all.
    #[error("the payload is empty")]
    Empty,
    /// The payload is longer than anything that Octez signs.
    #[error("the payload has {0} bytes, more than the {MAX_PAYLOAD} that Octez allows")]
    TooLong(usize),
    /// The payload ends within a field.
    #[error("the payload ends within {0}")]
    Truncated(&'static str),
    /// There are bytes after the end.
    #[error("{0} bytes are left over at the end of the payload")]
    Trailing(usize),
    /// A field has a number that the protocol does not allow there.
    #[error("{field} is {got}, expected {expected}")]
    Field {
        /// The name of the field in the protocol's encoding.
        field: &'static str,
        /// The value that the payload has there.
        got: i64,
        /// What is allowed there.
        expected: &'static str,
    },
    /// A field has bytes that Octez would write in another way, so that no signature over them is ever valid.
    #[error("{field} {rule}")]
    Form {
        /// The name of the field in the protocol's encoding.
        field: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The level in the fitness of a block is not that of its header.
    #[error("the fitness says level {fitness}, the header says level {header}")]
    LevelMismatch {
        /// The level in the fitness.
        fitness: i32,
        /// The level in the block header.
        header: i32,
    },
    /// A vote has the layout of a tz4 key's: the client asks the wrong key.
    #[error("the vote has the tz4 (BLS) layout, tag {0}, which a tz1, tz2 or tz3 key never signs")]
    Tz4Layout(u8),
    /// A vote has the layout with a slot, of a tz1, tz2 or tz3 key: the client asks the wrong key.
    #[error(
        "the vote has the layout of tz1, tz2 and tz3 keys (with a slot), tag {0}, which a tz4 (BLS) key never signs"
    )]
    SlotLayout(u8),
    /// A block or vote that only a newer protocol can have made. It is signed with [`UnknownSuffix::OctezCompatible`].
    #[error(
        "the {} at {} has {}: if a new protocol is about to be activated, upgrade tezos-signer to a release that knows it, or set \
         unknownConsensusSuffix: octezCompatible until then",
        .0.kind, .0.position, .0.shape
    )]
    UnknownShape(Consensus),
    /// An operation has a tag that is never signed under 0x03.
    #[error("operation tag {tag} {reason}")]
    OperationTag {
        /// The tag, the first byte of the content.
        tag: u8,
        /// Why the tag is not signed, as the end of a sentence.
        reason: &'static str,
    },
    /// An operation is of a kind whose contents this release does not read, so that nothing can be said about them.
    #[error("the operation {0} is not decoded by this signer")]
    NotDecoded(OperationKind),
    /// An operation has several contents, one of which must stand alone.
    #[error("the operation {0} is in a batch, which only manager operations can be")]
    Batch(OperationKind),
    /// An operation has more contents than are read.
    #[error("the operation has more than {} contents", operation::MAX_CONTENTS)]
    TooManyContents,
    /// A field can be read in two ways, by two protocols.
    #[error("{0} is not in its canonical encoding")]
    Ambiguous(&'static str),
}

/// Why the body of a signing request holds no payload. A retry of the same body does not help.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// It is not a JSON string.
    #[error("expected a JSON string of hex digits, such as \"11ab…\"")]
    Json,
    /// It is a JSON string of something else than hex digits.
    #[error("the JSON string is not hex: {0}")]
    Hex(#[from] hex::FromHexError),
}

/// The payload in the body of a signing request: a JSON string of hex digits, of either case.
pub fn from_body(body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let text: String = serde_json::from_slice(body).map_err(|_| BodyError::Json)?;
    Ok(hex::decode(text)?)
}

/// Decodes a whole payload that a key of `scheme` is to sign: the layout of votes depends on it. `unknown` says what becomes of a block or
/// vote that is longer than any that is known.
pub fn decode(bytes: &[u8], scheme: Curve, unknown: UnknownSuffix) -> Result<Payload, DecodeError> {
    let (&magic, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if bytes.len() > MAX_PAYLOAD {
        return Err(DecodeError::TooLong(bytes.len()));
    }
    let reader = Reader::new(rest);
    let consensus = match magic {
        0x11 => block::decode(reader)?,
        0x12 => vote::decode(reader, ConsensusKind::Preattestation, scheme)?,
        0x13 => vote::decode(reader, ConsensusKind::Attestation, scheme)?,
        OPERATION => return operation::decode(reader).map(Payload::Operation),
        magic => return Ok(Payload::Other { magic }),
    };
    match (consensus.shape, unknown) {
        (Shape::Known, _) | (_, UnknownSuffix::OctezCompatible) => Ok(Payload::Consensus(consensus)),
        (_, UnknownSuffix::Refuse) => Err(DecodeError::UnknownShape(consensus)),
    }
}

/// The shape of a layout that was read to its end, with `reader` behind it.
fn shape_at_end(reader: &Reader<'_>) -> Shape {
    match reader.left() {
        0 => Shape::Known,
        left => Shape::UnknownSuffix(left),
    }
}
