//! Preattestations and attestations of tz1, tz2 and tz3 keys, magic bytes 0x12 and 0x13.

use super::{Consensus, DecodeError, Reader, Shape, non_negative, operation, shape_at_end};
use crate::position::{ConsensusKind, Level, Position, Round};

const PREATTESTATION: u8 = 20;
const ATTESTATION: u8 = 21;
const ATTESTATION_WITH_DAL: u8 = 23;
const TZ4_PREATTESTATION: u8 = 40;
const TZ4_ATTESTATION: u8 = 41;

/// What stands at the tag.
enum Tag {
    Plain,
    WithDal,
    /// Of no protocol that is known. A newer one can have made it.
    Unknown(u8),
}

/// Decodes what follows the magic byte, which said `kind`.
///
/// Level and round stand where `octez-signer` reads them, whatever the tag is.
pub(super) fn decode(mut reader: Reader<'_>, kind: ConsensusKind) -> Result<Consensus, DecodeError> {
    let chain = reader.chain_id()?;
    reader.skip::<32>("the branch")?;
    let tag = tag(&mut reader, kind)?;
    reader.skip::<2>("the slot")?;
    let level = non_negative("the level", reader.i32("the level")?, Level::from_i32)?;
    let round = non_negative("the round", reader.i32("the round")?, Round::from_i32)?;
    let position = Position { level, round };
    let shape = match tag {
        Tag::Unknown(tag) => Shape::UnknownTag(tag),
        Tag::Plain | Tag::WithDal => {
            reader.skip::<32>("the block payload hash")?;
            if let Tag::WithDal = tag {
                dal_attestation(&mut reader)?;
            }
            shape_at_end(&reader)
        }
    };
    Ok(Consensus { kind, chain, position, shape })
}

fn tag(reader: &mut Reader<'_>, kind: ConsensusKind) -> Result<Tag, DecodeError> {
    match (kind, reader.u8("the operation tag")?) {
        (ConsensusKind::Preattestation, PREATTESTATION) | (ConsensusKind::Attestation, ATTESTATION) => Ok(Tag::Plain),
        (ConsensusKind::Attestation, ATTESTATION_WITH_DAL) => Ok(Tag::WithDal),
        (_, tag @ (TZ4_PREATTESTATION | TZ4_ATTESTATION)) => Err(DecodeError::Tz4Layout(tag)),
        (_, tag) if !operation::is_known_tag(tag) => Ok(Tag::Unknown(tag)),
        (_, tag) => {
            let expected = match kind {
                ConsensusKind::Preattestation => "20 after the magic byte 0x12",
                _ => "21 or 23 after the magic byte 0x13",
            };
            Err(DecodeError::Field { field: "the operation tag", got: tag.into(), expected })
        }
    }
}

/// A bitset written as a `Z` of Octez' data encoding: bytes with the top bit set until the last one, and the sign in bit 0x40 of
/// the first. Octez refuses a last byte of zero (other than the number 0 itself), and since April 2026 a vote with a negative
/// bitset is invalid; both are refused here.
fn dal_attestation(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let field = "the DAL attestation";
    let mut byte = reader.u8(field)?;
    if byte & 0x40 != 0 {
        return Err(DecodeError::Field {
            field,
            got: byte.into(),
            expected: "a number that is not negative (0x40 in its first byte)",
        });
    }
    let mut first = true;
    while byte & 0x80 != 0 {
        byte = reader.u8(field)?;
        first = false;
    }
    if byte == 0 && !first {
        return Err(DecodeError::Field { field, got: 0, expected: "a number without trailing zero bytes" });
    }
    Ok(())
}
