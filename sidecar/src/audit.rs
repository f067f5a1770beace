//! Writes the audit log line by line, and confirms each line once it survives a crash. The format is in
//! `tezos_signer_core::audit`.
//!
//! INVARIANT S10: A line that was acknowledged is never lost, and one that could not be written never leaves a gap in the
//! numbers: the head of the log advances only after the text is written, and the remains of a failed write are truncated.

mod health;
mod log_file;
mod writer;

pub mod evidence;

use crossbeam_channel::{Sender, TrySendError};
use health::Health;
use log_file::Target;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::audit::evidence::EvidenceIndex;
use tezos_signer_core::audit::{Event, LogHead, Outcome, Request};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::AuditConfig;
use tezos_signer_core::record::RecordName;
use tokio::sync::oneshot;
use tokio::time::Instant;
use writer::Writer;

/// Why there is no line in the audit log, so that nothing was signed. At the start each ends the process.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The log cannot be opened. A retry helps once its directory and permissions allow it.
    #[error("the audit log {path} cannot be opened ({source}): check audit.file, its directory and its permissions")]
    Open {
        /// The path of the configuration, or of an older file of the log.
        path: PathBuf,
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
    /// The path is that of a pipe, a device or a directory, which keeps no lines. A retry does not help.
    #[error(
        "the audit log {0} is not a regular file, so its lines could not be read again: set audit.file to a regular file, or remove \
         it to use standard output"
    )]
    NotAFile(PathBuf),
    /// An older file may prove something that no newer one repeats, and is not readable. A retry helps once it is readable or moved away.
    #[error(
        "{path} appears to be an older file of the audit log, and cannot be read ({source}). Its evidence is needed, because the \
         newest file has no evidence line yet: make it readable for the signer's user, or move it elsewhere if it is not an audit \
         log"
    )]
    Older {
        /// The path of the audit log.
        path: PathBuf,
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
    /// Another process writes the log. A retry helps once that process has ended.
    #[error("another process writes the audit log {0}: give each signer a file of its own (audit.file)")]
    Locked(PathBuf),
    /// A line could not be written. A retry helps once there is room: the log is tried again by itself.
    #[error("the audit log cannot be written ({0}); new signatures are refused until it can")]
    Unwritable(#[source] Cause),
    /// The line was not written within the time that the request had left. A retry may help; if it does not, the disk is too slow.
    #[error("the audit log did not accept the line in time")]
    Timeout,
    /// More lines wait than are kept waiting. A retry helps.
    #[error("the audit log is behind: too many requests at once")]
    Busy,
}

impl AuditError {
    fn open(path: &Path, error: std::io::Error) -> Self {
        Self::Open { path: path.to_owned(), source: Arc::new(error) }
    }
}

/// How many lines may wait for the disk.
const QUEUE: usize = 1024;

/// How many of these may be lines of requests that got no signature. INVARIANT S12: Whoever sends such requests without end takes no place from
/// intents and from signatures that were given.
const REFUSALS: usize = QUEUE / 2;

/// How many may be replays, here or forwarded: they can come without end too. The rest is for intents, and for new signatures that were
/// given.
const NOTED: usize = QUEUE - QUEUE / 4;

/// The audit log of this process.
pub struct AuditLog {
    queue: Sender<Entry>,
    health: Arc<Health>,
    found: EvidenceIndex,
}

/// A line to write.
enum Entry {
    /// A line whose caller waits for it. It is written or rejected, never lost.
    Awaited(Event, oneshot::Sender<Result<AuditAnchor, AuditError>>),
    /// A line whose caller does not wait for it.
    Noted(Event),
    /// Write the end of the log, then acknowledge.
    End(oneshot::Sender<()>),
}

impl AuditLog {
    /// Opens the log, reads what it proves so far, and begins to write: first that `identity` has started.
    ///
    /// # Errors
    ///
    /// Where the file, or an older one that may have evidence, cannot be used, or another process has it.
    pub fn start(config: &AuditConfig, identity: &str) -> Result<Self, AuditError> {
        let (queue, entries) = crossbeam_channel::bounded(QUEUE);
        let health = Arc::new(Health::default());
        let log = LogId::from_bytes(*uuid::Uuid::new_v4().as_bytes());
        let (target, found) = Target::open(config)?;
        let start = Event::Start { version: env!("CARGO_PKG_VERSION").to_owned(), identity: identity.to_owned() };
        let writer = Writer::new(target, found.clone(), LogHead::new(log), start, entries, health.clone());
        let failed = |error: std::io::Error| {
            AuditError::Unwritable(
                Cause::of(error).map_text(|error| format!("its thread could not be started: {error}")),
            )
        };
        std::thread::Builder::new().name("audit-log".to_owned()).spawn(move || writer.run()).map_err(failed)?;
        tracing::info!(%log, "the audit log of this process");
        Ok(Self { queue, health, found })
    }

    /// The evidence of former processes. Empty if the log goes to standard output, which cannot be read again.
    pub fn evidence_found(&self) -> &EvidenceIndex {
        &self.found
    }

    /// Writes the intent to sign for `record`, whose current anchor is `replaces`. When this returns an anchor, the line is durable.
    pub async fn intent(
        &self,
        request: Request,
        record: RecordName,
        replaces: Option<AuditAnchor>,
        deadline: Instant,
    ) -> Result<AuditAnchor, AuditError> {
        self.durable(Event::Intent { request, record, replaces }, deadline).await
    }

    /// Writes that a proof of possession is given. When this returns, the line is durable.
    pub async fn proof(&self, request: Request, deadline: Instant) -> Result<(), AuditError> {
        self.durable(Event::ProofOfPossession { request }, deadline).await.map(|_| ())
    }

    async fn durable(&self, event: Event, deadline: Instant) -> Result<AuditAnchor, AuditError> {
        let (reply, answer) = oneshot::channel();
        let entry = Entry::Awaited(event, reply);
        self.queue.try_send(entry).map_err(|error| match error {
            TrySendError::Full(_) => AuditError::Busy,
            TrySendError::Disconnected(_) => AuditError::Unwritable("its thread has ended".into()),
        })?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err(AuditError::Unwritable("its thread has ended".into())),
            // The log's own clock decides whether the log is late: this request may have had little time left.
            Err(_) => {
                self.health.log_stall();
                Err(AuditError::Timeout)
            }
        }
    }

    /// Writes what has happened, some time soon.
    pub fn note(&self, event: Event) {
        let most = match &event {
            // As many as there were intents.
            Event::Outcome { outcome: Outcome::Signed, .. } => QUEUE,
            Event::Outcome { status, .. } if *status != 200 => REFUSALS,
            _ => NOTED,
        };
        if self.queue.len() >= most || self.queue.try_send(Entry::Noted(event)).is_err() {
            self.health.lose(1, "too many lines at once");
        }
    }

    /// Writes the last line, after all that was noted before.
    pub async fn end(&self, patience: Duration) {
        let (reply, done) = oneshot::channel();
        if self.queue.try_send(Entry::End(reply)).is_ok() {
            // A disk that does not take it is not waited for.
            let _ = tokio::time::timeout(patience, done).await;
        }
    }

    /// Why the log cannot be written now; `None` when it can.
    pub fn problem(&self) -> Option<String> {
        self.health.problem()
    }

    /// How many lines were lost since the process started.
    pub fn lost(&self) -> u64 {
        self.health.lost_since_start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tezos_signer_core::audit::Microseconds;
    use tezos_signer_core::key::{ChainId, PublicKeyHash};

    /// A log that writes nothing, and what waits in it.
    fn stalled() -> (AuditLog, crossbeam_channel::Receiver<Entry>) {
        let (queue, entries) = crossbeam_channel::bounded(QUEUE);
        (AuditLog { queue, health: Arc::default(), found: EvidenceIndex::default() }, entries)
    }

    fn outcome(status: u16, outcome: Outcome) -> Event {
        let (request, microseconds) = (Request::default(), Microseconds::default());
        Event::Outcome { request, status, outcome, reason: None, intent: None, microseconds }
    }

    /// Whether an intent has a place.
    async fn takes_an_intent(log: &AuditLog) -> bool {
        let hash: PublicKeyHash = "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA".parse().unwrap();
        let record = RecordName::new(&hash, &"NetXdQprcVkpaWU".parse::<ChainId>().unwrap());
        // Nobody writes it, so with a place it waits until its time is over.
        let written = log.intent(Request::default(), record, None, Instant::now()).await;
        matches!(written, Err(AuditError::Timeout))
    }

    /// INVARIANT S12: Strangers fill half of the queue, and repeated requests three quarters: the rest is for intents and for signatures that were given.
    #[tokio::test]
    async fn lines_that_can_come_without_end_take_no_place_from_intents_and_given_signatures() {
        let refusals = [(400, Outcome::Malformed), (401, Outcome::Unauthenticated), (403, Outcome::Forbidden)];
        let refusals = [&refusals[..], &[(404, Outcome::NotFound), (409, Outcome::Refused)]].concat();
        let failures = [(502, Outcome::Unavailable), (500, Outcome::Bug), (409, Outcome::Forwarded)];
        for (status, refused) in [refusals, failures.to_vec()].concat() {
            let (log, entries) = stalled();
            for _ in 0..2 * QUEUE {
                log.note(outcome(status, refused));
            }
            assert_eq!((entries.len(), log.lost()), (512, 1536), "{status} {refused:?}");

            for given_again in [Outcome::Replayed, Outcome::Forwarded] {
                for _ in 0..QUEUE {
                    log.note(outcome(200, given_again));
                }
                assert_eq!(entries.len(), 768, "{given_again:?}");
            }
            let lost = log.lost();
            log.note(outcome(status, refused));
            assert_eq!(log.lost(), lost + 1, "no refusal has a place behind them");

            assert!(takes_an_intent(&log).await);
            for _ in 769..1024 {
                log.note(outcome(200, Outcome::Signed));
            }
            assert_eq!((entries.len(), log.lost()), (1024, lost + 1), "every signature that was given has its line");
            log.note(outcome(200, Outcome::Signed));
            assert_eq!((entries.len(), log.lost()), (1024, lost + 2), "and what has none is counted");
            assert!(!takes_an_intent(&log).await);
        }
    }

    #[test]
    fn a_line_that_was_written_makes_room_for_one_of_its_kind() {
        let (log, entries) = stalled();
        for _ in 0..=REFUSALS {
            log.note(outcome(400, Outcome::Malformed));
        }
        assert_eq!((entries.len(), log.lost()), (REFUSALS, 1));
        drop(entries.recv().unwrap());
        log.note(outcome(400, Outcome::Malformed));
        assert_eq!((entries.len(), log.lost()), (REFUSALS, 1));
    }
}
