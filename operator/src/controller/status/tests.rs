//! What the conditions say for each outcome, when their times change, and what becomes an event.

use super::*;
use crate::controller::observe::{HsmStatus, Replica, SignerKeyStatus};
use serde_json::json;
use tezos_signer_core::position::{ConsensusKind, Level};
use tezos_signer_core::record::{Lease, Record};

fn time(second: u8) -> Time {
    Time(format!("2026-11-23T08:00:{second:02}Z").parse().unwrap())
}

fn claim(suspended: bool) -> Claimed {
    let key = KeyStatus {
        chain: "NetXdQprcVkpaWU".to_owned(),
        public_key_hash: "tz3a".to_owned(),
        record: "watermark-a".to_owned(),
        record_uid: "u".to_owned(),
        ..KeyStatus::default()
    };
    Claimed { key, suspended, record: Record::default(), lease: Lease::default(), has_external_signer: false }
}

fn well() -> SignerStatus {
    SignerStatus {
        ready: true,
        started: true,
        hsm: HsmStatus { ready: true, reason: None },
        keys: vec![SignerKeyStatus { record: "watermark-a".to_owned(), held: true, ..SignerKeyStatus::default() }],
        reasons: Vec::new(),
    }
}

fn applied_with(claims: Vec<Claimed>, seen: Seen) -> Outcome {
    let pods = BTreeMap::from([("uid-of-p".to_owned(), "p".to_owned())]);
    Outcome::Applied { claims, pods, seen, failure: None, image: "i".to_owned(), soon: false }
}

fn applied(suspended: bool, sight: Sight) -> Outcome {
    applied_with(vec![claim(suspended)], Seen::Baker(sight, None))
}

/// Two replicas are wanted; there are these.
fn service(pods: Vec<Replica>) -> Outcome {
    applied_with(vec![claim(false)], Seen::Service { replicas: 2, pods, failure: None })
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
            "HsmReady=Unknown RecordVanished"
        ]
    );
}

#[test]
fn what_ran_before_a_spec_that_is_refused_is_told() {
    let gone = Refusal::Vanished { record: "watermark-a".to_owned(), key: "tz3a".to_owned() };
    for outcome in [Outcome::Refused(gone), Outcome::Invalid(Invalid::new("spec.chain", "wrong"))] {
        let told = |sights: &[Sight], suspended| {
            let status = status(&TezosSignerStatus::default(), &outcome, Some(1), &time(1));
            let told = with_what_runs(status, sights, suspended);
            let ready = told.conditions.into_iter().find(|condition| condition.type_ == READY).unwrap();
            (told.holder, ready.message.strip_prefix(&message(&outcome)).unwrap().to_owned())
        };
        let pod = |name: &str, status| Sight::Answer { pod: name.to_owned(), status };
        let both = [pod("a", well()), pod("b", standby()), Sight::NoPod(None)];
        let holder = Some("a".to_owned());
        assert_eq!(told(&both, false), (holder.clone(), "; what ran before signs on (pod a)".to_owned()));
        let not = (holder, "; what ran before does not sign either (pod a)".to_owned());
        assert_eq!(told(&both, true), not, "suspended, and the signer may not know it yet");
        let mut suspended = well();
        suspended.keys[0].suspended = true;
        assert_eq!(told(&[pod("a", suspended)], false), not);
        assert_eq!(told(&[pod("b", standby())], false), (None, String::new()));
    }
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
    assert_eq!(signing.keys[0].record_uid, "u", "what is remembered of the records stays");
    assert_eq!(forget(&signing, "watermark-a").keys, []);
}

/// A pod that has held the record since its second term, when `level` was signed last.
fn signing(level: u32) -> Outcome {
    let lease = Lease {
        holder_identity: "uid-of-p".to_owned(),
        acquire_time: Some("2026-11-23T07:59:58.123456Z".parse().unwrap()),
        // What each renewal changes is not told.
        renew_time: Some(format!("2026-11-23T08:00:00.{level:06}Z").parse().unwrap()),
        leader_transitions: 2,
        ..Lease::default()
    };
    let mut record = Record::starting_above(Level::try_from(i64::from(level)).unwrap());
    record.ceiling = Some(Level::try_from(9000).unwrap());
    let claim = Claimed { record, lease, ..claim(false) };
    applied_with(vec![claim], Seen::Baker(Sight::Answer { pod: "p".to_owned(), status: well() }, None))
}

#[test]
fn who_holds_a_record_since_when_and_its_rows_are_told() {
    let remembered = remember(&TezosSignerStatus::default(), claim(false).key);
    let status = status(&remembered, &signing(100), Some(1), &time(1));
    let told = serde_json::to_value(&status.keys[0]).unwrap();
    let row = json!({"level": 100, "round": 2_147_483_647});
    let expected = json!({
        "chain": "NetXdQprcVkpaWU", "publicKeyHash": "tz3a", "record": "watermark-a", "recordUID": "u",
        "holder": {"identity": "uid-of-p", "pod": "p", "since": "2026-11-23T07:59:58Z", "term": 2},
        "rows": {"block": row, "preattestation": row, "attestation": row, "readAt": "2026-11-23T08:00:01Z"},
        "ceiling": 9000, "suspended": false,
    });
    assert_eq!(told, expected);
    // As the API server gives it back.
    assert_eq!(serde_json::from_value::<KeyStatus>(told).unwrap(), status.keys[0]);
    // A claim that only finds the record again takes nothing away: it is written before the pods are looked at.
    assert_eq!(remember(&status, claim(false).key), status);
}

#[test]
fn rows_are_told_with_the_next_change_or_when_they_are_old_and_never_by_each_signature() {
    let remembered = remember(&TezosSignerStatus::default(), claim(false).key);
    let first = status(&remembered, &signing(100), Some(1), &time(1));
    let later = |seconds: i64| Time(time(1).0 + jiff::SignedDuration::from_secs(seconds));
    let level = |status: &TezosSignerStatus| status.keys[0].rows.as_ref().unwrap().block.unwrap().level;
    for seconds in [1, 60, 599] {
        assert_eq!(status(&first, &signing(200), Some(1), &later(seconds)), first, "nothing to write");
    }
    let old = status(&first, &signing(200), Some(1), &later(600));
    assert_eq!((level(&old), old.keys[0].rows.as_ref().unwrap().read_at.clone()), (200, later(600)));
    // An idle signer costs nothing, however long.
    assert_eq!(status(&old, &signing(200), Some(1), &later(86_400)), old, "nothing to write");

    // What else changes is told at once, and the rows with it.
    let Outcome::Applied { mut claims, seen, .. } = signing(300) else { panic!("made above") };
    claims[0].lease.leader_transitions = 3;
    let taken = status(&old, &applied_with(claims.clone(), seen.clone()), Some(1), &later(601));
    assert_eq!((level(&taken), taken.keys[0].holder.as_ref().unwrap().term), (300, 3));
    claims[0].suspended = true;
    let suspended = status(&taken, &applied_with(claims.clone(), seen.clone()), Some(1), &later(602));
    assert!(suspended.keys[0].suspended);
    claims[0].lease = claims[0].lease.let_go();
    let free = status(&suspended, &applied_with(claims, seen), Some(1), &later(603));
    assert_eq!(free.keys[0].holder, None);

    // Where there is no record any more, what it said last is still told.
    let gone = Refusal::Vanished { record: "watermark-a".to_owned(), key: "tz3a".to_owned() };
    assert_eq!(level(&status(&taken, &Outcome::Refused(gone), Some(1), &later(999))), 300);
}

#[test]
fn a_row_that_is_missing_and_a_holder_that_is_no_pod_are_left_out() {
    let Outcome::Applied { mut claims, seen, .. } = signing(100) else { panic!("made above") };
    let mut data = Record::fresh().to_data();
    data.remove(ConsensusKind::Block.as_str());
    claims[0].record = Record::from_data(&data).unwrap();
    claims[0].lease.holder_identity = "a-host".to_owned();
    let remembered = remember(&TezosSignerStatus::default(), claim(false).key);
    let key = status(&remembered, &applied_with(claims, seen), Some(1), &time(1)).keys.remove(0);
    let (rows, holder) = (key.rows.unwrap(), key.holder.unwrap());
    assert!(rows.block.is_none() && rows.attestation.is_some() && key.ceiling.is_none());
    assert_eq!((holder.identity.as_str(), holder.pod), ("a-host", None));
}

/// ◆ A holder that latched still stands in the lease of the restored record.
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
            message(&told).contains("pod p refuses to sign by watermark-a: the block row went back, docs/record.md")
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
            .map(|name| SignerKeyStatus { record: name.to_owned(), held: name == record, ..SignerKeyStatus::default() })
            .to_vec();
        status
    };
    let pods = vec![replica("x", holding("watermark-b")), replica("y", holding("watermark-a"))];
    let seen = Seen::Service { replicas: 2, pods, failure: None };
    let outcome = applied_with(vec![claim(false), second], seen);
    assert_eq!(message(&outcome), "2 of 2 replicas are ready; x holds tz2b; y holds tz3a");
    let status = status(&TezosSignerStatus::default(), &outcome, Some(1), &time(1));
    assert_eq!(status.holder.as_deref(), Some("x, y"));
}

#[test]
fn a_signer_whose_baker_does_not_run_is_not_ready() {
    let sight = || Sight::Answer { pod: "p".to_owned(), status: well() };
    let outcome = applied_with(vec![claim(false)], Seen::Baker(sight(), Some("container baker ends again".to_owned())));
    let next = status(&TezosSignerStatus::default(), &outcome, Some(1), &time(0));
    let ready = next.conditions.iter().find(|condition| condition.type_ == READY).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "BakerNotRunning"));
    assert_eq!(ready.message, "pod p can sign, but nobody asks: container baker ends again");
    assert_eq!(next.holder.as_deref(), Some("p"), "it signs all the same");
    let well = status(&TezosSignerStatus::default(), &applied(false, sight()), Some(1), &time(0));
    assert_eq!(well.conditions[0].message, "signing for tz3a");
    assert!(well.conditions.iter().all(|condition| condition.observed_generation == Some(1)));
}
