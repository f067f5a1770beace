//! Operations that anybody can send: revelations and denunciations. Octez requires no signature for them (except
//! `failing_noop`), so nobody should request one; they are decoded for the message.

use super::super::DecodeError;
use super::super::reader::Reader;
use super::bytes::Bytes;
use super::content::{Content, Denounced};
use super::encoding::{dynamic, level, not_empty, opaque};
use crate::key::{Curve, PublicKeyHash};

pub(super) fn seed_nonce_revelation(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    let level = level(reader, "the level")?;
    let nonce = Bytes::new(&reader.take::<32>("the nonce")?);
    Ok(Content::SeedNonceRevelation { level, nonce })
}

pub(super) fn vdf_revelation(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    Ok(Content::VdfRevelation { solution: Bytes::new(&reader.take::<200>("the solution")?) })
}

pub(super) fn activate_account(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    let pkh = PublicKeyHash::from_bytes(Curve::Ed25519, reader.take("the account")?);
    let secret = Bytes::new(&reader.take::<20>("the secret")?);
    Ok(Content::ActivateAccount { pkh, secret })
}

pub(super) fn failing_noop(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    Ok(Content::FailingNoop { arbitrary: opaque(reader, "the arbitrary bytes")? })
}

pub(super) fn double_baking_evidence(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    let bh1 = not_empty(opaque(reader, "the first header")?, "the first header")?;
    let bh2 = not_empty(opaque(reader, "the second header")?, "the second header")?;
    Ok(Content::DoubleBakingEvidence { bh1, bh2 })
}

pub(super) fn double_preattestation_evidence(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    evidence(reader, Denounced::Preattestations, None)
}

/// Tag 2: before Seoul two attestations; from Seoul on a slot, and two votes of either kind.
///
/// The layouts exclude each other. The newer has a slot and then a length, whose upper half is zero since no payload is so
/// long; read as the older, this is a length of 65536 times the slot: too long, or none at all.
pub(super) fn double_vote_evidence(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    let mut before_seoul = reader.clone();
    if let Ok(evidence) = evidence(&mut before_seoul, Denounced::Attestations, None) {
        *reader = before_seoul;
        return Ok(evidence);
    }
    let slot = reader.u16("the slot")?;
    evidence(reader, Denounced::Votes, Some(slot))
}

fn evidence(reader: &mut Reader<'_>, denounced: Denounced, slot: Option<u16>) -> Result<Content, DecodeError> {
    let mut vote = |field| not_empty(Bytes::new(dynamic(reader, field)?), field);
    let op1 = vote("the first vote")?;
    let op2 = vote("the second vote")?;
    Ok(Content::DoubleVoteEvidence { denounced, slot, op1, op2 })
}
