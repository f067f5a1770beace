//! Properties of the decision and of the text form, on records and requests that are generated, of keys of every scheme.

use crate::{anchor, at_of, place, record, signature, signatures};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tezos_signer_core::admit::Admitted;
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::key::{Curve, Digest, Signature};
use tezos_signer_core::position::{ConsensusKind, Level, Position, Round};
use tezos_signer_core::record::{Record, Row, Stored};
use tezos_signer_core::watermark::{DEFAULT_MAX_LEVEL_JUMP, Decision, decide};

/// Close enough together that all relations between two of them come up.
fn any_position() -> impl Strategy<Value = Position> {
    any_place().prop_map(|(level, round)| position(level, round))
}

fn position(level: u32, round: u32) -> Position {
    Position { level: Level::try_from(i64::from(level)).unwrap(), round: Round::try_from(i64::from(round)).unwrap() }
}

fn any_place() -> impl Strategy<Value = (u32, u32)> {
    let levels = prop_oneof![4 => 100_u32..104, 1 => Just(0), 1 => Just(100_101), 1 => Just(2_147_483_647)];
    (levels, prop::sample::select(vec![0, 1, 2, 2_147_483_647]))
}

pub(crate) fn any_variant() -> impl Strategy<Value = char> {
    prop::sample::select(vec!['a', 'b', 'c'])
}

pub(crate) fn any_scheme() -> impl Strategy<Value = Curve> {
    prop::sample::select(Curve::ALL.to_vec())
}

/// What `strategy` makes for a key of some scheme: a record and the requests that meet it are of one key.
fn of_one_key<S: Strategy>(strategy: impl Fn(Curve) -> S) -> impl Strategy<Value = S::Value> {
    any_scheme().prop_flat_map(strategy)
}

fn any_signature() -> impl Strategy<Value = Signature> {
    (0_u8..3).prop_flat_map(|byte| prop::sample::select(signatures(byte).to_vec()))
}

/// A row of `kind`; what it says was signed is something that [`any_request`] asks for too.
fn any_row(scheme: Curve, kind: ConsensusKind) -> impl Strategy<Value = Row> {
    let row = (any_place(), any_variant(), 0_u8..3, any_signature());
    row.prop_map(move |((level, round), variant, stored, signature)| {
        let digest = at_of(scheme, kind, level, round, variant).digest();
        let stored = match stored {
            0 => Stored::Floor,
            1 => Stored::Digest(digest),
            _ => Stored::Signature { digest, signature },
        };
        Row { position: position(level, round), stored }
    })
}

pub(crate) fn any_record(scheme: Curve) -> impl Strategy<Value = Record> {
    let rows = ConsensusKind::ALL.map(|kind| prop::option::weighted(0.9, any_row(scheme, kind)));
    let anchor = (any::<u64>(), any_variant()).prop_map(|(sequence, variant)| AuditAnchor {
        log: LogId::from_bytes([7; 16]),
        sequence,
        hash: Digest::of(&[u8::try_from(variant).unwrap()]),
    });
    let ceiling = prop::option::weighted(0.3, any_position().prop_map(|position| position.level));
    (rows, prop::option::of(anchor), ceiling, prop::bool::weighted(0.1)).prop_map(|(rows, audit, ceiling, suspend)| {
        let mut data = BTreeMap::from([("version".to_owned(), "1".to_owned())]);
        let rows = ConsensusKind::ALL.into_iter().zip(rows);
        data.extend(rows.filter_map(|(kind, row)| Some((kind.to_string(), row?.to_string()))));
        Record { audit, ceiling, suspend, ..Record::from_data(&data).unwrap() }
    })
}

fn any_request(scheme: Curve) -> impl Strategy<Value = Admitted> {
    let request = (any_kind(), any_place(), any_variant());
    request.prop_map(move |(kind, (level, round), variant)| at_of(scheme, kind, level, round, variant))
}

pub(crate) fn any_kind() -> impl Strategy<Value = ConsensusKind> {
    prop::sample::select(ConsensusKind::ALL.to_vec())
}

proptest! {
    /// Whatever is asked, in whatever order: a position gets one digest at most, and the record never forgets.
    #[test]
    fn no_position_is_ever_given_twice(scheme in any_scheme(), requests in prop::collection::vec((any_kind(), 101_u32..106, 0_u32..3, any_variant()), 0..60)) {
        let mut record = record(&[]);
        let mut given: BTreeMap<(ConsensusKind, (u32, u32)), (Digest, Signature)> = BTreeMap::new();
        for (i, (kind, level, round, variant)) in requests.into_iter().enumerate() {
            let request = at_of(scheme, kind, level, round, variant);
            let (position, digest) = ((level, round), request.digest());
            match decide(&record, &request, DEFAULT_MAX_LEVEL_JUMP) {
                Ok(Decision::Advance(step)) => {
                    let fresh = signature(u8::try_from(i).unwrap());
                    let next = step.apply_to(&record, fresh, anchor(2));
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
    fn what_is_signed_and_what_is_replayed((record, request) in of_one_key(|scheme| (any_record(scheme), any_request(scheme)))) {
        let ((kind, position), digest) = (place(&request), request.digest());
        let row = record.rows.get(kind).copied();
        let level = i64::from(position.level.get());
        let highest = ConsensusKind::ALL.iter().filter_map(|kind| record.rows.get(*kind)).map(|row| row.position.level).max();
        let no_jump = level - i64::from(highest.unwrap_or_default().get()) <= 100 || record == Record { audit: record.audit, ceiling: record.ceiling, ..Record::fresh() };
        let below_ceiling = record.ceiling.is_none_or(|ceiling| position.level <= ceiling);
        let signs = !record.suspend && row.is_some_and(|row| position > row.position) && below_ceiling && no_jump;
        let replays = row.filter(|row| !record.suspend && row.position == position).and_then(|row| match row.stored {
            Stored::Signature { digest: signed, signature } if signed == digest => Some(signature),
            _ => None,
        });
        match decide(&record, &request, 100) {
            Ok(Decision::Advance(_)) => prop_assert!(signs),
            Ok(Decision::Replay(signature)) => prop_assert_eq!(Some(signature), replays),
            Err(_) => prop_assert!(!signs && replays.is_none()),
        }
    }

    /// After a step: the same request is answered with its signature, nothing at or below its place is signed, and nothing
    /// else of the record has changed.
    #[test]
    fn a_step_changes_its_row_only((record, request, other) in of_one_key(|scheme| (any_record(scheme), any_request(scheme), any_request(scheme)))) {
        let Ok(Decision::Advance(step)) = decide(&record, &request, DEFAULT_MAX_LEVEL_JUMP) else { return Ok(()) };
        let next = step.apply_to(&record, signature(9), anchor(9));
        prop_assert_eq!(next.forgets(&record), None);
        prop_assert_eq!((next.ceiling, next.suspend), (record.ceiling, record.suspend));
        for kind in ConsensusKind::ALL.into_iter().filter(|kind| *kind != place(&request).0) {
            prop_assert_eq!(next.rows.get(kind), record.rows.get(kind));
        }
        let again = decide(&next, &request, DEFAULT_MAX_LEVEL_JUMP);
        prop_assert_eq!(again, Ok(Decision::Replay(signature(9))));
        let ((kind, position), (other_kind, other_position)) = (place(&request), place(&other));
        if other_kind == kind && other_position <= position && other != request {
            prop_assert!(decide(&next, &other, DEFAULT_MAX_LEVEL_JUMP).is_err());
        }
    }

    /// Nothing is signed at or below a level that a record was raised to; and it still knows what it knew.
    #[test]
    fn a_raised_record_knows_more((record, level, request) in of_one_key(|scheme| (any_record(scheme), any_position(), any_request(scheme)))) {
        let level = level.level;
        let raised = record.raised_to(level);
        prop_assert_eq!(raised.forgets(&record), None);
        prop_assert_eq!(&raised.raised_to(level), &raised);
        prop_assert_eq!((&raised.audit, raised.ceiling, raised.suspend), (&record.audit, record.ceiling, record.suspend));
        for kind in ConsensusKind::ALL {
            prop_assert_eq!(raised.rows.get(kind).is_some(), record.rows.get(kind).is_some());
        }
        if place(&request).1.level <= level {
            let decision = decide(&raised, &request, DEFAULT_MAX_LEVEL_JUMP);
            prop_assert!(!matches!(decision, Ok(Decision::Advance(_))), "{:?}", decision);
        }
    }

    /// "Knows at least as much" is an order of the rows: what went back is noticed, over any number of records between.
    #[test]
    fn to_forget_nothing_is_an_order((a, b, c) in of_one_key(|scheme| (any_record(scheme), any_record(scheme), any_record(scheme)))) {
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
    fn what_was_answered_is_not_signed_again((seen, later, request) in of_one_key(|scheme| (any_record(scheme), any_record(scheme), any_request(scheme)))) {
        let Ok(Decision::Replay(answer)) = decide(&seen, &request, DEFAULT_MAX_LEVEL_JUMP) else { return Ok(()) };
        if later.forgets(&seen).is_none() {
            match decide(&later, &request, DEFAULT_MAX_LEVEL_JUMP) {
                Ok(Decision::Advance(_)) => prop_assert!(false, "signed again"),
                Ok(Decision::Replay(signature)) => prop_assert_eq!(signature, answer),
                Err(_) => {}
            }
        }
    }

    /// One state has one text, and the text says all of it.
    #[test]
    fn a_record_has_one_text(record in of_one_key(any_record)) {
        prop_assert_eq!(&Record::from_data(&record.to_data()).unwrap(), &record);
    }

    /// Whatever is changed in a text, by whomever: it is not understood, or it is the text of what it is understood as.
    #[test]
    fn no_other_text_is_understood(record in of_one_key(any_record), name in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in "[ -~]{0,2}", cut in 0_usize..3) {
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
