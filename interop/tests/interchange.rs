//! Exported records and what an import makes of them, as tables and as properties.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use std::collections::BTreeMap;
use tezos_signer_core::key::{ChainId, Curve, Digest, PublicKeyHash, Signature};
use tezos_signer_core::position::{ConsensusKind, Level, Position};
use tezos_signer_core::record::Record;
use tezos_signer_interop::interchange::{Contradiction, Export, ExportedRecord, FORMAT, InterchangeError, Metadata};

const DIGEST_A: &str = "aa00000000000000000000000000000000000000000000000000000000000000";
const DIGEST_B: &str = "bb00000000000000000000000000000000000000000000000000000000000000";

fn key() -> PublicKeyHash {
    PublicKeyHash::from_bytes(Curve::P256, [7; 20])
}

fn signature(byte: u8) -> Signature {
    Signature::P256([byte; 64])
}

fn record(rows: &[(&str, &str)]) -> Record {
    let version = ("version".to_owned(), "1".to_owned());
    let rows = rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Record::from_data(&rows.chain([version]).collect()).unwrap()
}

fn exported(record: &Record) -> ExportedRecord {
    ExportedRecord::of(key(), ChainId::MAINNET, record)
}

fn file(data: Vec<ExportedRecord>) -> Export {
    let metadata = Metadata { format: FORMAT.to_owned(), exported_at: None, source: "a test".to_owned() };
    Export { metadata, data }
}

fn level(level: i64) -> Level {
    Level::try_from(level).unwrap()
}

#[test]
fn the_table_of_imports() {
    let (signed, digest) = (&*format!("200 3 {DIGEST_A} {}", signature(1)), &*format!("200 3 {DIGEST_A} -"));
    let signed_again = &*format!("200 3 {DIGEST_A} {}", signature(2));
    let other = &*format!("200 3 {DIGEST_B} -");
    let higher = &*format!("200 4 {DIGEST_B} {}", signature(3));
    for (ours, theirs, ceiling, expected) in [
        // The higher one of the two, with what is known of it.
        (Some("100 2147483647 - -"), Some(signed), None, Some(signed)),
        (Some(signed), Some("100 2147483647 - -"), None, Some(signed)),
        (Some(signed), Some(higher), None, Some(higher)),
        (Some(higher), Some(signed), None, Some(higher)),
        (Some("0 0 - -"), Some("0 0 - -"), None, Some("0 0 - -")),
        // At one position a row never changes.
        (Some(signed), Some(signed), None, Some(signed)),
        (Some(signed), Some(digest), None, Some(signed)),
        (Some(digest), Some(signed), None, Some(digest)),
        (Some(signed), Some("200 3 - -"), None, Some(signed)),
        (Some("200 3 - -"), Some(signed), None, Some("200 3 - -")),
        // Two things at one position.
        (Some(signed), Some(other), None, None),
        (Some(digest), Some(other), None, None),
        (Some(signed), Some(signed_again), None, None),
        // A row that is not there is not made, and one that the file does not have stays.
        (None, Some(signed), None, Some("")),
        (Some(signed), None, None, Some(signed)),
        // INVARIANT R11: The other signer goes on up to its ceiling.
        (Some("100 2147483647 - -"), Some(signed), Some(250), Some("250 2147483647 - -")),
        (Some("100 2147483647 - -"), Some(signed), Some(200), Some("200 2147483647 - -")),
        (Some("100 2147483647 - -"), Some(signed), Some(199), Some(signed)),
        (Some(signed), None, Some(250), Some("250 2147483647 - -")),
        (Some("300 0 - -"), Some(signed), Some(250), Some("300 0 - -")),
        (None, Some(signed), Some(250), Some("")),
    ] {
        let with = |row: Option<&str>| record(&row.map(|row| ("block", row)).into_iter().collect::<Vec<_>>());
        let export = exported(&Record { ceiling: ceiling.map(level), ..with(theirs) });
        let got = export.imported_into(&with(ours));
        let got = got.map(|record| record.rows.get(ConsensusKind::Block).map(ToString::to_string).unwrap_or_default());
        assert_eq!(got.ok().as_deref(), expected, "{ours:?} {theirs:?} {ceiling:?}");
    }
}

#[test]
fn a_contradiction_says_where_and_what_to_do() {
    let ours = record(&[("attestation", &format!("200 3 {DIGEST_A} -"))]);
    let theirs = record(&[("attestation", &format!("200 3 {DIGEST_B} -"))]);
    let error = exported(&theirs).imported_into(&ours).unwrap_err();
    assert_eq!(error.kind, ConsensusKind::Attestation);
    let message = error.to_string();
    assert!(message.contains("two different attestation signatures at level 200 round 3"), "{message}");
    // What the message says helps.
    exported(&theirs).imported_into(&ours.raised_to(error.position.level)).unwrap();
}

#[test]
fn what_is_not_of_the_rows_stays_as_it_was() {
    let mut theirs = Record::starting_above(level(300));
    theirs.suspend = true;
    theirs.ceiling = Some(level(400));
    theirs.audit = Some(format!("{} 7 {DIGEST_A}", "0f".repeat(16)).parse().unwrap());
    let ours = Record { ceiling: Some(level(900)), ..Record::starting_above(level(100)) };
    let imported = exported(&theirs).imported_into(&ours).unwrap();
    assert_eq!(imported, Record { ceiling: Some(level(900)), ..Record::starting_above(level(400)) });
    // Nor does a record that is made of it inherit anything but rows.
    assert_eq!(exported(&theirs).to_record(), Record::starting_above(level(400)));
}

#[test]
fn the_file_is_as_it_is_documented() {
    let text = format!(
        r#"{{
  "metadata": {{
    "format": "tezos-signing-watermarks/v1",
    "exported_at": "2026-11-23T18:00:00Z",
    "source": "tezos-signer 0.1.0"
  }},
  "data": [
    {{
      "chain_id": "NetXdQprcVkpaWU",
      "pkh": "{}",
      "block": {{
        "level": 200,
        "round": 3,
        "payload_digest": "{DIGEST_A}",
        "signature": "{}"
      }},
      "attestation": {{
        "level": 199,
        "round": 2147483647
      }},
      "ceiling": 250,
      "audit": "{} 7 {DIGEST_A}"
    }}
  ]
}}"#,
        key(),
        signature(1),
        "0f".repeat(16)
    );
    let export = Export::from_json(&text).unwrap();
    let block = format!("200 3 {DIGEST_A} {}", signature(1));
    let rows = record(&[("block", &block), ("attestation", "199 2147483647 - -")]);
    let ExportedRecord { audit, .. } = export.data[0];
    assert_eq!(export.data, [exported(&Record { ceiling: Some(level(250)), audit, ..rows })]);
    assert!(audit.is_some());
    assert_eq!(serde_json::to_string_pretty(&export).unwrap(), text);
}

#[test]
fn a_file_that_is_not_understood_is_refused_by_what_is_wrong_with_it() {
    let good = serde_json::to_string(&file(vec![exported(&Record::starting_above(level(100)))])).unwrap();
    Export::from_json(&good).unwrap();
    for (from, to, message) in [
        // Of a later format nothing else is looked at.
        (
            r#""format":"tezos-signing-watermarks/v1","#,
            r#""format":"tezos-signing-watermarks/v2","new":1,"#,
            "tezos-signing-watermarks/v2",
        ),
        (r#""format":"tezos-signing-watermarks/v1","#, "", "missing field `format`"),
        (r#""block":"#, r#""ballot":"#, "unknown field `ballot`"),
        (r#""level":100,"#, r#""level":100,"slot":1,"#, "unknown field `slot`"),
        (r#""level":100,"#, r#""level":-1,"#, "-1"),
        (r#""level":100,"#, r#""level":2147483648,"#, "2147483648"),
        (r#""level":100,"#, r#""level":100,"level":99,"#, r#"the name "level" occurs twice in one object"#),
        (r#""level":100,"#, "", "missing field `level`"),
        (r#""round":2147483647"#, r#""round":0,"signature":"SIGNATURE""#, "no payload_digest"),
        (r#""chain_id":"NetXdQprcVkpaWU""#, r#""chain_id":"NetXdQprcVkpaWV""#, "column"),
        (r#""data":[{"#, r#""more":1,"data":[{"#, "unknown field `more`"),
    ] {
        assert!(good.contains(from), "{from} {good}");
        let bad = good.replacen(from, &to.replace("SIGNATURE", &signature(1).to_string()), 1);
        let error = Export::from_json(&bad).expect_err(&bad).to_string();
        assert!(error.contains(message), "{message}: {error}");
    }
    let twice = file([100, 101].map(|floor| exported(&Record::starting_above(level(floor)))).to_vec());
    let error = Export::from_json(&serde_json::to_string(&twice).unwrap()).unwrap_err();
    assert!(matches!(error, InterchangeError::Twice { .. }), "{error}");
}

/// Close enough together that all relations between two of them come up.
fn any_position() -> impl Strategy<Value = (i64, u32)> {
    let level = prop_oneof![4 => 100_i64..104, 1 => Just(0), 1 => Just(2_147_483_647)];
    (level, prop::sample::select(vec![0, 1, 2, 2_147_483_647]))
}

/// A row of a world in which nothing is signed twice: what stands at a position is the same for everybody.
fn any_row() -> impl Strategy<Value = String> {
    any_position().prop_map(|(level, round)| {
        let digest = Digest::of(format!("{level} {round}").as_bytes());
        match (level.unsigned_abs() + u64::from(round)) % 3 {
            0 => format!("{level} {round} - -"),
            1 => format!("{level} {round} {digest} -"),
            _ => format!("{level} {round} {digest} {}", signature(level.to_le_bytes()[0] ^ round.to_le_bytes()[0])),
        }
    })
}

fn any_record() -> impl Strategy<Value = Record> {
    let rows = [(); 3].map(|()| prop::option::weighted(0.9, any_row()));
    let ceiling = prop::option::weighted(0.4, any_position().prop_map(|(position, _)| level(position)));
    (rows, ceiling).prop_map(|(rows, ceiling)| {
        let rows = ConsensusKind::ALL.into_iter().zip(rows);
        let rows: BTreeMap<&str, String> = rows.filter_map(|(kind, row)| Some((kind.as_str(), row?))).collect();
        let rows: Vec<_> = rows.iter().map(|(&kind, row)| (kind, row.as_str())).collect();
        Record { ceiling, ..record(&rows) }
    })
}

/// As it comes out of a file.
fn import(record: &Record, of: &Record) -> Result<Record, Contradiction> {
    let text = serde_json::to_string(&file(vec![exported(of)])).unwrap();
    Export::from_json(&text).unwrap().data[0].imported_into(record)
}

proptest! {
    #[test]
    fn an_import_lowers_nothing_and_knows_all_of_both(ours in any_record(), theirs in any_record()) {
        let after = import(&ours, &theirs).unwrap();
        prop_assert_eq!(after.forgets(&ours), None);
        for kind in ConsensusKind::ALL {
            let (Some(row), Some(before)) = (after.rows.get(kind), ours.rows.get(kind)) else {
                prop_assert!(after.rows.get(kind).is_none() && ours.rows.get(kind).is_none());
                continue;
            };
            let theirs_row = theirs.rows.get(kind).map_or(Position::GENESIS, |row| row.position);
            let ceiling = theirs.ceiling.map_or(Position::GENESIS, Position::end_of);
            prop_assert_eq!(row.position, before.position.max(theirs_row).max(ceiling));
        }
    }

    #[test]
    fn an_import_again_changes_nothing(ours in any_record(), theirs in any_record()) {
        let once = import(&ours, &theirs).unwrap();
        prop_assert_eq!(import(&once, &theirs).unwrap(), once);
    }

    /// A floor of an imported ceiling may meet a signature at the last round of that level, which nobody makes: there the two orders agree
    /// on the position, and otherwise on everything.
    #[test]
    fn imports_may_come_in_any_order(ours in any_record(), a in any_record(), b in any_record()) {
        let one = import(&import(&ours, &a).unwrap(), &b).unwrap();
        let other = import(&import(&ours, &b).unwrap(), &a).unwrap();
        for kind in ConsensusKind::ALL {
            let (one, other) = (one.rows.get(kind), other.rows.get(kind));
            prop_assert_eq!(one.map(|row| row.position), other.map(|row| row.position));
            if one.is_some_and(|row| row.position != Position::end_of(row.position.level)) {
                prop_assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn an_export_of_itself_changes_nothing(ours in any_record()) {
        let without = Record { ceiling: None, ..ours.clone() };
        prop_assert_eq!(&import(&without, &without).unwrap(), &without);
        // With a ceiling it is as if that had been reached: still nothing that could be signed twice.
        prop_assert_eq!(import(&ours, &ours).unwrap().forgets(&ours), None);
        prop_assert_eq!(exported(&without).to_record(), without);
    }
}
