//! A directory, identified by its handle. All files are opened, created and renamed relative to it, so they are those of the
//! directory that was opened, even if it is moved, copied or mounted over. Whether its path still names it is checked by
//! [`Directory::check`].

use super::StoreError;
use super::moves::Moves;
use rustix::fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, flock, fstat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tezos_signer_core::cause::Cause;

/// The file that is locked by the one process that signs. A file of its own, because those of the records are replaced.
const LOCK: &str = "lock";

/// The longest file that is read, in bytes. A record's has 8 KiB, and one that a person has written may have more blanks.
const LONGEST: u64 = 64 * 1024;

/// What a file or directory is, whatever its name is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// The directory of the records, kept open, with its lock file where this process has locked it.
pub(super) struct Directory {
    /// From the root on: a relative path would follow the working directory to where that is moved.
    path: PathBuf,
    handle: OwnedFd,
    identity: Identity,
    moves: Moves,
    /// The file [`LOCK`], where this process has locked it.
    lock: Option<(File, Identity)>,
    /// INVARIANT R13: Why the path no longer names it. The error is permanent, because it is not known what was signed with the other
    /// directory.
    displaced: OnceLock<&'static str>,
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    Read,
    /// To read it too.
    Write,
}

/// Why the text of a file is not there.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The file does not exist.
    Missing,
    /// There is something that does not become a readable file by itself.
    Unusable(Cause),
    /// The system failed, perhaps only now.
    Failed(io::Error),
}

impl From<Errno> for ReadError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            // The result of `O_NOFOLLOW` for a symbolic link.
            Errno::LOOP => Self::Unusable("it is a symbolic link: replace it with the file itself".into()),
            Errno::NXIO => Self::Unusable(no_file("a socket or a device")),
            Errno::ACCESS | Errno::PERM => Self::Unusable(Cause::of(io::Error::from(error)).map_text(|error| {
                format!("it cannot be opened: {error}. Make it readable and writable for the signer's user")
            })),
            error => Self::Failed(error.into()),
        }
    }
}

fn no_file(what: &str) -> Cause {
    format!("it is {what}, not a file").into()
}

impl Directory {
    /// Opens the directory that `path` names now.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let handle = openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let identity = identity_of(&fstat(&handle)?);
        let moves = Moves::of(&path);
        Ok(Self { path, handle, identity, moves, lock: None, displaced: OnceLock::new() })
    }

    /// The path by which it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Locks it for this process for as long as it is open. Fails with `WOULDBLOCK` if another process has locked it.
    pub(super) fn lock(&mut self) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let lock = openat(&self.handle, LOCK, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o666))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let identity = identity_of(&fstat(&lock)?);
        self.lock = Some((lock.into(), identity));
        Ok(())
    }

    /// Whether this process has locked it.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// That the path names this directory, and that its lock file is the one that this process has locked. Else another process can
    /// have locked the directory that is there now, and sign by it.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let displaced = |reason: &'static str| StoreError::Displaced { directory: self.path.clone(), reason };
        if let Some(reason) = self.displaced.get() {
            return Err(displaced(reason));
        }
        match self.displacement() {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => {
                let error = displaced(self.displaced.get_or_init(|| reason));
                tracing::error!(%error, "the watermark directory was replaced");
                Err(error)
            }
            Err(error) => Err(self.failed(Cause::of(io::Error::from(error)))),
        }
    }

    fn displacement(&self) -> Result<Option<&'static str>, Errno> {
        if let Some(reason) = self.displacement_now()? {
            return Ok(Some(reason));
        }
        // INVARIANT R13: Checked after the present state, so that no change in between is missed.
        let moved = "it, or a directory above it, was moved, removed or unmounted meanwhile, even if it was put back";
        Ok(self.moves.any()?.then_some(moved))
    }

    fn displacement_now(&self) -> Result<Option<&'static str>, Errno> {
        match statat(CWD, &self.path, AtFlags::empty()) {
            Ok(found) if identity_of(&found) == self.identity => {}
            Ok(_) => return Ok(Some("another directory is there now, for example a copy of it, or a mount over it")),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Some("it no longer exists")),
            Err(error) => return Err(error),
        }
        let Some((_, locked)) = &self.lock else { return Ok(None) };
        match statat(&self.handle, LOCK, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if identity_of(&found) == *locked => Ok(None),
            Ok(_) => Ok(Some("its file `lock` was replaced, so another process may have locked the new one")),
            Err(Errno::NOENT) => Ok(Some("its file `lock` was removed, so another process may have created a new one")),
            Err(error) => Err(error),
        }
    }

    /// Opens the file again, for a lock that also excludes other threads: a lock belongs to one handle.
    pub(super) fn again(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.handle, ".", flags, Mode::empty())?.into())
    }

    /// The names in it.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            names.extend(entry?.file_name().to_str().map(str::to_owned));
        }
        Ok(names)
    }

    /// Whether there is anything of that name, if only a link to nothing.
    pub(super) fn has(&self, name: &str) -> io::Result<bool> {
        match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A file of it. Never waits for the other end of a FIFO, and never leaves the directory by a link.
    pub(super) fn open_file(&self, name: &str, access: Access) -> Result<File, ReadError> {
        let access = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
        };
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(openat(&self.handle, name, flags, Mode::empty())?);
        let found = file.metadata().map_err(ReadError::Failed)?;
        if found.is_file() {
            return Ok(file);
        }
        Err(ReadError::Unusable(no_file(if found.is_dir() { "a directory" } else { "a FIFO or a device" })))
    }

    /// Whether `name` is still that of `file`.
    pub(super) fn is_named(&self, file: &File, name: &str) -> io::Result<bool> {
        match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(identity_of(&found) == identity_of(&fstat(file)?)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A new, empty file, in the place of one that an earlier process has left.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || openat(&self.handle, name, flags, Mode::from_raw_mode(0o666));
        let created = match create() {
            Err(Errno::EXIST) => {
                unlinkat(&self.handle, name, AtFlags::empty())?;
                create()
            }
            created => created,
        };
        Ok(created?.into())
    }

    /// Gives a file another name, in the place of the one that has it.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.handle, from, &self.handle, to)?)
    }

    /// That the directory itself cannot be used now.
    pub(super) fn failed(&self, cause: Cause) -> StoreError {
        unusable(&self.path, cause)
    }
}

/// The whole text of a file, from its beginning.
pub(super) fn read_to_end(mut file: &File) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    file.rewind().map_err(ReadError::Failed)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(ReadError::Failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(ReadError::Unusable(format!("it is longer than {LONGEST} bytes, which no record is").into()));
    }
    String::from_utf8(bytes).map_err(|error| {
        ReadError::Unusable(Cause::of(error.utf8_error()).map_text(|error| format!("it is not UTF-8: {error}")))
    })
}

/// That the directory at `path` cannot be used now.
pub(super) fn unusable(path: &Path, cause: Cause) -> StoreError {
    let text = |error: &str| format!("the watermark directory {} cannot be used: {error}", path.display());
    StoreError::Unavailable(cause.map_text(text))
}

fn identity_of(found: &rustix::fs::Stat) -> Identity {
    Identity { device: found.st_dev, inode: found.st_ino }
}
