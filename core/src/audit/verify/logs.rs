//! Reads the lines of the files, orders them by log and number, and verifies the hash chain of each log.

use super::Report;
use super::finding::{Finding, LogPosition};
use crate::anchor::LogId;
use crate::audit::{Event, Line};
use crate::key::Digest;
use std::collections::HashMap;
use std::collections::btree_map::{self, BTreeMap};

/// A log file's name and text. Lines that are none of an audit log are passed over, since `kubectl logs` mixes them.
pub struct File<'a> {
    /// As it is to be named in the report.
    pub name: &'a str,
    /// The whole text of the file.
    pub text: &'a str,
}

pub(super) struct Entry {
    pub(super) place: LogPosition,
    pub(super) hash: Digest,
    pub(super) line: Line,
}

pub(super) type Logs = BTreeMap<LogId, BTreeMap<u64, Entry>>;

/// Every line of every log, by number.
pub(super) fn read(files: &[File<'_>], report: &mut Report) -> Logs {
    let mut logs = Logs::new();
    for file in files {
        let mut last: HashMap<LogId, (u64, Digest, LogPosition)> = HashMap::new();
        for (i, text) in file.text.lines().enumerate() {
            let place = LogPosition { file: file.name.to_owned(), line: i + 1 };
            let Ok(line) = serde_json::from_str::<Line>(text) else {
                if text.starts_with("{\"log\":") {
                    report.notes.push(format!(
                        "{place}: this line cannot be parsed: it was torn when the process was killed, or edited. If another line \
                         depends on it, there is a separate finding"
                    ));
                }
                continue;
            };
            let (log, sequence) = (line.log, line.sequence);
            let hash = Digest::of(text.as_bytes());
            match last.insert(log, (sequence, hash, place.clone())) {
                Some((after, ..)) if after > sequence => {
                    report.findings.push(Finding::Reordered { place: place.clone(), log, sequence, after });
                }
                Some((before, same, first)) if before == sequence && same == hash => {
                    report.findings.push(Finding::Doubled { first, second: place.clone(), log, sequence });
                }
                _ => {}
            }
            let entry = Entry { place, hash, line };
            match logs.entry(log).or_default().entry(sequence) {
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(entry);
                }
                // The same line in two files: an overlap of two captures.
                btree_map::Entry::Occupied(there) if there.get().hash == entry.hash => {}
                btree_map::Entry::Occupied(there) => {
                    let (first, second) = (there.get().place.clone(), entry.place);
                    report.findings.push(Finding::Twice { first, second, log, sequence });
                }
            }
        }
    }
    logs
}

/// One log by itself: all numbers from 0, each with the hash of the one before.
pub(super) fn check_log(log: LogId, lines: &BTreeMap<u64, Entry>, lost: bool, report: &mut Report) {
    let mut next = 0;
    let mut before: Option<&Entry> = None;
    for (&sequence, entry) in lines {
        if sequence > next {
            let missing = Finding::Missing { place: entry.place.clone(), log, from: next, to: sequence - 1 };
            if lost {
                report.notes.push(format!("known to be lost: {missing}"));
            } else {
                report.findings.push(missing);
            }
        } else if entry.line.previous != before.map(|before| before.hash) {
            // Which of the two was edited, nobody can say; where the first line claims a line before it, it was.
            let edited = before.unwrap_or(entry);
            let place = edited.place.clone();
            report.findings.push(Finding::Edited { place, log, sequence: edited.line.sequence });
        }
        if matches!(entry.line.event, Event::Start { .. }) != (sequence == 0) {
            report.findings.push(Finding::Start { place: entry.place.clone(), log, sequence });
        }
        if let Event::Gap { lines, reason } = &entry.line.event {
            let place = &entry.place;
            report.notes.push(format!(
                "{place}: the signer could not write {lines} lines ({reason}); no signature was among them"
            ));
        }
        next = sequence + 1;
        before = Some(entry);
    }
}
