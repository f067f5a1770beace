//! Between which levels a record lets its key sign: above a floor while nothing has been signed, up to a ceiling, or not at all.

use super::{ConditionDraft, READY, draft};
use crate::claim::ClaimedRecord;
use crate::message;
use tezos_signer_core::position::FloorLevel;

/// The condition for the first key with which nothing new is signed, because of its ceiling or an absurd floor.
pub(super) fn nothing_left(claims: &[ClaimedRecord]) -> Option<ConditionDraft> {
    claims.iter().find_map(|claim| {
        let (key, record) = (&claim.key.public_key_hash, &claim.key.record);
        let highest = claim.record.rows.highest_level();
        if let Some(ceiling) = claim.record.ceiling.filter(|_| claim.record.is_at_ceiling()) {
            let message = format!(
                "nothing above level {ceiling} is signed with {key}: {record} has reached its ceiling. If the key was handed over, \
                 delete this TezosSigner; if no other signer has it, remove the ceiling (docs/record.md, break-glass)"
            );
            return Some(draft(READY, "False", "CeilingReached", message));
        }
        (highest > FloorLevel::MAX).then(|| {
            let message = format!(
                "nothing is signed with {key} at or below level {highest}, which no chain has reached: {record} was set too high by \
                 mistake, and is never lowered automatically (docs/record.md, break-glass)"
            );
            draft(READY, "False", "WatermarkTooHigh", message)
        })
    })
}

/// The floor and the ceiling of `claim`, such as ` above level 5, up to level 9`. Empty where there are none.
pub(super) fn of(claim: &ClaimedRecord) -> String {
    let floor = claim.record.floor().map(|level| format!(" above level {level}"));
    let ceiling = claim.record.ceiling.map(|level| format!(" up to level {level}"));
    floor.into_iter().chain(ceiling).collect::<Vec<_>>().join(",")
}

/// The message of a baker's signer that signs. Bounds that all keys share are named once.
pub(super) fn signing(claims: &[ClaimedRecord]) -> String {
    let (key, bounds) =
        (|claim: &ClaimedRecord| claim.key.public_key_hash.clone(), claims.iter().map(of).collect::<Vec<_>>());
    match claims {
        [claim] => format!("signing for {}{}", key(claim), of(claim)),
        _ if bounds.windows(2).all(|two| two[0] == two[1]) => {
            format!("signing with all {} keys{}", claims.len(), bounds.first().map_or("", String::as_str))
        }
        _ => {
            let named = claims.iter().zip(&bounds).filter(|(_, bounds)| !bounds.is_empty());
            let named = message::list_by("; ", named.map(|(claim, bounds)| format!("{}{bounds}", key(claim))));
            format!("signing with all {} keys; {named}", claims.len())
        }
    }
}
