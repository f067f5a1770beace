//! The status of a paused TezosSigner: the state of its signers and records, and which changes of the spec are followed during the pause.

use super::{
    ConditionDraft, HSM, PAUSED, READY, UNCLEAR_PAUSE, WATERMARK, draft, put, sidecar, signing, suspension,
    with_records,
};
use crate::api::TezosSignerStatus;
use crate::api::annotations::{PAUSED_ANNOTATION, Pause};
use crate::claim::ClaimRefusal;
use crate::observe::Observed;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use suspension::Suspension;

/// The beginning of the message of Ready, which `kubectl get` shows.
const PREFIX: &str = "paused: ";

/// The state of a paused TezosSigner.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for each reconcile")]
pub enum PausedObservation {
    /// It has no records: no objects have been created for it yet.
    Nothing,
    /// Its signers and records.
    Signers {
        /// The observed pods and records.
        observed: Observed,
        /// Why no client reaches them, if their Service is the reason.
        unreachable: Option<&'static str>,
    },
    /// A record that the status remembers is missing, has another owner or cannot be parsed.
    Refused(ClaimRefusal),
}

/// The status during a pause. `suspend` is what the spec says. The conditions are of the generation that is in use, but for Paused, which
/// is of `generation`. Accepted stays as it was.
pub fn paused(
    old: &TezosSignerStatus,
    pause: &Pause,
    suspend: bool,
    observation: &PausedObservation,
    generation: Option<i64>,
    now: &Time,
) -> TezosSignerStatus {
    let in_use = old.observed_generation;
    let mut next = old.clone();
    for mut found in drafts(observation) {
        if found.type_ == READY {
            if let PausedObservation::Signers { observed, .. } = observation
                && let Some(Suspension { what, .. }) = suspension::of(observed).filter(|_| !suspend)
            {
                found.message = format!(
                    "{what}. It is not lifted during the pause. Either spec.suspend was true before, it was set by hand, or a key \
                     was removed from spec.keys"
                );
            }
            found.message.insert_str(0, PREFIX);
        }
        put(&mut next.conditions, &old.conditions, found, in_use.or(generation), now);
    }
    put(&mut next.conditions, &old.conditions, of_pause(pause, in_use, generation), generation, now);
    match observation {
        PausedObservation::Signers { observed, .. } => with_records(next, old, observed, now),
        PausedObservation::Nothing | PausedObservation::Refused(_) => TezosSignerStatus { holder: None, ..next },
    }
}

fn drafts(observation: &PausedObservation) -> Vec<ConditionDraft> {
    match observation {
        PausedObservation::Nothing => vec![draft(READY, "False", PAUSED, "no objects have been created for it yet")],
        PausedObservation::Signers { observed, unreachable } => {
            let [ready, watermark, hsm] = signing(observed);
            let unreachable = unreachable.filter(|_| ready.status == "True");
            let ready = unreachable.map_or(ready, |reason| draft(READY, "False", "NoEndpoint", reason));
            let sidecars = observed.sidecars.as_ref().map(sidecar::current);
            [ready, watermark, hsm].into_iter().chain(sidecars).collect()
        }
        PausedObservation::Refused(refusal) => vec![
            draft(READY, "False", refusal.reason(), refusal.to_string()),
            draft(WATERMARK, "False", refusal.reason(), refusal.to_string()),
            draft(HSM, "Unknown", refusal.reason(), "not observed, see WatermarkReady"),
        ],
    }
}

fn of_pause(pause: &Pause, in_use: Option<i64>, generation: Option<i64>) -> ConditionDraft {
    let mut message = format!(
        "the operator does not change this TezosSigner's objects, except that suspend: true takes effect, and the record of a key \
         that is removed from spec.keys is suspended. Remove the annotation {PAUSED_ANNOTATION} to end the pause"
    );
    if let (Some(in_use), Some(generation)) = (in_use, generation.filter(|_| in_use != generation)) {
        message = format!("{message}; generation {in_use} of the spec is in use, not {generation}");
    }
    match pause.complaint() {
        Some(complaint) => draft(PAUSED, "True", UNCLEAR_PAUSE, format!("{complaint}; {message}")),
        None => draft(PAUSED, "True", PAUSED, message),
    }
}
