//! The watermark record's rows and the audit log's anchors, as somebody may have edited them: no text panics, and each state has
//! one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use tezos_signer_core::record::{HOLDER_ADDRESS_ANNOTATION, LEASE_ANNOTATION, Lease, Owner, Record, RecordName};

fuzz_target!(|text: &str| {
    let rows = text.lines().filter_map(|line| line.split_once('='));
    let mut data: BTreeMap<String, String> = rows.map(|(row, text)| (row.to_owned(), text.to_owned())).collect();
    data.insert("version".to_owned(), "1".to_owned());
    if let Ok(record) = Record::from_data(&data) {
        data.retain(|row, text| row != "suspend" || text != "false");
        assert_eq!(record.to_data(), data);
    }
    let annotations = [LEASE_ANNOTATION, HOLDER_ADDRESS_ANNOTATION].map(|name| (name.to_owned(), text.to_owned()));
    let _ = Lease::from_annotations(&annotations.into());
    if let Ok(name) = text.parse::<RecordName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(owner) = text.parse::<Owner>() {
        assert_eq!(owner.to_string(), text);
    }
});
