//! What the status reports of each record: its holder, its rows, and when rows are worth a write.

use super::*;

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
    let PipelineOutcome::Applied { observed: Observed { records: mut claims, observation, .. }, .. } = signing(300)
    else {
        panic!("made above")
    };
    claims[0].lease.leader_transitions = 3;
    let taken = status(&old, &applied_with(claims.clone(), observation.clone()), Some(1), &later(601));
    assert_eq!((level(&taken), taken.keys[0].holder.as_ref().unwrap().term), (300, 3));
    claims[0].suspended = true;
    let suspended = status(&taken, &applied_with(claims.clone(), observation.clone()), Some(1), &later(602));
    assert!(suspended.keys[0].suspended);
    claims[0].lease = claims[0].lease.let_go();
    let free = status(&suspended, &applied_with(claims, observation), Some(1), &later(603));
    assert_eq!(free.keys[0].holder, None);

    // Where there is no record any more, what it said last is still told.
    let gone = ClaimRefusal::Vanished { record: "watermark-a".to_owned(), key: "tz3a".to_owned() };
    assert_eq!(level(&status(&taken, &PipelineOutcome::NotClaimed(gone), Some(1), &later(999))), 300);
}

#[test]
fn a_row_that_is_missing_and_a_holder_that_is_no_pod_are_left_out() {
    let PipelineOutcome::Applied { observed: Observed { records: mut claims, observation, .. }, .. } = signing(100)
    else {
        panic!("made above")
    };
    let mut data = Record::fresh().to_data();
    data.remove(ConsensusKind::Block.as_str());
    claims[0].record = Record::from_data(&data).unwrap();
    claims[0].lease.holder_identity = "a-host".to_owned();
    let remembered = remember(&TezosSignerStatus::default(), claim(false).key);
    let key = status(&remembered, &applied_with(claims, observation), Some(1), &time(1)).keys.remove(0);
    let (rows, holder) = (key.rows.unwrap(), key.holder.unwrap());
    assert!(rows.block.is_none() && rows.attestation.is_some() && key.ceiling.is_none());
    assert_eq!((holder.identity.as_str(), holder.pod), ("a-host", None));
}
