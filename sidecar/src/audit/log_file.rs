//! The destination of the audit log. A file is identified by its handle, because its name can refer to another file at any
//! time: after a rotation, a move of the directory, or a write of another process.

use super::{AuditError, evidence};
use crate::{exit, own_stdout};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use tezos_signer_core::audit::evidence::EvidenceIndex;
use tezos_signer_core::config::AuditConfig;

/// Where the lines go.
pub(super) enum Target {
    /// What the supervisor collects: in a cluster the container's log. A line counts once the pipe has it.
    Standard(File),
    /// A file. It may be renamed at any time; the next line then goes to a new file of the old name.
    File(LogFile),
}

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Whether its last line has no end: an earlier process was killed while it wrote.
    torn: bool,
    /// How long it was after the last write, in bytes. Only this process shortens it.
    length: u64,
}

impl Target {
    /// Opens the target, and reads the evidence of the file that is appended to.
    ///
    /// # Errors
    ///
    /// If the file cannot be used, or another process uses it.
    pub(super) fn open(config: &AuditConfig) -> Result<(Self, EvidenceIndex), AuditError> {
        match &config.file {
            Some(path) => {
                let log = LogFile::open(path)?;
                let witness = evidence::of_log(path, Some(&log.file))?;
                Ok((Self::File(log), witness))
            }
            None => match own_stdout::duplicate() {
                Ok(stdout) => Ok((Self::Standard(stdout.into()), EvidenceIndex::default())),
                Err(error) => Err(AuditError::open(Path::new("(standard output)"), error)),
            },
        }
    }

    /// Whether a later process can read the lines again.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Whether the next line would go to another file, or to one that was emptied.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self, Self::File(log) if log.is_renamed() || log.is_shortened())
    }

    /// Makes sure that the next line goes to the file that has the configured name now. Returns whether it is a new file, without the
    /// earlier lines.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or created, or another process uses it.
    pub(super) fn follow(&mut self) -> Result<bool, AuditError> {
        let Self::File(log) = self else { return Ok(false) };
        let is_shortened = log.is_shortened();
        if log.is_renamed() {
            // What is in the old file stays there, and has to be on disk before a later line is.
            log.sync();
            *log = LogFile::open(&log.path)?;
            return Ok(true);
        }
        Ok(is_shortened)
    }

    /// Appends `text`: all of it or, if the target is a file, nothing.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        let torn = matches!(self, Self::File(log) if log.torn);
        let (Self::Standard(file) | Self::File(LogFile { file, .. })) = self;
        let end = file.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
        let written = if torn { file.write_all(b"\n") } else { Ok(()) }.and_then(|()| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            if let Some(end) = end {
                cut_off(file, end);
            }
            return Err(error);
        }
        if let Self::File(log) = self {
            log.torn = false;
            log.length = end.unwrap_or(0) + u64::from(torn) + text.len() as u64;
        }
        Ok(())
    }

    pub(super) fn sync(&self) {
        if let Self::File(log) = self {
            log.sync();
        }
    }
}

impl LogFile {
    /// Opens a log to append to it, alone.
    fn open(path: &Path) -> Result<Self, AuditError> {
        let failed = |error: io::Error| AuditError::open(path, error);
        let file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        // Lines in a pipe or device are not durable, and cannot be read again.
        if !metadata.is_file() {
            return Err(AuditError::NotAFile(path.to_owned()));
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => AuditError::Locked(path.to_owned()),
            other => failed(other.into()),
        })?;
        let length = file.metadata().map_err(failed)?.len();
        let mut last = *b"\n";
        if length > 0 {
            file.read_exact_at(&mut last, length - 1).map_err(failed)?;
        }
        File::open(evidence::directory_of(path)).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, torn: last != *b"\n", length })
    }

    fn is_renamed(&self) -> bool {
        let place = |metadata: Metadata| (metadata.dev(), metadata.ino());
        std::fs::metadata(&self.path).ok().map(place) != self.file.metadata().ok().map(place)
    }

    fn is_shortened(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() < self.length)
    }

    /// After a failed fsync it is unknown which of the lines are on disk. The process exits, and the next one begins a new log.
    fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::error!(path = %self.path.display(), %error, "the audit log could not be written to disk; no signature was \
                 released, and the process exits");
            exit::end(exit::WRITE_FAILED);
        }
    }
}

/// Truncates the remains of a failed write, which would otherwise precede the next line.
fn cut_off(file: &mut File, end: u64) {
    if let Err(error) = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))) {
        tracing::error!(%error, "an incomplete line of the audit log cannot be truncated; the process exits");
        exit::end(exit::WRITE_FAILED);
    }
}
