//! Manager operations, except those of rollups.

use super::super::DecodeError;
use super::super::reader::Reader;
use super::action::{Action, Manager};
use super::amount::{Counter, Gas, Mutez, Storage, Tickets};
use super::content::Content;
use super::encoding::{
    address, amount, contract, micheline, non_negative_integer, option, proof, public_key, public_key_hash,
};
use super::entrypoint::Entrypoint;
use crate::key::PublicKey;

/// Michelson's `Unit`. Octez leaves it out where the default entrypoint is called with it.
const UNIT: [u8; 2] = [0x03, 0x0b];

/// What each of them starts with, and then what `action` reads.
pub(super) fn decode(
    reader: &mut Reader<'_>,
    action: fn(&mut Reader<'_>) -> Result<Action, DecodeError>,
) -> Result<Content, DecodeError> {
    Ok(Content::Manager(Box::new(Manager {
        source: public_key_hash(reader, "the source")?,
        fee: amount(reader, "the fee", Mutez::new)?,
        counter: amount(reader, "the counter", Counter::new)?,
        gas_limit: amount(reader, "the gas limit", Gas::new)?,
        storage_limit: amount(reader, "the storage limit", Storage::new)?,
        action: action(reader)?,
    })))
}

pub(super) fn reveal(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::Reveal { public_key: public_key(reader, "the public key")?, proof: proof(reader)? })
}

pub(super) fn transaction(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let amount = amount(reader, "the amount", Mutez::new)?;
    let destination = address(reader, "the destination")?;
    let parameters = option(reader, "the parameters", |reader| {
        Ok((Entrypoint::decode(reader)?, micheline(reader, "the value of the parameters")?))
    })?;
    let (entrypoint, parameters) = match parameters {
        None => (Entrypoint::default(), None),
        Some((entrypoint, value)) if entrypoint.is_default() && value.as_slice() == UNIT => {
            let rule = "are Unit for the default entrypoint, which must be encoded as absent";
            return Err(DecodeError::Form { field: "the parameters", rule });
        }
        Some((entrypoint, value)) => (entrypoint, Some(value)),
    };
    Ok(Action::Transaction { amount, destination, entrypoint, parameters })
}

pub(super) fn origination(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::Origination {
        balance: amount(reader, "the balance", Mutez::new)?,
        delegate: option(reader, "the delegate", |reader| public_key_hash(reader, "the delegate"))?,
        code: micheline(reader, "the code")?,
        storage: micheline(reader, "the storage")?,
    })
}

pub(super) fn delegation(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let delegate = option(reader, "the delegate", |reader| public_key_hash(reader, "the delegate"))?;
    Ok(Action::Delegation { delegate })
}

pub(super) fn register_global_constant(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::RegisterGlobalConstant { value: micheline(reader, "the value")? })
}

pub(super) fn set_deposits_limit(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let limit = option(reader, "the limit", |reader| amount(reader, "the limit", Mutez::new))?;
    Ok(Action::SetDepositsLimit { limit })
}

pub(super) fn increase_paid_storage(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let field = "the amount of storage";
    let amount = non_negative_integer(reader, field)?;
    let amount = Storage::new(amount).ok_or(DecodeError::Form { field, rule: "is larger than Octez allows" })?;
    Ok(Action::IncreasePaidStorage { amount, destination: contract(reader, "the destination")? })
}

pub(super) fn update_consensus_key(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::UpdateConsensusKey { public_key: public_key(reader, "the consensus key")?, proof: proof(reader)? })
}

pub(super) fn update_companion_key(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let field = "the companion key";
    let public_key = public_key(reader, field)?;
    if !matches!(public_key, PublicKey::Bls12381(_)) {
        return Err(DecodeError::Form { field, rule: "is no BLS key" });
    }
    Ok(Action::UpdateCompanionKey { public_key, proof: proof(reader)? })
}

pub(super) fn transfer_ticket(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(Action::TransferTicket {
        ticket_contents: micheline(reader, "the ticket contents")?,
        ticket_ty: micheline(reader, "the ticket type")?,
        ticket_ticketer: address(reader, "the ticketer")?,
        ticket_amount: amount(reader, "the ticket amount", Tickets::new)?,
        destination: address(reader, "the destination")?,
        entrypoint: Entrypoint::decode_name(reader)?,
    })
}
