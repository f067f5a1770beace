//! The text form of records, rows and leases: what is read, what is refused and named, what is written.

use crate::{DIGEST_A, at, key, record, signature, signatures};
use std::collections::BTreeMap;
use tezos_signer_core::key::{ChainId, Curve, Digest, PublicKeyHash};
use tezos_signer_core::position::{ConsensusKind, FloorLevel, FloorLevelError, Level};
use tezos_signer_core::record::{
    HOLDER_ADDRESS_ANNOTATION, LEASE_ANNOTATION, Lease, Record, RecordError, RecordName, Stored,
};
use tezos_signer_core::watermark::{Decision, decide};

#[test]
fn a_level_that_no_chain_has_reached_is_no_floor() {
    assert_eq!("100000000".parse::<FloorLevel>().unwrap().get().get(), 100_000_000);
    for absurd in ["100000001", "151819900", "2147483647"] {
        let said = absurd.parse::<FloorLevel>().unwrap_err().to_string();
        assert!(said.contains(absurd) && said.contains("100000000"), "{said}");
    }
    for wrong in ["-1", "2147483648", "", "1e3"] {
        assert!(matches!(wrong.parse::<FloorLevel>(), Err(FloorLevelError::OutOfRange(_))), "{wrong}");
    }
}

#[test]
fn a_row_that_stands_twice_in_a_file_is_an_error_that_names_it_whichever_is_the_lower_one() {
    let good = Record { suspend: true, ..Record::starting_above(Level::try_from(100).unwrap()) };
    let text = serde_json::to_string_pretty(&good.to_data()).unwrap();
    assert_eq!(Record::from_json(&text).unwrap(), good);
    let other = Record::starting_above(Level::try_from(99).unwrap()).to_data();
    for name in ["version", "block", "preattestation", "attestation", "suspend"] {
        let again = format!("{name:?}: {:?}", other.get(name).map_or("false", String::as_str));
        for twice in [text.replacen('{', &format!("{{{again},"), 1), text.replacen('}', &format!(",{again}}}"), 1)] {
            let error = Record::from_json(&twice).expect_err(&twice);
            assert!(matches!(error, RecordError::Json(_)), "{error}");
            assert!(error.to_string().contains(&format!("the name {name:?} occurs twice")), "{error}");
        }
    }
    let lease = r#"{"holderIdentity":"a","leaseDurationSeconds":5,"leaderTransitions":1,"holderIdentity":"b"}"#;
    let error = Lease::from_annotations(&[(LEASE_ANNOTATION.to_owned(), lease.to_owned())].into()).unwrap_err();
    assert!(error.to_string().contains("holderIdentity"), "{error}");
}

#[test]
fn texts_that_are_not_understood_are_errors_that_name_the_row() {
    let good = Record::starting_above(Level::try_from(100).unwrap()).to_data();
    let [edsig, _, signature, blsig, _] = signatures(7).map(|signature| signature.to_string());
    for (key, value) in [
        ("block", String::new()),
        ("block", "100 0 -".to_owned()),
        ("block", "100 0 - - -".to_owned()),
        ("block", "100  0 - -".to_owned()),
        ("block", "100 0 - - ".to_owned()),
        ("block", "+100 0 - -".to_owned()),
        ("block", "0100 0 - -".to_owned()),
        ("block", "2147483648 0 - -".to_owned()),
        ("block", "-1 0 - -".to_owned()),
        ("block", format!("100 0 - {signature}")),
        ("block", format!("100 0 {} -", &DIGEST_A[1..])),
        ("block", format!("100 0 {DIGEST_A} {}", signature.replace('p', "q"))),
        ("block", format!("100 0 {DIGEST_A} {}", &edsig[..edsig.len() - 1])),
        ("block", format!("100 0 {DIGEST_A} {edsig}1")),
        ("block", format!("100 0 {DIGEST_A} {}", blsig.replace("BLsig", "edsig"))),
        ("block", format!("100 0 {DIGEST_A} {}", &blsig[..blsig.len() - 1])),
        ("block", format!("100 0 {DIGEST_A} {} {}", &blsig[..96], &blsig[96..])),
        ("preattestation", "x 0 - -".to_owned()),
        ("attestation", "0 x - -".to_owned()),
        ("ceiling", "-5".to_owned()),
        ("suspend", "yes".to_owned()),
        ("audit", format!("{} 1", "0f".repeat(16))),
        ("audit", format!("0f 1 {DIGEST_A}")),
        ("audit", format!("{} 01 {DIGEST_A}", "0f".repeat(16))),
        ("audit", format!("{} x {DIGEST_A}", "0f".repeat(16))),
    ] {
        let mut data = good.clone();
        data.insert(key.to_owned(), value.clone());
        let error = Record::from_data(&data).expect_err(&value).to_string();
        assert!(error.contains(key) && error.contains(&format!("{value:?}")), "{error}");
    }
    for version in [None, Some("2"), Some("")] {
        let mut data = good.clone();
        data.remove("version");
        data.extend(version.map(|version| ("version".to_owned(), version.to_owned())));
        assert!(matches!(Record::from_data(&data), Err(RecordError::Version(_))));
    }
    let mut data = good;
    data.insert("endorsement".to_owned(), "100 0 - -".to_owned());
    assert_eq!(Record::from_data(&data), Err(RecordError::UnknownRow("endorsement".to_owned())));
}

#[test]
fn a_row_holds_signatures_of_every_scheme() {
    let prefixes = ["edsig", "spsig1", "p2sig", "BLsig", "sig"];
    for (prefix, signature) in prefixes.into_iter().zip(signatures(7)) {
        let text = format!("200 3 {DIGEST_A} {signature}");
        assert!(text.contains(&format!(" {prefix}")), "{text}");
        let record = record(&[("attestation", &text)]);
        let row = record.rows.get(ConsensusKind::Attestation).unwrap();
        assert_eq!(row.stored, Stored::Signature { digest: DIGEST_A.parse().unwrap(), signature });
        assert_eq!(record.to_data()["attestation"], text);
    }
}

#[test]
fn a_record_has_one_name_of_63_characters() {
    let tz3: PublicKeyHash = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t".parse().unwrap();
    assert!(RecordName::new(&tz3, &ChainId::MAINNET).as_str().starts_with("watermark-tz3-"));
    for scheme in Curve::ALL {
        let name = RecordName::new(&key(scheme), &ChainId::MAINNET);
        let hash = "07".repeat(20);
        assert_eq!(name.as_str(), format!("watermark-{}-{hash}-7a06a770", scheme.address_prefix()));
        assert_eq!(name.as_str().len(), 63);
        assert_eq!(name.as_str().parse::<RecordName>().unwrap(), name);
    }
    let of_no_scheme = RecordName::new(&tz3, &ChainId::MAINNET).as_str().replace("tz3", "tz5");
    assert!(of_no_scheme.parse::<RecordName>().is_err());
}

#[test]
fn a_lease_is_the_json_that_kubernetes_used_for_its_configmap_locks() {
    let of = |text: &str| Lease::from_annotations(&BTreeMap::from([(LEASE_ANNOTATION.to_owned(), text.to_owned())]));
    assert_eq!(Lease::from_annotations(&BTreeMap::new()).unwrap(), Lease::default());
    let lease = of(
        r#"{"holderIdentity":"a","leaseDurationSeconds":5,"acquireTime":"2026-11-23T08:00:00Z","renewTime":null,"leaderTransitions":3}"#,
    )
    .unwrap();
    assert_eq!((lease.holder_identity.as_str(), lease.leader_transitions), ("a", 3));
    // To the letter: the chart's admission policies read it, and e2e/fixture/lease_test.go has them read these two.
    let written = |lease: &Lease| {
        let mut annotations = BTreeMap::new();
        lease.write_to(&mut annotations);
        assert_eq!(Lease::from_annotations(&annotations).unwrap(), *lease);
        annotations[LEASE_ANNOTATION].clone()
    };
    assert_eq!(
        written(&lease),
        r#"{"holderIdentity":"a","leaseDurationSeconds":5,"acquireTime":"2026-11-23T08:00:00Z","renewTime":null,"leaderTransitions":3}"#
    );
    let named = Lease {
        renew_time: Some("2026-11-23T08:00:00.123456789Z".parse().unwrap()),
        preferred_holder: "b".to_owned(),
        ..lease
    };
    assert_eq!(
        written(&named),
        r#"{"holderIdentity":"a","leaseDurationSeconds":5,"acquireTime":"2026-11-23T08:00:00Z","renewTime":"2026-11-23T08:00:00.123456789Z","leaderTransitions":3,"preferredHolder":"b"}"#
    );
    assert!(matches!(of("{"), Err(RecordError::Lease(_))));
}

#[test]
fn the_address_of_a_holder_comes_and_goes_with_it() {
    let mut annotations = BTreeMap::from([("of/another".to_owned(), "stays".to_owned())]);
    let held = Lease {
        holder_identity: "a".to_owned(),
        holder_address: Some("[fd00::7]:6733".parse().unwrap()),
        ..Lease::default()
    };
    held.write_to(&mut annotations);
    assert_eq!(annotations[HOLDER_ADDRESS_ANNOTATION], "[fd00::7]:6733");
    assert_eq!(Lease::from_annotations(&annotations).unwrap(), held);

    for next in [held.let_go(), Lease { holder_address: None, ..held.clone() }] {
        let mut annotations = annotations.clone();
        next.write_to(&mut annotations);
        assert!(!annotations.contains_key(HOLDER_ADDRESS_ANNOTATION), "{annotations:?}");
        assert_eq!(Lease::from_annotations(&annotations).unwrap(), next);
        assert_eq!(annotations["of/another"], "stays");
    }
    annotations.insert(HOLDER_ADDRESS_ANNOTATION.to_owned(), "somewhere".to_owned());
    assert_eq!(Lease::from_annotations(&annotations).unwrap(), Lease { holder_address: None, ..held });
}

#[test]
fn a_row_is_told_in_words_and_a_vote_can_be_replayed() {
    let digest: Digest = DIGEST_A.parse().unwrap();
    let Ok(Decision::Advance(step)) = decide(&record(&[]), &at(ConsensusKind::Block, 101, 0, 'a'), 10) else {
        panic!()
    };
    assert!(step.is_replayable());
    let stored = [Stored::Floor, Stored::Digest(digest), Stored::Signature { digest, signature: signature(1) }];
    let words = ["floor, nothing signed here", "digest, signature unknown", "signature"];
    assert_eq!(stored.map(|stored| stored.describe()), words);
}
