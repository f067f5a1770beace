//! Checks the references from lines to other lines: from an outcome to its intent, and from an evidence line to the lines
//! that it names. A reference that does not hold was not written by a signer.

use super::Report;
use super::finding::{Finding, LogPosition, OutcomeFault};
use super::logs::{Entry, Logs};
use crate::anchor::LogId;
use crate::audit::evidence::SignedLine;
use crate::audit::{Event, Outcome};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What each outcome of a log says of the intent that it names. Where that line is missing, [`super::logs::check_log`] says so.
pub(super) fn check_outcomes(lines: &BTreeMap<u64, Entry>, report: &mut Report) {
    let mut answered: HashMap<u64, &LogPosition> = HashMap::new();
    for (&sequence, entry) in lines {
        let Event::Outcome { request, status, outcome, intent, .. } = &entry.line.event else { continue };
        let fault = match intent {
            _ if (*status == 200) != matches!(outcome, Outcome::Signed | Outcome::Replayed)
                && *outcome != Outcome::Forwarded =>
            {
                Some(OutcomeFault::Status(*status))
            }
            None => (*outcome == Outcome::Signed).then_some(OutcomeFault::NoIntentNamed),
            Some(intent) if *intent >= sequence => Some(OutcomeFault::NotBefore(*intent)),
            Some(intent) => match lines.get(intent).map(|named| &named.line.event) {
                None => None,
                Some(Event::Intent { request: announced, .. }) if announced == request => {
                    let first = answered.insert(*intent, &entry.place);
                    first.map(|first| OutcomeFault::SecondOf { intent: *intent, first: first.clone() })
                }
                Some(Event::Intent { .. }) => Some(OutcomeFault::AnotherRequest(*intent)),
                Some(_) => Some(OutcomeFault::NotAnIntent(*intent)),
            },
        };
        if let Some(fault) = fault {
            report.findings.push(Finding::FalseOutcome { place: entry.place.clone(), fault });
        }
    }
}

/// What lines of evidence say of lines whose log was given.
pub(super) fn check_evidence(logs: &Logs, lost: &BTreeSet<LogId>, report: &mut Report) {
    for entry in logs.values().flat_map(BTreeMap::values) {
        let Event::Evidence { records } = &entry.line.event else { continue };
        for evidence in records {
            let announced = evidence.announced.iter().map(|announced| (&announced.line, Some(announced.hash)));
            for (line, hash) in evidence.signed.iter().map(|line| (line, None)).chain(announced) {
                let SignedLine { log, sequence, .. } = *line;
                let Some(lines) = logs.get(&log).filter(|_| !lost.contains(&log)) else { continue };
                let says_so = lines.get(&sequence).is_some_and(|named| {
                    named.line.proves(&evidence.record) == Some(*line) && hash.is_none_or(|hash| hash == named.hash)
                });
                if !says_so {
                    report.findings.push(Finding::FalseEvidence { place: entry.place.clone(), log, sequence });
                }
            }
        }
    }
}
