//! Watermarks of other signers: files in the shapes that they write (`watermarks/README.md` says where those were read), everything that
//! must be refused, and, as properties, that an import allows nothing that the source would have refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../core/tests/model/admitted.rs"]
mod admitted;
#[path = "../../core/tests/model/requests.rs"]
#[allow(dead_code, reason = "the model of core uses the rest")]
mod requests;

use admitted::admitted;
use proptest::prelude::*;
use requests::Request;
use serde_json::{Value, json};
use std::path::PathBuf;
use tezos_signer_core::admit::Admitted;
use tezos_signer_core::key::{ChainId, Curve, PublicKeyHash};
use tezos_signer_core::position::{ConsensusKind, Level, Position};
use tezos_signer_core::record::Record;
use tezos_signer_core::watermark::{Decision, decide};
use tezos_signer_interop::interchange::ExportedRecord;
use tezos_signer_interop::interchange::foreign::{Format, Marks};
use tezos_signer_interop::interchange::source::SourceFile;
use tezos_signer_interop::interchange::{octez, signatory};

const TZ3: &str = "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r";
const TZ2: &str = "tz2FCNBrERXtaTtNX6iimR1UJ5JSDxvdHM93";
const BLOCK: &str = "block_high_watermarks";
const SCAN: &str = "scan.json";
const MAINNET_FILE: &str = "NetXdQprcVkpaWU.json";

fn key(text: &str) -> PublicKeyHash {
    text.parse().unwrap()
}

fn level(level: i64) -> Level {
    Level::try_from(level).unwrap()
}

fn file(name: &str, text: impl Into<String>) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.into() }
}

/// The files of a directory of `tests/watermarks`.
fn files(directory: &str) -> Vec<SourceFile> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/watermarks").join(directory);
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| file(entry.file_name().to_str().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

fn read(files: &[SourceFile]) -> Result<Marks, String> {
    let mut marks = Marks::default();
    for file in files {
        let format = Format::of(file).map_err(|error| error.to_string())?;
        marks.read(format, file).map_err(|error| error.to_string())?;
    }
    Ok(marks)
}

/// The rows as a record has them; the digest and signature are shortened.
fn rows(record: Option<&ExportedRecord>) -> Vec<String> {
    let Some(record) = record else { return Vec::new() };
    let data = record.to_record().to_data();
    let short = |text: &str| text.split(' ').map(|word| &word[..word.len().min(10)]).collect::<Vec<_>>().join(" ");
    ConsensusKind::ALL
        .into_iter()
        .map(|kind| data.get(kind.as_str()).map_or("no row".to_owned(), |row| short(row)))
        .collect()
}

#[test]
fn files_of_the_real_shapes() {
    for (directory, format, of_tz3, of_tz2) in [
        (
            "octez",
            Format::Octez,
            ["2490372 0 f6ab0c6f48 p2sigvTwbg", "2490372 0 6e5c1f45cb p2sigd89TQ", "2244609 14 7ff5c4cc84 p2sigj2NHo"],
            ["no row", "no row", "2244610 12 e4e8cd67e4 spsig1YdpL"],
        ),
        // Before Tenderbake nothing has a round: the whole level.
        (
            "octez-v23",
            Format::Octez,
            ["1099999 2147483647 - -", "2490371 3 e0befc611c p2sigj2NHo", "1100000 2147483647 - -"],
            ["", "", ""],
        ),
        // The block's round may be another one than is slashed for; of the two attestations the higher one counts.
        (
            "signatory/watermark_v2",
            Format::Signatory,
            ["2490372 2147483647 - -", "2244609 14 8d72e51026 -", "2244609 14 7ff5c4cc84 -"],
            ["", "", ""],
        ),
        // One mark for all kinds.
        (
            "signatory-v1/watermark_v1",
            Format::Signatory,
            ["2244609 2147483647 - -", "2244609 2147483647 - -", "2244609 2147483647 - -"],
            ["", "", ""],
        ),
        (
            "signatory-v0/watermark",
            Format::Signatory,
            ["2244600 2147483647 - -", "2244609 2 - -", "2244609 2 7ff5c4cc84 -"],
            ["", "", ""],
        ),
        (
            "signatory-dynamodb",
            Format::SignatoryDynamoDb,
            ["2490372 2147483647 - -", "2244610 0 - -", "2244610 0 - -"],
            ["", "", ""],
        ),
        (
            "python-dynamodb",
            Format::PythonDynamoDb,
            ["2490372 0 - -", "2244609 14 - -", "2244609 14 - -"],
            ["", "", ""],
        ),
        ("python-sqlite", Format::PythonSqlite, ["5000000 1 - -", "5000001 0 - -", "5000001 2 - -"], ["", "", ""]),
        // Without a key: of every key.
        (
            "python-dynamodb-emmy",
            Format::PythonDynamoDb,
            ["1099999 2147483647 - -", "no row", "1100000 2147483647 - -"],
            ["1099999 2147483647 - -", "no row", "1100000 2147483647 - -"],
        ),
    ] {
        let files = files(directory);
        for file in &files {
            assert_eq!(Format::of(file).unwrap(), format, "{directory}/{}", file.name);
        }
        let marks = read(&files).unwrap();
        for (pkh, expected) in [(TZ3, of_tz3), (TZ2, of_tz2)] {
            let got = rows(marks.of(key(pkh), ChainId::MAINNET).as_ref());
            let expected: Vec<_> = expected.into_iter().filter(|row| !row.is_empty()).collect();
            assert_eq!(got, expected, "{directory} {pkh}");
        }
    }
}

#[test]
fn both_exports_of_a_table_say_the_same() {
    for directory in ["signatory-dynamodb", "python-dynamodb"] {
        let [export, scan] = &files(directory)[..] else { panic!("{directory}") };
        let (export, scan) = (read(std::slice::from_ref(export)).unwrap(), read(std::slice::from_ref(scan)).unwrap());
        assert_eq!(export, scan);
    }
}

#[test]
fn a_signature_of_octez_is_what_it_says() {
    let marks = read(&files("octez")).unwrap();
    let record = marks.of(key(TZ3), ChainId::MAINNET).unwrap().to_record();
    let vectors: Value =
        serde_json::from_str(include_str!("../../core/tests/vectors/tezos_signing_requests.json")).unwrap();
    let block = &vectors[2];
    let row = record.to_data()["block"].clone();
    assert_eq!(
        row,
        format!("2490372 0 {} {}", block["digest"].as_str().unwrap(), block["signature"].as_str().unwrap())
    );
    // So the identical block gets its signature again, as octez-signer would give it.
    let payload = hex::decode(block["payload"].as_str().unwrap()).unwrap();
    let decision = decide(&record, &admitted(key(TZ3), &payload), 100_000).unwrap();
    assert!(
        matches!(decision, Decision::Replay(signature) if signature.to_string() == block["signature"].as_str().unwrap())
    );
}

#[test]
fn keys_and_chains_of_others_are_named() {
    let marks = read(&files("octez")).unwrap();
    let others = marks.others(|key, chain| key.to_string() == TZ3 && chain == ChainId::MAINNET);
    let others: Vec<_> = others.iter().map(|(key, chain)| format!("{} {chain}", &key.to_string()[..3])).collect();
    assert_eq!(others, ["tz1 NetXdQprcVkpaWU", "tz2 NetXdQprcVkpaWU", "tz3 NetXnHfVqm9iesp", "tz4 NetXdQprcVkpaWU"]);
}

#[test]
fn what_is_not_understood_is_refused_by_what_is_wrong_with_it() {
    let octez = files("octez").into_iter().find(|file| file.name == BLOCK).unwrap();
    let signatory = files("signatory/watermark_v2").remove(0);
    let table = |directory| files(directory).into_iter().find(|file| file.name == SCAN).unwrap();
    let (signatory_table, python) = (table("signatory-dynamodb"), table("python-dynamodb"));
    for (good, from, to, message) in [
        (&octez, "\"level\": 2490372", "\"level\": -1", "-1"),
        (&octez, "\"level\": 2490372", "\"level\": 2147483648", "2147483648"),
        (&octez, "\"level\": 2490372,", "", "missing field `level`"),
        (&octez, "\"round\": 0", "\"round\": -1", "-1"),
        (&octez, "\"level\": 2490372", "\"level\": 2490372, \"level\": 1", "the name \"level\" occurs twice"),
        (&octez, "{", "{\"NetXdQprcVkpaWU\": {},", "the name \"NetXdQprcVkpaWU\" occurs twice"),
        (&signatory, "{", "{\"x\": {}, \"x\": {},", "the name \"x\" occurs twice"),
        (
            &python,
            "\"lastround\"",
            "\"lastblock\": {\"N\": \"1\"}, \"lastround\"",
            "the name \"lastblock\" occurs twice",
        ),
        (&octez, "\"round\": 0", "\"slot\": 0", "unknown field `slot`"),
        (&octez, "p2sig", "p3sig", "not a signature"),
        (&octez, "NetXdQprcVkpaWU", "NetXdQprcVkpaWV", "not a chain id"),
        (&octez, TZ3, "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6s", "not a public key hash"),
        (&signatory, "\"block\"", "\"blocks\"", "not a kind of Signatory"),
        (&signatory, "\"level\": ", "\"levels\": ", "unknown field `levels`"),
        (&signatory, "vh", "vi", "not a hash"),
        (&python, "Baking_", "Bakery_", "item 1 of the table: its attribute sig_type is"),
        (&python, "Baking_NetX", "Baking_NatX", "not a chain id"),
        (&python, "\"N\": \"2490372\"", "\"N\": \"2490372.5\"", "not a whole number"),
        (&python, "\"N\": \"2490372\"", "\"N\": \"-1\"", "-1"),
        (&python, "\"N\": \"2490372\"", "\"S\": \"2490372\"", "it is no number"),
        (&python, "\"lastround\"", "\"lastrounds\"", "unknown attribute lastrounds"),
        (&python, "\"Count\": 5", "\"Count\": 4", "it has 5 items, but Count is 4 and ScannedCount 5"),
        (&python, "\"ScannedCount\": 5", "\"ScannedCount\": 9", "without a filter"),
        (&python, "\"ConsumedCapacity\": null", "\"NextToken\": \"x\"", "only a part of the table"),
        (&signatory_table, "\"block\"", "\"blocks\"", "not a kind of Signatory"),
        (&signatory_table, "NetXdQprcVkpaWU/", "NetXdQprcVkpaWU:", "expected CHAIN/KEY"),
        (&signatory_table, "\"lvl\"", "\"level\"", "expected digest, idx, lvl, request, round"),
    ] {
        assert!(good.text.contains(from), "{from} {}", good.text);
        let bad = file(&good.name, good.text.replacen(from, to, 1));
        let error = read(&[bad]).expect_err(to);
        assert!(error.contains(message), "{to}: {error}");
        assert!(error.starts_with(&good.name), "{error}");
    }
    for (name, text, message) in [
        ("marks.json", octez.text.as_str(), "unknown format"),
        ("marks.json", "not JSON", "expected"),
        (SCAN, r#"{"Items":[],"Count":0,"ScannedCount":0,"ConsumedCapacity":null}"#, "the table is empty"),
        (
            SCAN,
            r#"{"Items":[{"lockname":{"S":"x"}}],"Count":1,"ScannedCount":1}"#,
            "neither of the Python signer's table",
        ),
    ] {
        let error = read(&[file(name, text)]).expect_err(text);
        assert!(error.contains(message), "{text}: {error}");
    }
    // Who names the format is not believed either.
    let error = Marks::default().read(Format::Octez, &file("marks.json", octez.text)).unwrap_err().to_string();
    assert!(error.contains("the name of an octez-signer file determines its kind"), "{error}");
}

#[test]
fn a_floor_makes_and_raises_rows_and_lowers_none() {
    let marks = read(&files("octez")).unwrap();
    let record = marks.of(key(TZ2), ChainId::MAINNET).unwrap();
    assert_eq!(record.missing(), [ConsensusKind::Block, ConsensusKind::Preattestation]);
    let raised = record.with_floor(level(2_244_000));
    assert_eq!(raised.missing(), []);
    let data = raised.to_record().to_data();
    assert_eq!(data["block"], "2244000 2147483647 - -");
    assert!(data["attestation"].starts_with("2244610 12 "), "{data:?}");
}

/// Signatory would sign the block of its mark again, and two signatures of an HSM are two blocks.
#[test]
fn the_mark_of_a_block_is_written_for_signatory_without_its_hash_and_those_of_votes_with_it() {
    let record = read(&written(Format::Octez, [Some((1000, 2)); 3], true)).unwrap();
    let record = record.of(key(TZ3), ChainId::MAINNET).unwrap().to_record();
    let text = signatory::written(None, key(TZ3), &record).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file[TZ3]["block"], json!({"level": 1000, "round": 2, "hash": null}));
    assert!(file[TZ3]["attestation"]["hash"].is_string() && file[TZ3]["preattestation"]["hash"].is_string(), "{text}");
}

/// The payload of `kind` at a position; `variant` tells two of one position apart. Sources remember `a`.
fn at(kind: ConsensusKind, (level, round): Remembered, variant: char) -> Admitted {
    admitted(key(TZ3), &Request::of(kind, level, round, variant).payload(Curve::P256))
}

/// What a source remembers of a kind: level, round, and what it signed there.
type Remembered = (u32, u32);

/// A file in which `source` remembers `marks`, one for each kind, of the key and of a stranger.
fn written(source: Format, marks: [Option<Remembered>; 3], with_round: bool) -> Vec<SourceFile> {
    let each = || ConsensusKind::ALL.into_iter().zip(marks).filter_map(|(kind, mark)| Some((kind, mark?)));
    let stranger = "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr";
    match source {
        Format::Octez => each()
            .map(|(kind, mark)| {
                let mut one = json!({"level": mark.0, "round": mark.1, "hash": at(kind, mark, 'a').digest()});
                if !with_round {
                    one.as_object_mut().unwrap().remove("round");
                }
                let all = json!({"NetXdQprcVkpaWU": {stranger: {"level": 1, "hash": at(kind, (1, 1), 'a').digest()}, TZ3: one}});
                file(&format!("{kind}_high_watermarks"), all.to_string())
            })
            .collect(),
        Format::Signatory => {
            let kinds: serde_json::Map<_, _> = each()
                .map(|(kind, (level, round))| {
                    (kind.to_string(), json!({"level": level, "round": with_round.then_some(round), "hash": null}))
                })
                .collect();
            vec![file(MAINNET_FILE, json!({TZ3: kinds}).to_string())]
        }
        Format::SignatoryDynamoDb => table(each().map(|(kind, (level, round))| {
            json!({
                "idx": {"S": format!("NetXdQprcVkpaWU/{TZ3}")}, "request": {"S": kind.as_str()}, "lvl": {"N": level.to_string()},
                "round": {"N": round.to_string()}, "digest": {"B": "AAAA"},
            })
        })),
        Format::PythonDynamoDb => table(each().map(|(kind, (level, round))| {
            let name = ["Baking", "Preendorsement", "Endorsement"][kind as usize];
            let mut item = json!({
                "sig_type": {"S": format!("{name}_NetXdQprcVkpaWU_{TZ3}")}, "lastblock": {"N": level.to_string()},
                "lastround": {"N": round.to_string()},
            });
            if !with_round {
                item.as_object_mut().unwrap().remove("lastround");
            }
            item
        })),
        Format::PythonSqlite => {
            let rows: Vec<_> = each()
                .map(|(kind, (level, round))| {
                    let name = ["Baking", "Preendorsement", "Endorsement"][kind as usize];
                    let key = format!("{name}_NetXdQprcVkpaWU_{TZ3}");
                    json!({"sigtype": key, "lastblock": level, "lastround": with_round.then_some(round)})
                })
                .collect();
            vec![file("table.json", json!(rows).to_string())]
        }
        Format::V1 => panic!("ours"),
    }
}

fn table(items: impl Iterator<Item = Value>) -> Vec<SourceFile> {
    let items: Vec<_> = items.collect();
    vec![file(SCAN, json!({"Items": items, "Count": items.len(), "ScannedCount": items.len()}).to_string())]
}

fn any_position() -> impl Strategy<Value = Remembered> {
    (
        prop_oneof![4 => 100_u32..104, 1 => Just(0), 1 => Just(2_147_483_647)],
        prop::sample::select(vec![0, 1, 2, 2_147_483_647]),
    )
}

fn any_source() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.into_iter().filter(|&format| format != Format::V1).collect::<Vec<_>>())
}

fn any_marks() -> impl Strategy<Value = [Option<Remembered>; 3]> {
    [(); 3]
        .map(|()| prop::option::weighted(0.8, any_position()))
        .prop_filter("something", |marks| marks.iter().any(Option::is_some))
}

proptest! {
    /// Every source refuses what is not above its mark; the loosest reading of all of them, of the same digest, too.
    #[test]
    fn nothing_is_signed_that_the_source_would_have_refused(
        source in any_source(), marks in any_marks(), with_round: bool, ours in any_position(), asked in any_position(), variant in prop::sample::select(vec!['a', 'b']),
    ) {
        let read = read(&written(source, marks, with_round)).unwrap();
        let exported = read.of(key(TZ3), ChainId::MAINNET).unwrap();
        let floor = ExportedRecord::of(key(TZ3), ChainId::MAINNET, &Record::default()).with_floor(level(ours.0.into())).to_record();
        for record in [exported.to_record(), exported.imported_into(&floor).unwrap()] {
            for (kind, mark) in ConsensusKind::ALL.into_iter().zip(marks) {
                let Some(mark) = mark else { continue };
                let answer = decide(&record, &at(kind, asked, variant), u32::MAX);
                // By level alone where the source has no round, or its round of a block is none of the protocol's.
                let by_level = !with_round && source != Format::SignatoryDynamoDb
                    || kind == ConsensusKind::Block && matches!(source, Format::Signatory | Format::SignatoryDynamoDb);
                if if by_level { asked.0 <= mark.0 } else { asked <= mark } {
                    prop_assert!(answer.is_err(), "{source} {kind} {marks:?} {asked:?}: {answer:?}");
                }
            }
        }
        // And nothing more is refused: what is above both is signed.
        for (kind, mark) in ConsensusKind::ALL.into_iter().zip(marks) {
            if let Some(mark) = mark && asked.0 > mark.0 {
                let answer = decide(&exported.to_record(), &at(kind, asked, 'b'), u32::MAX);
                prop_assert!(matches!(answer, Ok(Decision::Advance(_))), "{answer:?}");
            }
        }
    }

    #[test]
    fn an_import_lowers_nothing(source in any_source(), marks in any_marks(), with_round: bool, ours in any_marks()) {
        let foreign = read(&written(source, marks, with_round)).unwrap().of(key(TZ3), ChainId::MAINNET).unwrap();
        let ours = read(&written(Format::Octez, ours, true)).unwrap().of(key(TZ3), ChainId::MAINNET).unwrap().to_record();
        let after = foreign.imported_into(&ours).unwrap();
        prop_assert_eq!(after.forgets(&ours), None);
        prop_assert_eq!(foreign.imported_into(&after).unwrap(), after);
    }

    /// The way back: what is written for another signer is read as what it was, and its own marks are not lowered.
    #[test]
    fn what_is_written_for_another_signer_says_the_same(ours in any_marks(), theirs in any_marks(), into_octez: bool) {
        let record = read(&written(Format::Octez, ours, true)).unwrap().of(key(TZ3), ChainId::MAINNET).unwrap().to_record();
        let source = if into_octez { Format::Octez } else { Format::Signatory };
        let existing = written(source, theirs, true);
        let back: Vec<_> = if into_octez {
            ConsensusKind::ALL
                .into_iter()
                .filter_map(|kind| {
                    let name = format!("{kind}_high_watermarks");
                    let existing = existing.iter().find(|file| file.name == name);
                    let text = octez::written(existing, kind, key(TZ3), ChainId::MAINNET, &record).unwrap();
                    text.map(|text| file(&name, text)).or_else(|| existing.cloned())
                })
                .collect()
        } else {
            vec![file(MAINNET_FILE, signatory::written(existing.first(), key(TZ3), &record).unwrap())]
        };
        let back = read(&back).unwrap().of(key(TZ3), ChainId::MAINNET).unwrap().to_record();
        let theirs = read(&existing).unwrap().of(key(TZ3), ChainId::MAINNET).unwrap().to_record();
        for kind in ConsensusKind::ALL {
            let at = |record: &Record| record.rows.get(kind).map(|row| row.position);
            prop_assert!(at(&back) >= at(&record) && at(&back) >= at(&theirs), "{kind}");
            prop_assert!(at(&back) <= at(&record).max(at(&theirs)).map(|position| Position::end_of(position.level)), "{kind}");
        }
    }
}
