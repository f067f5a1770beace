//! `audit verify`: whether audit logs are complete and consistent with the watermark records.
//!
//! There are three passes, each of which finds what the previous ones cannot. Within each log, every line has the hash of the
//! previous one; this finds edited, removed and reordered lines. From each record, the anchors are followed back; this finds
//! logs that are missing or truncated, because the record names a line of them. Along the anchors, the positions must rise;
//! this finds two signatures for one position. Lines after the last anchored line of a log could be removed without detection
//! and are reported as a note.

mod anchors;
mod claims;
mod finding;
mod logs;

pub use finding::{AnchorSource, Finding, LogPosition, OutcomeFault};
pub use logs::File;

use super::{Event, Outcome};
use crate::anchor::{AuditAnchor, LogId};
use crate::record::RecordName;
use logs::Logs;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What was looked at, and what was seen.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The number of logs that were verified.
    pub logs: usize,
    /// The number of lines in these logs.
    pub lines: usize,
    /// The number of signatures that the records vouch for.
    pub anchored: usize,
    /// What is wrong, the first in each log first.
    pub findings: Vec<Finding>,
    /// What cannot be judged, and why. One sentence each.
    pub notes: Vec<String>,
}

/// Judges `files` by themselves and by what `records` hold. Of the logs in `lost` it is known that they are incomplete; what
/// is missing of them is a note, not a finding.
pub fn verify(
    files: &[File<'_>],
    records: &BTreeMap<RecordName, Option<AuditAnchor>>,
    lost: &BTreeSet<LogId>,
) -> Report {
    let mut report = Report::default();
    let logs = logs::read(files, &mut report);
    report.logs = logs.len();
    report.lines = logs.values().map(BTreeMap::len).sum();
    for (log, lines) in &logs {
        logs::check_log(*log, lines, lost.contains(log), &mut report);
        claims::check_outcomes(lines, &mut report);
    }
    claims::check_evidence(&logs, lost, &mut report);
    let mut newest: HashMap<LogId, u64> = HashMap::new();
    for (record, anchor) in records {
        anchors::walk(record, *anchor, &logs, lost, &mut newest, &mut report);
    }
    say_what_nobody_vouches_for(&logs, records, &newest, &mut report);
    say_which_records_were_not_given(&logs, records, &mut report);
    report
}

/// Signatures of records that were not given are judged by their logs alone.
fn say_which_records_were_not_given(
    logs: &Logs,
    records: &BTreeMap<RecordName, Option<AuditAnchor>>,
    report: &mut Report,
) {
    if records.is_empty() {
        return;
    }
    let mut unknown: BTreeMap<&RecordName, usize> = BTreeMap::new();
    for lines in logs.values() {
        for entry in lines.values() {
            let Event::Outcome { outcome: Outcome::Signed, intent: Some(intent), .. } = &entry.line.event else {
                continue;
            };
            if let Some(Event::Intent { record, .. }) = lines.get(intent).map(|intent| &intent.line.event)
                && !records.contains_key(record)
            {
                *unknown.entry(record).or_default() += 1;
            }
        }
    }
    for (record, signatures) in unknown {
        report
            .notes
            .push(format!("the record {record} was not given: {signatures} signatures cannot be verified against it"));
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
            "no watermark record was given (--config FILE or --record FILE): missing logs, or missing ends of logs, cannot be detected"
                .to_owned(),
        );
        return;
    }
    for (log, lines) in logs {
        let Some((&last, entry)) = lines.last_key_value() else { continue };
        let (place, after) = (&entry.place, newest.get(log).map_or(last + 1, |newest| last - newest.min(&last)));
        if after > 0 {
            report.notes.push(format!(
                "{place}: no record anchors the last {after} lines of log {log}: if further lines were removed, it cannot be detected"
            ));
        }
    }
}
