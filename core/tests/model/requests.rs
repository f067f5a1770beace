//! What clients ask for, as the bytes that Octez would send for a key of each scheme, and what the protocol reads in those bytes. The
//! promises are checked by this reading, not by the decoder of `core`.

use std::fmt;
use tezos_signer_core::key::{ChainId, Curve};
use tezos_signer_core::position::ConsensusKind;

/// One payload. The numbers are level and round; the letter tells two payloads of one position apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Request {
    /// 0x11.
    Block(u32, u32, char),
    /// 0x12, tag 20; of a tz4 key tag 40.
    Preattestation(u32, u32, char),
    /// 0x13, tag 21; of a tz4 key tag 41.
    Attestation(u32, u32, char),
    /// 0x13, tag 23. Votes of tz4 keys have no DAL part: such a key admits none.
    AttestationWithDal(u32, u32, char),
    /// 0x03.
    Operation,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, level, round, letter) = match self {
            Self::Block(level, round, letter) => ("block", level, round, letter),
            Self::Preattestation(level, round, letter) => ("preattestation", level, round, letter),
            Self::Attestation(level, round, letter) => ("attestation", level, round, letter),
            Self::AttestationWithDal(level, round, letter) => ("attestation with DAL", level, round, letter),
            Self::Operation => return f.write_str("operation"),
        };
        match round {
            0 => write!(f, "{word} {level}{letter}"),
            round => write!(f, "{word} {level}/{round}{letter}"),
        }
    }
}

impl Request {
    pub(crate) fn of(kind: ConsensusKind, level: u32, round: u32, letter: char) -> Self {
        match kind {
            ConsensusKind::Block => Self::Block(level, round, letter),
            ConsensusKind::Preattestation => Self::Preattestation(level, round, letter),
            ConsensusKind::Attestation => Self::Attestation(level, round, letter),
        }
    }

    /// The bytes for a key of `scheme`.
    pub(crate) fn payload(self, scheme: Curve) -> Vec<u8> {
        // A tag, and a slot. Votes of tz4 keys have no slot: 78 bytes in all.
        let tagged = |tag, tz4_tag| if scheme == Curve::Bls12381 { vec![tz4_tag] } else { vec![tag, 0, 7] };
        match self {
            Self::Block(level, round, letter) => block(level, round, letter),
            Self::Preattestation(level, round, letter) => vote(0x12, &tagged(20, 40), level, round, letter),
            Self::Attestation(level, round, letter) => vote(0x13, &tagged(21, 41), level, round, letter),
            Self::AttestationWithDal(level, round, letter) => {
                [vote(0x13, &[23, 0, 7], level, round, letter), vec![0]].concat()
            }
            // A delegation that is taken back: tag 110, source, five numbers, no baker.
            Self::Operation => [&[0x03][..], &[0x11; 32], &[110], &[0; 21], &[1, 1, 1, 1, 0]].concat(),
        }
    }

    /// What must have one signature at most, by the protocol, of a key of `scheme`. `None` for what has no position.
    pub(crate) fn place(self, scheme: Curve) -> Option<Place> {
        let payload = self.payload(scheme);
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let (level, round) = match payload[0] {
            0x03 => return None,
            0x11 => (number(5), number(116)),
            _ if scheme == Curve::Bls12381 => (number(38), number(42)),
            _ => (number(40), number(44)),
        };
        Some(Place { magic: payload[0], level, round })
    }
}

/// The first byte of a payload, its level and its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) magic: u8,
    pub(crate) level: u32,
    pub(crate) round: u32,
}

fn vote(magic: u8, tagged: &[u8], level: u32, round: u32, letter: char) -> Vec<u8> {
    let head = [&[magic][..], ChainId::MAINNET.as_bytes(), &[0x11; 32], tagged].concat();
    [&head[..], &level.to_be_bytes(), &round.to_be_bytes(), &salt(letter)].concat()
}

fn block(level: u32, round: u32, letter: char) -> Vec<u8> {
    let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let (level, round) = (level.to_be_bytes(), round.to_be_bytes());
    let fitness = [&[2][..], &level, &[], &(-1_i32).to_be_bytes(), &round].map(field).concat();
    // Protocol number, predecessor, timestamp, validation pass and operations hash; behind the fitness the context hash.
    let shell = [&[24][..], &[0x22; 32], &[0; 8], &[4], &[0x33; 32], &field(&fitness), &salt(letter)].concat();
    // Payload hash and round, proof of work, no seed nonce hash, votes.
    let protocol_data = [&[0x44; 32][..], &[0; 4], &[0; 8], &[0], &[0]].concat();
    [&[0x11][..], ChainId::MAINNET.as_bytes(), &level, &shell, &protocol_data].concat()
}

fn salt(letter: char) -> [u8; 32] {
    [u8::try_from(letter).unwrap(); 32]
}
