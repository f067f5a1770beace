//! The signing decision as a table and as properties, and the text form of the record. What processes, stores and crashes do
//! around it is in `model/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use std::collections::BTreeMap;
use tezos_signer_core::audit::{AuditAnchor, LogId};
use tezos_signer_core::key::{ChainId, Digest, PublicKeyHash, Signature};
use tezos_signer_core::payload::{Consensus, Shape};
use tezos_signer_core::policy::Permitted;
use tezos_signer_core::position::{ConsensusKind, Level, Position, Round};
use tezos_signer_core::record::{HOLDER_ADDRESS_ANNOTATION, LEASE_ANNOTATION, Lease, Record, RecordError, RecordName};
use tezos_signer_core::watermark::{DEFAULT_MAX_LEVEL_JUMP, Decision, Refusal, Row, Stored, decide};

const DIGEST_A: &str = "aa00000000000000000000000000000000000000000000000000000000000000";
const DIGEST_B: &str = "bb00000000000000000000000000000000000000000000000000000000000000";

fn at(kind: ConsensusKind, level: i64, round: i64) -> Permitted {
    let position = Position { level: Level::try_from(level).unwrap(), round: Round::try_from(round).unwrap() };
    Permitted::Consensus(Consensus { kind, chain: ChainId::MAINNET, position, shape: Shape::Known })
}

fn anchor(sequence: u64) -> AuditAnchor {
    AuditAnchor { log: LogId::from_bytes([7; 16]), sequence, hash: DIGEST_A.parse().unwrap() }
}

fn signature(byte: u8) -> Signature {
    Signature::P256([byte; 64])
}

/// A record with these rows over three floors at level 100.
fn record(rows: &[(&str, &str)]) -> Record {
    let mut data = Record::starting_above(Level::try_from(100).unwrap()).to_data();
    data.extend(rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Record::from_data(&data).unwrap()
}

/// One word for what was decided.
fn outcome(record: &Record, request: &Permitted, digest: &str) -> &'static str {
    match decide(record, request, &digest.parse().unwrap(), DEFAULT_MAX_LEVEL_JUMP) {
        Ok(Decision::Advance(_)) => "advance",
        Ok(Decision::Replay(_)) => "replay",
        Err(Refusal::Suspended) => "suspended",
        Err(Refusal::NoRow(_)) => "no row",
        Err(Refusal::Below { .. }) => "below",
        Err(Refusal::Conflict { .. }) => "conflict",
        Err(Refusal::NoStoredSignature { .. }) => "no signature",
        Err(Refusal::Jump { .. }) => "jump",
        Err(Refusal::Ceiling { .. }) => "ceiling",
    }
}

#[test]
fn the_decision_table() {
    use ConsensusKind::{Attestation, Block, Preattestation};
    let signed = &format!("200 3 {DIGEST_A} {}", signature(7));
    let imported = &format!("200 3 {DIGEST_A} -");
    let signed = [("block", signed.as_str())];
    let imported = [("block", imported.as_str())];
    let suspended = [signed[0], ("suspend", "true")];
    let ceiling = [signed[0], ("ceiling", "201")];
    for (rows, request, digest, expected) in [
        // Over a signature.
        (&signed[..], at(Block, 200, 4), DIGEST_B, "advance"),
        (&signed, at(Block, 201, 0), DIGEST_B, "advance"),
        (&signed, at(Block, 200, 3), DIGEST_A, "replay"),
        (&signed, at(Block, 200, 3), DIGEST_B, "conflict"),
        (&signed, at(Block, 200, 2), DIGEST_A, "below"),
        (&signed, at(Block, 199, 9), DIGEST_A, "below"),
        // Each kind has its own row.
        (&signed, at(Preattestation, 101, 0), DIGEST_A, "advance"),
        (&signed, at(Attestation, 101, 0), DIGEST_A, "advance"),
        // ◆ A digest without its signature is never signed again.
        (&imported, at(Block, 200, 3), DIGEST_A, "no signature"),
        (&imported, at(Block, 200, 3), DIGEST_B, "conflict"),
        (&imported, at(Block, 200, 4), DIGEST_A, "advance"),
        // A floor holds its whole level.
        (&[], at(Block, 100, 0), DIGEST_A, "below"),
        (&[], at(Block, 100, 2_147_483_647), DIGEST_A, "no signature"),
        (&[], at(Block, 101, 0), DIGEST_A, "advance"),
        // ◆ The jump is measured from the highest row, whichever kind it is.
        (&signed, at(Block, 100_200, 0), DIGEST_A, "advance"),
        (&signed, at(Block, 100_201, 0), DIGEST_A, "jump"),
        (&signed, at(Attestation, 100_200, 0), DIGEST_A, "advance"),
        (&signed, at(Attestation, 100_201, 0), DIGEST_A, "jump"),
        (&signed, at(Block, 2_147_483_647, 0), DIGEST_A, "jump"),
        // A hand-over: up to the ceiling, not above it; what was signed is still answered.
        (&ceiling, at(Block, 201, 0), DIGEST_A, "advance"),
        (&ceiling, at(Block, 202, 0), DIGEST_A, "ceiling"),
        (&ceiling, at(Block, 200, 3), DIGEST_A, "replay"),
        // Suspended: nothing leaves, not even what was signed.
        (&suspended, at(Block, 201, 0), DIGEST_A, "suspended"),
        (&suspended, at(Block, 200, 3), DIGEST_A, "suspended"),
    ] {
        assert_eq!(outcome(&record(rows), &request, digest), expected, "{rows:?} {request:?}");
    }
}

#[test]
fn a_missing_row_never_means_a_fresh_start() {
    let mut data = Record::starting_above(Level::try_from(100).unwrap()).to_data();
    data.remove("block");
    let record = Record::from_data(&data).unwrap();
    assert_eq!(outcome(&record, &at(ConsensusKind::Block, 101, 0), DIGEST_A), "no row");
    assert_eq!(outcome(&record, &at(ConsensusKind::Attestation, 101, 0), DIGEST_A), "advance");
    let empty = Record::from_data(&BTreeMap::from([("version".to_owned(), "1".to_owned())])).unwrap();
    for kind in ConsensusKind::ALL {
        assert_eq!(outcome(&empty, &at(kind, 101, 0), DIGEST_A), "no row");
    }
}

#[test]
fn a_fresh_record_takes_any_first_level_and_no_second_jump() {
    let fresh = Record::fresh();
    let first = at(ConsensusKind::Attestation, 15_000_000, 0);
    let Ok(Decision::Advance(step)) = decide(&fresh, &first, &DIGEST_A.parse().unwrap(), 100) else { panic!() };
    let next = fresh.advanced(&step, signature(1), anchor(1));
    assert!(!next.is_fresh());
    assert_eq!(outcome(&next, &at(ConsensusKind::Block, 15_000_000, 0), DIGEST_A), "advance");
    assert_eq!(outcome(&next, &at(ConsensusKind::Block, 15_100_001, 0), DIGEST_A), "jump");
    assert_eq!(outcome(&fresh, &at(ConsensusKind::Block, 0, 0), DIGEST_A), "no signature", "genesis is not signed");
    // Initialised at level 0 is not fresh.
    assert!(!Record::starting_above(Level::default()).is_fresh());
}

#[test]
fn raising_never_lowers() {
    let signed = format!("200 3 {DIGEST_A} {}", signature(7));
    let before = record(&[("block", &signed)]);
    let level = |level: i64| Level::try_from(level).unwrap();
    assert_eq!(before.raised_to(level(99)), before);
    let raised = before.raised_to(level(150)).to_data();
    assert_eq!((raised["block"].as_str(), raised["attestation"].as_str()), (signed.as_str(), "150 2147483647 - -"));
    assert_eq!(before.raised_to(level(200)).to_data()["block"], "200 2147483647 - -");
}

/// ◆ A restored record is noticed by whoever has seen more.
#[test]
fn a_record_that_went_back_is_noticed() {
    let signed = format!("200 3 {DIGEST_A} {}", signature(7));
    let seen = record(&[("block", &signed)]);
    let other = format!("200 3 {DIGEST_B} {}", signature(7));
    let higher = format!("201 0 {DIGEST_B} {}", signature(8));
    for (rows, forgets) in [
        (vec![("block", signed.as_str())], false),
        (vec![("block", higher.as_str())], false),
        (vec![("block", higher.as_str()), ("suspend", "true"), ("ceiling", "5")], false),
        (vec![], true),
        (vec![("block", "200 2 - -")], true),
        (vec![("block", "200 3 - -")], true),
        (vec![("block", other.as_str())], true),
    ] {
        assert_eq!(record(&rows).forgets(&seen).is_some(), forgets, "{rows:?}");
    }
    let mut without = seen.to_data();
    without.remove("block");
    assert_eq!(Record::from_data(&without).unwrap().forgets(&seen), Some(ConsensusKind::Block));
}

#[test]
fn texts_that_are_not_understood_are_errors_that_name_the_row() {
    let good = Record::starting_above(Level::try_from(100).unwrap()).to_data();
    let signature = signature(7).to_string();
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
fn a_record_has_one_name_of_63_characters() {
    let key: PublicKeyHash = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t".parse().unwrap();
    let name = RecordName::new(&key, &ChainId::MAINNET);
    assert_eq!(name.as_str().len(), 63);
    assert!(name.as_str().starts_with("watermark-tz3-") && name.as_str().ends_with("-7a06a770"));
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
    // To the letter: the chart's admission policies read it, and e2e/stage/lease_test.go has them read these two.
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

/// Close enough together that all relations between two of them come up.
fn any_position() -> impl Strategy<Value = Position> {
    let rounds = prop::sample::select(vec![0, 1, 2, 2_147_483_647]);
    (prop_oneof![4 => 100_i64..104, 1 => Just(0), 1 => Just(100_101), 1 => Just(2_147_483_647)], rounds).prop_map(
        |(level, round): (i64, i64)| Position {
            level: Level::try_from(level).unwrap(),
            round: Round::try_from(round).unwrap(),
        },
    )
}

fn any_digest() -> impl Strategy<Value = Digest> {
    (0_u8..3).prop_map(|variant| Digest::of(&[variant]))
}

fn any_row() -> impl Strategy<Value = Row> {
    let signature =
        (any_digest(), 0_u8..3).prop_map(|(digest, byte)| Stored::Signature { digest, signature: signature(byte) });
    let stored = prop_oneof![Just(Stored::Floor), any_digest().prop_map(Stored::Digest), signature];
    (any_position(), stored).prop_map(|(position, stored)| Row { position, stored })
}

fn any_record() -> impl Strategy<Value = Record> {
    let rows = [(); 3].map(|()| prop::option::weighted(0.9, any_row()));
    let anchor = (any::<u64>(), any_digest()).prop_map(|(sequence, hash)| AuditAnchor {
        log: LogId::from_bytes([7; 16]),
        sequence,
        hash,
    });
    let ceiling = prop::option::weighted(0.3, any_position().prop_map(|position| position.level));
    (rows, prop::option::of(anchor), ceiling, prop::bool::weighted(0.1)).prop_map(|(rows, audit, ceiling, suspend)| {
        let mut data = BTreeMap::from([("version".to_owned(), "1".to_owned())]);
        let rows = ConsensusKind::ALL.into_iter().zip(rows);
        data.extend(rows.filter_map(|(kind, row)| Some((kind.to_string(), row?.to_string()))));
        Record { audit, ceiling, suspend, ..Record::from_data(&data).unwrap() }
    })
}

fn any_request() -> impl Strategy<Value = (Consensus, Digest)> {
    (any_kind(), any_position(), any_digest()).prop_map(|(kind, position, digest)| {
        (Consensus { kind, chain: ChainId::MAINNET, position, shape: Shape::Known }, digest)
    })
}

fn decide_vote(record: &Record, vote: &Consensus, digest: &Digest, max_level_jump: u32) -> Result<Decision, Refusal> {
    decide(record, &Permitted::Consensus(*vote), digest, max_level_jump)
}

fn any_kind() -> impl Strategy<Value = ConsensusKind> {
    prop::sample::select(ConsensusKind::ALL.to_vec())
}

proptest! {
    /// Whatever is asked, in whatever order: a position gets one digest at most, and the record never forgets.
    #[test]
    fn no_position_is_ever_given_twice(requests in prop::collection::vec((any_kind(), 101_i64..106, 0_i64..3, 0_u8..3), 0..60)) {
        let mut record = record(&[]);
        let mut given: BTreeMap<(ConsensusKind, (i64, i64)), (Digest, Signature)> = BTreeMap::new();
        for (i, (kind, level, round, variant)) in requests.into_iter().enumerate() {
            let request = at(kind, level, round);
            let position = (level, round);
            let digest = Digest::of(&[variant]);
            match decide(&record, &request, &digest, DEFAULT_MAX_LEVEL_JUMP) {
                Ok(Decision::Advance(step)) => {
                    let fresh = signature(u8::try_from(i).unwrap());
                    let next = record.advanced(&step, fresh, anchor(2));
                    prop_assert_eq!(next.forgets(&record), None);
                    record = next;
                    prop_assert!(given.insert((kind, position), (digest, fresh)).is_none());
                }
                Ok(Decision::Replay(replayed)) => {
                    prop_assert_eq!(given.get(&(kind, position)), Some(&(digest, replayed)));
                }
                Err(_) => {}
            }
            prop_assert_eq!(&Record::from_data(&record.to_data()).unwrap(), &record);
        }
    }

    /// What is allowed, said once more and in other words: all of it, and nothing else.
    #[test]
    fn what_is_signed_and_what_is_replayed((record, (request, digest)) in (any_record(), any_request())) {
        let row = record.rows.get(request.kind).copied();
        let level = i64::from(request.position.level.get());
        let highest = ConsensusKind::ALL.iter().filter_map(|kind| record.rows.get(*kind)).map(|row| row.position.level).max();
        let no_jump = level - i64::from(highest.unwrap_or_default().get()) <= 100 || record == Record { audit: record.audit, ceiling: record.ceiling, ..Record::fresh() };
        let below_ceiling = record.ceiling.is_none_or(|ceiling| request.position.level <= ceiling);
        let signs = !record.suspend && row.is_some_and(|row| request.position > row.position) && below_ceiling && no_jump;
        let replays = row.filter(|row| !record.suspend && row.position == request.position).and_then(|row| match row.stored {
            Stored::Signature { digest: signed, signature } if signed == digest => Some(signature),
            _ => None,
        });
        match decide_vote(&record, &request, &digest, 100) {
            Ok(Decision::Advance(_)) => prop_assert!(signs),
            Ok(Decision::Replay(signature)) => prop_assert_eq!(Some(signature), replays),
            Err(_) => prop_assert!(!signs && replays.is_none()),
        }
    }

    /// After a step: the same request is answered with its signature, nothing at or below its place is signed, and nothing
    /// else of the record has changed.
    #[test]
    fn a_step_changes_its_row_only((record, (request, digest), other) in (any_record(), any_request(), any_request())) {
        let Ok(Decision::Advance(step)) = decide_vote(&record, &request, &digest, DEFAULT_MAX_LEVEL_JUMP) else { return Ok(()) };
        let next = record.advanced(&step, signature(9), anchor(9));
        prop_assert_eq!(next.forgets(&record), None);
        prop_assert_eq!((next.ceiling, next.suspend), (record.ceiling, record.suspend));
        for kind in ConsensusKind::ALL.into_iter().filter(|kind| *kind != request.kind) {
            prop_assert_eq!(next.rows.get(kind), record.rows.get(kind));
        }
        let again = decide_vote(&next, &request, &digest, DEFAULT_MAX_LEVEL_JUMP);
        prop_assert_eq!(again, Ok(Decision::Replay(signature(9))));
        let (other, other_digest) = other;
        if other.kind == request.kind && other.position <= request.position && (other.position, other_digest) != (request.position, digest) {
            prop_assert!(decide_vote(&next, &other, &other_digest, DEFAULT_MAX_LEVEL_JUMP).is_err());
        }
    }

    /// Nothing is signed at or below a level that a record was raised to; and it still knows what it knew.
    #[test]
    fn a_raised_record_knows_more((record, level, (request, digest)) in (any_record(), any_position(), any_request())) {
        let level = level.level;
        let raised = record.raised_to(level);
        prop_assert_eq!(raised.forgets(&record), None);
        prop_assert_eq!(&raised.raised_to(level), &raised);
        prop_assert_eq!((&raised.audit, raised.ceiling, raised.suspend), (&record.audit, record.ceiling, record.suspend));
        for kind in ConsensusKind::ALL {
            prop_assert_eq!(raised.rows.get(kind).is_some(), record.rows.get(kind).is_some());
        }
        if request.position.level <= level {
            let decision = decide_vote(&raised, &request, &digest, DEFAULT_MAX_LEVEL_JUMP);
            prop_assert!(!matches!(decision, Ok(Decision::Advance(_))), "{:?}", decision);
        }
    }

    /// "Knows at least as much" is an order of the rows: what went back is noticed, over any number of records between.
    #[test]
    fn to_forget_nothing_is_an_order(a in any_record(), b in any_record(), c in any_record()) {
        prop_assert_eq!(a.forgets(&a), None);
        if a.forgets(&b).is_none() && b.forgets(&a).is_none() {
            prop_assert_eq!(a.rows, b.rows);
        }
        if c.forgets(&b).is_none() && b.forgets(&a).is_none() {
            prop_assert_eq!(c.forgets(&a), None);
        }
    }

    /// Who has seen a record does not sign anew what that record has answered, whatever record is there later: either it is
    /// noticed that it went back, or the answer is the same, or a refusal.
    #[test]
    fn what_was_answered_is_not_signed_again(seen in any_record(), later in any_record(), (request, digest) in any_request()) {
        let Ok(Decision::Replay(answer)) = decide_vote(&seen, &request, &digest, DEFAULT_MAX_LEVEL_JUMP) else { return Ok(()) };
        if later.forgets(&seen).is_none() {
            match decide_vote(&later, &request, &digest, DEFAULT_MAX_LEVEL_JUMP) {
                Ok(Decision::Advance(_)) => prop_assert!(false, "signed again"),
                Ok(Decision::Replay(signature)) => prop_assert_eq!(signature, answer),
                Err(_) => {}
            }
        }
    }

    /// One state has one text, and the text says all of it.
    #[test]
    fn a_record_has_one_text(record in any_record()) {
        prop_assert_eq!(&Record::from_data(&record.to_data()).unwrap(), &record);
    }

    /// Whatever is changed in a text, by whomever: it is not understood, or it is the text of what it is understood as.
    #[test]
    fn no_other_text_is_understood(record in any_record(), name in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in "[ -~]{0,2}", cut in 0_usize..3) {
        let mut data = record.to_data();
        let name = name.get(&data.keys().cloned().collect::<Vec<_>>()).clone();
        let text = data.get_mut(&name).unwrap();
        let from = at.index(text.len() + 1);
        let to = (from + cut).min(text.len());
        text.replace_range(from..to, &with);
        if let Ok(read) = Record::from_data(&data) {
            data.retain(|name, text| name != "suspend" || text != "false");
            prop_assert_eq!(read.to_data(), data);
        }
    }

    /// A row that can be read is written back as it was.
    #[test]
    fn a_row_has_one_text(text in "(0|[1-9][0-9]{0,10}) (0|[1-9][0-9]{0,10}) (-|[0-9a-f]{64}) -") {
        if let Ok(row) = text.parse::<Row>() {
            prop_assert_eq!(row.to_string(), text);
        }
    }
}

#[test]
fn a_row_is_told_in_words_and_a_vote_can_be_replayed() {
    let digest: Digest = DIGEST_A.parse().unwrap();
    let Ok(Decision::Advance(step)) = decide(&record(&[]), &at(ConsensusKind::Block, 101, 0), &digest, 10) else {
        panic!()
    };
    assert!(step.is_replayable());
    let stored = [Stored::Floor, Stored::Digest(digest), Stored::Signature { digest, signature: signature(1) }];
    let words = ["floor, nothing signed here", "digest, signature unknown", "signature"];
    assert_eq!(stored.map(|stored| stored.describe()), words);
}

/// ◆ A generic operation has no row to rise, and takes the same path: it is refused where the record says so, and its commit
/// moves the anchor.
#[test]
fn a_generic_operation_moves_the_anchor_and_nothing_else() {
    let digest = DIGEST_A.parse().unwrap();
    let before = record(&[("ceiling", "100")]);
    let Ok(Decision::Advance(step)) = decide(&before, &Permitted::Operation, &digest, 0) else { panic!() };
    assert!(!step.is_replayable());
    let after = before.advanced(&step, signature(1), anchor(1));
    assert_eq!(after, Record { audit: Some(anchor(1)), ..before.clone() });
    let suspended = Record { suspend: true, ..before };
    assert_eq!(decide(&suspended, &Permitted::Operation, &digest, 0), Err(Refusal::Suspended));
}
