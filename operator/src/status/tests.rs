//! What the conditions say for each outcome, when their times change, and what becomes an event.

use super::events::{changed_conditions, is_warning};
use super::*;
use crate::api::KeyStatus;
use crate::claim::{forget, remember};
use crate::image::ImageSource;
use crate::observation::{KeyObservation, Replica};
use serde_json::json;
use std::collections::BTreeMap;
use tezos_signer_core::position::{ConsensusKind, Level};
use tezos_signer_core::record::{Lease, Record};
use tezos_signer_core::status::HsmStatus;

fn time(second: u8) -> Time {
    Time(format!("2026-11-23T08:00:{second:02}Z").parse().unwrap())
}

fn claim(suspended: bool) -> ClaimedRecord {
    let key = KeyStatus {
        chain: "NetXdQprcVkpaWU".to_owned(),
        public_key_hash: "tz3a".to_owned(),
        record: "watermark-a".to_owned(),
        record_uid: "u".to_owned(),
        ..KeyStatus::default()
    };
    ClaimedRecord { key, suspended, record: Record::default(), lease: Lease::default(), has_external_signer: false }
}

fn well() -> SignerObservation {
    SignerObservation {
        ready: true,
        hsm: HsmStatus { ready: true, reason: None },
        keys: vec![KeyObservation { record: "watermark-a".to_owned(), held: true, ..KeyObservation::default() }],
        reasons: Vec::new(),
    }
}

fn applied_with(claims: Vec<ClaimedRecord>, observation: Observation) -> PipelineOutcome {
    let pods = BTreeMap::from([("uid-of-p".to_owned(), "p".to_owned())]);
    let observed = Observed { records: claims, pods, observation, failure: None, dal: None, sidecars: None };
    PipelineOutcome::Applied {
        observed,
        image: image(ImageSource::RanWell),
        unknown_annotations: Vec::new(),
        requeue_soon: false,
    }
}

fn image(source: ImageSource) -> Image {
    Image { reference: "i:2".to_owned(), source, ran_well: Some("i:1".to_owned()) }
}

fn applied(suspended: bool, pod_observation: PodObservation) -> PipelineOutcome {
    applied_with(vec![claim(suspended)], Observation::Baker(pod_observation, None))
}

/// Two replicas are wanted; there are these.
fn service(pods: Vec<Replica>) -> PipelineOutcome {
    applied_with(vec![claim(false)], Observation::Service { replicas: 2, pods, failure: None })
}

fn replica(pod: &str, status: SignerObservation) -> Replica {
    let ready = if status.ready { Ok(()) } else { Err(not_ready(Progress::Unready, "it is not")) };
    Replica { ready, ending: false, observation: PodObservation::Answer { pod: pod.to_owned(), status } }
}

fn not_ready(progress: Progress, reason: &str) -> NotReady {
    NotReady { progress, reason: reason.to_owned() }
}

/// The status of a replica that does not hold the record and forwards requests.
fn standby() -> SignerObservation {
    let mut status = well();
    status.keys[0].held = false;
    status
}

fn message(outcome: &PipelineOutcome) -> String {
    drafts(outcome)[0].message.clone()
}

fn answer(status: SignerObservation) -> PipelineOutcome {
    applied(false, PodObservation::Answer { pod: "p".to_owned(), status })
}

/// `Type=Status Reason` of each condition.
fn summary(outcome: &PipelineOutcome) -> Vec<String> {
    drafts(outcome).iter().map(|draft| format!("{}={} {}", draft.type_, draft.status, draft.reason)).collect()
}

#[test]
fn each_outcome_has_its_conditions() {
    assert_eq!(
        summary(&answer(well())),
        ["Ready=True Signing", "Accepted=True Valid", "WatermarkReady=True Held", "HsmReady=True LoggedIn"]
    );
    let mut hsm = well();
    hsm.hsm = HsmStatus { ready: false, reason: Some("CKR_PIN_INCORRECT".to_owned()) };
    assert_eq!(
        summary(&answer(hsm)),
        ["Ready=False NotUsable", "Accepted=True Valid", "WatermarkReady=True Held", "HsmReady=False NotUsable"]
    );
    let mut lease = well();
    lease.keys[0].held = false;
    assert_eq!(summary(&answer(lease))[0], "Ready=False NotHeld");
    let mut older = well();
    older.keys.clear();
    assert_eq!(summary(&answer(older))[2], "WatermarkReady=False NotHeld");
    let mut other = well();
    other.ready = false;
    assert_eq!(summary(&answer(other.clone()))[0], "Ready=False NotReady");
    assert_eq!(
        message(&answer(other)),
        "pod p does not sign: its signer reports no reason; see kubectl logs p -c signer"
    );

    let suspended = applied(true, PodObservation::Answer { pod: "p".to_owned(), status: well() });
    assert_eq!(summary(&suspended)[0], "Ready=False Suspended");
    assert_eq!(
        summary(&applied(false, PodObservation::NoPod(None))),
        ["Ready=False Starting", "Accepted=True Valid", "WatermarkReady=Unknown NoAnswer", "HsmReady=Unknown NoAnswer"]
    );
    assert_eq!(summary(&applied(false, PodObservation::NoPod(Some("quota".to_owned()))))[0], "Ready=False NoPod");
    assert_eq!(
        summary(&PipelineOutcome::Invalid(Invalid::new("spec.chain", "wrong"))),
        ["Ready=False Invalid", "Accepted=False Invalid", "WatermarkReady=Unknown Invalid", "HsmReady=Unknown Invalid"]
    );
    let gone = ClaimRefusal::Vanished { record: "watermark-a".to_owned(), key: "tz3a".to_owned() };
    assert_eq!(
        summary(&PipelineOutcome::NotClaimed(gone)),
        [
            "Ready=False RecordVanished",
            "Accepted=True Valid",
            "WatermarkReady=False RecordVanished",
            "HsmReady=Unknown RecordVanished"
        ]
    );
}

#[test]
fn what_ran_before_a_spec_that_is_refused_is_told() {
    let gone = ClaimRefusal::Vanished { record: "watermark-a".to_owned(), key: "tz3a".to_owned() };
    for outcome in [PipelineOutcome::NotClaimed(gone), PipelineOutcome::Invalid(Invalid::new("spec.chain", "wrong"))] {
        let told = |pod_observations: &[PodObservation], suspended| {
            let status = status(&TezosSignerStatus::default(), &outcome, Some(1), &time(1));
            let told = with_former_pods(status, pod_observations, suspended, &BTreeSet::new());
            let ready = told.conditions.into_iter().find(|condition| condition.type_ == READY).unwrap();
            (told.holder, ready.message.strip_prefix(&message(&outcome)).unwrap().to_owned())
        };
        let pod = |name: &str, status| PodObservation::Answer { pod: name.to_owned(), status };
        let both = [pod("a", well()), pod("b", standby()), PodObservation::NoPod(None)];
        let holder = Some("a".to_owned());
        assert_eq!(told(&both, false), (holder.clone(), "; the previous spec continues to sign (pod a)".to_owned()));
        let not = (holder, "; the previous spec does not sign either (pod a)".to_owned());
        assert_eq!(told(&both, true), not, "suspended, and the signer may not know it yet");
        let mut suspended = well();
        suspended.keys[0].suspended = true;
        assert_eq!(told(&[pod("a", suspended)], false), not);
        assert_eq!(told(&[pod("b", standby())], false), (None, String::new()));
        // A key that was taken out of the spec, and one that stays.
        let remembered = remember(&TezosSignerStatus::default(), claim(false).key);
        let status = status(&remembered, &outcome, Some(1), &time(1));
        let former = BTreeSet::from(["watermark-a".to_owned()]);
        let said = |signer: SignerObservation| {
            let told = with_former_pods(status.clone(), &[pod("a", signer)], false, &former);
            told.conditions.into_iter().find(|condition| condition.type_ == READY).unwrap().message
        };
        assert!(said(well()).ends_with("; the previous spec does not sign either (pod a)"), "{}", said(well()));
        let mut both = well();
        let second = KeyObservation { record: "watermark-b".to_owned(), ..both.keys[0].clone() };
        both.keys.push(second);
        let words =
            "; the previous spec continues to sign (pod a), but not with tz3a, which was removed from spec.keys";
        assert!(said(both.clone()).ends_with(words), "{}", said(both));
    }
}

#[test]
fn a_steady_state_has_one_status_and_a_flip_its_time() {
    let old = remember(&TezosSignerStatus::default(), claim(false).key);
    let starting = status(&old, &applied(false, PodObservation::NoPod(None)), Some(1), &time(1));
    let same = status(&starting, &applied(false, PodObservation::NoPod(None)), Some(1), &time(2));
    assert_eq!(starting, same, "nothing to write");
    let signing = status(&same, &answer(well()), Some(1), &time(3));
    assert_eq!(signing.holder.as_deref(), Some("p"));
    let times: Vec<_> = signing.conditions.iter().map(|condition| condition.last_transition_time.clone()).collect();
    assert_eq!(times, [time(3), time(1), time(3), time(3)], "Accepted did not flip");
    assert!(is_ready(&signing) && !is_ready(&starting));
    assert_eq!(signing.keys[0].record_uid, "u", "what is remembered of the records stays");
    assert_eq!(forget(&signing, "watermark-a").keys, []);
}

/// A pod that has held the record since its second term, when `level` was signed last.
fn signing(level: u32) -> PipelineOutcome {
    let lease = Lease {
        holder_identity: "uid-of-p".to_owned(),
        acquire_time: Some("2026-11-23T07:59:58.123456Z".parse().unwrap()),
        // What each renewal changes is not told.
        renew_time: Some(format!("2026-11-23T08:00:00.{level:06}Z").parse().unwrap()),
        leader_transitions: 2,
        ..Lease::default()
    };
    let mut data = floor(i64::from(level)).to_data();
    for kind in ConsensusKind::ALL {
        data.insert(kind.as_str().to_owned(), format!("{level} 2147483647 {} -", "ab".repeat(32)));
    }
    data.insert("ceiling".to_owned(), "9000".to_owned());
    let record = Record::from_data(&data).unwrap();
    let claim = ClaimedRecord { record, lease, ..claim(false) };
    applied_with(vec![claim], Observation::Baker(PodObservation::Answer { pod: "p".to_owned(), status: well() }, None))
}

/// INVARIANT O16: A holder that refuses a restored record still stands in the record's lease.
#[test]
fn a_record_that_went_back_has_a_reason_of_its_own_whoever_holds_it() {
    let mut latched = well();
    latched.ready = false;
    latched.keys[0].went_back = true;
    latched.keys[0].reason = Some("the block row went back, docs/record.md".to_owned());
    for held in [true, false] {
        latched.keys[0].held = held;
        let told = answer(latched.clone());
        assert_eq!(summary(&told)[0], "Ready=False RecordWentBack");
        assert_eq!(summary(&told)[2], "WatermarkReady=False RecordWentBack");
        assert!(
            message(&told)
                .contains("pod p refuses to sign with the record watermark-a of tz3a: the block row went back, docs")
        );
        // Another one may have forgotten it, and sign on.
        for other in [well(), standby()] {
            let both = service(vec![replica("a", other), replica("b", latched.clone())]);
            assert_eq!(summary(&both)[0], "Ready=False RecordWentBack");
            assert_eq!(summary(&both)[2], "WatermarkReady=False RecordWentBack");
        }
    }
    assert!(is_warning(&status(&TezosSignerStatus::default(), &answer(latched), Some(1), &time(1)).conditions[0]));
}

/// Longer ones hide the sentence, and an event has no room for them.
#[test]
fn no_message_is_longer_than_a_screen_whoever_wrote_its_words() {
    let endless = "x ".repeat(20_000);
    let none = TezosSignerStatus::default();
    let mut broken = well();
    (broken.ready, broken.reasons) = (false, vec![endless.clone(); 40]);
    broken.hsm = HsmStatus { ready: false, reason: Some(endless.clone()) };
    let silent = PodObservation::Unreachable { pod: "p".to_owned(), reason: endless.clone(), starting: false };
    let outcomes = [
        PipelineOutcome::Invalid(Invalid::new("spec.chain", endless.clone())),
        PipelineOutcome::NotApplied { reason: "Refused", message: endless.clone() },
        answer(broken.clone()),
        applied(false, silent.clone()),
        applied(false, PodObservation::NoPod(Some(endless.clone()))),
        service(vec![replica("a", broken), replica("b", well())]),
    ];
    for outcome in outcomes {
        let next = with_former_pods(
            status(&none, &outcome, Some(1), &time(1)),
            &[PodObservation::Answer { pod: "p".to_owned(), status: well() }],
            false,
            &BTreeSet::new(),
        );
        for condition in &next.conditions {
            assert!(condition.message.len() <= 900, "{}: {}", condition.type_, condition.message.len());
            let published = event(condition).note.unwrap();
            assert!(published.len() < 1000, "{published}");
        }
        assert!(next.conditions[0].message.ends_with("; the previous spec continues to sign (pod p)"));
    }
    assert!(undecodable(&[], &endless, true, &[], None, &time(1)).message.len() <= 900);
    assert!(failing(&none, &endless, None, &time(1)).conditions[0].message.len() <= 900);
    assert!(deleting(&none, &endless, None, &time(1)).conditions[0].message.len() <= 900);
}

#[test]
fn a_change_is_reported_once() {
    let none = TezosSignerStatus::default();
    let gone = PipelineOutcome::NotClaimed(ClaimRefusal::Vanished { record: "r".to_owned(), key: "k".to_owned() });
    let first = status(&none, &gone, Some(1), &time(1));
    let told: Vec<_> = changed_conditions(&none, &first).iter().map(|condition| condition.reason.as_str()).collect();
    assert_eq!(told, ["RecordVanished", "Valid"]);
    assert!(changed_conditions(&first, &status(&first, &gone, Some(1), &time(2))).is_empty());
}

#[test]
fn a_signer_whose_baker_does_not_run_is_not_ready() {
    let pod_observation = || PodObservation::Answer { pod: "p".to_owned(), status: well() };
    let outcome = applied_with(
        vec![claim(false)],
        Observation::Baker(pod_observation(), Some(not_ready(Progress::Broken, "container baker repeatedly exits"))),
    );
    let next = status(&TezosSignerStatus::default(), &outcome, Some(1), &time(0));
    let ready = next.conditions.iter().find(|condition| condition.type_ == READY).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "BakerNotRunning"));
    assert_eq!(ready.message, "pod p can sign, but the baker does not run: container baker repeatedly exits");
    assert_eq!(next.holder.as_deref(), Some("p"), "it signs all the same");
    for (progress, reason, words) in [
        (Progress::Starting, "Starting", "pod p can sign, and is starting: container mesh"),
        (Progress::Unready, "PodNotReady", "pod p can sign, but is not Ready: container mesh"),
    ] {
        let beside = Observation::Baker(pod_observation(), Some(not_ready(progress, "container mesh")));
        let ready = &drafts(&applied_with(vec![claim(false)], beside))[0];
        assert_eq!((ready.status, ready.reason.as_str(), ready.message.as_str()), ("False", reason, words));
    }
    let well = status(&TezosSignerStatus::default(), &applied(false, pod_observation()), Some(1), &time(0));
    assert_eq!(well.conditions[0].message, "signing for tz3a");
    assert!(well.conditions.iter().all(|condition| condition.observed_generation == Some(1)));
}

fn floor(level: i64) -> Record {
    Record::starting_above(Level::try_from(level).unwrap())
}

#[test]
fn the_image_and_why_are_said_and_what_ran_well_where_another_does_not() {
    let outcome = |source, pod_observation| {
        let PipelineOutcome::Applied { observed, .. } = applied(false, pod_observation) else { panic!("made above") };
        PipelineOutcome::Applied {
            observed,
            image: image(source),
            unknown_annotations: Vec::new(),
            requeue_soon: false,
        }
    };
    let silent = || PodObservation::Unreachable { pod: "p".to_owned(), reason: "no image".to_owned(), starting: false };
    let named = outcome(ImageSource::Spec, silent());
    assert!(
        message(&named).ends_with("; i:1 is the last image that ran well: remove spec.image to use it again"),
        "{}",
        message(&named)
    );
    assert!(drafts(&named)[1].message.contains("i:2, from spec.image"));
    assert_eq!(message(&outcome(ImageSource::RanWell, silent())), "pod p: no image");
    let well = outcome(ImageSource::Spec, PodObservation::Answer { pod: "p".to_owned(), status: well() });
    assert_eq!(message(&well), "signing for tz3a");
    let old = TezosSignerStatus {
        image: Some("i:0".to_owned()),
        deployed_image: Some("i:2".to_owned()),
        ..Default::default()
    };
    let next = status(&old, &named, Some(1), &time(1));
    assert_eq!((next.image.as_deref(), next.deployed_image.as_deref()), (Some("i:1"), Some("i:2")));
}

#[test]
fn an_annotation_that_means_nothing_is_said_and_worth_a_warning() {
    let PipelineOutcome::Applied { observed, image, .. } = answer(well()) else { panic!("made above") };
    let unknown_annotations = vec!["signer.tezos.io/pause".to_owned()];
    let outcome = PipelineOutcome::Applied { observed, image, unknown_annotations, requeue_soon: false };
    assert_eq!(summary(&outcome)[..2], ["Ready=True Signing", "Accepted=True UnknownAnnotation"]);
    let next = status(&TezosSignerStatus::default(), &outcome, Some(1), &time(1));
    assert!(next.conditions[1].message.contains("signer.tezos.io/pause has no effect"), "{:?}", next.conditions[1]);
    assert!(is_warning(&next.conditions[1]) && is_ready(&next));
}

/// INVARIANT O10: The condition says whether the records are suspended.
#[test]
fn one_that_cannot_be_read_says_whether_it_is_suspended() {
    let of =
        |old: &[Condition], suspend, second| undecodable(old, "spec.x: wrong", suspend, &[], Some(1), &time(second));
    let (running, suspended) = (of(&[], false, 1), of(&[], true, 1));
    assert_eq!((running.status.as_str(), suspended.status.as_str()), ("Unknown", "False"));
    for said in [&running, &suspended] {
        assert!(said.reason == "Undecodable" && said.message.contains("release: spec.x: wrong. "), "{}", said.message);
    }
    assert!(
        running.message.contains("its signers continue to sign") && !suspended.message.contains("continue to sign")
    );
    assert!(suspended.message.contains("stay suspended until the TezosSigner can be decoded"), "{}", suspended.message);
    assert_eq!(of(std::slice::from_ref(&suspended), true, 2), suspended, "nothing to write");
    assert_eq!(of(&[suspended], false, 2).last_transition_time, time(2));
    let taken_out = undecodable(&[], "spec.x: wrong", false, &["tz3a".to_owned()], Some(1), &time(1));
    assert!(
        taken_out.message.contains("its signers continue to sign, but not with tz3a, which"),
        "{}",
        taken_out.message
    );
}

mod bounds;
mod dal;
mod keys;
mod paused;
mod replicas;
mod sealed;
