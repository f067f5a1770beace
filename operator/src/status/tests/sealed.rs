//! What the conditions say of sealed keys.

use super::*;
use crate::observation::SealedObservation;

const SINCE: &str = "2026-11-30T21:00:00Z";

fn with_sealed(mut signer: SignerObservation, sealed: SealedObservation) -> SignerObservation {
    signer.keys[0].public_key_hash = "tz4a".to_owned();
    signer.keys[0].sealed = Some(sealed);
    signer
}

fn away() -> SealedObservation {
    let reason = Some("C_Login returned CKR_DEVICE_ERROR".to_owned());
    SealedObservation { refused: false, unreachable_since: Some(SINCE.parse().unwrap()), reason }
}

fn refused() -> SignerObservation {
    let reason = Some("C_Login returned CKR_PIN_LOCKED".to_owned());
    let mut signer = with_sealed(well(), SealedObservation { refused: true, unreachable_since: None, reason });
    (signer.ready, signer.hsm) = (false, HsmStatus { ready: false, reason: Some("one key".to_owned()) });
    signer
}

fn hsm_message(outcome: &PipelineOutcome) -> String {
    drafts(outcome)[3].message.clone()
}

#[test]
fn a_key_that_is_refused_is_named_with_what_to_do() {
    let baker = answer(refused());
    assert_eq!(summary(&baker)[0], "Ready=False SealedKeyRefused");
    assert_eq!(summary(&baker)[3], "HsmReady=False SealedKeyRefused");
    for part in ["pod p signs nothing with tz4a", "CKR_PIN_LOCKED", "restore the PIN", "set the sealed text"] {
        assert!(hsm_message(&baker).contains(part), "{}", hsm_message(&baker));
    }
    let mut forwards = refused();
    forwards.keys[0].held = false;
    let one_of_two = service(vec![replica("a", forwards), replica("b", well())]);
    assert_eq!(summary(&one_of_two)[0], "Ready=True Degraded");
    assert_eq!(summary(&one_of_two)[3], "HsmReady=False SealedKeyRefused");
}

#[test]
fn a_key_that_signs_on_while_the_hsm_is_away_is_a_warning_and_no_outage() {
    let both = service(vec![replica("a", with_sealed(standby(), away())), replica("b", with_sealed(well(), away()))]);
    for outcome in [answer(with_sealed(well(), away())), both] {
        assert_eq!(summary(&outcome)[0], "Ready=True SealingKeyUnreachable");
        assert_eq!(summary(&outcome)[3], "HsmReady=True SealingKeyUnreachable");
        for part in
            ["tz4a signs on from memory", SINCE, "CKR_DEVICE_ERROR", "sealedGraceSeconds", "do not replace the pod"]
        {
            assert!(message(&outcome).contains(part) && hsm_message(&outcome).contains(part), "{}", message(&outcome));
        }
        let none = TezosSignerStatus::default();
        let next = status(&none, &outcome, Some(1), &time(1));
        assert!(is_ready(&next) && is_warning(&next.conditions[0]));
        let told = changed_conditions(&none, &next);
        assert_eq!(told.iter().filter(|told| told.reason == "SealingKeyUnreachable").count(), 1, "one event");
    }
}

#[test]
fn a_key_that_is_open_changes_nothing() {
    let open = answer(with_sealed(well(), SealedObservation::default()));
    assert_eq!(summary(&open), summary(&answer(well())));
    assert_eq!(message(&open), message(&answer(well())));
}
