//! Whether logs are whole, and say the same as the watermark records: what an auditor asks.
//!
//! Three looks, each of which finds what the one before cannot. Within each log every line has the hash of the one before:
//! finds what was edited, cut out or moved. From each record back along the anchors: finds a log that is missing or cut
//! short, since the record names a line of it. Along that way again: the positions rise, so no two signatures were committed
//! for one. What remains is said as a note: the lines after the newest anchor of a log could be cut off unseen.

use super::{AuditAnchor, Event, Line, LogId, Outcome};
use crate::key::Digest;
use crate::position::{ConsensusKind, Position};
use crate::record::RecordName;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A line behind one with a higher number.
    #[error("{place}: line {sequence} of log {log} stands behind line {after}: lines were moved")]
    Reordered {
        /// Where.
        place: Place,
        /// Of which log.
        log: LogId,
        /// Its number.
        sequence: u64,
        /// The number that stands before it.
        after: u64,
    },
    /// Two lines with one number.
    #[error("{first} and {second}: two different lines {sequence} of log {log}: one was edited or made up")]
    Twice {
        /// One of them.
        first: Place,
        /// The other.
        second: Place,
        /// Of which log.
        log: LogId,
        /// Their number.
        sequence: u64,
    },
    /// Numbers are missing.
    #[error(
        "{place}: lines {from} to {to} of log {log} are missing before this one: cut out, or in a file that was not given"
    )]
    Missing {
        /// The first line that is there again.
        place: Place,
        /// Of which log.
        log: LogId,
        /// The first missing number.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// A line is not the one whose hash the next line has.
    #[error("{place}: line {sequence} of log {log} was edited: the line behind it has another hash of it")]
    Edited {
        /// Where.
        place: Place,
        /// Of which log.
        log: LogId,
        /// Its number.
        sequence: u64,
    },
    /// An anchor names a line that is not there.
    #[error("line {} of log {} is missing: {by} vouches for it. The log was cut short, or not given", anchor.sequence, anchor.log)]
    AnchorMissing {
        /// The line.
        anchor: AuditAnchor,
        /// Who names it.
        by: Voucher,
    },
    /// An anchor names a line that is another one now.
    #[error("{place}: line {} of log {} was edited: {by} vouches for another text of it", anchor.sequence, anchor.log)]
    AnchorDiffers {
        /// The line.
        anchor: AuditAnchor,
        /// Where it stands.
        place: Place,
        /// Who names it.
        by: Voucher,
    },
    /// An anchor names a line that announces nothing for this record.
    #[error("{place}: {by} vouches for this line, which announces no signature for {record}")]
    NoIntent {
        /// Where.
        place: Place,
        /// Who names it.
        by: Voucher,
        /// For which record.
        record: RecordName,
    },
    /// Two commits of one record whose positions do not rise.
    #[error(
        "{later}: {kind} at {position} was committed to {record} after one at {before} ({earlier}): a second signature, or the record was set back"
    )]
    NotRising {
        /// The later line.
        later: Place,
        /// The earlier one.
        earlier: Place,
        /// Of what.
        kind: ConsensusKind,
        /// The later position.
        position: Position,
        /// The earlier position.
        before: Position,
        /// Which record.
        record: RecordName,
    },
    /// A signature was given that the record knows nothing of.
    #[error(
        "{place}: a signature for {record} left the signer, and the record does not vouch for it: the record was set back, or is another one"
    )]
    NotCommitted {
        /// The line that says so.
        place: Place,
        /// Which record.
        record: RecordName,
    },
}

/// Who names an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voucher {
    /// A record.
    Record(RecordName),
    /// A later line.
    Line(Place),
}

impl fmt::Display for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(record) => write!(f, "the record {record}"),
            Self::Line(place) => write!(f, "{place}"),
        }
    }
}

/// What was looked at, and what was seen.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many logs.
    pub logs: usize,
    /// How many lines of them.
    pub lines: usize,
    /// How many signatures the records vouch for.
    pub anchored: usize,
    /// What is wrong, the first in each log first.
    pub findings: Vec<Finding>,
    /// What cannot be judged, and why. One sentence each.
    pub notes: Vec<String>,
}

/// A log file's name and text. Lines that are none of an audit log are passed over, since `kubectl logs` mixes them.
pub struct File<'a> {
    /// As it is to be named in the report.
    pub name: &'a str,
    /// All of it.
    pub text: &'a str,
}

struct Entry {
    place: Place,
    hash: Digest,
    line: Line,
}

type Logs = BTreeMap<LogId, BTreeMap<u64, Entry>>;

/// Judges `files` by themselves and by what `records` hold. Of the logs in `lost` it is known that they are incomplete; what
/// is missing of them is a note, not a finding.
pub fn verify(
    files: &[File<'_>],
    records: &BTreeMap<RecordName, Option<AuditAnchor>>,
    lost: &BTreeSet<LogId>,
) -> Report {
    let mut report = Report::default();
    let logs = read(files, &mut report);
    report.logs = logs.len();
    report.lines = logs.values().map(BTreeMap::len).sum();
    for (log, lines) in &logs {
        check_log(*log, lines, lost.contains(log), &mut report);
    }
    let mut newest: HashMap<LogId, u64> = HashMap::new();
    for (record, anchor) in records {
        walk(record, *anchor, &logs, lost, &mut newest, &mut report);
    }
    say_what_nobody_vouches_for(&logs, records, &newest, &mut report);
    report
}

/// Every line of every log, by number.
fn read(files: &[File<'_>], report: &mut Report) -> Logs {
    let mut logs = Logs::new();
    for file in files {
        let mut last: HashMap<LogId, u64> = HashMap::new();
        for (i, text) in file.text.lines().enumerate() {
            let place = Place { file: file.name.to_owned(), line: i + 1 };
            let Ok(line) = serde_json::from_str::<Line>(text) else {
                if text.starts_with("{\"log\":") {
                    report.notes.push(format!(
                        "{place}: this line cannot be read: torn when the process was killed, or edited. If anything depends on \
                         it, that is said by itself"
                    ));
                }
                continue;
            };
            let (log, sequence) = (line.log, line.sequence);
            if let Some(&after) = last.get(&log)
                && after > sequence
            {
                report.findings.push(Finding::Reordered { place: place.clone(), log, sequence, after });
            }
            last.insert(log, sequence);
            let entry = Entry { place, hash: Digest::of(text.as_bytes()), line };
            match logs.entry(log).or_default().entry(sequence) {
                std::collections::btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(entry);
                }
                // The same line in two files: an overlap of two captures.
                std::collections::btree_map::Entry::Occupied(there) if there.get().hash == entry.hash => {}
                std::collections::btree_map::Entry::Occupied(there) => {
                    let (first, second) = (there.get().place.clone(), entry.place);
                    report.findings.push(Finding::Twice { first, second, log, sequence });
                }
            }
        }
    }
    logs
}

/// One log by itself: all numbers from 0, each with the hash of the one before.
fn check_log(log: LogId, lines: &BTreeMap<u64, Entry>, lost: bool, report: &mut Report) {
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

/// From a record back along its anchors.
fn walk(
    record: &RecordName,
    anchor: Option<AuditAnchor>,
    logs: &Logs,
    lost: &BTreeSet<LogId>,
    newest: &mut HashMap<LogId, u64>,
    report: &mut Report,
) {
    let mut committed: HashSet<AuditAnchor> = HashSet::new();
    let mut later: BTreeMap<ConsensusKind, (Position, Place)> = BTreeMap::new();
    let mut voucher = Voucher::Record(record.clone());
    let mut next = anchor;
    let whole = loop {
        let Some(anchor) = next else { break true };
        let Some(entry) = logs.get(&anchor.log).and_then(|lines| lines.get(&anchor.sequence)) else {
            let missing = Finding::AnchorMissing { anchor, by: voucher };
            if lost.contains(&anchor.log) {
                report.notes.push(format!(
                    "known to be lost: {missing}; what was committed to {record} before cannot be judged"
                ));
            } else {
                report.findings.push(missing);
            }
            break false;
        };
        let place = entry.place.clone();
        if entry.hash != anchor.hash {
            report.findings.push(Finding::AnchorDiffers { anchor, place, by: voucher });
            break false;
        }
        let intent = match &entry.line.event {
            Event::Intent { request, record: of, replaces } if of == record => Some((request, *replaces)),
            _ => None,
        };
        // An anchor that was passed before would make this go round for ever. No honest log has one: it would need its own hash.
        let Some((request, replaces)) = intent.filter(|_| committed.insert(anchor)) else {
            report.findings.push(Finding::NoIntent { place, by: voucher, record: record.clone() });
            break false;
        };
        report.anchored += 1;
        let newest = newest.entry(anchor.log).or_default();
        *newest = (*newest).max(anchor.sequence);
        let kind = ConsensusKind::ALL.into_iter().find(|kind| request.kind.as_deref() == Some(kind.as_str()));
        if let (Some(kind), Some(position)) = (kind, request.position) {
            if let Some((above, at)) = later.get(&kind)
                && *above <= position
            {
                report.findings.push(Finding::NotRising {
                    later: at.clone(),
                    earlier: place.clone(),
                    kind,
                    position: *above,
                    before: position,
                    record: record.clone(),
                });
            }
            later.insert(kind, (position, place.clone()));
        }
        voucher = Voucher::Line(place);
        next = replaces;
    };
    if whole {
        find_signatures_without_commit(record, &committed, logs, report);
    }
}

/// Signatures for `record` that were given, and of which it knows nothing, though all that it knows is there.
fn find_signatures_without_commit(
    record: &RecordName,
    committed: &HashSet<AuditAnchor>,
    logs: &Logs,
    report: &mut Report,
) {
    for lines in logs.values() {
        for entry in lines.values() {
            let Event::Outcome { outcome: Outcome::Signed, intent: Some(intent), .. } = &entry.line.event else {
                continue;
            };
            let Some(intent) = lines.get(intent) else { continue };
            let Event::Intent { record: of, .. } = &intent.line.event else { continue };
            let anchor = AuditAnchor { log: intent.line.log, sequence: intent.line.sequence, hash: intent.hash };
            if of == record && !committed.contains(&anchor) {
                report.findings.push(Finding::NotCommitted { place: entry.place.clone(), record: record.clone() });
            }
        }
    }
}

fn say_what_nobody_vouches_for(
    logs: &Logs,
    records: &BTreeMap<RecordName, Option<AuditAnchor>>,
    newest: &HashMap<LogId, u64>,
    report: &mut Report,
) {
    if records.is_empty() {
        report.notes.push(
            "no watermark record was looked at (--config FILE or --record FILE): whole logs, or the ends of logs, could be \
             missing unseen"
                .to_owned(),
        );
        return;
    }
    for (log, lines) in logs {
        let Some((&last, entry)) = lines.last_key_value() else { continue };
        let (place, after) = (&entry.place, newest.get(log).map_or(last + 1, |newest| last - newest.min(&last)));
        if after > 0 {
            report.notes.push(format!(
                "{place}: no record vouches for the last {after} lines of log {log}: were more behind them, it could not be seen"
            ));
        }
    }
}
