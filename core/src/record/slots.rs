//! The slots of a record's file: the text of a state in one, and which of two counts.
//!
//! A slot is eight lines of [`LINE`] bytes, the smallest piece that a disk writes whole. Each line is a JSON object with at most one
//! row of the record, the number and the digest of the state that it belongs to, and a check over itself:
//!
//! ```json
//! {"write":42,"record":"5d2a8f0a7be31c44","row":"block","text":"2490372 0 f6ab… p2sig…","check":"90a1c0b4d7e2f315"}
//! ```
//!
//! The checks tell a write that a power loss has cut from damage. Every line of a cut write is whole, and is of the write that was cut or
//! of what it replaces: the other slot counts, whose state was on disk before. Anything else was edited or damaged, and may have been
//! the newest state: INVARIANT R16: nothing is decided on such a file.

use crate::key::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// The length of a slot, in bytes: a block of every usual file system, so that a write of one slot touches nothing of the other.
pub const SLOT: usize = LINE * LINES;

/// The length of a line with its line end, in bytes: a sector.
const LINE: usize = 512;

/// The lines of a slot: one for each row that a record can have, and one to spare.
const LINES: usize = 8;

/// How every file of slots begins.
const BEGINNING: &str = r#"{"write":"#;

/// Why a file is not one of slots that can be relied on. A retry does not help: restore it, or raise a new record above everything that was
/// signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotsError {
    /// Something was added or cut off.
    #[error("it has {0} bytes, and a file of a record has {expected}", expected = 2 * SLOT)]
    Length(usize),
    /// The text of a line does not have its check.
    #[error("its line {0} was edited or damaged; only `tezos-signer watermarks` can change it")]
    Line(usize),
    /// Each line is whole, but no power loss leaves these two slots.
    #[error(
        "its two halves are not of two writes, one after the other: it was put together from several files, or damaged"
    )]
    Order,
}

/// The state that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) write: u64,
    pub(super) slot: Slot,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    First,
    Second,
}

impl Slot {
    pub(super) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Its bytes in the file.
    pub(super) fn range(self) -> Range<usize> {
        match self {
            Self::First => 0..SLOT,
            Self::Second => SLOT..2 * SLOT,
        }
    }
}

/// A line of a slot, without its check.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The number of the state.
    write: u64,
    /// The digest of its rows: lines of two writes with one number, both of which were cut, are of two states.
    record: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// What stands before the check of a line, and after it.
const CHECK: (&str, &str) = (r#","check":""#, r#""}"#);

impl Line {
    /// As it stands in the file, with its line end.
    fn print(&self) -> String {
        // Numbers and strings always serialise.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.pop();
        let check = short_digest(line.as_bytes());
        let (before, after) = CHECK;
        line.extend([before, &check, after]);
        let blanks = (LINE - 1).saturating_sub(line.len());
        line.extend(std::iter::repeat_n(' ', blanks).chain(['\n']));
        line
    }

    /// `None` if it was not printed by [`Line::print`].
    fn parse(printed: &[u8]) -> Option<Self> {
        let printed = std::str::from_utf8(printed).ok()?.strip_suffix('\n')?.trim_end_matches(' ');
        let (before, after) = CHECK;
        let (json, check) = printed.strip_suffix(after)?.rsplit_once(before)?;
        if check != short_digest(json.as_bytes()) {
            return None;
        }
        serde_json::from_str(&format!("{json}}}")).ok()
    }
}

/// Protects against accidents, not against people, who can write whole files.
fn short_digest(bytes: &[u8]) -> String {
    hex::encode(&Digest::of(bytes).as_bytes()[..8])
}

fn digest_of(rows: &BTreeMap<String, String>) -> String {
    // A map of strings always serialises.
    short_digest(&serde_json::to_vec(rows).unwrap_or_default())
}

/// The text of a slot with this state.
pub(super) fn text_of(write: u64, rows: &BTreeMap<String, String>) -> String {
    let digest = digest_of(rows);
    let line = |row: Option<&String>, text: Option<&String>| {
        Line { write, record: digest.clone(), row: row.cloned(), text: text.cloned() }.print()
    };
    let spare = line(None, None).repeat(LINES - rows.len());
    rows.iter().map(|(row, text)| line(Some(row), Some(text))).collect::<String>() + &spare
}

/// What a slot has.
enum SlotState {
    /// One state, all of it.
    Whole { write: u64, rows: BTreeMap<String, String> },
    /// Lines of several states, whose numbers these are.
    Cut { writes: Vec<u64> },
}

impl SlotState {
    fn of(text: &[u8], slot: Slot) -> Result<Self, SlotsError> {
        let range = slot.range();
        let first_line = range.start / LINE + 1;
        let lines = text[range].chunks(LINE).enumerate();
        let lines = lines.map(|(i, line)| Line::parse(line).ok_or(SlotsError::Line(first_line + i)));
        let lines = lines.collect::<Result<Vec<Line>, SlotsError>>()?;
        let is_one = lines.windows(2).all(|pair| (pair[0].write, &pair[0].record) == (pair[1].write, &pair[1].record));
        let (write, digest) = (lines[0].write, lines[0].record.clone());
        let writes = lines.iter().map(|line| line.write).collect();
        let rows = lines.into_iter().filter_map(|line| line.row.zip(line.text)).collect();
        let is_whole = is_one && digest_of(&rows) == digest;
        Ok(if is_whole { Self::Whole { write, rows } } else { Self::Cut { writes } })
    }
}

/// Whether `text` is that of a file of slots, whole or damaged.
pub(super) fn are_in(text: &str) -> bool {
    text.starts_with(BEGINNING)
}

/// Finds the state that counts in the text of a file.
pub(super) fn newest_of(text: &str) -> Result<(Newest, BTreeMap<String, String>), SlotsError> {
    if text.len() != 2 * SLOT {
        return Err(SlotsError::Length(text.len()));
    }
    let [first, second] = [Slot::First, Slot::Second].map(|slot| SlotState::of(text.as_bytes(), slot));
    let whole = |slot, write, rows| Ok((Newest { write, slot }, rows));
    match (first?, second?) {
        (SlotState::Whole { write, rows }, SlotState::Whole { write: older, .. }) if follows(write, older) => {
            whole(Slot::First, write, rows)
        }
        (SlotState::Whole { write: older, .. }, SlotState::Whole { write, rows }) if follows(write, older) => {
            whole(Slot::Second, write, rows)
        }
        (SlotState::Whole { write, rows }, SlotState::Cut { writes }) if is_cut_after(write, &writes) => {
            whole(Slot::First, write, rows)
        }
        (SlotState::Cut { writes }, SlotState::Whole { write, rows }) if is_cut_after(write, &writes) => {
            whole(Slot::Second, write, rows)
        }
        _ => Err(SlotsError::Order),
    }
}

fn follows(write: u64, older: u64) -> bool {
    older.checked_add(1) == Some(write)
}

/// Whether lines with the numbers `cut` may stand beside the whole state `write`: they are of the write after it, and of the state before
/// it, which that write replaces.
fn is_cut_after(write: u64, cut: &[u64]) -> bool {
    cut.iter().all(|&cut| follows(cut, write) || follows(write, cut))
}
