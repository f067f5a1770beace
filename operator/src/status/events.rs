//! Which changes of conditions are worth an event.

use super::{DEGRADED, PAUSED, READY, STARTING, UNCLEAR_PAUSE, UNKNOWN_ANNOTATION, dal, sealed};
use crate::api::TezosSignerStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

/// The events of the change from `old` to `new`.
pub fn events(old: &TezosSignerStatus, new: &TezosSignerStatus) -> Vec<Event> {
    changed_conditions(old, new).into_iter().map(event).collect()
}

/// The event that reports `condition`.
pub(crate) fn event(condition: &Condition) -> Event {
    Event {
        type_: if is_warning(condition) { EventType::Warning } else { EventType::Normal },
        reason: condition.reason.clone(),
        note: Some(format!("{}: {}", condition.type_, condition.message)),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

/// The conditions whose status or reason differs from before, each reason once.
pub(super) fn changed_conditions<'a>(old: &'a TezosSignerStatus, new: &'a TezosSignerStatus) -> Vec<&'a Condition> {
    let mut changed_conditions: Vec<&Condition> = Vec::new();
    for condition in &new.conditions {
        let before = old.conditions.iter().find(|before| before.type_ == condition.type_);
        let changed = before.is_none_or(|b| b.status != condition.status || b.reason != condition.reason);
        let is_known = condition.status != "Unknown" || condition.type_ == READY;
        if changed && is_known && changed_conditions.iter().all(|other| other.reason != condition.reason) {
            changed_conditions.push(condition);
        }
    }
    changed_conditions
}

/// Whether somebody should look into the condition.
pub(super) fn is_warning(condition: &Condition) -> bool {
    // True, and all the same not as it should be.
    [DEGRADED, dal::WITHOUT_DAL, sealed::UNREACHABLE, UNKNOWN_ANNOTATION, UNCLEAR_PAUSE]
        .contains(&condition.reason.as_str())
        || condition.type_ != PAUSED
            && condition.status != "True"
            && ![STARTING, PAUSED].contains(&condition.reason.as_str())
}
