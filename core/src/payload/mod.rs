//! What the bytes of a signing request are. Strict: a payload is what its first byte says down to its last byte, or it is
//! refused. A lenient decoder would let whoever builds the bytes choose which of them are read as level and round.
//!
//! Layouts: `reference/tezos.md` §4, checked there against Octez and mainnet.

mod block;
mod vote;

use crate::key::ChainId;
use crate::position::{ConsensusKind, Position};

/// A decoded payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// A block, preattestation or attestation.
    Consensus(Consensus),
    /// Starts with 0x03: a generic operation. Its contents are not looked at here.
    Operation,
    /// Starts with a byte that no L1 baking payload starts with.
    Other {
        /// That byte.
        magic: u8,
    },
}

impl Payload {
    /// The word for it in metrics and messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Payload::Consensus(consensus) => consensus.kind.as_str(),
            Payload::Operation => "operation",
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
}

/// Why bytes are not the payload that their first byte announces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No byte at all.
    #[error("the payload is empty")]
    Empty,
    /// The end came too early.
    #[error("the payload ends within {0}")]
    Truncated(&'static str),
    /// There are bytes after the end.
    #[error("{0} bytes are left over at the end of the payload")]
    Trailing(usize),
    /// A number that the protocol does not allow there.
    #[error("{field} is {got}, expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        got: i64,
        /// What is allowed there.
        expected: &'static str,
    },
    /// A level in the fitness that is not the header's.
    #[error("the fitness says level {fitness}, the header says level {header}")]
    LevelMismatch {
        /// In the fitness.
        fitness: i32,
        /// In the header.
        header: i32,
    },
    /// The layout of a tz4 key's vote.
    #[error("the vote has the tz4 (BLS) layout, tag {0}, which a tz2 or tz3 key never signs")]
    Tz4Layout(u8),
}

/// Decodes a whole payload.
pub fn decode(bytes: &[u8]) -> Result<Payload, DecodeError> {
    let (&magic, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    let reader = Reader { rest };
    match magic {
        0x11 => block::decode(reader).map(Payload::Consensus),
        0x12 => vote::decode(reader, ConsensusKind::Preattestation).map(Payload::Consensus),
        0x13 => vote::decode(reader, ConsensusKind::Attestation).map(Payload::Consensus),
        0x03 => Ok(Payload::Operation),
        magic => Ok(Payload::Other { magic }),
    }
}

/// Takes fields off the front; every read names its field for the error. All integers are big-endian.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(*head)
    }

    fn skip<const N: usize>(&mut self, field: &'static str) -> Result<(), DecodeError> {
        self.take::<N>(field).map(|_| ())
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.take::<1>(field).map(|[byte]| byte)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.take(field).map(u32::from_be_bytes)
    }

    fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.take(field).map(i32::from_be_bytes)
    }

    fn chain_id(&mut self) -> Result<ChainId, DecodeError> {
        self.take("the chain id").map(ChainId::from_bytes)
    }

    fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

/// `value`, or the error that names `field`.
fn non_negative<T>(field: &'static str, value: i32, make: fn(i32) -> Option<T>) -> Result<T, DecodeError> {
    make(value).ok_or(DecodeError::Field { field, got: value.into(), expected: "0 to 2147483647" })
}
