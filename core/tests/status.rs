//! `/status`: what is written is what is read, what is missing or wrong is named, and signers of release 0.2.0 are understood.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use jiff::Timestamp;
use serde_json::{Value, json};
use tezos_signer_core::position::{Level, Position, Round};
use tezos_signer_core::status::{
    AttestationTimes, HsmStatus, KeyStatus, SealedStatus, SignedRows, SignerStatus, StatusError, TlsStatus,
};

/// What a signer of release 0.2.0 answered, byte by byte. Its first record is suspended, its second one has a ceiling.
const OF_0_2_0: &str = include_str!("status/0.2.0.json");

fn of_0_2_0() -> Value {
    serde_json::from_str(OF_0_2_0).unwrap()
}

fn read(document: &Value) -> Result<SignerStatus, StatusError> {
    SignerStatus::from_json(document.to_string().as_bytes())
}

fn level(level: i64) -> Level {
    Level::try_from(level).unwrap()
}

fn at(of: i64, round: i64) -> Position {
    Position { level: level(of), round: Round::try_from(round).unwrap() }
}

#[test]
fn a_signer_of_0_2_0_is_read_and_would_be_written_the_same() {
    let status = SignerStatus::from_json(OF_0_2_0.as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&status).unwrap(), of_0_2_0());
}

/// A signer in each state that `/status` can show: one key each, and a certificate each.
fn states() -> Vec<(&'static str, SignerStatus)> {
    let served = KeyStatus {
        public_key_hash: "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t".parse().unwrap(),
        chain: "NetXdQprcVkpaWU".parse().unwrap(),
        record: format!("watermark-tz3-{}-7a06a770", "ab".repeat(20)).parse().unwrap(),
        holder: "a".to_owned(),
        since: Some("2026-11-23T08:00:00.25Z".parse().unwrap()),
        term: 3,
        held: true,
        holder_address: Some("[fd00::7]:6733".parse().unwrap()),
        went_back: false,
        suspended: false,
        ceiling: None,
        reason: None,
        hsm: None,
        sealed: None,
        attestations: None,
        rows: SignedRows {
            block: Some(at(900, 0)),
            preattestation: Some(at(0, 0)),
            attestation: Some(at(901, i64::from(i32::MAX))),
        },
    };
    let signer = |key: KeyStatus| SignerStatus {
        ready: true,
        started: true,
        identity: "a".to_owned(),
        hsm: HsmStatus { ready: true, reason: None },
        tls: None,
        peer_tls: None,
        keys: vec![key],
        reasons: Vec::new(),
    };
    let unread = KeyStatus {
        holder: String::new(),
        since: None,
        term: 0,
        held: false,
        holder_address: None,
        rows: SignedRows::default(),
        ..served.clone()
    };
    let back = KeyStatus { went_back: true, reason: Some("went \"back\"\n".to_owned()), ..served.clone() };
    let bounded = KeyStatus { suspended: true, ceiling: Some(level(1000)), ..served.clone() };
    let standby = KeyStatus { held: false, holder: "b".to_owned(), ..served.clone() };
    let sealed = SealedStatus {
        opened: Some("2026-11-23T08:00:00Z".parse().unwrap()),
        unreachable_since: Some("2026-11-23T08:10:00Z".parse().unwrap()),
        refused: false,
        reason: Some("CKR_DEVICE_ERROR".to_owned()),
    };
    let sealed = KeyStatus { sealed: Some(sealed), ..served.clone() };
    let attests = KeyStatus { attestations: Some(times(Some(3600), None)), ..served.clone() };
    let no_hsm = SignerStatus {
        ready: false,
        hsm: HsmStatus { ready: false, reason: Some("CKR_PIN_INCORRECT".to_owned()) },
        reasons: vec!["CKR_PIN_INCORRECT".to_owned()],
        ..signer(KeyStatus { hsm: Some("CKR_PIN_INCORRECT".to_owned()), ..served.clone() })
    };
    let certificate = |reason: Option<&str>| {
        Some(TlsStatus { not_after: "2026-12-23T08:00:00Z".parse().unwrap(), reason: reason.map(str::to_owned) })
    };
    let tls = SignerStatus {
        tls: certificate(None),
        peer_tls: certificate(Some("the TLS certificate expired")),
        ..signer(served.clone())
    };
    let starting = SignerStatus { ready: false, started: false, ..signer(unread) };
    vec![
        ("starting", starting),
        ("signs", signer(served)),
        ("stands by", signer(standby)),
        ("suspended, with a ceiling", signer(bounded)),
        ("went back", signer(back)),
        ("attests without DAL", signer(attests)),
        ("a sealed key whose HSM is away", signer(sealed)),
        ("no HSM", no_hsm),
        ("TLS", tls),
        ("no keys", SignerStatus { keys: Vec::new(), ..signer(any_key()) }),
    ]
}

/// The times of a process that started at second 0.
fn times(without_dal: Option<i64>, with_dal: Option<i64>) -> AttestationTimes {
    AttestationTimes { since: second(0), without_dal: without_dal.map(second), with_dal: with_dal.map(second) }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn any_key() -> KeyStatus {
    let status = SignerStatus::from_json(OF_0_2_0.as_bytes()).unwrap();
    status.keys.into_iter().next().unwrap()
}

#[test]
fn each_state_is_read_as_it_was_written() {
    for (state, status) in states() {
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(SignerStatus::from_json(text.as_bytes()).unwrap(), status, "{state}");
    }
}

/// The names and encodings are a contract, also with scripts: this changes only by additions.
#[test]
fn the_document_has_these_names_and_encodings() {
    let (_, status) = states().into_iter().find(|(state, _)| *state == "TLS").unwrap();
    let expected = json!({
        "ready": true,
        "started": true,
        "identity": "a",
        "hsm": {"ready": true, "reason": null},
        "tls": {"notAfter": "2026-12-23T08:00:00Z", "reason": null},
        "peerTls": {"notAfter": "2026-12-23T08:00:00Z", "reason": "the TLS certificate expired"},
        "keys": [{
            "publicKeyHash": "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t",
            "chain": "NetXdQprcVkpaWU",
            "record": format!("watermark-tz3-{}-7a06a770", "ab".repeat(20)),
            "holder": "a",
            "since": "2026-11-23T08:00:00.25Z",
            "term": 3,
            "held": true,
            "holderAddress": "[fd00::7]:6733",
            "wentBack": false,
            "suspended": false,
            "ceiling": null,
            "reason": null,
            "hsm": null,
            "rows": {
                "block": {"level": 900, "round": 0},
                "preattestation": {"level": 0, "round": 0},
                "attestation": {"level": 901, "round": 2_147_483_647},
            },
        }],
        "reasons": [],
    });
    assert_eq!(serde_json::to_value(status).unwrap(), expected);
}

/// The objects of a document, by JSON pointer, each with its path in an error.
const OBJECTS: [(&str, &str); 5] = [
    ("", "status"),
    ("/hsm", "hsm"),
    ("/tls", "tls"),
    ("/keys/0", "keys[0]"),
    ("/keys/0/rows/block", "keys[0].rows.block"),
];

#[test]
fn a_field_that_is_missing_is_an_error_with_its_name() {
    for (pointer, path) in OBJECTS {
        let whole = of_0_2_0();
        for name in whole.pointer(pointer).unwrap().as_object().unwrap().keys() {
            let mut document = whole.clone();
            document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
            let error = read(&document).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{path}: missing field `{name}`")), "{error}");
        }
    }
}

#[test]
fn a_field_of_another_type_is_an_error_with_its_path() {
    for (pointer, path) in OBJECTS {
        let whole = of_0_2_0();
        for name in whole.pointer(pointer).unwrap().as_object().unwrap().keys() {
            let mut document = whole.clone();
            document.pointer_mut(pointer).unwrap()[name] = json!([["another"]]);
            let error = read(&document).unwrap_err();
            let StatusError::Field { path: found, .. } = &error else { panic!("{error}") };
            let expected = if path == "status" { name.clone() } else { format!("{path}.{name}") };
            assert!(found.starts_with(&expected), "{expected}: {error}");
        }
    }
}

#[test]
fn a_value_out_of_its_range_is_an_error_with_its_path() {
    for (pointer, value, path) in [
        ("/keys/0/term", json!(-1), "keys[0].term"),
        ("/keys/0/ceiling", json!(-1), "keys[0].ceiling"),
        ("/keys/0/ceiling", json!(2_147_483_648_i64), "keys[0].ceiling"),
        ("/keys/0/rows/block/level", json!(2_147_483_648_i64), "keys[0].rows.block.level"),
        ("/keys/0/rows/block/round", json!(0.5), "keys[0].rows.block.round"),
        ("/keys/0/since", json!("yesterday"), "keys[0].since"),
        ("/keys/0/holderAddress", json!("10.0.0.7"), "keys[0].holderAddress"),
        ("/keys/0/record", json!("signer-config"), "keys[0].record"),
        ("/keys/0/publicKeyHash", json!("tz3"), "keys[0].publicKeyHash"),
        ("/keys/0/chain", json!("NetXdQprcVkpaWX"), "keys[0].chain"),
        ("/keys/1/held", json!(null), "keys[1].held"),
        ("/keys/1/held", json!("true"), "keys[1].held"),
    ] {
        let mut document = of_0_2_0();
        *document.pointer_mut(pointer).unwrap() = value;
        let error = read(&document).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{path}: ")), "{error}");
    }
}

#[test]
fn what_is_no_json_is_no_status_either() {
    for text in ["", "page not found", "{\"ready\": true", &format!("{OF_0_2_0} {{}}")] {
        let error = SignerStatus::from_json(text.as_bytes()).unwrap_err();
        assert!(matches!(error, StatusError::Syntax(_)), "{error}");
    }
}

/// A newer signer reports more.
#[test]
fn fields_that_this_release_does_not_know_are_ignored() {
    let mut document = of_0_2_0();
    for (pointer, _) in OBJECTS.into_iter().chain([("/keys/0/rows", "")]) {
        document.pointer_mut(pointer).unwrap()["ofANewerSigner"] = json!({"level": "any"});
    }
    assert_eq!(read(&document).unwrap(), read(&of_0_2_0()).unwrap());
}

/// A record that was not read, or lacks a row, has no row to show.
#[test]
fn a_row_that_is_missing_is_none() {
    let mut document = of_0_2_0();
    document["keys"][0]["rows"] = json!({});
    assert_eq!(read(&document).unwrap().keys[0].rows, SignedRows::default());
    document["keys"][0]["rows"] = json!({"attestation": {"level": 7, "round": 1}});
    let rows = read(&document).unwrap().keys[0].rows;
    assert_eq!((rows.block, rows.attestation, rows.highest_level()), (None, Some(at(7, 1)), Some(level(7))));
}

#[test]
fn a_key_is_at_its_ceiling_when_a_row_has_reached_it() {
    let key = |ceiling: Option<i64>, rows| KeyStatus { ceiling: ceiling.map(level), rows, ..any_key() };
    let reached = SignedRows { attestation: Some(at(900, 0)), ..SignedRows::default() };
    assert!(key(Some(900), reached).is_at_ceiling() && key(Some(899), reached).is_at_ceiling());
    assert!(!key(Some(901), reached).is_at_ceiling() && !key(None, reached).is_at_ceiling());
    assert!(!key(Some(0), SignedRows::default()).is_at_ceiling(), "a record that was not read");
}

#[test]
fn the_times_of_attestations_have_these_names() {
    let (_, status) = states().into_iter().find(|(state, _)| *state == "attests without DAL").unwrap();
    assert_eq!(
        serde_json::to_value(&status).unwrap()["keys"][0]["attestations"],
        json!({"since": second(0).to_string(), "withoutDal": second(3600).to_string(), "withDal": null})
    );
}

/// Signers of other releases say nothing of attestations, and nothing is concluded from that.
#[test]
fn a_key_lacks_dal_that_attests_for_an_hour_and_never_with_it() {
    const HOUR: i64 = 3600;
    let now = |after: i64| second(after);
    // Without DAL, with DAL, now, and whether DAL is lacking.
    for (without, with, after, lacks) in [
        (None, None, 10 * HOUR, false),                               // attests not at all
        (Some(HOUR - 1), None, HOUR, false),                          // the process is younger than an hour
        (Some(HOUR), None, HOUR, true),                               //
        (Some(5 * HOUR), None, 5 * HOUR, true),                       //
        (None, Some(HOUR), 5 * HOUR, false),                          // attests with DAL only
        (Some(HOUR), Some(HOUR), HOUR, false),                        // both
        (Some(5 * HOUR), Some(4 * HOUR + 1), 5 * HOUR, false),        // the last with DAL is not an hour ago
        (Some(5 * HOUR), Some(4 * HOUR), 5 * HOUR, true),             // it is
        (Some(5 * HOUR - 6), Some(5 * HOUR), 5 * HOUR, false),        // with DAL again
        (Some(5 * HOUR), Some(4 * HOUR + 1), 20 * HOUR, false),       // both have ended
        (Some(5 * HOUR), Some(HOUR), 5 * HOUR + 24 * HOUR - 1, true), // few rights
        (Some(5 * HOUR), Some(HOUR), 5 * HOUR + 24 * HOUR, false),    // no longer in use
        (Some(HOUR), None, 0, true),                                  // the operator's clock is late
    ] {
        assert_eq!(times(without, with).lack_dal(now(after)), lacks, "{without:?} {with:?} {after}");
    }
}
