//! What the conditions say for each outcome, when their times change, and what becomes an event.

use super::*;
use crate::controller::observe::{HsmStatus, Replica, SignerKeyStatus};
use tezos_signer_core::record::Lease;

fn time(second: u8) -> Time {
    Time(format!("2026-11-23T08:00:{second:02}Z").parse().unwrap())
}

fn claim(suspended: bool) -> Claimed {
    let key = KeyStatus {
        chain: "NetXdQprcVkpaWU".to_owned(),
        public_key_hash: "tz3a".to_owned(),
        record: "watermark-a".to_owned(),
        record_uid: "u".to_owned(),
    };
    Claimed { key, suspended, lease: Lease::default(), has_external_signer: false }
}

fn well() -> SignerStatus {
    SignerStatus {
        ready: true,
        started: true,
        hsm: HsmStatus { ready: true, reason: None },
        keys: vec![SignerKeyStatus { record: "watermark-a".to_owned(), held: true, reason: None }],
        reasons: Vec::new(),
    }
}

fn applied(suspended: bool, sight: Sight) -> Outcome {
    let seen = Seen::Baker(sight);
    Outcome::Applied { claims: vec![claim(suspended)], seen, image: "i".to_owned(), soon: false }
}

/// Two replicas are wanted; there are these.
fn service(pods: Vec<Replica>) -> Outcome {
    let seen = Seen::Service { replicas: 2, pods, failure: None };
    Outcome::Applied { claims: vec![claim(false)], seen, image: "i".to_owned(), soon: false }
}

fn replica(pod: &str, status: SignerStatus) -> Replica {
    let ready = status.ready;
    Replica { ready, ending: false, sight: Sight::Answer { pod: pod.to_owned(), status } }
}

/// It forwards.
fn standby() -> SignerStatus {
    let mut status = well();
    status.keys[0].held = false;
    status
}

fn message(outcome: &Outcome) -> String {
    findings(outcome)[0].message.clone()
}

fn answer(status: SignerStatus) -> Outcome {
    applied(false, Sight::Answer { pod: "p".to_owned(), status })
}

/// `Type=Status Reason` of each condition.
fn summary(outcome: &Outcome) -> Vec<String> {
    findings(outcome).iter().map(|finding| format!("{}={} {}", finding.type_, finding.status, finding.reason)).collect()
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
    assert_eq!(summary(&answer(other))[0], "Ready=False NotReady");

    let suspended = applied(true, Sight::Answer { pod: "p".to_owned(), status: well() });
    assert_eq!(summary(&suspended)[0], "Ready=False Suspended");
    assert_eq!(
        summary(&applied(false, Sight::NoPod(None))),
        ["Ready=False Starting", "Accepted=True Valid", "WatermarkReady=Unknown NoAnswer", "HsmReady=Unknown NoAnswer"]
    );
    assert_eq!(summary(&applied(false, Sight::NoPod(Some("quota".to_owned()))))[0], "Ready=False NoPod");
    assert_eq!(
        summary(&Outcome::Invalid(Invalid::new("spec.chain", "wrong"))),
        ["Ready=False Invalid", "Accepted=False Invalid", "WatermarkReady=Unknown Invalid", "HsmReady=Unknown Invalid"]
    );
    let gone = Refusal::Vanished { record: "watermark-a".to_owned(), key: "tz3a".to_owned() };
    assert_eq!(
        summary(&Outcome::Refused(gone)),
        [
            "Ready=False RecordVanished",
            "Accepted=True Valid",
            "WatermarkReady=False RecordVanished",
            "HsmReady=Unknown NoSigner"
        ]
    );
}

#[test]
fn a_steady_state_has_one_status_and_a_flip_its_time() {
    let old = remember(&TezosSignerStatus::default(), claim(false).key);
    let starting = status(&old, &applied(false, Sight::NoPod(None)), Some(1), &time(1));
    let same = status(&starting, &applied(false, Sight::NoPod(None)), Some(1), &time(2));
    assert_eq!(starting, same, "nothing to write");
    let signing = status(&same, &answer(well()), Some(1), &time(3));
    assert_eq!(signing.holder.as_deref(), Some("p"));
    let times: Vec<_> = signing.conditions.iter().map(|condition| condition.last_transition_time.clone()).collect();
    assert_eq!(times, [time(3), time(1), time(3), time(3)], "Accepted did not flip");
    assert!(is_ready(&signing) && !is_ready(&starting));
    assert_eq!(signing.keys, old.keys, "what is remembered of the records stays");
    assert_eq!(forget(&signing, "watermark-a").keys, []);
}

#[test]
fn news_are_told_once() {
    let none = TezosSignerStatus::default();
    let gone = Outcome::Refused(Refusal::Vanished { record: "r".to_owned(), key: "k".to_owned() });
    let first = status(&none, &gone, Some(1), &time(1));
    let told: Vec<_> = news(&none, &first).iter().map(|condition| condition.reason.as_str()).collect();
    assert_eq!(told, ["RecordVanished", "Valid"]);
    assert!(news(&first, &status(&first, &gone, Some(1), &time(2))).is_empty());
}

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
    let leaving = Replica { ready: false, ending: true, ..replica("c", standby()) };
    let three = service(vec![replica("a", standby()), replica("b", well()), leaving]);
    assert_eq!(message(&three), message(&both), "nothing to write");

    let silent = Sight::Silent { pod: "a".to_owned(), reason: "no node takes it".to_owned(), starting: false };
    let silent = Replica { ready: false, ending: false, sight: silent };
    let one = service(vec![silent.clone(), replica("b", well())]);
    assert_eq!(summary(&one)[0], "Ready=True Degraded");
    assert_eq!(message(&one), "1 of 2 replicas is ready; b holds tz3a; pod a: no node takes it");
    assert_eq!(summary(&service(vec![silent]))[0], "Ready=False NoAnswer");
    assert_eq!(summary(&service(Vec::new()))[0], "Ready=False Starting");

    let nobody = service(vec![replica("a", standby()), replica("b", standby())]);
    assert_eq!(summary(&nobody)[0], "Ready=False NotHeld");
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
    assert_eq!(message(&all), "pod a cannot use the HSM: CKR_PIN_INCORRECT");
}

#[test]
fn each_key_has_a_holder_of_its_own() {
    let mut second = claim(false);
    second.key.record = "watermark-b".to_owned();
    second.key.public_key_hash = "tz2b".to_owned();
    let holding = |record: &str| {
        let mut status = well();
        status.keys = ["watermark-a", "watermark-b"]
            .map(|name| SignerKeyStatus { record: name.to_owned(), held: name == record, reason: None })
            .to_vec();
        status
    };
    let pods = vec![replica("x", holding("watermark-b")), replica("y", holding("watermark-a"))];
    let seen = Seen::Service { replicas: 2, pods, failure: None };
    let outcome = Outcome::Applied { claims: vec![claim(false), second], seen, image: "i".to_owned(), soon: false };
    assert_eq!(message(&outcome), "2 of 2 replicas are ready; x holds tz2b; y holds tz3a");
    let status = status(&TezosSignerStatus::default(), &outcome, Some(1), &time(1));
    assert_eq!(status.holder.as_deref(), Some("x, y"));
}
