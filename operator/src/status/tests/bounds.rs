//! What the conditions say of floors and ceilings.

use super::*;

/// A claim on a record with these rows, and a ceiling.
fn bounded(key: &str, rows: &Record, ceiling: Option<i64>) -> ClaimedRecord {
    let ceiling = ceiling.map(|level| Level::try_from(level).unwrap());
    let mut claim = ClaimedRecord { record: Record { ceiling, ..rows.clone() }, ..claim(false) };
    claim.key.public_key_hash = key.to_owned();
    claim
}

fn said_of(claims: Vec<ClaimedRecord>) -> (String, String) {
    let outcome =
        applied_with(claims, Observation::Baker(PodObservation::Answer { pod: "p".to_owned(), status: well() }, None));
    (summary(&outcome)[0].clone(), message(&outcome))
}

#[test]
fn a_floor_and_a_ceiling_are_in_the_sentence() {
    let signing = |claims| {
        let (summary, message) = said_of(claims);
        assert_eq!(summary, "Ready=True Signing", "{message}");
        message
    };
    assert_eq!(signing(vec![bounded("tz3a", &floor(100), None)]), "signing for tz3a above level 100");
    assert_eq!(
        signing(vec![bounded("tz3a", &floor(100), Some(200))]),
        "signing for tz3a above level 100, up to level 200"
    );
    assert_eq!(signing(vec![bounded("tz3a", &Record::fresh(), None)]), "signing for tz3a");
    let both = |second: &Record| vec![bounded("tz3a", &floor(100), None), bounded("tz2b", second, None)];
    assert_eq!(signing(both(&floor(100))), "signing with all 2 keys above level 100");
    assert_eq!(signing(both(&Record::fresh())), "signing with all 2 keys; tz3a above level 100");
    // Once something was signed, the floor says nothing any more.
    let mut data = floor(100).to_data();
    data.insert("block".to_owned(), format!("101 0 {} -", "ab".repeat(32)));
    let signed = Record::from_data(&data).unwrap();
    assert_eq!(signing(vec![bounded("tz3a", &signed, None)]), "signing for tz3a");
    let several = service(vec![replica("a", standby()), replica("b", well())]);
    let PipelineOutcome::Applied { observed, .. } = several else { panic!("made above") };
    let several = applied_with(vec![bounded("tz3a", &floor(100), None)], observed.observation);
    assert_eq!(message(&several), "2 of 2 replicas are ready; b holds tz3a above level 100");
}

#[test]
fn a_ceiling_that_is_reached_and_a_floor_beyond_every_chain_are_not_ready() {
    for (claim, reason, words) in [
        (
            bounded("tz3a", &floor(200), Some(200)),
            "CeilingReached",
            "nothing above level 200 is signed with tz3a: watermark-a has reached its ceiling. If the key",
        ),
        (bounded("tz3a", &floor(201), Some(200)), "CeilingReached", "delete this TezosSigner"),
        (bounded("tz3a", &floor(i64::from(i32::MAX)), None), "WatermarkTooHigh", "at or below level 2147483647"),
    ] {
        for outcome in [
            applied_with(
                vec![claim.clone()],
                Observation::Baker(PodObservation::Answer { pod: "p".to_owned(), status: well() }, None),
            ),
            applied_with(
                vec![claim.clone()],
                Observation::Service { replicas: 1, pods: vec![replica("b", well())], failure: None },
            ),
        ] {
            assert_eq!(summary(&outcome)[0], format!("Ready=False {reason}"));
            assert!(message(&outcome).contains(words), "{}", message(&outcome));
        }
    }
    // And at once in the keys, with the row that has reached it.
    let remembered = remember(&TezosSignerStatus::default(), claim(false).key);
    let first = status(&remembered, &signing(8999), Some(1), &time(1));
    let reached = status(&first, &signing(9000), Some(1), &time(2));
    let key = &reached.keys[0];
    assert_eq!((key.ceiling, key.rows.as_ref().unwrap().block.unwrap().level), (Some(9000), 9000));
    assert!(!is_ready(&reached) && is_ready(&first));
}
