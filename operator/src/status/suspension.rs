//! The condition of suspended records: which keys they are of, and the state of the other keys.

use super::{ConditionDraft, READY, SUSPENDED, conditions, draft};
use crate::claim::ClaimedRecord;
use crate::message;
use crate::observe::Observed;

/// The message about suspended keys.
#[derive(Debug)]
pub(super) struct Suspension {
    /// Which keys are suspended, and the state of the others.
    pub(super) what: String,
    /// The record of the first suspended key.
    record: String,
}

/// The suspension of keys of `observed`, if any is suspended.
pub(super) fn of(observed: &Observed) -> Option<Suspension> {
    let (suspended, others): (Vec<ClaimedRecord>, Vec<ClaimedRecord>) =
        observed.records.iter().cloned().partition(|claim| claim.suspended);
    let record = suspended.first()?.key.record.clone();
    if others.is_empty() {
        return Some(Suspension { what: "signing is suspended".to_owned(), record });
    }
    let keys = message::list(suspended.iter().map(|claim| &claim.key.public_key_hash));
    let [ready, ..] = conditions(&others, &observed.observation);
    let others = match (ready.status, others.len()) {
        ("True", 1) => "the other key continues to sign".to_owned(),
        ("True", number) => format!("the other {number} keys continue to sign"),
        (_, 1) => format!("the other key: {}", ready.message),
        (_, number) => format!("the other {number} keys: {}", ready.message),
    };
    Some(Suspension { what: format!("signing is suspended for {keys}; {others}"), record })
}

impl Suspension {
    /// The condition, with what to do.
    pub(super) fn draft(&self) -> ConditionDraft {
        let Self { what, record } = self;
        let message =
            format!("{what}. Set spec.suspend to false, or remove the row suspend from {record} if it was set by hand");
        draft(READY, "False", SUSPENDED, message)
    }
}
