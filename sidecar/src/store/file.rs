//! Records in files of one directory, one file each, for a signer without Kubernetes. They protect against a second signature
//! on this host only.
//!
//! A signature costs one durable write: of one slot of its record's file, under the lock of that file ([`RecordFile`] says what is in
//! it, and why a write that is cut loses nothing). Only a new file, and the plain one of an earlier release, is written as a whole and
//! renamed into its place.

use super::directory::{Access, Directory, ReadError, read_to_end, unusable};
use super::{Basis, Snapshot, Store, StoreError};
use crate::exit;
use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::record::{Lease, Record, RecordError, RecordFile, RecordName};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

/// How long the making of a record may wait for another write.
const CREATION: Duration = Duration::from_secs(1);

/// How often a lock that another process has is tried.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The contents of a file, which a write is conditional on.
pub(super) type ReadFile = Arc<RecordFile>;

/// A directory of records. One process at a time signs by them; others may look, and edit as `kubectl` edits a ConfigMap.
pub struct FileStore {
    /// Locked where this process alone signs by it.
    directory: Directory,
    writes: bool,
    /// The records whose file another process has locked, while a call here waits for it.
    awaited: Mutex<BTreeSet<RecordName>>,
    /// What this process has brought to disk last.
    durable: Mutex<BTreeMap<RecordName, ReadFile>>,
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
        Ok(Self { directory: opened, writes: false, awaited: Mutex::default(), durable: Mutex::default() })
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
            match self.directory.open_file(&name, Access::Read) {
                Ok(file) => self.sync(&file, &name),
                // Whoever reads that record is answered with the reason. The others are not concerned.
                Err(ReadError::Unusable(_) | ReadError::Missing) => {}
                Err(ReadError::Failed(error)) => return Err(failed(error)),
            }
        }
        self.sync(&self.directory.again().map_err(failed)?, "");
        Ok(())
    }

    fn require_writes(&self) -> Result<(), StoreError> {
        if self.writes { Ok(()) } else { Err(StoreError::Locked(self.directory.path().to_owned())) }
    }

    /// Opens the file of a record, locked against writers or, to write, against all: what is read then is no half of a write. The lock goes
    /// with the file.
    fn open_record(&self, name: &RecordName, access: Access, deadline: std::time::Instant) -> Result<File, StoreError> {
        let file_name = file_of(name);
        let path = self.directory.path().join(&file_name);
        let failed = |error| match error {
            ReadError::Missing => StoreError::Missing(name.clone()),
            ReadError::Unusable(reason) => StoreError::Unusable { path: path.clone(), reason },
            ReadError::Failed(error) => {
                let text = |error: &str| format!("{} cannot be opened: {error}", path.display());
                StoreError::Unavailable(Cause::of(error).map_text(text))
            }
        };
        let operation = match access {
            Access::Read => FlockOperation::NonBlockingLockShared,
            Access::Write => FlockOperation::NonBlockingLockExclusive,
        };
        loop {
            let file = self.directory.open_file(&file_name, access).map_err(failed)?;
            if !try_lock(&file, operation, &path)? {
                let _awaited = Awaited::new(&self.awaited, name);
                in_place(|| lock(&file, operation, deadline, &path))?;
            }
            // Another file may have come into its place while this waited.
            if self.directory.is_named(&file, &file_name).map_err(|error| failed(ReadError::Failed(error)))? {
                return Ok(file);
            }
        }
    }

    fn read_text(&self, file: &File, name: &RecordName) -> Result<String, StoreError> {
        let path = || self.directory.path().join(file_of(name));
        read_to_end(file).map_err(|error| match error {
            ReadError::Failed(error) => {
                let text = |error: &str| format!("{} cannot be read: {error}", path().display());
                StoreError::Unavailable(Cause::of(error).map_text(text))
            }
            ReadError::Unusable(reason) => StoreError::Unusable { path: path(), reason },
            ReadError::Missing => StoreError::Missing(name.clone()),
        })
    }

    fn read_record(&self, name: &RecordName, deadline: std::time::Instant) -> Result<Snapshot, StoreError> {
        self.directory.check()?;
        let mut text = self.read_text(&self.open_record(name, Access::Read, deadline)?, name)?;
        if self.writes {
            let durable = locked(&self.durable).get(name).cloned();
            if let Some(known) = durable.filter(|known| known.text() == text) {
                return Ok(snapshot(known));
            }
            text = in_place(|| self.bring_to_disk(name, deadline))?;
        }
        let invalid = |source: RecordError| StoreError::Invalid { name: name.clone(), source };
        let read = Arc::new(RecordFile::parse(text).map_err(invalid)?);
        self.remember_durable(name, &read);
        Ok(snapshot(read))
    }

    /// Returns the text of a record's file, which is on disk then. INVARIANT R9: Whoever has written it may have died before it was, or because it
    /// could not be: then the kernel may have dropped the data, still show it, and say that all is well. So slots are written again, as they
    /// are.
    fn bring_to_disk(&self, name: &RecordName, deadline: std::time::Instant) -> Result<String, StoreError> {
        let (file, file_name) = (self.open_record(name, Access::Write, deadline)?, file_of(name));
        let text = self.read_text(&file, name)?;
        if RecordFile::is_of_slots(&text) {
            file.write_all_at(text.as_bytes(), 0).map_err(|error| self.write_failed(&file_name, error))?;
        }
        self.sync(&file, &file_name);
        Ok(text)
    }

    fn remember_durable(&self, name: &RecordName, contents: &ReadFile) {
        if self.writes {
            locked(&self.durable).insert(name.clone(), contents.clone());
        }
    }

    /// Writes the slot in which `after` differs from `before`, if the file still has `before`.
    fn write_slot(
        &self,
        name: &RecordName,
        before: &RecordFile,
        after: &RecordFile,
        deadline: std::time::Instant,
    ) -> Result<(), StoreError> {
        let file = self.open_record(name, Access::Write, deadline)?;
        let text = self.read_text(&file, name)?;
        let conflict = || StoreError::Conflict(name.clone());
        let (offset, slot) = after.newest_slot().filter(|_| text == before.text()).ok_or_else(conflict)?;
        let file_name = file_of(name);
        // One that fails leaves a slot that is cut, beside the newest state.
        file.write_all_at(slot.as_bytes(), offset).map_err(|error| self.write_failed(&file_name, error))?;
        // The length and the blocks of the file stay as they are, so its data is all that must be on disk.
        if let Err(error) = file.sync_data() {
            self.exit_after_failed_write(&file_name, &error);
        }
        // Somebody may have put another file in its place meanwhile, and that one counts from now on.
        match self.directory.is_named(&file, &file_name) {
            Ok(true) => Ok(()),
            Ok(false) => Err(conflict()),
            Err(error) => Err(self.directory.failed(Cause::of(error))),
        }
    }

    /// The lock of the directory, for a file that comes into its place by its name, to be held from the read of the present state to the end
    /// of the write.
    fn writer(&self, deadline: std::time::Instant) -> Result<Writer, StoreError> {
        self.directory.check()?;
        let unusable = |error: io::Error| self.directory.failed(Cause::of(error));
        let directory = self.directory.again().map_err(unusable)?;
        lock(&directory, FlockOperation::NonBlockingLockExclusive, deadline, self.directory.path())?;
        Ok(Writer { directory })
    }

    /// Writes a complete new file, and renames it over the old one after it is on disk.
    fn write_whole(&self, writer: &Writer, name: &RecordName, contents: &RecordFile) -> Result<(), StoreError> {
        let (new, file_name) = (format!("{name}.new"), file_of(name));
        let failed = |error| self.write_failed(&new, error);
        let mut file = self.directory.create(&new).map_err(failed)?;
        file.write_all(contents.text().as_bytes()).map_err(failed)?;
        self.sync(&file, &new);
        // INVARIANT R8: One that failed may have happened all the same, and be taken back by a power loss after its text was believed.
        if let Err(error) = self.directory.rename(&new, &file_name) {
            self.exit_after_failed_write(&file_name, &error);
        }
        self.sync(&writer.directory, "");
        Ok(())
    }

    fn write_failed(&self, name: &str, error: io::Error) -> StoreError {
        let (path, kind) = (self.directory.path().join(name), error.kind());
        let written = |what: &str| Cause::of(error).map_text(|error| format!("{what} cannot be written: {error}"));
        match kind {
            // What does not go away by itself.
            ErrorKind::IsADirectory | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                StoreError::Unusable { path, reason: written("it") }
            }
            _ => StoreError::Unavailable(written(&path.display().to_string())),
        }
    }

    /// After a failed fsync, the kernel may have dropped the data and still return it from its cache, so reading it back proves nothing. The
    /// process exits, and the next one [writes again](Self::bring_to_disk) what it finds.
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

/// Takes a lock, which is held briefly, so waiting means trying again: a process that is stopped while it has the lock costs a request, and
/// does not block the signer. Requests for one record wait for each other before, so this waits for other processes only. It blocks its
/// thread, so its clock is that of the standard library.
fn lock(file: &File, operation: FlockOperation, deadline: std::time::Instant, path: &Path) -> Result<(), StoreError> {
    while !try_lock(file, operation, path)? {
        if std::time::Instant::now() >= deadline {
            return Err(StoreError::FileLocked(path.to_owned()));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// Whether it has the lock now.
fn try_lock(file: &File, operation: FlockOperation, path: &Path) -> Result<bool, StoreError> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(error) => {
            let text = |error: &str| format!("{} cannot be locked: {error}", path.display());
            Err(StoreError::Unavailable(Cause::of(io::Error::from(error)).map_text(text)))
        }
    }
}

/// Says that a call waits for another process, until this is dropped.
struct Awaited<'a> {
    all: &'a Mutex<BTreeSet<RecordName>>,
    name: &'a RecordName,
}

impl<'a> Awaited<'a> {
    fn new(all: &'a Mutex<BTreeSet<RecordName>>, name: &'a RecordName) -> Self {
        locked(all).insert(name.clone());
        Self { all, name }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        locked(self.all).remove(self.name);
    }
}

fn locked<T>(all: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole before anything could panic.
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The directory, locked until this is dropped.
struct Writer {
    directory: File,
}

fn file_of(name: &RecordName) -> String {
    format!("{name}.json")
}

fn snapshot(contents: ReadFile) -> Snapshot {
    Snapshot { record: contents.record().clone(), lease: Lease::default(), basis: Basis::File(contents) }
}

#[async_trait]
impl Store for FileStore {
    async fn read(&self, name: &RecordName, deadline: Instant) -> Result<Snapshot, StoreError> {
        self.read_record(name, deadline.into_std())
    }

    async fn replace(
        &self,
        name: &RecordName,
        basis: &Snapshot,
        record: &Record,
        _lease: &Lease,
        deadline: Instant,
    ) -> Result<Snapshot, StoreError> {
        let conflict = || StoreError::Conflict(name.clone());
        let Basis::File(before) = &basis.basis else { return Err(conflict()) };
        self.require_writes()?;
        in_place(|| {
            let (after, deadline) = (before.followed_by(record), deadline.into_std());
            self.directory.check()?;
            if before.newest_slot().is_some() {
                self.write_slot(name, before, &after, deadline)?;
            } else {
                let writer = self.writer(deadline)?;
                let now = self.open_record(name, Access::Read, deadline)?;
                if self.read_text(&now, name)? != before.text() {
                    return Err(conflict());
                }
                self.write_whole(&writer, name, &after)?;
            }
            // A change in a directory that was moved meanwhile cannot be relied on. A signer asks again before a signature leaves.
            if !self.is_exclusive() {
                self.directory.check()?;
            }
            let after = Arc::new(after);
            self.remember_durable(name, &after);
            Ok(snapshot(after))
        })
    }

    async fn create(&self, name: &RecordName, record: &Record) -> Result<(), StoreError> {
        self.require_writes()?;
        let writer = self.writer(std::time::Instant::now() + CREATION)?;
        if self.directory.has(&file_of(name)).map_err(|error| self.directory.failed(Cause::of(error)))? {
            return Err(StoreError::Exists(name.clone()));
        }
        self.write_whole(&writer, name, &RecordFile::new(record))?;
        self.directory.check()
    }

    fn waits_for_another_process(&self, name: &RecordName) -> bool {
        locked(&self.awaited).contains(name)
    }

    fn check_place(&self) -> Result<(), StoreError> {
        self.directory.check()
    }

    fn is_exclusive(&self) -> bool {
        self.directory.is_locked()
    }
}
