//! The decision on a record and a request: as a table, on fresh records, and what a step does to the record.

use crate::admitted::admitted;
use crate::requests::Request;
use crate::{DIGEST_A, DIGEST_B, anchor, at, key, record, signature};
use std::collections::BTreeMap;
use tezos_signer_core::admit::Admitted;
use tezos_signer_core::key::Curve;
use tezos_signer_core::policy::Permitted;
use tezos_signer_core::position::{ConsensusKind, Level};
use tezos_signer_core::record::Record;
use tezos_signer_core::watermark::{DEFAULT_MAX_LEVEL_JUMP, Decision, REFUSALS, Refusal, decide};

/// One word for what was decided.
fn outcome(record: &Record, request: &Admitted) -> &'static str {
    match decide(record, request, DEFAULT_MAX_LEVEL_JUMP) {
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
    let digest = at(Block, 200, 3, 'a').digest();
    let signed = &format!("200 3 {digest} {}", signature(7));
    let imported = &format!("200 3 {digest} -");
    let signed = [("block", signed.as_str())];
    let imported = [("block", imported.as_str())];
    let suspended = [signed[0], ("suspend", "true")];
    let ceiling = [signed[0], ("ceiling", "201")];
    for (rows, request, expected) in [
        // Over a signature.
        (&signed[..], at(Block, 200, 4, 'b'), "advance"),
        (&signed, at(Block, 201, 0, 'b'), "advance"),
        (&signed, at(Block, 200, 3, 'a'), "replay"),
        (&signed, at(Block, 200, 3, 'b'), "conflict"),
        (&signed, at(Block, 200, 2, 'a'), "below"),
        (&signed, at(Block, 199, 9, 'a'), "below"),
        // Each kind has its own row.
        (&signed, at(Preattestation, 101, 0, 'a'), "advance"),
        (&signed, at(Attestation, 101, 0, 'a'), "advance"),
        // INVARIANT D2: A digest without its signature is never signed again.
        (&imported, at(Block, 200, 3, 'a'), "no signature"),
        (&imported, at(Block, 200, 3, 'b'), "conflict"),
        (&imported, at(Block, 200, 4, 'a'), "advance"),
        // A floor holds its whole level.
        (&[], at(Block, 100, 0, 'a'), "below"),
        (&[], at(Block, 100, 2_147_483_647, 'a'), "no signature"),
        (&[], at(Block, 101, 0, 'a'), "advance"),
        // INVARIANT D4: The jump is measured from the highest row, whichever kind it is.
        (&signed, at(Block, 100_200, 0, 'a'), "advance"),
        (&signed, at(Block, 100_201, 0, 'a'), "jump"),
        (&signed, at(Attestation, 100_200, 0, 'a'), "advance"),
        (&signed, at(Attestation, 100_201, 0, 'a'), "jump"),
        (&signed, at(Block, 2_147_483_647, 0, 'a'), "jump"),
        // A hand-over: up to the ceiling, not above it; what was signed is still answered.
        (&ceiling, at(Block, 201, 0, 'a'), "advance"),
        (&ceiling, at(Block, 202, 0, 'a'), "ceiling"),
        (&ceiling, at(Block, 200, 3, 'a'), "replay"),
        // Suspended: nothing leaves, not even what was signed.
        (&suspended, at(Block, 201, 0, 'a'), "suspended"),
        (&suspended, at(Block, 200, 3, 'a'), "suspended"),
    ] {
        assert_eq!(outcome(&record(rows), &request), expected, "{rows:?} {request:?}");
    }
}

#[test]
fn a_missing_row_never_means_a_fresh_start() {
    let mut data = Record::starting_above(Level::try_from(100).unwrap()).to_data();
    data.remove("block");
    let record = Record::from_data(&data).unwrap();
    assert_eq!(outcome(&record, &at(ConsensusKind::Block, 101, 0, 'a')), "no row");
    assert_eq!(outcome(&record, &at(ConsensusKind::Attestation, 101, 0, 'a')), "advance");
    let empty = Record::from_data(&BTreeMap::from([("version".to_owned(), "1".to_owned())])).unwrap();
    for kind in ConsensusKind::ALL {
        assert_eq!(outcome(&empty, &at(kind, 101, 0, 'a')), "no row");
    }
}

#[test]
fn a_fresh_record_takes_any_first_level_and_no_second_jump() {
    let fresh = Record::fresh();
    let first = at(ConsensusKind::Attestation, 15_000_000, 0, 'a');
    let Ok(Decision::Advance(step)) = decide(&fresh, &first, 100) else { panic!() };
    let next = step.apply_to(&fresh, signature(1), anchor(1));
    assert!(!next.is_fresh());
    assert_eq!(outcome(&next, &at(ConsensusKind::Block, 15_000_000, 0, 'a')), "advance");
    assert_eq!(outcome(&next, &at(ConsensusKind::Block, 15_100_001, 0, 'a')), "jump");
    assert_eq!(outcome(&fresh, &at(ConsensusKind::Block, 0, 0, 'a')), "no signature", "genesis is not signed");
    // Initialised at level 0 is not fresh.
    assert!(!Record::starting_above(Level::default()).is_fresh());
}

#[test]
fn a_record_has_a_floor_until_something_is_signed_and_is_at_its_ceiling_from_the_highest_row() {
    let level = |level: i64| Level::try_from(level).unwrap();
    let record = Record::starting_above(level(100));
    assert_eq!(record.floor(), Some(level(100)));
    assert_eq!((Record::fresh().floor(), Record::default().floor()), (None, None));
    let Ok(Decision::Advance(step)) = decide(&record, &at(ConsensusKind::Block, 101, 0, 'a'), 100) else {
        panic!("above the floor")
    };
    let signed = step.apply_to(&record, signature(1), anchor(1));
    assert_eq!(signed.floor(), None);
    let with = |ceiling| Record { ceiling, ..signed.clone() }.is_at_ceiling();
    assert_eq!(
        [with(None), with(Some(level(102))), with(Some(level(101))), with(Some(level(100)))],
        [false, false, true, true]
    );
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

/// INVARIANT R6: A restored record is noticed by whoever has seen more.
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

/// INVARIANT S8: A generic operation has no row to rise, and takes the same path: it is refused where the record says so, and its commit
/// moves the anchor.
#[test]
fn a_generic_operation_moves_the_anchor_and_nothing_else() {
    let request = admitted(key(Curve::P256), &Request::Operation.payload(Curve::P256));
    assert_eq!(request.permitted(), Permitted::Operation);
    let before = record(&[("ceiling", "100")]);
    let Ok(Decision::Advance(step)) = decide(&before, &request, 0) else { panic!() };
    assert!(!step.is_replayable());
    let after = step.apply_to(&before, signature(1), anchor(1));
    assert_eq!(after, Record { audit: Some(anchor(1)), ..before.clone() });
    let suspended = Record { suspend: true, ..before };
    assert_eq!(decide(&suspended, &request, 0), Err(Refusal::Suspended));
}

/// The words are labels of metrics. A refusal that may be lifted makes the signer read the record again, so that it takes effect at once.
#[test]
fn each_refusal_has_a_word_and_may_be_lifted_or_not() {
    let kind = ConsensusKind::Block;
    let level = |level: i64| Level::try_from(level).unwrap();
    let (permitted, requested) = (at(kind, 200, 3, 'a'), level(200));
    let Permitted::Consensus(consensus) = permitted.permitted() else { panic!("a block") };
    let position = consensus.position;
    let all = [
        (Refusal::Suspended, "suspended", true),
        (Refusal::NoRow(kind), "no_row", true),
        (Refusal::Below { kind, requested: position, watermark: position }, "below", false),
        (Refusal::Conflict { kind, position }, "conflict", false),
        (Refusal::NoStoredSignature { kind, position }, "no_stored_signature", false),
        (Refusal::Jump { requested, highest: level(1), jump: 199, limit: 100 }, "jump", true),
        (Refusal::Ceiling { requested, ceiling: level(199) }, "ceiling", true),
    ];
    for (refusal, word, may_be_lifted) in &all {
        assert_eq!((refusal.reason(), refusal.may_be_lifted()), (*word, *may_be_lifted), "{refusal}");
    }
    assert_eq!(all.each_ref().map(|(_, word, _)| *word), REFUSALS);
    insta::assert_snapshot!(all.map(|(refusal, ..)| refusal.to_string()).join("\n"));
}
