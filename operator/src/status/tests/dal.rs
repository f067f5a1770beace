//! What the conditions say of a baker that attests without DAL only.

use super::*;
use crate::observation::{SealedObservation, Votes};
use crate::observe::DalVoters;

const TZ3: &str = "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA";
const OTHER: &str = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
const TZ4: &str = "tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy";

/// A signer whose keys attest, those of `lacking` without DAL only.
fn signer(keys: &[&str], lacking: &[&str]) -> SignerObservation {
    let mut signer = well();
    signer.keys = keys
        .iter()
        .map(|key| KeyObservation {
            public_key_hash: (*key).to_owned(),
            votes: if lacking.contains(key) { Votes::WithoutDal } else { Votes::Any },
            ..signer.keys[0].clone()
        })
        .collect();
    signer
}

/// A baker that is expected to attest with DAL by the keys of `delegates`.
fn expected_by(delegates: &[&str], has_companion: bool, signer: SignerObservation) -> PipelineOutcome {
    let mut outcome = answer(signer);
    let PipelineOutcome::Applied { observed, .. } = &mut outcome else { panic!("{outcome:?}") };
    let delegates = delegates.iter().map(|key| key.parse().unwrap()).collect();
    observed.dal = Some(DalVoters { delegates, has_companion });
    outcome
}

#[test]
fn a_baker_without_dal_is_a_warning_with_what_to_check_and_no_outage() {
    let outcome = expected_by(&[TZ3], false, signer(&[TZ3], &[TZ3]));
    assert_eq!(summary(&outcome)[0], "Ready=True AttestsWithoutDal");
    for part in [
        "signing for tz3a",
        &format!("no attestation by {TZ3} was with DAL for an hour, although dalNode is set"),
        "acl allows PATCH /profiles (docs/tezossigner.md",
    ] {
        assert!(message(&outcome).contains(part), "{part} is missing in: {}", message(&outcome));
    }
    let signs = status(&TezosSignerStatus::default(), &answer(well()), Some(1), &time(1));
    let next = status(&signs, &outcome, Some(1), &time(2));
    assert!(is_ready(&next) && is_warning(&next.conditions[0]));
    assert_eq!(changed_conditions(&signs, &next).len(), 1, "one event");
    assert_eq!(next.conditions[0].last_transition_time, signs.conditions[0].last_transition_time);
    // Later reconciles write nothing, and then that it is over.
    assert_eq!(status(&next, &outcome, Some(1), &time(3)), next);
    let over = status(&next, &expected_by(&[TZ3], false, signer(&[TZ3], &[])), Some(1), &time(4));
    assert_eq!((over.conditions[0].reason.as_str(), changed_conditions(&next, &over).len()), ("Signing", 1));
}

#[test]
fn nothing_is_said_of_keys_that_are_not_expected_to_attest_with_dal() {
    // Without dalNode, of a key that does not bake, and of one that attests with DAL.
    for outcome in [
        answer(signer(&[TZ3], &[TZ3])),
        expected_by(&[TZ3], false, signer(&[TZ3, OTHER], &[OTHER])),
        expected_by(&[TZ3], false, signer(&[TZ3], &[])),
        expected_by(&[TZ4], true, signer(&[TZ4], &[])),
    ] {
        assert_eq!(summary(&outcome), summary(&answer(well())));
        assert_eq!(message(&outcome), message(&answer(well())));
    }
}

#[test]
fn a_tz4_key_without_a_companion_key_is_told_to_get_one() {
    let outcome = expected_by(&[TZ4], false, signer(&[TZ4], &[TZ4]));
    assert!(message(&outcome).contains("only by a companion key: add one to spec.keys"), "{}", message(&outcome));
    let outcome = expected_by(&[TZ4], true, signer(&[TZ4], &[TZ4]));
    assert!(message(&outcome).contains("PATCH /profiles"), "{}", message(&outcome));
    // During a change from one key to the other.
    let outcome = expected_by(&[TZ3, TZ4], false, signer(&[TZ3, TZ4], &[TZ3, TZ4]));
    assert!(message(&outcome).contains(&format!("by {TZ3} was with DAL")), "{}", message(&outcome));
}

#[test]
fn what_is_worse_is_said_first() {
    let mut unready = signer(&[TZ3], &[TZ3]);
    unready.ready = false;
    assert_eq!(summary(&expected_by(&[TZ3], false, unready))[0], "Ready=False NotReady");
    let mut sealed = signer(&[TZ4], &[TZ4]);
    sealed.keys[0].sealed = Some(SealedObservation {
        refused: false,
        unreachable_since: Some("2026-11-30T21:00:00Z".parse().unwrap()),
        reason: None,
    });
    let outcome = expected_by(&[TZ4], true, sealed);
    assert_eq!(summary(&outcome)[0], "Ready=True SealingKeyUnreachable");
    assert!(message(&outcome).contains("signs on from memory") && message(&outcome).contains("PATCH /profiles"));
}
