//! Preattestations and attestations, magic bytes 0x12 and 0x13.
//!
//! Votes of a tz4 key have tags and a layout of their own: no slot, and no DAL part, so that all tz4 keys sign the same bytes, and their
//! signatures can be aggregated. INVARIANT D8: the scheme of the key decides which layout is read, never the payload; the other layout's
//! tags are refused, since level and round would be read at the wrong place.

use super::{Consensus, DecodeError, Reader, Shape, non_negative, operation, shape_at_end};
use crate::key::Curve;
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
pub(super) fn decode(mut reader: Reader<'_>, kind: ConsensusKind, scheme: Curve) -> Result<Consensus, DecodeError> {
    let chain = reader.chain_id()?;
    reader.skip::<32>("the branch")?;
    let tag = tag(&mut reader, kind, scheme)?;
    if scheme != Curve::Bls12381 {
        reader.skip::<2>("the slot")?;
    }
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
    Ok(Consensus { kind, chain, position, shape, with_dal: matches!(tag, Tag::WithDal) })
}

fn tag(reader: &mut Reader<'_>, kind: ConsensusKind, scheme: Curve) -> Result<Tag, DecodeError> {
    let tag = reader.u8("the operation tag")?;
    let expected = if scheme == Curve::Bls12381 {
        match (kind, tag) {
            (ConsensusKind::Preattestation, TZ4_PREATTESTATION) | (ConsensusKind::Attestation, TZ4_ATTESTATION) => {
                return Ok(Tag::Plain);
            }
            (_, PREATTESTATION | ATTESTATION | ATTESTATION_WITH_DAL) => return Err(DecodeError::SlotLayout(tag)),
            (ConsensusKind::Preattestation, _) => "40 after the magic byte 0x12",
            _ => "41 after the magic byte 0x13",
        }
    } else {
        match (kind, tag) {
            (ConsensusKind::Preattestation, PREATTESTATION) | (ConsensusKind::Attestation, ATTESTATION) => {
                return Ok(Tag::Plain);
            }
            (ConsensusKind::Attestation, ATTESTATION_WITH_DAL) => return Ok(Tag::WithDal),
            (_, TZ4_PREATTESTATION | TZ4_ATTESTATION) => return Err(DecodeError::Tz4Layout(tag)),
            (ConsensusKind::Preattestation, _) => "20 after the magic byte 0x12",
            _ => "21 or 23 after the magic byte 0x13",
        }
    };
    if operation::is_known_tag(tag) || matches!(tag, TZ4_PREATTESTATION | TZ4_ATTESTATION) {
        return Err(DecodeError::Field { field: "the operation tag", got: tag.into(), expected });
    }
    Ok(Tag::Unknown(tag))
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
