//! What the conditions say of several signers behind a Service.

use super::*;

#[test]
fn several_signers_are_one_sentence() {
    let both = service(vec![replica("a", standby()), replica("b", well())]);
    assert_eq!(
        summary(&both),
        ["Ready=True Signing", "Accepted=True Valid", "WatermarkReady=True Held", "HsmReady=True LoggedIn"]
    );
    assert_eq!(message(&both), "2 of 2 replicas are ready; b holds tz3a");
    let none = TezosSignerStatus::default();
    assert_eq!(status(&none, &both, Some(1), &time(1)).holder.as_deref(), Some("b"));

    // One is being replaced.
    let ending = Err(not_ready(Progress::Unready, "it is being deleted"));
    let leaving = Replica { ready: ending, ending: true, ..replica("c", standby()) };
    let three = service(vec![replica("a", standby()), replica("b", well()), leaving]);
    assert_eq!(message(&three), message(&both), "nothing to write");

    let silent =
        PodObservation::Unreachable { pod: "a".to_owned(), reason: "no node takes it".to_owned(), starting: false };
    let silent = Replica { ready: Err(not_ready(Progress::Unready, "x")), ending: false, observation: silent };
    let one = service(vec![silent.clone(), replica("b", well())]);
    assert_eq!(summary(&one)[0], "Ready=True Degraded");
    assert_eq!(message(&one), "1 of 2 replicas is ready; pod a: no node takes it; b holds tz3a");
    let next = status(&none, &one, Some(1), &time(1));
    assert!(is_ready(&next) && is_warning(&next.conditions[0]), "Degraded is True, and worth a warning");
    assert_eq!(summary(&service(vec![silent]))[0], "Ready=False NoAnswer");
    assert_eq!(summary(&service(Vec::new()))[0], "Ready=False Starting");

    let nobody = service(vec![replica("a", standby()), replica("b", standby())]);
    assert_eq!(summary(&nobody)[0], "Ready=False NotHeld");
    assert!(message(&nobody).starts_with("no pod holds watermark-a of tz3a: "), "{}", message(&nobody));
    assert_eq!(status(&none, &nobody, Some(1), &time(1)).holder, None);

    // A standby with a broken HSM is worth a condition; the other signs.
    let mut broken = standby();
    (broken.ready, broken.hsm) = (false, HsmStatus { ready: false, reason: Some("CKR_PIN_INCORRECT".to_owned()) });
    broken.reasons = vec!["CKR_PIN_INCORRECT".to_owned()];
    let half = service(vec![replica("a", broken.clone()), replica("b", well())]);
    assert_eq!(summary(&half)[0], "Ready=True Degraded");
    assert_eq!(summary(&half)[3], "HsmReady=False NotUsable");
    let all = service(vec![replica("a", broken.clone()), replica("b", broken)]);
    assert_eq!(summary(&all)[0], "Ready=False NotUsable");
    assert_eq!(message(&all), "pod a cannot use the HSM or AWS KMS: CKR_PIN_INCORRECT");
}

#[test]
fn each_key_has_a_holder_of_its_own() {
    let mut second = claim(false);
    second.key.record = "watermark-b".to_owned();
    second.key.public_key_hash = "tz2b".to_owned();
    let holding = |record: &str| {
        let mut status = well();
        status.keys = ["watermark-a", "watermark-b"]
            .map(|name| KeyObservation { record: name.to_owned(), held: name == record, ..KeyObservation::default() })
            .to_vec();
        status
    };
    let pods = vec![replica("x", holding("watermark-b")), replica("y", holding("watermark-a"))];
    let observation = Observation::Service { replicas: 2, pods, failure: None };
    let outcome = applied_with(vec![claim(false), second], observation);
    assert_eq!(message(&outcome), "2 of 2 replicas are ready; x holds tz2b; y holds tz3a");
    let next = status(&TezosSignerStatus::default(), &outcome, Some(1), &time(1));
    assert_eq!(next.holder.as_deref(), Some("x, y"));

    // The sentence is about the key that has the trouble, not about the first one of that pod.
    let PipelineOutcome::Applied { observed: Observed { records, mut observation, .. }, .. } = outcome else {
        panic!("made above")
    };
    let Observation::Service { pods, .. } = &mut observation else { panic!("made above") };
    let PodObservation::Answer { status: signer, .. } = &mut pods[0].observation else { panic!("made above") };
    (signer.ready, signer.reasons) = (false, vec!["tz2b: its watermark record cannot be read".to_owned()]);
    let said = message(&applied_with(records, observation));
    assert_eq!(said, "pod x does not sign: tz2b: its watermark record cannot be read");
}

/// INVARIANT O17: The Service sends nothing to a pod that is not Ready, whichever of its containers is not.
#[test]
fn signers_that_no_request_reaches_are_not_ready() {
    let unready =
        |pod: &str, progress, reason: &str| Replica { ready: Err(not_ready(progress, reason)), ..replica(pod, well()) };
    let meshed = |pod| unready(pod, Progress::Broken, "container mesh repeatedly exits");
    let none = service(vec![meshed("a"), unready("b", Progress::Starting, "container mesh is being started")]);
    assert_eq!(summary(&none)[0], "Ready=False NoEndpoint");
    assert_eq!(
        message(&none),
        "no pod is Ready, so the Service has no endpoints; pod a: container mesh repeatedly exits"
    );
    let starting = service(vec![unready("b", Progress::Starting, "container mesh is being started")]);
    assert_eq!(summary(&starting)[0], "Ready=False Starting");
    let half = service(vec![replica("a", well()), meshed("b")]);
    assert_eq!(summary(&half)[0], "Ready=True Degraded");
    assert!(message(&half).contains("ready; pod b: container mesh repeatedly exits; a holds"), "{}", message(&half));
    let ending = Replica { ending: true, ..unready("a", Progress::Unready, "it is being deleted") };
    let said = message(&service(vec![ending, meshed("b")]));
    assert!(said.contains("pod b: container mesh"), "{said}");
}
