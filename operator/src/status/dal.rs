//! What `Ready` says where a baker with a DAL node attests, but for an hour not with DAL. Nothing is wrong with the signer then, so `Ready` stays True.

use super::{ConditionDraft, SIGNING};
use crate::message;
use crate::observation::Votes;
use crate::observe::{DalVoters, Observed};
use tezos_signer_core::key::Curve;

/// The reason of `Ready`, which is True, where keys attest without DAL only.
pub(super) const WITHOUT_DAL: &str = "AttestsWithoutDal";

/// `ready` with what [`lacking`] says. Another reason than `Signing` stays: it is the worse one.
pub(super) fn told(ready: ConditionDraft, observed: &Observed) -> ConditionDraft {
    let Some(lacking) = lacking(observed).filter(|_| ready.status == "True") else { return ready };
    let message = format!("{}; {lacking}", ready.message);
    let reason = if ready.reason == SIGNING { WITHOUT_DAL.to_owned() } else { ready.reason };
    ConditionDraft { reason, message, ..ready }
}

/// The keys that attest without DAL only, and what to check. Nothing in it changes with a signature.
fn lacking(observed: &Observed) -> Option<String> {
    let DalVoters { delegates, has_companion } = observed.dal.as_ref()?;
    let lacks_dal = |key: &String| {
        let mut keys = observed.observation.answers().flat_map(|(_, status)| &status.keys);
        keys.any(|observed| observed.public_key_hash == *key && observed.votes == Votes::WithoutDal)
    };
    let of = |needs_companion: bool| {
        let needs = |curve| curve == Curve::Bls12381 && !has_companion;
        let delegates = delegates.iter().filter(move |key| needs(key.curve()) == needs_companion);
        delegates.map(ToString::to_string).filter(&lacks_dal).collect::<Vec<_>>()
    };
    let (alone, others) = (of(true), of(false));
    let (keys, remedy) = if others.is_empty() {
        (
            alone,
            "A tz4 key attests with DAL only by a companion key: add one to spec.keys, and register it (docs/tz4.md)",
        )
    } else {
        let remedy = "Check that the DAL node runs and is synchronised, and that its acl allows PATCH /profiles (docs/tezossigner.md, The DAL node)";
        (others, remedy)
    };
    (!keys.is_empty()).then(|| {
        format!(
            "no attestation by {} was with DAL for an hour, although dalNode is set and others were signed, which costs the rewards of DAL. {remedy}",
            message::list(&keys)
        )
    })
}
