//! The file of a record: what counts in it after a write that was cut at any place, and that nothing else than a cut is made good.

use crate::anchor;
use crate::properties::{any_record, any_scheme};
use proptest::prelude::*;
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::key::Signature;
use tezos_signer_core::position::{ConsensusKind, Level, Position, Round};
use tezos_signer_core::record::{Record, RecordError, RecordFile, Row, Rows, SLOT, SlotsError, Stored};

/// The smallest piece that a disk writes whole.
const SECTOR: usize = 512;
const SECTORS: usize = SLOT / SECTOR;

fn records() -> impl Strategy<Value = [Record; 4]> {
    any_scheme().prop_flat_map(|scheme| {
        let record = || any_record(scheme);
        (record(), record(), record(), record()).prop_map(|(a, b, c, d)| [a, b, c, d])
    })
}

fn parse(text: &str) -> RecordFile {
    RecordFile::parse(text.to_owned()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn slots_error(text: String) -> SlotsError {
    match RecordFile::parse(text) {
        Err(RecordError::Slots(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// What a power loss leaves of the write of `after` over `before`, if of its sectors only those of the bits in `kept` reached the disk.
fn cut(before: &RecordFile, after: &RecordFile, kept: u32) -> String {
    let (offset, _) = after.newest_slot().unwrap();
    let mut text = before.text().to_owned();
    for sector in (0..SECTORS).filter(|sector| kept & (1 << sector) != 0) {
        let begin = usize::try_from(offset).unwrap() + sector * SECTOR;
        text.replace_range(begin..begin + SECTOR, &after.text()[begin..begin + SECTOR]);
    }
    text
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in records()) {
        let mut file = RecordFile::new(&records[0]);
        for record in &records {
            file = file.followed_by(record);
            prop_assert_eq!(&file.text().len(), &(2 * SLOT));
            prop_assert_eq!(&parse(file.text()), &file);
            prop_assert_eq!(file.record(), record);
        }
    }

    #[test]
    fn a_write_changes_its_slot_and_nothing_of_the_newest_state(records in records()) {
        let before = RecordFile::new(&records[0]).followed_by(&records[1]);
        let after = before.followed_by(&records[2]);
        let ((kept, _), (offset, text)) = (before.newest_slot().unwrap(), after.newest_slot().unwrap());
        prop_assert!(kept != offset && text.len() == SLOT);
        let kept = usize::try_from(kept).unwrap();
        prop_assert_eq!(&before.text()[kept..kept + SLOT], &after.text()[kept..kept + SLOT]);
    }

    /// All 256 of them, and once more on top of each: what the first cut has left is written over.
    #[test]
    fn after_a_write_that_was_cut_the_state_before_it_counts_or_its_own(records in records(), second in 0_u32..1 << SECTORS) {
        let [first, before, after, later] = records;
        let before = RecordFile::new(&first).followed_by(&before);
        let after = before.followed_by(&after);
        for kept in 0..1 << SECTORS {
            let found = parse(&cut(&before, &after, kept));
            let is_either = found.record() == before.record() || found.record() == after.record();
            prop_assert!(is_either, "kept {kept:08b}");
            if kept == (1 << SECTORS) - 1 {
                prop_assert_eq!(&found, &after);
            }
            let next = found.followed_by(&later);
            let found_then = parse(&cut(&found, &next, second));
            let is_either = found_then.record() == found.record() || found_then.record() == &later;
            prop_assert!(is_either, "kept {kept:08b}, then {second:08b}");
        }
    }

    /// INVARIANT R16: Whoever edits a file, and whatever a disk makes of it: the state before is never taken for the newest one.
    #[test]
    fn a_file_with_any_byte_changed_is_refused(records in records(), at in 0..2 * SLOT, byte in 0x20_u8..0x7f) {
        let file = RecordFile::new(&records[0]).followed_by(&records[1]);
        let mut bytes = file.text().as_bytes().to_vec();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let changed = RecordFile::parse(String::from_utf8(bytes).unwrap());
        prop_assert!(changed.is_err(), "{changed:?}");
    }

    #[test]
    fn a_plain_object_is_read_and_followed_by_slots(records in records()) {
        let [before, after, ..] = records;
        let text = serde_json::to_string_pretty(&before.to_data()).unwrap();
        let plain = parse(&text);
        prop_assert_eq!(plain.record(), &before);
        prop_assert_eq!(plain.newest_slot(), None);
        prop_assert_eq!(plain.followed_by(&after), RecordFile::new(&after));
    }
}

#[test]
fn the_longest_record_fits_into_a_slot() {
    let position =
        Position { level: Level::try_from(2_147_483_647).unwrap(), round: Round::try_from(2_147_483_647).unwrap() };
    let stored = |byte| Stored::Signature { digest: anchor(0).hash, signature: Signature::Bls12381([byte; 96]) };
    let record = Record {
        rows: Rows::from_fn(|_| Some(Row { position, stored: stored(0xff) })),
        audit: Some(AuditAnchor { log: LogId::from_bytes([0xff; 16]), sequence: u64::MAX, hash: anchor(0).hash }),
        ceiling: Some(position.level),
        suspend: true,
    };
    let file = RecordFile::new(&record).followed_by(&record);
    assert_eq!(file.text().len(), 2 * SLOT);
    assert_eq!(parse(file.text()).record(), &record);
}

fn file_of(levels: &[i64]) -> RecordFile {
    let floor = |level: i64| Record::starting_above(Level::try_from(level).unwrap());
    levels.iter().fold(RecordFile::new(&floor(1)), |file, &level| file.followed_by(&floor(level)))
}

#[test]
fn what_no_power_loss_leaves_is_refused_with_the_reason() {
    let file = file_of(&[2, 3]);
    let text = file.text();
    assert_eq!(slots_error(text[..SLOT].to_owned()), SlotsError::Length(SLOT));
    assert_eq!(slots_error(format!("{text}\n")), SlotsError::Length(2 * SLOT + 1));
    let edited = text.replacen(" 2147483647 - -", " 2147483646 - -", 1);
    assert_eq!(slots_error(edited), SlotsError::Line(1));
    let zeros = format!("{}{}", &text[..SLOT], "\0".repeat(SLOT));
    assert_eq!(slots_error(zeros), SlotsError::Line(9));

    let later = file_of(&[2, 3, 4, 5]);
    let of_two = format!("{}{}", &text[..SLOT], &later.text()[SLOT..]);
    assert_eq!(slots_error(of_two), SlotsError::Order, "of two files");
    let twice = format!("{}{}", &text[..SLOT], &text[..SLOT]);
    assert_eq!(slots_error(twice), SlotsError::Order, "one slot twice");
    let next = file.followed_by(file_of(&[9]).record());
    let cut_both = format!("{}{}", &cut(&file, &next, 1)[..SLOT], &cut(&file, &next, 1)[..SLOT]);
    assert_eq!(slots_error(cut_both), SlotsError::Order, "both cut");
}

#[test]
fn a_record_without_some_rows_leaves_their_lines_empty() {
    let row = Row { position: Position::GENESIS, stored: Stored::Digest(anchor(1).hash) };
    let rows = Rows::from_fn(|kind| (kind == ConsensusKind::Block).then_some(row));
    let record = Record { rows, ..Record::default() };
    let file = RecordFile::new(&record);
    assert!(file.text().lines().all(|line| line.len() == SECTOR - 1));
    assert_eq!(file.text().matches("\"row\":\"block\"").count(), 2);
    assert_eq!(parse(file.text()).record(), &record);
}
