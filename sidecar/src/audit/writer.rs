//! The thread that writes the log: in batches, each of which is written completely or not at all, with evidence lines in
//! between.

use super::log_file::Target;
use super::{AuditError, Entry, Health};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::audit::evidence::EvidenceIndex;
use tezos_signer_core::audit::{Event, LogHead};
use tezos_signer_core::cause::Cause;

/// The maximum number of lines in one write and fsync.
const BATCH: usize = 256;

/// The maximum delay until a line without a waiting caller is on disk.
const SYNC_AFTER: Duration = Duration::from_millis(100);

/// How often a log that could not be written is tried without a request.
const RETRY: Duration = Duration::from_secs(1);

/// How often an idle log is checked, so that a rotated log gets its evidence before the old file is compressed or removed.
const ROTATED: Duration = Duration::from_secs(1);

/// INVARIANT R14: After how many bytes the evidence is repeated. A signer that starts reads no more than these and one batch, however many
/// lines strangers cause.
const REPEAT_EVIDENCE: usize = 4 * 1024 * 1024;

pub(super) struct Writer {
    target: Target,
    head: LogHead,
    entries: Receiver<Entry>,
    health: Arc<Health>,
    /// The first line of the log, until it is written.
    start: Option<Event>,
    /// What the lines prove that are there.
    witness: EvidenceIndex,
    /// How many bytes were written since the newest line of evidence; `None` while the file has none.
    since_evidence: Option<usize>,
    /// Since when there has been a line that may not be on disk.
    unsynced: Option<Instant>,
}

impl Writer {
    /// Goes on after what `witness` has read of former logs.
    pub(super) fn new(
        target: Target,
        witness: EvidenceIndex,
        head: LogHead,
        start: Event,
        entries: Receiver<Entry>,
        health: Arc<Health>,
    ) -> Self {
        Self { target, head, entries, health, start: Some(start), witness, since_evidence: None, unsynced: None }
    }

    pub(super) fn run(mut self) {
        self.write(Vec::new());
        loop {
            let fails = self.health.problem().is_some();
            let patience = match (self.unsynced, fails, self.target.is_kept()) {
                (Some(since), ..) => SYNC_AFTER.saturating_sub(since.elapsed()),
                (None, true, _) => RETRY,
                (None, false, true) => ROTATED,
                (None, false, false) => Duration::MAX,
            };
            match self.next(patience) {
                Ok(first) => {
                    let rest = self.entries.try_iter().take(BATCH - 1);
                    let batch: Vec<Entry> = std::iter::once(first).chain(rest).collect();
                    self.write(batch);
                    // Also where lines never cease to come.
                    if self.unsynced.is_some_and(|since| since.elapsed() >= SYNC_AFTER) {
                        self.sync();
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.unsynced.is_some() => self.sync(),
                Err(RecvTimeoutError::Timeout) if fails || self.target.is_replaced() => self.write(Vec::new()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn next(&self, patience: Duration) -> Result<Entry, RecvTimeoutError> {
        if patience == Duration::MAX {
            return self.entries.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        self.entries.recv_timeout(patience)
    }

    /// Writes a batch completely or not at all, after a line about lines that were lost before. A batch without entries writes an evidence
    /// line, which shows whether the log can be written.
    fn write(&mut self, batch: Vec<Entry>) {
        let health = self.health.clone();
        let _busy = health.busy();
        match self.target.follow() {
            Ok(false) => {}
            Ok(true) => self.since_evidence = None,
            Err(error) => return self.refuse(batch, &Cause::of(error)),
        }
        let mut head = self.head.clone();
        let mut text = String::new();
        let mut append = |event| {
            let (line, anchor) = head.append(Timestamp::now(), event);
            text.push_str(&line);
            text.push('\n');
            anchor
        };
        if let Some(start) = &self.start {
            append(start.clone());
        }
        let lost = self.health.lost_lines();
        if let Some((lines, reason)) = &lost {
            append(Event::Gap { lines: *lines, reason: reason.clone() });
        }
        let is_due = self.target.is_kept() && self.since_evidence.is_none_or(|since| since >= REPEAT_EVIDENCE);
        let has_evidence = is_due || (batch.is_empty() && self.health.problem().is_some());
        if has_evidence {
            append(self.witness.evidence());
        }
        // What becomes of each entry once the text is written. Until then it stays an entry, which can be refused.
        let anchors: Vec<_> = batch
            .iter()
            .map(|entry| match entry {
                Entry::Awaited(event, _) | Entry::Noted(event) => append(event.clone()),
                Entry::End(_) => append(Event::End),
            })
            .collect();
        if let Err(error) = self.target.write(&text) {
            return self.refuse(batch, &Cause::of(error));
        }
        self.head = head;
        self.start = None;
        self.health.wrote(lost.map_or(0, |(lines, _)| lines));
        let since = self.since_evidence.filter(|_| !has_evidence).unwrap_or(0);
        self.since_evidence = (has_evidence || self.since_evidence.is_some()).then_some(since + text.len());
        if self.target.is_kept() {
            text.lines().for_each(|line| self.witness.read(line));
        }
        self.unsynced.get_or_insert_with(Instant::now);
        if batch.iter().any(|entry| !matches!(entry, Entry::Noted(_))) {
            self.sync();
        }
        self.health.recovered();
        for (entry, anchor) in batch.into_iter().zip(anchors) {
            match entry {
                // A caller that no longer waits does not commit; an intent without a commit is no evidence.
                Entry::Awaited(_, reply) => {
                    let _ = reply.send(Ok(anchor));
                }
                Entry::Noted(_) => {}
                Entry::End(reply) => {
                    let _ = reply.send(());
                }
            }
        }
    }

    /// `batch` could not be written: waiting callers get the error, and the other lines are lost.
    fn refuse(&self, batch: Vec<Entry>, cause: &Cause) {
        // Set before the callers are answered, because they may read the probes then.
        let reason = cause.to_string();
        self.health.fail(&reason);
        let mut lost = 0;
        for entry in batch {
            match entry {
                Entry::Awaited(_, reply) => {
                    let _ = reply.send(Err(AuditError::Unwritable(cause.clone())));
                }
                Entry::Noted(_) => lost += 1,
                Entry::End(reply) => {
                    let _ = reply.send(());
                }
            }
        }
        self.health.lose(lost, &reason);
    }

    fn sync(&mut self) {
        self.unsynced = None;
        let _busy = self.health.busy();
        self.target.sync();
    }
}
