//! A baker's operations in the vote on protocols, and the drain of a baker's account.

use super::super::DecodeError;
use super::super::reader::Reader;
use super::ballot::Vote;
use super::content::Content;
use super::encoding::{level, list, public_key_hash};
use super::hash::ProtocolHash;

/// How many protocols a baker can propose.
const MAX_PROPOSALS: usize = 20;

fn protocol(reader: &mut Reader<'_>) -> Result<ProtocolHash, DecodeError> {
    reader.take("the proposal").map(ProtocolHash::from_bytes)
}

pub(super) fn proposals(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    let source = public_key_hash(reader, "the source")?;
    let period = level(reader, "the voting period")?;
    let proposals = list(reader, "the proposals", protocol)?;
    if !(1..=MAX_PROPOSALS).contains(&proposals.len()) {
        let got = i64::try_from(proposals.len()).unwrap_or(i64::MAX);
        return Err(DecodeError::Field { field: "the number of proposals", got, expected: "1 to 20" });
    }
    Ok(Content::Proposals { source, period, proposals })
}

pub(super) fn ballot(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    let source = public_key_hash(reader, "the source")?;
    let period = level(reader, "the voting period")?;
    let proposal = protocol(reader)?;
    let ballot = match reader.u8("the ballot")? {
        0 => Vote::Yay,
        1 => Vote::Nay,
        2 => Vote::Pass,
        other => {
            let expected = "0 (yay), 1 (nay) or 2 (pass)";
            return Err(DecodeError::Field { field: "the ballot", got: other.into(), expected });
        }
    };
    Ok(Content::Ballot { source, period, proposal, ballot })
}

pub(super) fn drain_delegate(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    Ok(Content::DrainDelegate {
        consensus_key: public_key_hash(reader, "the consensus key")?,
        delegate: public_key_hash(reader, "the delegate")?,
        destination: public_key_hash(reader, "the destination")?,
    })
}
