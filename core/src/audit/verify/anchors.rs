//! Follows the anchors of a record back through the logs, and finds released signatures that are not among them.

use super::Report;
use super::finding::{AnchorSource, Finding, LogPosition};
use super::logs::{Entry, Logs};
use crate::anchor::{AuditAnchor, LogId};
use crate::audit::{Event, Line, Outcome};
use crate::key::Digest;
use crate::position::{ConsensusKind, Position};
use crate::record::RecordName;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// From a record back along its anchors.
pub(super) fn walk(
    record: &RecordName,
    anchor: Option<AuditAnchor>,
    logs: &Logs,
    lost: &BTreeSet<LogId>,
    newest: &mut HashMap<LogId, u64>,
    report: &mut Report,
) {
    let mut committed: HashSet<AuditAnchor> = HashSet::new();
    let mut contents: HashSet<(ConsensusKind, Position, Digest)> = HashSet::new();
    let mut later: BTreeMap<ConsensusKind, (Position, LogPosition)> = BTreeMap::new();
    let mut voucher = AnchorSource::Record(record.clone());
    let mut next = anchor;
    let whole = loop {
        let Some(anchor) = next else { break true };
        let Some(entry) = logs.get(&anchor.log).and_then(|lines| lines.get(&anchor.sequence)) else {
            let missing = Finding::AnchorMissing { anchor, by: voucher };
            if lost.contains(&anchor.log) {
                report
                    .notes
                    .push(format!("known to be lost: {missing}; earlier commits to {record} cannot be verified"));
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
            contents.extend(request.digest.map(|digest| (kind, position, digest)));
        }
        voucher = AnchorSource::Line(place);
        next = replaces;
    };
    if whole {
        find_signatures_without_commit(record, &committed, &contents, &later, logs, report);
    }
}

/// Signatures for `record` that were given, new or again, and of which it knows nothing, though all that it knows is there.
fn find_signatures_without_commit(
    record: &RecordName,
    committed: &HashSet<AuditAnchor>,
    contents: &HashSet<(ConsensusKind, Position, Digest)>,
    lowest: &BTreeMap<ConsensusKind, (Position, LogPosition)>,
    logs: &Logs,
    report: &mut Report,
) {
    // What an import has put into the record has no line that announced it, and may be given again until the next commit.
    let is_walked =
        |kind: &ConsensusKind, position: &Position| lowest.get(kind).is_some_and(|(lowest, _)| lowest <= position);
    let mut unjudged: Vec<&LogPosition> = Vec::new();
    for lines in logs.values() {
        for entry in lines.values() {
            let Event::Outcome { outcome, intent, .. } = &entry.line.event else { continue };
            let announced = intent.filter(|_| *outcome == Outcome::Signed).and_then(|intent| lines.get(&intent));
            let announced = announced
                .filter(|intent| matches!(&intent.line.event, Event::Intent { record: of, .. } if of == record));
            let is_known = match (announced, entry.line.proves(record)) {
                (Some(Entry { line: Line { log, sequence, .. }, hash, .. }), _) => {
                    committed.contains(&AuditAnchor { log: *log, sequence: *sequence, hash: *hash })
                }
                (None, Some(signed)) if is_walked(&signed.kind, &signed.position) => {
                    contents.contains(&(signed.kind, signed.position, signed.digest))
                }
                (None, Some(_)) => {
                    unjudged.push(&entry.place);
                    true
                }
                (None, None) => true,
            };
            if !is_known {
                report.findings.push(Finding::NotCommitted { place: entry.place.clone(), record: record.clone() });
            }
        }
    }
    if let Some(first) = unjudged.first() {
        report.notes.push(format!(
            "{first}: a signature for {record} was repeated that is older than all lines that its anchors lead to ({} in all), as \
             after \"watermarks import\"; it cannot be verified whether the record had it",
            unjudged.len()
        ));
    }
}
