//! What the conditions say for each outcome, when their times change, and what becomes an event.

use super::*;
use crate::controller::observe::{HsmStatus, SignerKeyStatus};

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
    Claimed { key, suspended }
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
    Outcome::Applied { claims: vec![claim(suspended)], sight, image: "i".to_owned() }
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
