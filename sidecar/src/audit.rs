//! Writes the audit log, one line at a time, and says when a line is where a crash cannot take it. What a line says is in
//! `tezos_signer_core::audit`.
//!
//! ◆ A line that was acknowledged is never lost, and one that could not be written never leaves a hole in the numbers: the
//! head of the log moves only once the text is written, and what a failed write left behind is cut off again.

pub mod tail;

use crate::ending;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::audit::{AuditAnchor, Event, LogHead, LogId, Request};
use tezos_signer_core::config::AuditConfig;
use tezos_signer_core::record::RecordName;
use tokio::sync::oneshot;

/// Why there is no line.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The log cannot be used at all.
    #[error("the audit log {path} cannot be opened ({reason}): check audit.file, its directory and its permissions")]
    Open {
        /// The path of the configuration.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process has it.
    #[error("another process writes the audit log {0}: give each signer a file of its own (audit.file)")]
    Locked(PathBuf),
    /// A line could not be written.
    #[error(
        "the audit log cannot be written ({0}); nothing new is signed without it, until there is room for it again"
    )]
    Unwritable(String),
    /// The line was not written in time.
    #[error("the audit log has not taken the line in time")]
    Timeout,
    /// More lines wait than are kept waiting.
    #[error("the audit log is behind: too many requests at once")]
    Busy,
}

/// How many lines may wait for the disk.
const QUEUE: usize = 1024;

/// How many lines are written, and brought to disk, at once.
const BATCH: usize = 256;

/// Lines that nobody waits for are brought to disk when nothing else was to be written for so long.
const SYNC_AFTER: Duration = Duration::from_millis(100);

/// How often a log that could not be written is tried without a request.
const RETRY: Duration = Duration::from_secs(1);

/// The audit log of this process.
pub struct AuditLog {
    queue: Sender<Entry>,
    shared: Arc<Shared>,
}

/// What the writer and those who write both know.
#[derive(Default)]
struct Shared {
    /// Lines that were lost since the last one that was written.
    lost: AtomicU64,
    /// Lines that were lost since the process started.
    lost_in_all: AtomicU64,
    /// Why the log cannot be written now.
    problem: Mutex<Option<String>>,
}

enum Entry {
    /// A line that somebody waits for. It is written or refused, never lost.
    Awaited(Event, oneshot::Sender<Result<AuditAnchor, AuditError>>),
    /// A line that nobody waits for.
    Noted(Event),
    /// The last one.
    End(oneshot::Sender<()>),
}

impl AuditLog {
    /// Opens the log and writes its first line: that `identity` has started.
    pub fn start(config: &AuditConfig, identity: &str) -> Result<Self, AuditError> {
        let (queue, entries) = crossbeam_channel::bounded(QUEUE);
        let shared = Arc::new(Shared::default());
        let log = LogId::from_bytes(*uuid::Uuid::new_v4().as_bytes());
        let writer = Writer {
            target: Target::open(config)?,
            head: LogHead::new(log),
            entries,
            shared: shared.clone(),
            unsynced: false,
        };
        let failed = |error: std::io::Error| AuditError::Unwritable(format!("no thread to write it: {error}"));
        std::thread::Builder::new().name("audit-log".to_owned()).spawn(move || writer.run()).map_err(failed)?;
        let audit = Self { queue, shared };
        audit.note(Event::Start { version: env!("CARGO_PKG_VERSION").to_owned(), identity: identity.to_owned() });
        tracing::info!(%log, "the audit log of this process");
        Ok(audit)
    }

    /// Announces a signature for `record`, whose anchor is now `replaces`. Once this returns an anchor the line is durable.
    pub async fn intent(
        &self,
        request: Request,
        record: RecordName,
        replaces: Option<AuditAnchor>,
        deadline: Instant,
    ) -> Result<AuditAnchor, AuditError> {
        let (reply, answer) = oneshot::channel();
        let entry = Entry::Awaited(Event::Intent { request, record, replaces }, reply);
        self.queue.try_send(entry).map_err(|error| match error {
            TrySendError::Full(_) => AuditError::Busy,
            TrySendError::Disconnected(_) => AuditError::Unwritable("its thread has ended".to_owned()),
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err(AuditError::Unwritable("its thread has ended".to_owned())),
            Err(_) => {
                self.shared.fail("it has not taken a line in time");
                Err(AuditError::Timeout)
            }
        }
    }

    /// Writes what has happened, some time soon.
    pub fn note(&self, event: Event) {
        if self.queue.try_send(Entry::Noted(event)).is_err() {
            self.shared.lose(1, "more lines at once than the disk takes");
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
        self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines were lost since the process started.
    pub fn lost(&self) -> u64 {
        self.shared.lost_in_all.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lose(&self, lines: u64, reason: &str) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
        self.lost_in_all.fetch_add(lines, Ordering::Relaxed);
        self.fail(reason);
    }

    fn fail(&self, reason: &str) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if problem.as_deref() != Some(reason) {
            tracing::error!(reason, "the audit log cannot be written: nothing new is signed");
            *problem = Some(reason.to_owned());
        }
    }

    fn recovered(&self) {
        if self.problem.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the audit log is written again");
        }
    }

    fn fails(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The thread that writes.
struct Writer {
    target: Target,
    head: LogHead,
    entries: Receiver<Entry>,
    shared: Arc<Shared>,
    unsynced: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            let patience = match (self.unsynced, self.shared.fails()) {
                (true, _) => SYNC_AFTER,
                (false, Some(_)) => RETRY,
                (false, None) => Duration::MAX,
            };
            match self.next(patience) {
                Ok(first) => {
                    let rest = self.entries.try_iter().take(BATCH - 1);
                    let batch: Vec<Entry> = std::iter::once(first).chain(rest).collect();
                    self.write(batch);
                }
                Err(RecvTimeoutError::Timeout) if self.unsynced => self.sync(),
                Err(RecvTimeoutError::Timeout) => self.write(Vec::new()),
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

    /// Writes a batch whole or not at all; first of all, what was lost before.
    fn write(&mut self, batch: Vec<Entry>) {
        let mut head = self.head.clone();
        let mut text = String::new();
        let lost = self.shared.lost.load(Ordering::Relaxed);
        let mut append = |event| {
            let (line, anchor) = head.append(Timestamp::now(), event);
            text.push_str(&line);
            text.push('\n');
            anchor
        };
        if let Some(reason) = self.shared.fails() {
            append(Event::Gap { lines: lost, reason });
        }
        let (mut awaited, mut noted, mut ends) = (Vec::new(), 0, Vec::new());
        for entry in batch {
            match entry {
                Entry::Awaited(event, reply) => awaited.push((append(event), reply)),
                Entry::Noted(event) => {
                    append(event);
                    noted += 1;
                }
                Entry::End(reply) => {
                    append(Event::End);
                    ends.push(reply);
                }
            }
        }
        match self.target.write(&text) {
            Ok(()) => {
                self.head = head;
                self.shared.lost.fetch_sub(lost, Ordering::Relaxed);
                self.unsynced = true;
                if !awaited.is_empty() || !ends.is_empty() {
                    self.sync();
                }
                self.shared.recovered();
                for (anchor, reply) in awaited {
                    // Who waits no longer has not committed it: an intent without a commit says nothing.
                    let _ = reply.send(Ok(anchor));
                }
            }
            Err(reason) => {
                for (_, reply) in awaited {
                    let _ = reply.send(Err(AuditError::Unwritable(reason.clone())));
                }
                self.shared.lose(noted, &reason);
            }
        }
        for reply in ends {
            let _ = reply.send(());
        }
    }

    fn sync(&mut self) {
        self.unsynced = false;
        self.target.sync();
    }
}

/// Where the lines go.
enum Target {
    /// What the supervisor collects: in a cluster the container's log. A line counts once the pipe has it.
    Standard(File),
    /// A file, which may be renamed at any time: the next line goes to a new one of the old name.
    File(LogFile),
}

struct LogFile {
    path: PathBuf,
    file: File,
    /// Whether its last line has no end: an earlier process was killed while it wrote.
    torn: bool,
}

impl Target {
    fn open(config: &AuditConfig) -> Result<Self, AuditError> {
        match &config.file {
            Some(path) => Ok(Self::File(LogFile::open(path)?)),
            None => match std::io::stdout().as_fd().try_clone_to_owned() {
                Ok(stdout) => Ok(Self::Standard(stdout.into())),
                Err(error) => Err(AuditError::Open { path: "(standard output)".into(), reason: error.to_string() }),
            },
        }
    }

    /// Appends `text`, all of it or, where the target is a file, nothing.
    fn write(&mut self, text: &str) -> Result<(), String> {
        let torn = match self {
            Self::Standard(_) => false,
            Self::File(log) => {
                if was_renamed(&log.path, &log.file) {
                    // What is in the old file stays there, and has to be on disk before a later line is.
                    sync(log);
                    *log = LogFile::open(&log.path).map_err(|error| error.to_string())?;
                }
                log.torn
            }
        };
        let (Self::Standard(file) | Self::File(LogFile { file, .. })) = self;
        let end = file.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
        let written = if torn { file.write_all(b"\n") } else { Ok(()) }.and_then(|()| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            if let Some(end) = end {
                cut_off(file, end);
            }
            return Err(error.to_string());
        }
        if let Self::File(log) = self {
            log.torn = false;
        }
        Ok(())
    }

    fn sync(&self) {
        if let Self::File(log) = self {
            sync(log);
        }
    }
}

impl LogFile {
    /// Opens a log to append to it, alone.
    fn open(path: &Path) -> Result<Self, AuditError> {
        let failed = |error: std::io::Error| AuditError::Open { path: path.to_owned(), reason: error.to_string() };
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| AuditError::Locked(path.to_owned()))?;
        let mut last = *b"\n";
        if file.metadata().map_err(failed)?.len() > 0 {
            file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(failed)?;
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, torn: last != *b"\n" })
    }
}

fn was_renamed(path: &Path, file: &File) -> bool {
    let place = |metadata: Metadata| (metadata.dev(), metadata.ino());
    std::fs::metadata(path).ok().map(place) != file.metadata().ok().map(place)
}

/// What a failed write left behind would stand before the line that comes in its place.
fn cut_off(file: &mut File, end: u64) {
    if let Err(error) = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))) {
        tracing::error!(%error, "half a line of the audit log cannot be cut off; the process ends");
        ending::end(ending::WRITE_FAILED);
    }
}

/// After a failed fsync nobody knows which of the lines are on disk. The process ends: the next one begins a new log.
fn sync(log: &LogFile) {
    if let Err(error) = log.file.sync_data() {
        tracing::error!(path = %log.path.display(), %error, "the audit log could not be brought to disk; the process ends, nothing was signed");
        ending::end(ending::WRITE_FAILED);
    }
}
