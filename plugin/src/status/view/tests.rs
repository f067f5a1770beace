//! What is shown of a TezosSigner in its states, as a screen.

use super::*;
use crate::error::Right;
use crate::status::screen::draw;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;
use tezos_signer_core::status::SignerStatus;
use tezos_signer_operator::api::{HolderStatus, KeyStatus, RowsStatus, TezosSignerStatus};

const KEY: &str = "tz3gESPNt663Tvy1Ped6bpsJh9xBemwjVqaG";
const RECORD: &str = "watermark-tz3-c4f8b8b3e3a2f1d0c4f8b8b3e3a2f1d0c4f8b8b3-7a06a770";

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

/// A TezosSigner of the examples, that nobody has reported on.
pub(crate) fn example_signer() -> TezosSigner {
    let text = include_str!("../../../../operator/examples/tezossigner-octez.yaml");
    let document = serde_yaml::Deserializer::from_str(text).next().unwrap();
    let mut signer: TezosSigner = serde::Deserialize::deserialize(document).unwrap();
    signer.metadata.namespace = Some("bakers".to_owned());
    signer
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: Time(now()),
    }
}

fn signer(name: &str, ready: (&str, &str, &str), read_minutes_ago: i64) -> TezosSigner {
    let mut signer = example_signer();
    signer.metadata.name = Some(name.to_owned());
    signer.spec.keys.truncate(0);
    let row = |level| Some(RowStatus { level, round: 0 });
    signer.status = Some(TezosSignerStatus {
        conditions: vec![condition("Ready", ready.0, ready.1, ready.2), condition("HsmReady", ready.0, "x", "y")],
        keys: vec![KeyStatus {
            chain: "NetXdQprcVkpaWU".to_owned(),
            public_key_hash: KEY.to_owned(),
            record: RECORD.to_owned(),
            record_uid: "u".to_owned(),
            holder: Some(HolderStatus {
                identity: "8c118883".to_owned(),
                pod: Some(format!("{name}-6d5f7c9b8d-x2x4z")),
                ..HolderStatus::default()
            }),
            rows: Some(RowsStatus {
                block: row(15_181_000),
                attestation: row(15_181_990),
                preattestation: row(15_181_990),
                read_at: Time(now() - SignedDuration::from_mins(read_minutes_ago)),
            }),
            ..KeyStatus::default()
        }],
        ..TezosSignerStatus::default()
    });
    signer
}

fn answer(ready: bool, held: bool, attestation: i64, hsm: Option<&str>) -> SignerStatus {
    let row = json!({ "level": attestation, "round": 1 });
    let status = json!({
        "ready": ready, "started": true, "identity": "8c118883", "hsm": { "ready": hsm.is_none(), "reason": hsm },
        "tls": null, "peerTls": null, "reasons": hsm.iter().collect::<Vec<_>>(),
        "keys": [{
            "publicKeyHash": KEY, "chain": "NetXdQprcVkpaWU", "record": RECORD, "holder": "8c118883", "since": null, "term": 1, "held": held,
            "holderAddress": null, "wentBack": false, "suspended": false, "ceiling": null, "reason": null, "hsm": hsm,
            "rows": { "block": { "level": 15_181_000, "round": 0 }, "attestation": row, "preattestation": row },
        }],
    });
    SignerStatus::from_json(status.to_string().as_bytes()).unwrap()
}

fn signed(level: u32, seconds_ago: i64) -> Line {
    let line = json!({
        "log": "00112233445566778899aabbccddeeff", "sequence": 1, "previous": null, "time": now() - SignedDuration::from_secs(seconds_ago),
        "event": "outcome", "client": "127.0.0.1:4", "key": KEY, "kind": "attestation", "chain": "NetXdQprcVkpaWU", "level": level, "round": 1,
        "status": 200, "outcome": "signed", "intent": 0, "microseconds": { "total": 1 },
    });
    serde_json::from_value(line).unwrap()
}

fn denied<T>(verb: &'static str, resource: &str) -> Result<T, PluginError> {
    Err(PluginError::Denied(Right::inside(verb, resource, "bakers")))
}

fn pod(name: &str, status: SignerStatus, audit: Vec<Line>) -> LivePod {
    LivePod { name: name.to_owned(), status: Ok(status), audit: Ok(audit) }
}

fn view(signer: &TezosSigner, pods: Vec<LivePod>, head: Option<u32>) -> SignerView {
    let head = head.map(|head| Ok(Level::try_from(i64::from(head)).unwrap()));
    of_signer(signer, &Live { pods: Ok(pods), head }, now())
}

const WELL: (&str, &str, &str) = ("True", "Signing", "signing for tz3gESPNt663Tvy1Ped6bpsJh9xBemwjVqaG");

#[test]
fn ten_bakers_fit_on_one_screen() {
    let mut views: Vec<SignerView> = (1..=7)
        .map(|n| {
            let name = format!("baker-{n}");
            let level = 15_181_995;
            let pod = pod(
                &format!("{name}-6d5f7c9b8d-x2x4{n}"),
                answer(true, true, level, None),
                vec![signed(15_181_995, n)],
            );
            view(&signer(&name, WELL, 3), vec![pod], Some(15_181_996))
        })
        .collect();
    let hsm = "the HSM cannot be reached: C_Login: CKR_DEVICE_ERROR; the signer tries again every second";
    views.push(view(
        &signer("baker-8", ("False", "HsmDown", hsm), 3),
        vec![pod(
            "baker-8-6d5f7c9b8d-abcde",
            answer(false, true, 15_181_900, Some(hsm)),
            vec![signed(15_181_900, 600)],
        )],
        Some(15_181_996),
    ));
    let unanswered = LivePod {
        name: "baker-9-6d5f7c9b8d-abcde".to_owned(),
        status: denied("create", "pods/portforward"),
        audit: denied("get", "pods/log"),
    };
    views.push(view(&signer("baker-9", WELL, 3), vec![unanswered], None));
    views.push(view(&example_signer(), vec![], None));
    let screen = draw(&views, false, Some(120), now());
    assert!(screen.lines().count() <= 24, "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 120), "{screen}");
    insta::assert_snapshot!("ten_bakers", screen);
    let narrow = draw(&views, false, Some(80), now());
    assert!(narrow.lines().count() <= 24 && narrow.lines().take(13).all(|line| line.chars().count() <= 80), "{narrow}");
    assert!(narrow.lines().next().unwrap().contains("SIGNED"), "{narrow}");
    insta::assert_snapshot!("ten_bakers_on_80_columns", narrow);
    let lines = draw(&views, true, None, now());
    assert!(
        lines.lines().any(|line| line.starts_with("bakers") && line.contains("baker-8") && line.ends_with(hsm)),
        "{lines}"
    );
    let json = serde_json::to_value(&views).unwrap();
    assert_eq!(json[0]["keys"][0]["behind"], 1);
    assert_eq!(json[0]["keys"][0]["lastSignatureAgeSeconds"], 1);
    assert_eq!(json[7]["keys"][0]["hsm"], false);
    assert_eq!(json[8]["keys"][0]["source"], "status");
}

#[test]
fn what_a_signer_says_is_newer_than_what_the_operator_reported() {
    // The operator says that all is well; the HSM has failed since.
    let key = &view(
        &signer("a", WELL, 3),
        vec![pod("a-x-y", answer(false, true, 15_182_000, Some("CKR_DEVICE_ERROR")), vec![])],
        None,
    )
    .keys[0];
    assert_eq!((key.ready, key.hsm), (Some(false), Some(false)));
    assert_eq!(key.why_not.as_deref(), Some("CKR_DEVICE_ERROR"));
    assert_eq!(key.attestation.map(|row| row.level), Some(15_182_000));
    // Nobody holds the record.
    let key =
        &view(&signer("a", WELL, 3), vec![pod("a-x-y", answer(true, false, 15_182_000, None), vec![])], None).keys[0];
    assert_eq!(key.ready, Some(false));
}

#[test]
fn a_key_signs_although_another_one_of_its_signer_does_not() {
    let with = |reason: &str| {
        let mut status = answer(false, true, 15_182_000, None);
        status.reasons = vec![reason.to_owned()];
        view(&signer("a", WELL, 3), vec![pod("a-x-y", status, vec![])], None).keys[0].ready
    };
    assert_eq!(with("tz2BFTyPeYRzxd5aiBchbXN3WCZhx7BqbMBq: the key is not in the token"), Some(true));
    assert_eq!(with(&format!("{KEY}: its lease has no holder yet")), Some(false));
    assert_eq!(with("the audit log cannot be written: no space"), Some(false));
}

#[test]
fn an_operator_that_is_away_is_noticed_if_keys_have_signed_since() {
    let notes = |minutes, level| {
        view(&signer("a", WELL, minutes), vec![pod("a-x-y", answer(true, true, level, None), vec![])], None).notes
    };
    assert!(notes(10, 15_182_000).is_empty());
    assert!(notes(30, 15_181_990).is_empty(), "nothing was signed since");
    let said = notes(30, 15_182_000).join("");
    assert!(said.contains("the operator reported last 30m ago"), "{said}");
}

#[test]
fn a_warning_of_a_signer_that_signs_is_shown() {
    let degraded = ("True", "Degraded", "pod a-x-z is not ready: it has no node");
    let notes = view(&signer("a", degraded, 3), vec![pod("a-x-y", answer(true, true, 1, None), vec![])], None).notes;
    assert_eq!(notes, ["a: pod a-x-z is not ready: it has no node"]);
}

#[test]
fn the_log_tells_the_last_signature_to_who_may_not_ask_the_signer() {
    let pod = LivePod {
        name: "a-x-y".to_owned(),
        status: denied("create", "pods/portforward"),
        audit: Ok(vec![signed(15_181_998, 20), signed(15_181_999, 14)]),
    };
    let view = view(&signer("a", WELL, 3), vec![pod], Some(15_182_001));
    let key = &view.keys[0];
    assert_eq!((key.source, key.last_signature_age_seconds, key.behind), (Some("log"), Some(14), Some(2)));
    assert_eq!(view.notes.len(), 1);
    assert!(view.notes[0].contains("create pods/portforward in the namespace bakers"), "{}", view.notes[0]);
}
