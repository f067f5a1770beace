//! The unsigned block header, magic byte 0x11: shell header, fitness of version 2, and protocol data.

use super::{Consensus, DecodeError, Reader, non_negative, shape_at_end};
use crate::position::{ConsensusKind, Level, Position, Round};

/// Decodes what follows the magic byte.
///
/// The round is that of the fitness: it is what double baking is judged by. `payload_round` is older than that when a
/// locked payload is proposed again.
pub(super) fn decode(mut reader: Reader<'_>) -> Result<Consensus, DecodeError> {
    let chain = reader.chain_id()?;
    let header_level = reader.i32("the level")?;
    let level = non_negative("the level", header_level, Level::from_i32)?;
    reader.skip::<1>("the protocol number")?;
    reader.skip::<32>("the predecessor")?;
    reader.skip::<8>("the timestamp")?;
    reader.skip::<1>("the validation pass")?;
    reader.skip::<32>("the operations hash")?;
    let round = fitness(&mut reader, header_level)?;
    reader.skip::<32>("the context hash")?;

    reader.skip::<32>("the payload hash")?;
    let payload_round = non_negative("the payload round", reader.i32("the payload round")?, Round::from_i32)?;
    if payload_round > round {
        return Err(DecodeError::Field {
            field: "the payload round",
            got: payload_round.get().into(),
            expected: "at most the round of the fitness",
        });
    }
    reader.skip::<8>("the proof-of-work nonce")?;
    match reader.u8("the seed nonce hash")? {
        0x00 => {}
        0xff => reader.skip::<32>("the seed nonce hash")?,
        other => return Err(flag("the presence of a seed nonce hash", other)),
    }
    // What is voted changes with the protocols (liquidity baking, adaptive issuance); that it is one byte does not.
    reader.skip::<1>("the per-block votes")?;
    let shape = shape_at_end(&reader);
    Ok(Consensus { kind: ConsensusKind::Block, chain, position: Position { level, round }, shape, with_dal: false })
}

/// Reads the fitness, every length in it, and returns its round.
fn fitness(reader: &mut Reader<'_>, header_level: i32) -> Result<Round, DecodeError> {
    let locked = match reader.u32("the fitness length")? {
        33 => false,
        37 => true,
        other => return Err(length("the fitness length", other, "33, or 37 with a locked round")),
    };
    expect_length(reader, "the length of the fitness version", 1)?;
    match reader.u8("the fitness version")? {
        2 => {}
        other => return Err(DecodeError::Field { field: "the fitness version", got: other.into(), expected: "2" }),
    }
    expect_length(reader, "the length of the fitness level", 4)?;
    let fitness_level = reader.i32("the fitness level")?;
    if fitness_level != header_level {
        return Err(DecodeError::LevelMismatch { fitness: fitness_level, header: header_level });
    }
    expect_length(reader, "the length of the locked round", if locked { 4 } else { 0 })?;
    let locked_round = if locked {
        Some(non_negative("the locked round", reader.i32("the locked round")?, Round::from_i32)?)
    } else {
        None
    };
    expect_length(reader, "the length of the predecessor round", 4)?;
    // Written as −1 − round, so that a lower predecessor round is the higher fitness.
    let predecessor_round = reader.i32("the predecessor round")?;
    if predecessor_round >= 0 {
        let field = "the predecessor round";
        return Err(DecodeError::Field { field, got: predecessor_round.into(), expected: "a negative number" });
    }
    expect_length(reader, "the length of the round", 4)?;
    let round = non_negative("the round", reader.i32("the round")?, Round::from_i32)?;
    match locked_round {
        Some(locked_round) if locked_round >= round => Err(DecodeError::Field {
            field: "the locked round",
            got: locked_round.get().into(),
            expected: "below the round",
        }),
        _ => Ok(round),
    }
}

fn expect_length(reader: &mut Reader<'_>, field: &'static str, expected: u32) -> Result<(), DecodeError> {
    match reader.u32(field)? {
        got if got == expected => Ok(()),
        got => Err(length(
            field,
            got,
            match expected {
                0 => "0",
                1 => "1",
                _ => "4",
            },
        )),
    }
}

fn length(field: &'static str, got: u32, expected: &'static str) -> DecodeError {
    DecodeError::Field { field, got: got.into(), expected }
}

fn flag(field: &'static str, got: u8) -> DecodeError {
    DecodeError::Field { field, got: got.into(), expected: "0 or 255" }
}
