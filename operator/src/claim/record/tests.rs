//! The decisions of a claim that need no cluster. That only one POST succeeds is the API server's promise.

use super::super::refusal::GOOD_FOR_TOO_LONG;
use super::*;
use crate::validate::{tests::example, validate};
use tezos_signer_core::position::Level;

fn key() -> KeyConfig {
    validate(&example()).unwrap().keys.remove(0)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_record_is_made_once_in_time_and_never_again() {
    let initial = validate(&example()).unwrap().initial.unwrap();
    let (before, after) = (at("2026-11-23T18:00:00Z"), at("2026-11-23T18:00:01Z"));
    let record = first_record(&key(), Some(&initial), None, before).unwrap();
    assert_eq!(record.to_data()["block"], "15181990 2147483647 - -");
    assert_eq!(first_record(&key(), Some(&initial), None, after).unwrap_err().reason(), "InitialWatermarkExpired");
    assert_eq!(first_record(&key(), None, None, before).unwrap_err().reason(), "NoInitialWatermark");
    let record = ConfigMap::default();
    let remembered_key = key_status(&key(), &record);
    let gone = first_record(&key(), Some(&initial), Some(&remembered_key), before).unwrap_err();
    assert_eq!(gone.reason(), "RecordVanished", "a record that was seen is never made anew, even in time");
}

#[test]
fn suspend_follows_the_spec_and_leaves_what_was_set_by_hand() {
    let mut record = ConfigMap { data: Some(Record::fresh().to_data()), ..ConfigMap::default() };
    let untouched = record.clone();
    assert!(set_suspend(&mut record, true, false));
    assert!(readable("r", &record).unwrap().suspend);
    assert!(!set_suspend(&mut record, false, true));
    assert_eq!(record.data, untouched.data);

    record.data.as_mut().unwrap().insert("suspend".to_owned(), "true".to_owned());
    assert!(set_suspend(&mut record, false, true), "by hand, so it stays");
    assert!(readable("r", &record).unwrap().suspend);
}

#[test]
fn a_record_without_rows_or_version_is_not_readable() {
    let error = readable("watermark-x", &ConfigMap::default()).unwrap_err();
    assert_eq!(error.reason(), "RecordUnreadable");
}

#[test]
fn a_record_is_not_made_at_an_absurd_level_nor_for_longer_than_a_day() {
    let initial = |level: i32, not_after: &str| InitialWatermark {
        start: Start::Above(Level::from_i32(level).unwrap()),
        not_after: at(not_after),
    };
    let now = at("2026-11-23T18:00:00Z");
    let made = |initial: &InitialWatermark| first_record(&key(), Some(initial), None, now);
    assert!(made(&initial(100_000_000, "2026-11-24T18:00:00Z")).is_ok());
    for level in [100_000_001, 151_819_900, i32::MAX] {
        let refusal = made(&initial(level, "2026-11-23T18:30:00Z")).unwrap_err();
        assert_eq!(refusal.reason(), "InitialWatermarkTooHigh");
        let said = refusal.to_string();
        assert!(said.contains(&level.to_string()) && said.contains("spec.initialWatermark.level"), "{said}");
    }
    for not_after in ["2026-11-24T18:00:01Z", "9999-12-30T00:00:00Z"] {
        let refusal = made(&initial(5, not_after)).unwrap_err();
        assert_eq!(refusal.reason(), GOOD_FOR_TOO_LONG, "{not_after}");
        let fresh = InitialWatermark { start: Start::Fresh, not_after: at(not_after) };
        assert_eq!(made(&fresh).unwrap_err().reason(), GOOD_FOR_TOO_LONG, "{not_after}");
    }
}

/// What has become false is not said again: the clock has gone on, the spec has not.
#[test]
fn a_spec_that_was_good_for_too_long_is_still_refused_and_says_that_it_was() {
    let (key, chain, not_after) = ("tz3a".to_owned(), "NetXdQprcVkpaWU".to_owned(), at("2026-11-25T18:00:00Z"));
    let is = ClaimRefusal::GoodForTooLong { key: key.clone(), chain: chain.clone(), not_after };
    let was = ClaimRefusal::WasGoodForTooLong { key, chain, not_after, generation: 4 };
    assert_eq!((is.reason(), was.reason()), (GOOD_FOR_TOO_LONG, GOOD_FOR_TOO_LONG));
    assert!(is.to_string().contains("is more than a day ahead"), "{is}");
    assert!(was.to_string().contains("was more than a day ahead when it was first observed (generation 4)"), "{was}");
}
