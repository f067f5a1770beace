//! Operations of smart rollups and of the data availability layer.

use super::super::DecodeError;
use super::super::reader::Reader;
use super::action::{Action, PvmKind, Refutation};
use super::amount::Ticks;
use super::bytes::Bytes;
use super::encoding::{amount, dynamic, level, list, micheline, opaque, option, public_key_hash, rollup};
use super::hash::{CommitmentHash, RollupStateHash, SlotCommitment};
use super::kind::OperationKind;

/// The bytes of a commitment hash.
const COMMITMENT_HASH: usize = 32;

fn commitment_hash(reader: &mut Reader<'_>, field: &'static str) -> Result<CommitmentHash, DecodeError> {
    reader.take(field).map(CommitmentHash::from_bytes)
}

/// As from Oxford on. Mumbai and Nairobi had a proof in place of the list of operators, and are refused.
pub(super) fn originate(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let field = "the kind of rollup";
    let pvm_kind = match reader.u8(field)? {
        0 => PvmKind::Arith,
        1 => PvmKind::Wasm,
        2 => PvmKind::Riscv,
        other => return Err(DecodeError::Field { field, got: other.into(), expected: "0 to 2" }),
    };
    let kernel = opaque(reader, "the kernel")?;
    let parameters_ty = micheline(reader, "the type of the parameters")?;
    let whitelist = option(reader, "the whitelist", |reader| {
        list(reader, "the whitelist", |reader| public_key_hash(reader, "the whitelist"))
    })?;
    Ok(Action::SmartRollupOriginate { pvm_kind, kernel, parameters_ty, whitelist })
}

pub(super) fn add_messages(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::SmartRollupAddMessages { message: list(reader, "the messages", |reader| opaque(reader, "a message"))? })
}

/// From Oxford on the rollup alone; before, the hash of the commitment too.
///
/// The older layout is read only in the last content, where exactly a hash is left, and only if that is no content itself.
pub(super) fn cement(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let field = "the commitment";
    let rollup = rollup(reader)?;
    let mut commitment = None;
    if reader.left() == COMMITMENT_HASH {
        if super::contents(&mut reader.clone()).is_ok() {
            return Err(DecodeError::Ambiguous("what follows the rollup of a smart_rollup_cement"));
        }
        commitment = Some(commitment_hash(reader, field)?);
    }
    Ok(Action::SmartRollupCement { rollup, commitment })
}

pub(super) fn publish(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let rollup = rollup(reader)?;
    let compressed_state = reader.take("the compressed state").map(RollupStateHash::from_bytes)?;
    let inbox_level = level(reader, "the inbox level")?;
    let predecessor = commitment_hash(reader, "the predecessor")?;
    let field = "the number of ticks";
    let ticks = reader.i64(field)?;
    let number_of_ticks = u64::try_from(ticks).ok().and_then(Ticks::new);
    let number_of_ticks =
        number_of_ticks.ok_or(DecodeError::Field { field, got: ticks, expected: "a number that is not negative" })?;
    Ok(Action::SmartRollupPublish { rollup, compressed_state, inbox_level, predecessor, number_of_ticks })
}

/// A move that proves a single step is not decoded: its layout changes with every machine.
pub(super) fn refute(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let rollup = rollup(reader)?;
    let opponent = public_key_hash(reader, "the opponent")?;
    let refutation = match reader.u8("the kind of refutation")? {
        0 => Refutation::Start {
            player_commitment_hash: commitment_hash(reader, "the player's commitment")?,
            opponent_commitment_hash: commitment_hash(reader, "the opponent's commitment")?,
        },
        1 => {
            let choice = amount(reader, "the choice", Ticks::new)?;
            match reader.u8("the step")? {
                0 => Refutation::Move { choice, dissection: dissection(reader)? },
                1 => return Err(DecodeError::NotDecoded(OperationKind::SmartRollupRefute)),
                other => return Err(DecodeError::Field { field: "the step", got: other.into(), expected: "0 or 1" }),
            }
        }
        other => {
            return Err(DecodeError::Field {
                field: "the kind of refutation",
                got: other.into(),
                expected: "0 (start) or 1 (move)",
            });
        }
    };
    Ok(Action::SmartRollupRefute { rollup, opponent, refutation })
}

/// A list of states and the steps at which they are reached.
fn dissection(reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    let field = "the dissection";
    let bytes = dynamic(reader, field)?;
    let mut inner = Reader::new(bytes);
    while inner.left() > 0 {
        option(&mut inner, field, |reader| reader.take::<32>(field))?;
        amount(&mut inner, field, Ticks::new)?;
    }
    Ok(Bytes::new(bytes))
}

pub(super) fn timeout(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::SmartRollupTimeout {
        rollup: rollup(reader)?,
        alice: public_key_hash(reader, "the first player")?,
        bob: public_key_hash(reader, "the second player")?,
    })
}

pub(super) fn execute_outbox_message(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::SmartRollupExecuteOutboxMessage {
        rollup: rollup(reader)?,
        cemented_commitment: commitment_hash(reader, "the cemented commitment")?,
        output_proof: opaque(reader, "the output proof")?,
    })
}

pub(super) fn recover_bond(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::SmartRollupRecoverBond { rollup: rollup(reader)?, staker: public_key_hash(reader, "the staker")? })
}

pub(super) fn dal_publish_commitment(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let slot_index = reader.u8("the slot index")?;
    let commitment = reader.take("the slot commitment").map(SlotCommitment::from_bytes)?;
    let commitment_proof = Bytes::new(&reader.take::<96>("the proof of the slot commitment")?);
    Ok(Action::DalPublishCommitment { slot_index, commitment, commitment_proof })
}
