//! The decisions of a claim that need no cluster. That only one POST succeeds is the API server's promise.

use super::*;
use crate::controller::validate::{tests::example, validate};

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
    assert_eq!(first_record(&key(), Some(&initial), None, before), Ok(initial.record.clone()));
    assert_eq!(first_record(&key(), Some(&initial), None, after).unwrap_err().reason(), "InitialWatermarkExpired");
    assert_eq!(first_record(&key(), None, None, before).unwrap_err().reason(), "NoInitialWatermark");
    let record = ConfigMap::default();
    let seen = key_status(&key(), &record);
    let gone = first_record(&key(), Some(&initial), Some(&seen), before).unwrap_err();
    assert_eq!(gone.reason(), "RecordVanished", "a record that was seen is never made anew, even in time");
}

#[test]
fn an_owner_has_three_parts() {
    let owner = Identity { namespace: "a".to_owned(), name: "b".to_owned(), uid: "c".to_owned() };
    assert_eq!(owner_text(&owner), "a/b/c");
    assert_eq!(parse_owner("a/b/c"), Some(owner));
    for wrong in ["", "a/b", "a/b/", "a//c", "a/b/c/d"] {
        assert_eq!(parse_owner(wrong), None, "{wrong}");
    }
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
