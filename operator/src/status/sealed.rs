//! What the conditions say of sealed keys: of one that the HSM or AWS KMS refuses to open, and of one that signs on while they cannot be asked.

use super::{ConditionDraft, HSM, draft};
use crate::message;
use crate::observation::{SealedObservation, SignerObservation};

/// The reason of a sealed key that is refused.
const REFUSED: &str = "SealedKeyRefused";

/// The reason of conditions that are True as long as a sealed key may sign without being asked for.
pub(super) const UNREACHABLE: &str = "SealingKeyUnreachable";

fn sealed<'a>(
    signers: impl Iterator<Item = (&'a str, &'a SignerObservation)>,
) -> impl Iterator<Item = (&'a str, &'a str, &'a SealedObservation)> {
    let of = |(pod, status): (&'a str, &'a SignerObservation)| {
        status.keys.iter().filter_map(move |key| Some((pod, key.public_key_hash.as_str(), key.sealed.as_ref()?)))
    };
    signers.flat_map(of)
}

/// `HsmReady` for the first sealed key that is refused.
pub(super) fn refused<'a>(signers: impl Iterator<Item = (&'a str, &'a SignerObservation)>) -> Option<ConditionDraft> {
    let (pod, key, sealed) = sealed(signers).find(|(_, _, sealed)| sealed.refused)?;
    let reason = sealed.reason.as_deref().unwrap_or("see its log");
    let message = format!(
        "pod {pod} signs nothing with {key}, because its sealed key is refused: {reason}. The signer asks again by itself: restore the PIN or the \
         right to use the sealing key, or set the sealed text of this key (docs/runbooks/TezosSignerSealedKeyRefused.md)"
    );
    Some(draft(HSM, "False", REFUSED, message))
}

/// The sealed keys that sign on while nobody can be asked whether they may, and since when.
pub(super) fn unreachable<'a>(signers: impl Iterator<Item = (&'a str, &'a SignerObservation)>) -> Option<String> {
    let waiting = sealed(signers).filter_map(|(pod, key, sealed)| Some((sealed.unreachable_since?, pod, key, sealed)));
    let mut waiting: Vec<_> = waiting.collect();
    waiting.sort_by_key(|(since, ..)| *since);
    let (since, pod, _, first) = waiting.first()?;
    let mut keys: Vec<_> = waiting.iter().map(|(_, _, key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    let reason = first.reason.as_deref().map_or_else(String::new, |reason| format!(" ({reason})"));
    Some(format!(
        "{} signs on from memory: pod {pod} has not reached the HSM or AWS KMS that opens it since {since}{reason}. Nothing is signed with it \
         once spec.sealedGraceSeconds (by default a day) are over; do not replace the pod before that, because a new one could not open it",
        message::list(&keys)
    ))
}

/// `ready`, which is True, with what [`unreachable`] says.
pub(super) fn signing_on<'a>(
    ready: ConditionDraft,
    signers: impl Iterator<Item = (&'a str, &'a SignerObservation)>,
) -> ConditionDraft {
    match unreachable(signers) {
        Some(unreachable) => {
            let message = format!("{}; {unreachable}", ready.message);
            ConditionDraft { reason: UNREACHABLE.to_owned(), message, ..ready }
        }
        None => ready,
    }
}
