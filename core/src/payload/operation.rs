//! Generic operations, magic byte 0x03: the contents by tag, and which contents may be in one batch.
//!
//! Layouts: `operation_repr.ml` of the protocols from Ithaca (012) to Ushuaia (025). If a protocol changed a layout, the
//! newer one is used unless the bytes exclude it.

mod action;
mod amount;
mod anonymous;
mod ballot;
mod bytes;
mod content;
mod encoding;
mod entrypoint;
mod hash;
mod kind;
mod manager;
mod rollup;
mod voting;

pub use action::{Action, Manager, Proof, PvmKind, Refutation};
pub use amount::{AmountError, Counter, Gas, Mutez, Storage, Tickets, Ticks};
pub use ballot::{UnknownVote, Vote};
pub use bytes::Bytes;
pub use content::{Content, Denounced};
pub use entrypoint::Entrypoint;
pub use hash::{
    Address, BlockHash, CommitmentHash, ContractHash, MlDsa44Hash, ProtocolHash, RollupStateHash, SlotCommitment,
    SmartRollupAddress,
};
pub use kind::{OperationKind, UnknownOperationKind};

use super::DecodeError;
use super::reader::Reader;

/// The most contents that one operation may have. A transaction of a real account has at least 53 bytes, so that 617 of them
/// fill a payload.
pub const MAX_CONTENTS: usize = 640;

/// A generic operation: one content, or several that are all manager operations.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Operation {
    branch: BlockHash,
    contents: Vec<Content>,
}

impl Operation {
    /// The recent block that it builds on.
    pub fn branch(&self) -> &BlockHash {
        &self.branch
    }

    /// What it does, in order. Never empty.
    pub fn contents(&self) -> &[Content] {
        &self.contents
    }
}

/// What an operation tag announces.
enum Meaning {
    /// A content that stands alone in its operation.
    Single(fn(&mut Reader<'_>) -> Result<Content, DecodeError>),
    /// Paid by an account; can stand beside others.
    Manager(fn(&mut Reader<'_>) -> Result<Action, DecodeError>),
    /// A name, and layouts that are not worth their code.
    NotDecoded(OperationKind),
    /// Never signed under 0x03, and why.
    Refused(&'static str),
}

const CONSENSUS: &str = "is a vote, which is signed with the magic byte 0x12 or 0x13 and its chain id";
const AGGREGATE: &str = "is a list of votes, which has the signatures of others and no signature of its own";
const BLS_MODE: &str = "is a vote of a tz4 (BLS) key, which a tz2 or tz3 key never signs";
const TX_ROLLUP: &str = "belongs to transaction rollups, which no protocol since Nairobi has";
const PREFIX: &str = "is the first part of a signature, which is never signed itself";

fn meaning(tag: u8) -> Option<Meaning> {
    Some(match tag {
        1 => Meaning::Single(anonymous::seed_nonce_revelation),
        2 => Meaning::Single(anonymous::double_vote_evidence),
        3 => Meaning::Single(anonymous::double_baking_evidence),
        4 => Meaning::Single(anonymous::activate_account),
        5 => Meaning::Single(voting::proposals),
        6 => Meaning::Single(voting::ballot),
        7 => Meaning::Single(anonymous::double_preattestation_evidence),
        8 => Meaning::Single(anonymous::vdf_revelation),
        9 => Meaning::Single(voting::drain_delegate),
        17 => Meaning::Single(anonymous::failing_noop),
        20 | 21 | 23 => Meaning::Refused(CONSENSUS),
        24 => Meaning::NotDecoded(OperationKind::DalEntrapmentEvidence),
        30 | 31 => Meaning::Refused(AGGREGATE),
        40 | 41 => Meaning::Refused(BLS_MODE),
        107 => Meaning::Manager(manager::reveal),
        108 => Meaning::Manager(manager::transaction),
        109 => Meaning::Manager(manager::origination),
        110 => Meaning::Manager(manager::delegation),
        111 => Meaning::Manager(manager::register_global_constant),
        112 => Meaning::Manager(manager::set_deposits_limit),
        113 => Meaning::Manager(manager::increase_paid_storage),
        114 => Meaning::Manager(manager::update_consensus_key),
        115 => Meaning::Manager(manager::update_companion_key),
        150..=157 => Meaning::Refused(TX_ROLLUP),
        158 => Meaning::Manager(manager::transfer_ticket),
        200 => Meaning::Manager(rollup::originate),
        201 => Meaning::Manager(rollup::add_messages),
        202 => Meaning::Manager(rollup::cement),
        203 => Meaning::Manager(rollup::publish),
        204 => Meaning::Manager(rollup::refute),
        205 => Meaning::Manager(rollup::timeout),
        206 => Meaning::Manager(rollup::execute_outbox_message),
        207 => Meaning::Manager(rollup::recover_bond),
        230 => Meaning::Manager(rollup::dal_publish_commitment),
        250 => Meaning::NotDecoded(OperationKind::ZkRollupOrigination),
        251 => Meaning::NotDecoded(OperationKind::ZkRollupPublish),
        252 => Meaning::NotDecoded(OperationKind::ZkRollupUpdate),
        255 => Meaning::Refused(PREFIX),
        _ => return None,
    })
}

/// Whether some protocol up to Ushuaia gives `tag` a meaning, or did.
pub(super) fn is_known_tag(tag: u8) -> bool {
    meaning(tag).is_some()
}

/// Decodes what follows the magic byte.
pub(super) fn decode(mut reader: Reader<'_>) -> Result<Operation, DecodeError> {
    let branch = reader.take("the branch").map(BlockHash::from_bytes)?;
    let contents = contents(&mut reader)?;
    Ok(Operation { branch, contents })
}

/// Reads contents to the last byte.
fn contents(reader: &mut Reader<'_>) -> Result<Vec<Content>, DecodeError> {
    let first = content(reader)?;
    let alone = !matches!(first, Content::Manager(_));
    let mut contents = vec![first];
    while reader.left() > 0 {
        if alone {
            return Err(DecodeError::Trailing(reader.left()));
        }
        if contents.len() == MAX_CONTENTS {
            return Err(DecodeError::TooManyContents);
        }
        let next = content(reader)?;
        if !matches!(next, Content::Manager(_)) {
            return Err(DecodeError::Batch(next.kind()));
        }
        contents.push(next);
    }
    Ok(contents)
}

fn content(reader: &mut Reader<'_>) -> Result<Content, DecodeError> {
    let tag = reader.u8("the operation tag")?;
    match meaning(tag) {
        Some(Meaning::Single(decode)) => decode(reader),
        Some(Meaning::Manager(action)) => manager::decode(reader, action),
        Some(Meaning::NotDecoded(kind)) => Err(DecodeError::NotDecoded(kind)),
        Some(Meaning::Refused(reason)) => Err(DecodeError::OperationTag { tag, reason }),
        None => Err(DecodeError::OperationTag { tag, reason: "is unknown to this signer" }),
    }
}
