//! The findings of `audit verify`, each with its place.

use crate::anchor::{AuditAnchor, LogId};
use crate::position::{ConsensusKind, Position};
use crate::record::RecordName;
use std::fmt;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct LogPosition {
    /// The file, as it was named.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something is wrong with the logs, or with a record. Verifying again finds the same, unless a file was left out: give all files first. What is
/// left then was edited, cut or made up by somebody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A line behind one with a higher number.
    #[error("{place}: line {sequence} of log {log} is after line {after}: lines were reordered")]
    Reordered {
        /// The line that is out of order.
        place: LogPosition,
        /// The log of the line.
        log: LogId,
        /// The number of the line.
        sequence: u64,
        /// The number that stands before it.
        after: u64,
    },
    /// Two lines with one number.
    #[error("{first} and {second}: two different lines {sequence} of log {log}: one was edited or forged")]
    Twice {
        /// The line that was read first.
        first: LogPosition,
        /// The other line with this number.
        second: LogPosition,
        /// The log that both lines belong to.
        log: LogId,
        /// The number of both lines.
        sequence: u64,
    },
    /// One line twice in one file. Two files may overlap; one file is written once.
    #[error("{second}: line {sequence} of log {log} occurs twice, first at {first}: it was copied")]
    Doubled {
        /// The first occurrence of the line.
        first: LogPosition,
        /// The second occurrence of the line.
        second: LogPosition,
        /// The log of the line.
        log: LogId,
        /// The number of the line.
        sequence: u64,
    },
    /// The first line of a log is not its `start`, or another one is.
    #[error(
        "{place}: line {sequence} of log {log} was edited or forged: a log has one line \"start\", which is line 0"
    )]
    Start {
        /// The line that is wrong.
        place: LogPosition,
        /// The log of the line.
        log: LogId,
        /// The number of the line.
        sequence: u64,
    },
    /// No signer wrote this outcome, for what it says of its intent is not so.
    #[error("{place}: this outcome was forged or edited: {fault}")]
    FalseOutcome {
        /// The line with the outcome.
        place: LogPosition,
        /// What is not so.
        fault: OutcomeFault,
    },
    /// A line of evidence names a line that does not say so.
    #[error(
        "{place}: line {sequence} of log {log} is referred to as the evidence of a signature, but is missing or different"
    )]
    FalseEvidence {
        /// Where the evidence stands.
        place: LogPosition,
        /// The log that it names.
        log: LogId,
        /// The line that it names.
        sequence: u64,
    },
    /// Line numbers are missing between two lines of a log.
    #[error(
        "{place}: lines {from} to {to} of log {log} are missing before this line: they were removed, or are in a file that was not given"
    )]
    Missing {
        /// The first line that is there again.
        place: LogPosition,
        /// The log with the gap.
        log: LogId,
        /// The first missing number.
        from: u64,
        /// The last missing number.
        to: u64,
    },
    /// A line is not the one whose hash the next line has.
    #[error("{place}: line {sequence} of log {log} was edited: the next line has a different hash of it")]
    Edited {
        /// The line whose text was changed.
        place: LogPosition,
        /// The log of the line.
        log: LogId,
        /// The number of the line.
        sequence: u64,
    },
    /// An anchor names a line that is not there.
    #[error("line {} of log {} is missing, but {by} anchors it: the log was truncated, or not given", anchor.sequence, anchor.log)]
    AnchorMissing {
        /// The log, number and hash of the missing line.
        anchor: AuditAnchor,
        /// The record or line that holds the anchor.
        by: AnchorSource,
    },
    /// An anchor names a line that is another one now.
    #[error("{place}: line {} of log {} was edited: {by} anchors a different hash of it", anchor.sequence, anchor.log)]
    AnchorDiffers {
        /// The log, number and expected hash of the line.
        anchor: AuditAnchor,
        /// Where the line with another text is.
        place: LogPosition,
        /// The record or line that holds the anchor.
        by: AnchorSource,
    },
    /// An anchor names a line that announces nothing for this record.
    #[error("{place}: {by} anchors this line, which is not an intent for {record}")]
    NoIntent {
        /// The line that the anchor names.
        place: LogPosition,
        /// The record or line that holds the anchor.
        by: AnchorSource,
        /// The record that the line should announce a signature for.
        record: RecordName,
    },
    /// Two commits of one record whose positions do not rise.
    #[error(
        "{later}: {kind} at {position} was committed to {record} after one at {before} ({earlier}): a second signature, or the record was set back"
    )]
    NotRising {
        /// The line with the later commit.
        later: LogPosition,
        /// The line with the earlier commit.
        earlier: LogPosition,
        /// The kind of both payloads.
        kind: ConsensusKind,
        /// The position of the later commit.
        position: Position,
        /// The position of the earlier commit, which is not below it.
        before: Position,
        /// The record that both were committed to.
        record: RecordName,
    },
    /// A signature was given that the record knows nothing of.
    #[error(
        "{place}: a signature for {record} was released, but the record does not anchor it: the record was set back or is a \
         different one, or the line was forged"
    )]
    NotCommitted {
        /// The line that says so.
        place: LogPosition,
        /// The record that does not vouch for the signature.
        record: RecordName,
    },
}

/// Who names an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnchorSource {
    /// A watermark record.
    Record(RecordName),
    /// A later line of an audit log.
    Line(LogPosition),
}

impl fmt::Display for AnchorSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(record) => write!(f, "the record {record}"),
            Self::Line(place) => write!(f, "{place}"),
        }
    }
}

/// What an outcome says that cannot be so: no signer wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeFault {
    /// `signed` without an intent.
    #[error("it is \"signed\", but names no intent line")]
    NoIntentNamed,
    /// `signed` or `replayed` with another status than 200, or 200 with neither of these nor `forwarded`.
    #[error("its outcome and its status {0} contradict each other")]
    Status(u16),
    /// The intent does not stand before it.
    #[error("it names line {0} as its intent, which is not before it")]
    NotBefore(u64),
    /// The line that it names is none.
    #[error("it names line {0} as its intent, which is not an intent")]
    NotAnIntent(u64),
    /// The intent is that of another request.
    #[error("it names line {0} as its intent, which is of another request")]
    AnotherRequest(u64),
    /// An intent belongs to one request, which has one outcome.
    #[error("it names line {intent} as its intent, which has its outcome at {first}")]
    SecondOf {
        /// The number of the intent line in the same log.
        intent: u64,
        /// The outcome that the intent already has.
        first: LogPosition,
    },
}
