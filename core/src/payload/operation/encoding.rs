//! The elements of operations: numbers of variable length, options, lengths, keys and addresses.
//!
//! Only the canonical encoding is accepted. Octez verifies a signature over its own encoding, so a signature over any other
//! one has no honest use.

use super::super::DecodeError;
use super::super::reader::{Reader, non_negative};
use super::action::Proof;
use super::bytes::Bytes;
use super::hash::{Address, ContractHash, MlDsa44Hash, SmartRollupAddress};
use crate::key::{Curve, PublicKey, PublicKeyHash, Signature};
use crate::position::Level;

/// The bytes of a BLS signature.
const BLS_SIGNATURE: u32 = 96;

/// A number of variable length, Octez' `N`: 7 bits in each byte, the lowest first, the top bit set in all but the last.
pub(super) fn natural(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, DecodeError> {
    let first = reader.u8(field)?;
    continue_number(reader, field, first, u64::from(first & 0x7f), 7)
}

/// Octez' `Z` where it cannot be negative: as `N`, but the first byte has a sign, 0x40, and 6 bits.
pub(super) fn non_negative_integer(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, DecodeError> {
    let first = reader.u8(field)?;
    if first & 0x40 != 0 {
        return Err(DecodeError::Form { field, rule: "is negative" });
    }
    continue_number(reader, field, first, u64::from(first & 0x3f), 6)
}

fn continue_number(
    reader: &mut Reader<'_>,
    field: &'static str,
    first: u8,
    mut value: u64,
    mut bits: u32,
) -> Result<u64, DecodeError> {
    let too_large = DecodeError::Form { field, rule: "does not fit into 64 bits" };
    let mut last = first;
    while last & 0x80 != 0 {
        last = reader.u8(field)?;
        if last == 0 {
            return Err(DecodeError::Form { field, rule: "is a number with a trailing zero byte" });
        }
        let group = u64::from(last & 0x7f);
        let shifted = group.checked_shl(bits).filter(|shifted| shifted >> bits == group);
        value |= shifted.ok_or_else(|| too_large.clone())?;
        bits += 7;
    }
    Ok(value)
}

/// A number of variable length, of the range of its type.
pub(super) fn amount<T>(
    reader: &mut Reader<'_>,
    field: &'static str,
    make: fn(u64) -> Option<T>,
) -> Result<T, DecodeError> {
    make(natural(reader, field)?).ok_or(DecodeError::Form { field, rule: "is larger than Octez allows" })
}

/// 0x00, or 0xff and what `read` reads.
pub(super) fn option<'a, T>(
    reader: &mut Reader<'a>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match reader.u8(field)? {
        0x00 => Ok(None),
        0xff => read(reader).map(Some),
        other => Err(DecodeError::Field { field, got: other.into(), expected: "0 or 255 for its presence" }),
    }
}

/// What stands behind its length of four bytes.
pub(super) fn dynamic<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a [u8], DecodeError> {
    let length = reader.u32(field)?;
    reader.bytes(field, usize::try_from(length).unwrap_or(usize::MAX))
}

/// The same, kept as it is.
pub(super) fn opaque(reader: &mut Reader<'_>, field: &'static str) -> Result<Bytes, DecodeError> {
    dynamic(reader, field).map(Bytes::new)
}

/// Michelson in its binary form, of which there is never less than a byte. It is not looked into.
pub(super) fn micheline(reader: &mut Reader<'_>, field: &'static str) -> Result<Bytes, DecodeError> {
    not_empty(opaque(reader, field)?, field)
}

/// `bytes`, of which there must be one.
pub(super) fn not_empty(bytes: Bytes, field: &'static str) -> Result<Bytes, DecodeError> {
    if bytes.as_slice().is_empty() { Err(DecodeError::Form { field, rule: "is empty" }) } else { Ok(bytes) }
}

/// A list behind its length in bytes, read to its last byte.
pub(super) fn list<'a, T>(
    reader: &mut Reader<'a>,
    field: &'static str,
    read: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut inner = Reader::new(dynamic(reader, field)?);
    let mut items = Vec::new();
    while inner.left() > 0 {
        items.push(read(&mut inner)?);
    }
    Ok(items)
}

/// A level that is not negative.
pub(super) fn level(reader: &mut Reader<'_>, field: &'static str) -> Result<Level, DecodeError> {
    non_negative(field, reader.i32(field)?, Level::from_i32)
}

fn curve(reader: &mut Reader<'_>, field: &'static str) -> Result<Curve, DecodeError> {
    match reader.u8(field)? {
        0 => Ok(Curve::Ed25519),
        1 => Ok(Curve::Secp256k1),
        2 => Ok(Curve::P256),
        3 => Ok(Curve::Bls12381),
        4 => Err(DecodeError::Form { field, rule: "is of an ML-DSA-44 key (tz5), which this signer does not support" }),
        other => Err(DecodeError::Field { field, got: other.into(), expected: "a tag from 0 (tz1) to 3 (tz4)" }),
    }
}

/// A public key hash, tz1 to tz4: its tag and 20 bytes.
pub(super) fn public_key_hash(reader: &mut Reader<'_>, field: &'static str) -> Result<PublicKeyHash, DecodeError> {
    let curve = curve(reader, field)?;
    Ok(PublicKeyHash::from_bytes(curve, reader.take(field)?))
}

/// A public key: its tag, and 32 bytes, a compressed point of 33, or 48 for BLS.
pub(super) fn public_key(reader: &mut Reader<'_>, field: &'static str) -> Result<PublicKey, DecodeError> {
    let curve = curve(reader, field)?;
    let length = match curve {
        Curve::Ed25519 => 32,
        Curve::Secp256k1 | Curve::P256 => 33,
        Curve::Bls12381 => 48,
    };
    let key = PublicKey::from_bytes(curve, reader.bytes(field, length)?);
    key.map_err(|_| DecodeError::Form { field, rule: "is not a point of its curve" })
}

/// The proof that ends an operation with a public key, from Seoul on.
///
/// Before Seoul the next content follows at once, or the end. No content starts with 0x00 or 0xff, so the next byte tells
/// which it is.
pub(super) fn proof(reader: &mut Reader<'_>) -> Result<Proof, DecodeError> {
    let field = "the proof of possession";
    if !matches!(reader.peek(), Some(0x00 | 0xff)) {
        return Ok(Proof::NoField);
    }
    let proof = option(reader, field, |reader| {
        match reader.u32(field)? {
            BLS_SIGNATURE => {}
            other => return Err(DecodeError::Field { field, got: other.into(), expected: "a length of 96" }),
        }
        reader.take(field).map(Signature::Bls12381)
    })?;
    Ok(proof.map_or(Proof::Absent, Proof::Present))
}

/// The address of a smart contract: tag 1, 20 bytes, and one of padding.
pub(super) fn contract(reader: &mut Reader<'_>, field: &'static str) -> Result<ContractHash, DecodeError> {
    match reader.u8(field)? {
        1 => originated(reader, field),
        other => Err(DecodeError::Field { field, got: other.into(), expected: "the tag 1 of a smart contract" }),
    }
}

fn originated(reader: &mut Reader<'_>, field: &'static str) -> Result<ContractHash, DecodeError> {
    let hash = reader.take(field)?;
    match reader.u8(field)? {
        0 => Ok(ContractHash::from_bytes(hash)),
        other => Err(DecodeError::Field { field, got: other.into(), expected: "0 as padding at its end" }),
    }
}

/// An account or smart contract, in 22 bytes.
pub(super) fn address(reader: &mut Reader<'_>, field: &'static str) -> Result<Address, DecodeError> {
    match reader.u8(field)? {
        0 if reader.peek() == Some(4) => {
            reader.skip::<1>(field)?;
            reader.take(field).map(MlDsa44Hash::from_bytes).map(Address::MlDsa44)
        }
        0 => public_key_hash(reader, field).map(Address::Implicit),
        1 => originated(reader, field).map(Address::Originated),
        other => Err(DecodeError::Field { field, got: other.into(), expected: "a tag of 0 (tz…) or 1 (KT1…)" }),
    }
}

/// The address of a smart rollup, 20 bytes.
pub(super) fn rollup(reader: &mut Reader<'_>) -> Result<SmartRollupAddress, DecodeError> {
    reader.take("the rollup").map(SmartRollupAddress::from_bytes)
}
