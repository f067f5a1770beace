//! What the status of a paused TezosSigner says.

use super::*;
use crate::api::annotations::Pause;

fn observed(suspended: bool, pod_observation: PodObservation) -> PausedObservation {
    let PipelineOutcome::Applied { observed, .. } = applied(suspended, pod_observation) else { panic!("made above") };
    PausedObservation::Signers { observed, unreachable: None }
}

/// INVARIANT O18: The status of a paused TezosSigner is what is observed now, not what was before the pause.
#[test]
fn a_pause_says_what_is_seen_of_the_signers() {
    let remembered = remember(&TezosSignerStatus::default(), claim(false).key);
    let before = status(&remembered, &answer(well()), Some(3), &time(1));
    let next = |pause: &Pause, suspend, observation: &PausedObservation| {
        paused(&before, pause, suspend, observation, Some(4), &time(2))
    };
    let ready = |status: &TezosSignerStatus| {
        let ready = status.conditions.iter().find(|condition| condition.type_ == READY).unwrap().clone();
        (ready.status, ready.reason, ready.message)
    };
    let is = |status: &str, reason: &str, message: &str| (status.to_owned(), reason.to_owned(), message.to_owned());
    let well_again =
        next(&Pause::On, false, &observed(false, PodObservation::Answer { pod: "p".to_owned(), status: well() }));
    assert_eq!(ready(&well_again), is("True", "Signing", "paused: signing for tz3a"));
    assert_eq!(well_again.observed_generation, Some(3), "that is in use");
    let gone = next(&Pause::On, false, &observed(false, PodObservation::NoPod(Some("set to 0".to_owned()))));
    assert_eq!(ready(&gone), is("False", "NoPod", "paused: the pod cannot be created: set to 0"));
    assert_eq!(gone.holder, None);
    let answering = || PodObservation::Answer { pod: "p".to_owned(), status: well() };
    let (status_, reason, said) = ready(&next(&Pause::On, true, &observed(true, answering())));
    assert_eq!((status_.as_str(), reason.as_str()), ("False", "Suspended"));
    assert!(said.starts_with("paused: signing is suspended. Set spec.suspend to false"), "{said}");
    let (.., said) = ready(&next(&Pause::On, false, &observed(true, answering())));
    assert!(said.starts_with("paused: signing is suspended. It is not lifted during the pause"), "{said}");
    let vanished = ClaimRefusal::Vanished { record: "watermark-a".to_owned(), key: "tz3a".to_owned() };
    assert_eq!(ready(&next(&Pause::On, false, &PausedObservation::Refused(vanished))).1, "RecordVanished");
    let nothing =
        paused(&TezosSignerStatus::default(), &Pause::On, false, &PausedObservation::Nothing, Some(1), &time(1));
    assert_eq!(ready(&nothing), is("False", "Paused", "paused: no objects have been created for it yet"));

    let of_pause = |status: &TezosSignerStatus| status.conditions.iter().find(|c| c.type_ == PAUSED).unwrap().clone();
    let said = of_pause(&well_again);
    assert!(said.message.contains("generation 3 of the spec is in use, not 4"), "{}", said.message);
    assert!(said.message.contains("suspend: true takes effect") && !is_warning(&said), "{}", said.message);
    let unclear = of_pause(&next(&Pause::Unclear("ture".to_owned()), false, &PausedObservation::Nothing));
    assert!(unclear.reason == "UnknownValue" && is_warning(&unclear), "{unclear:?}");
    assert!(unclear.message.contains("signer.tezos.io/paused is \"ture\""), "{}", unclear.message);
    // The end of it.
    let after = status(&well_again, &answer(well()), Some(4), &time(3));
    assert!(after.conditions.iter().all(|condition| condition.type_ != PAUSED));
    assert_eq!(ready(&after).2, "signing for tz3a");
}

/// INVARIANT O19: Of several keys those are named that are suspended, and the condition says whether the others sign.
#[test]
fn a_suspension_names_its_keys_and_says_what_becomes_of_the_others() {
    let claims = |suspended: [bool; 3]| {
        let keys = ["a", "b", "c"].into_iter().zip(suspended);
        keys.map(|(name, suspended)| {
            let mut claim = claim(suspended);
            claim.key.record = format!("watermark-{name}");
            claim.key.public_key_hash = format!("tz3{name}");
            claim
        })
        .collect::<Vec<_>>()
    };
    let mut well = well();
    well.keys = ["watermark-a", "watermark-b", "watermark-c"]
        .map(|record| KeyObservation { record: record.to_owned(), held: true, ..KeyObservation::default() })
        .to_vec();
    let answer = || PodObservation::Answer { pod: "p".to_owned(), status: well.clone() };
    let said = |suspended, observation: Observation| {
        let outcome = applied_with(claims(suspended), observation);
        assert_eq!(summary(&outcome)[0], "Ready=False Suspended");
        let running = message(&outcome);
        let PipelineOutcome::Applied { observed, .. } = outcome else { panic!("made above") };
        let observation = PausedObservation::Signers { observed, unreachable: None };
        let next = paused(&TezosSignerStatus::default(), &Pause::On, false, &observation, Some(1), &time(1));
        let ready = next.conditions.into_iter().find(|condition| condition.type_ == READY).unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Suspended"));
        [running, ready.message]
    };
    let lift = ". Set spec.suspend to false, or remove the row suspend from watermark-";
    for observation in [
        Observation::Baker(answer(), None),
        Observation::Service { replicas: 1, pods: vec![replica("p", well.clone())], failure: None },
    ] {
        let [running, paused] = said([false, true, false], observation.clone());
        assert!(
            running.starts_with(&format!("signing is suspended for tz3b; the other 2 keys continue to sign{lift}b")),
            "{running}"
        );
        let begin = "paused: signing is suspended for tz3b; the other 2 keys continue to sign. It is not lifted during the pause";
        assert!(paused.starts_with(begin), "{paused}");
        let [running, _] = said([true, false, true], observation.clone());
        assert!(
            running.starts_with("signing is suspended for tz3a, tz3c; the other key continues to sign. Set"),
            "{running}"
        );
        let [running, _] = said([true; 3], observation);
        assert!(running.starts_with(&format!("signing is suspended{lift}a")), "{running}");
    }
    let [running, paused] =
        said([false, true, true], Observation::Baker(PodObservation::NoPod(Some("quota".to_owned())), None));
    let none = "signing is suspended for tz3b, tz3c; the other key: the pod cannot be created: quota";
    assert!(running.starts_with(none), "{running}");
    assert!(paused.starts_with(&format!("paused: {none}. It is not")), "{paused}");
}

/// Signers that no client reaches are not Ready, also while nothing of their Service is changed.
#[test]
fn a_paused_one_without_its_service_is_not_ready() {
    let said = |suspended| {
        let PausedObservation::Signers { observed, .. } =
            observed(suspended, PodObservation::Answer { pod: "p".to_owned(), status: well() })
        else {
            panic!("made above")
        };
        let observation = PausedObservation::Signers { observed, unreachable: Some("its Service is gone") };
        let next = paused(&TezosSignerStatus::default(), &Pause::On, true, &observation, Some(1), &time(1));
        let ready = next.conditions.into_iter().find(|condition| condition.type_ == READY).unwrap();
        (ready.status, ready.reason, ready.message)
    };
    let is = ["False", "NoEndpoint", "paused: its Service is gone"].map(str::to_owned);
    assert_eq!(said(false), is.into());
    assert_eq!(said(true).1, "Suspended", "which is worse");
}
