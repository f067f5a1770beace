//! Records in files of one directory, one file each, for a signer without Kubernetes. They protect against a second signature
//! on this host only.

use super::directory::{Directory, ReadError, unusable};
use super::{Basis, Snapshot, Store, StoreError};
use crate::exit;
use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::record::{Lease, Record, RecordError, RecordName};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

/// How long the making of a record may wait for another write.
const CREATION: Duration = Duration::from_secs(1);

/// The text of a file, which a write is conditional on.
pub(super) type ReadText = String;

/// A directory of records. One process at a time signs by them; others may look, and edit as `kubectl` edits a ConfigMap.
pub struct FileStore {
    /// Locked where this process alone signs by it.
    directory: Directory,
    writes: bool,
}

impl FileStore {
    /// Takes the directory, which must exist; refuses one that another process has.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let mut store = Self::open_to_edit(directory)?;
        let place = &mut store.directory;
        if let Err(error) = place.lock() {
            return Err(match error {
                Errno::WOULDBLOCK => StoreError::Locked(place.path().to_owned()),
                error => {
                    let of_lock = |error: &str| format!("its file `lock`: {error}");
                    place.failed(Cause::of(io::Error::from(error)).map_text(of_lock))
                }
            });
        }
        store.sync_all()?;
        store.directory.check()?;
        Ok(store)
    }

    /// Opens the records for reading only, while another process may use the directory.
    pub fn open_to_read(directory: &Path) -> Result<Self, StoreError> {
        let opened = Directory::open(directory).map_err(|error| unusable(directory, Cause::of(error)))?;
        Ok(Self { directory: opened, writes: false })
    }

    /// Changes records by hand, also while a signer uses them: its next write is refused, and it reads what they say now.
    pub fn open_to_edit(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self { writes: true, ..Self::open_to_read(directory)? })
    }

    /// A write of an earlier process may have reached the page cache only; nothing is decided on it before it is on disk.
    fn sync_all(&self) -> Result<(), StoreError> {
        let failed = |error: io::Error| self.directory.failed(Cause::of(error));
        for name in self.directory.names().map_err(failed)? {
            if Path::new(&name).extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match self.directory.open_file(&name) {
                Ok(file) => self.sync(&file, &name),
                // Whoever reads that record is answered with the reason. The others are not concerned.
                Err(ReadError::Unusable(_) | ReadError::Missing) => {}
                Err(ReadError::Failed(error)) => return Err(failed(error)),
            }
        }
        self.sync(&self.directory.again().map_err(failed)?, "");
        Ok(())
    }

    fn read_text(&self, name: &RecordName) -> Result<String, StoreError> {
        let file = file_of(name);
        self.directory.read(&file).map_err(|error| match error {
            ReadError::Missing => StoreError::Missing(name.clone()),
            ReadError::Unusable(reason) => StoreError::Unusable { path: self.directory.path().join(file), reason },
            ReadError::Failed(error) => {
                let path = self.directory.path().join(file);
                let text = |error: &str| format!("{} cannot be read: {error}", path.display());
                StoreError::Unavailable(Cause::of(error).map_text(text))
            }
        })
    }

    fn snapshot(name: &RecordName, text: String) -> Result<Snapshot, StoreError> {
        let invalid = |source: RecordError| StoreError::Invalid { name: name.clone(), source };
        let record = Record::from_json(&text).map_err(invalid)?;
        Ok(Snapshot { record, lease: Lease::default(), basis: Basis::File(text) })
    }

    /// The lock for writing, to be held from the read of the present state to the end of the write. It is held briefly, so waiting means
    /// trying again: a process that is stopped while it has the lock costs a request, and does not block the signer. It blocks its
    /// thread, so its clock is that of the standard library.
    fn writer(&self, deadline: std::time::Instant) -> Result<Writer, StoreError> {
        if !self.writes {
            return Err(StoreError::Locked(self.directory.path().to_owned()));
        }
        self.directory.check()?;
        let unusable = |error: io::Error| self.directory.failed(Cause::of(error));
        let directory = self.directory.again().map_err(unusable)?;
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Writer { directory }),
                Err(Errno::WOULDBLOCK) if std::time::Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(unusable(error.into())),
            }
        }
    }

    /// Writes a complete new file, and renames it over the old one after it is on disk. Fails if the directory was moved meanwhile, because
    /// a change there cannot be relied on.
    fn write(&self, writer: &Writer, name: &RecordName, text: &str) -> Result<(), StoreError> {
        let (new, file_name) = (format!("{name}.new"), file_of(name));
        let failed = |error: io::Error| {
            let (path, kind) = (self.directory.path().join(&new), error.kind());
            let written = |what: &str| Cause::of(error).map_text(|error| format!("{what} cannot be written: {error}"));
            match kind {
                // What does not go away by itself.
                ErrorKind::IsADirectory | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    StoreError::Unusable { path, reason: written("it") }
                }
                _ => StoreError::Unavailable(written(&path.display().to_string())),
            }
        };
        let mut file = self.directory.create(&new).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        self.sync(&file, &new);
        // INVARIANT R8: One that failed may have happened all the same, and be taken back by a power loss after its text was believed.
        if let Err(error) = self.directory.rename(&new, &file_name) {
            self.exit_after_failed_write(&file_name, &error);
        }
        self.sync(&writer.directory, "");
        self.directory.check()
    }

    /// After a failed fsync, the kernel may have dropped the data and still return it from its cache, so reading it back proves nothing. The
    /// process exits, and the next one reads the actual contents.
    fn sync(&self, file: &File, name: &str) {
        if let Err(error) = file.sync_all() {
            self.exit_after_failed_write(name, &error);
        }
    }

    fn exit_after_failed_write(&self, name: &str, error: &io::Error) -> ! {
        let path = self.directory.path().join(name);
        tracing::error!(path = %path.display(), %error, "a watermark record could not be written to disk; no signature was \
             released, and the process exits");
        exit::end(exit::WRITE_FAILED)
    }
}

/// Runs blocking work here. Other threads of the runtime, if it has any, poll the other tasks meanwhile.
fn in_place<R>(work: impl FnOnce() -> R) -> R {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The directory, locked until this is dropped.
struct Writer {
    directory: File,
}

fn file_of(name: &RecordName) -> String {
    format!("{name}.json")
}

fn text_of(record: &Record) -> String {
    // A map of strings always serialises.
    serde_json::to_string_pretty(&record.to_data()).unwrap_or_default() + "\n"
}

#[async_trait]
impl Store for FileStore {
    async fn read(&self, name: &RecordName, _deadline: Instant) -> Result<Snapshot, StoreError> {
        self.directory.check()?;
        Self::snapshot(name, self.read_text(name)?)
    }

    async fn replace(
        &self,
        name: &RecordName,
        basis: &Snapshot,
        record: &Record,
        _lease: &Lease,
        deadline: Instant,
    ) -> Result<Snapshot, StoreError> {
        in_place(|| {
            let writer = self.writer(deadline.into_std())?;
            if !matches!(&basis.basis, Basis::File(text) if *text == self.read_text(name)?) {
                return Err(StoreError::Conflict(name.clone()));
            }
            let text = text_of(record);
            self.write(&writer, name, &text)?;
            Self::snapshot(name, text)
        })
    }

    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError> {
        let writer = self.writer(std::time::Instant::now() + CREATION)?;
        if self.directory.has(&file_of(name)).map_err(|error| self.directory.failed(Cause::of(error)))? {
            return Err(StoreError::Exists(name.clone()));
        }
        self.write(&writer, name, &text_of(record))
    }

    fn check_place(&self) -> Result<(), StoreError> {
        self.directory.check()
    }

    fn is_exclusive(&self) -> bool {
        self.directory.is_locked()
    }
}
