//! Records in files of one directory, one file each, for a signer on a host of its own. They protect against a second
//! signature on this host only.

use super::{Basis, Snapshot, Store, StoreError};
use crate::ending;
use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tezos_signer_core::record::{Lease, Record, RecordError, RecordName};

/// How long the making of a record may wait for another write.
const CREATION: Duration = Duration::from_secs(1);

/// The text of a file, which a write is conditional on.
pub(super) type ReadText = String;

/// A directory of records. One process at a time signs by them; others may look, and edit as `kubectl` edits a ConfigMap.
pub struct FileStore {
    directory: PathBuf,
    access: Access,
}

enum Access {
    /// This process alone signs: the file is locked for as long as it is open. A file of its own, because those of the records
    /// are replaced.
    Signing {
        _lock: File,
    },
    Editing,
    Reading,
}

impl FileStore {
    /// Takes the directory, which must exist; refuses one that another process has.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| {
            StoreError::Unavailable(format!("the watermark directory {} cannot be used: {error}", directory.display()))
        };
        let path = directory.join("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&path);
        let lock =
            lock.map_err(|error| StoreError::Unavailable(format!("{} cannot be opened: {error}", path.display())))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| StoreError::Locked(directory.to_owned()))?;
        let store = Self { directory: directory.to_owned(), access: Access::Signing { _lock: lock } };
        // A write of an earlier process may have reached the page cache only; nothing is decided on it before it is on disk.
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                sync(&File::open(&path).map_err(failed)?, &path);
            }
        }
        store.sync_directory();
        Ok(store)
    }

    /// Only looks at the records: another process may have the directory. Nothing can be written.
    pub fn open_to_read(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), access: Access::Reading }
    }

    /// Changes records by hand, also while a signer uses them: its next write is refused, and it reads what they say now.
    pub fn open_to_edit(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), access: Access::Editing }
    }

    fn path(&self, name: &RecordName) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    fn sync_directory(&self) {
        match File::open(&self.directory) {
            Ok(directory) => sync(&directory, &self.directory),
            Err(error) => exit_after_failed_write(&self.directory, &error),
        }
    }

    fn read_text(&self, name: &RecordName) -> Result<String, StoreError> {
        std::fs::read_to_string(self.path(name)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StoreError::Missing(name.clone()),
            _ => StoreError::Unavailable(format!("{} cannot be read: {error}", self.path(name).display())),
        })
    }

    fn snapshot(name: &RecordName, text: String) -> Result<Snapshot, StoreError> {
        let invalid = |source: RecordError| StoreError::Invalid { name: name.clone(), source };
        let data: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|error| invalid(RecordError::Json(error.to_string())))?;
        let record = Record::from_data(&data).map_err(invalid)?;
        Ok(Snapshot { record, lease: Lease::default(), basis: Basis::File(text) })
    }

    /// The right to write, to be held from the look at what is there to the end of the write. Nobody has it for long, so who has
    /// to wait tries again: a process that was stopped in between costs a request, and not the signer.
    fn writer(&self, deadline: Instant) -> Result<Writer, StoreError> {
        if matches!(self.access, Access::Reading) {
            return Err(StoreError::Locked(self.directory.clone()));
        }
        let unusable = |error: std::io::Error| {
            StoreError::Unavailable(format!(
                "the watermark directory {} cannot be used: {error}",
                self.directory.display()
            ))
        };
        let directory = File::open(&self.directory).map_err(unusable)?;
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Writer { directory }),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(unusable(error.into())),
            }
        }
    }

    /// Writes a whole new file beside the old one, and puts it in its place once it is on disk.
    fn write(&self, writer: &Writer, name: &RecordName, text: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        let new = path.with_extension("new");
        let failed =
            |error: std::io::Error| StoreError::Unavailable(format!("{} cannot be written: {error}", new.display()));
        let mut file = File::create(&new).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        sync(&file, &new);
        // ◆ One that failed may have happened all the same, and be taken back by a power loss after its text was believed.
        if let Err(error) = std::fs::rename(&new, &path) {
            exit_after_failed_write(&path, &error);
        }
        sync(&writer.directory, &self.directory);
        Ok(())
    }
}

/// The directory, locked until this is dropped.
struct Writer {
    directory: File,
}

/// After a failed fsync the kernel may have thrown the data away and still show it: reading it back settles nothing. The
/// process ends, and the next one reads what is really there.
fn sync(file: &File, path: &Path) {
    if let Err(error) = file.sync_all() {
        exit_after_failed_write(path, &error);
    }
}

fn exit_after_failed_write(path: &Path, error: &std::io::Error) -> ! {
    tracing::error!(path = %path.display(), %error, "a watermark could not be brought to disk; the process ends, nothing was signed");
    ending::end(ending::WRITE_FAILED)
}

fn text_of(record: &Record) -> String {
    // A map of strings always serialises.
    serde_json::to_string_pretty(&record.to_data()).unwrap_or_default() + "\n"
}

#[async_trait]
impl Store for FileStore {
    async fn read(&self, name: &RecordName, _deadline: Instant) -> Result<Snapshot, StoreError> {
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
        tokio::task::block_in_place(|| {
            let writer = self.writer(deadline)?;
            if !matches!(&basis.basis, Basis::File(text) if *text == self.read_text(name)?) {
                return Err(StoreError::Conflict(name.clone()));
            }
            let text = text_of(record);
            self.write(&writer, name, &text)?;
            Self::snapshot(name, text)
        })
    }

    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError> {
        let writer = self.writer(Instant::now() + CREATION)?;
        if self.path(name).exists() {
            return Err(StoreError::Exists(name.clone()));
        }
        self.write(&writer, name, &text_of(record))
    }

    fn is_exclusive(&self) -> bool {
        matches!(self.access, Access::Signing { .. })
    }
}
