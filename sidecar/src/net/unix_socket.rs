//! A Unix socket: created if no process listens on it, removed at the end unless the service manager keeps it, and never
//! taken from a running process.

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, socket_with};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{UnixListener, UnixStream};

/// Its owner and group may connect, which takes the right to write.
const MODE: u32 = 0o660;

/// Why the Unix socket cannot be listened on. A new start helps once somebody has removed the reason.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// Another process listens there: stop it first.
    #[error(
        "cannot listen on {path} (unixSocket in the configuration): another process already listens there; stop it first"
    )]
    InUse {
        /// The path of the socket.
        path: PathBuf,
    },
    /// There is a file that is no socket, which is not removed: remove it, or choose another path.
    #[error(
        "cannot listen on {path} (unixSocket in the configuration): the path exists and is not a socket, so it is not removed"
    )]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The system refused a step of it: check the directory and its permissions.
    #[error("cannot listen on {path} (unixSocket in the configuration): {source}")]
    System {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// How long the start waits for another process that is about to listen in the same directory.
const TURN: Duration = Duration::from_secs(1);

/// A listening socket and its file.
pub(crate) struct UnixSocket {
    listener: UnixListener,
    /// Connections that were accepted before this process served.
    accepted: Mutex<VecDeque<UnixStream>>,
    path: PathBuf,
    /// The socket's file, kept open so that no other file gets its inode: the socket of another process at the same path is not removed.
    file: File,
    /// Whether it is left for the next process.
    outlives_us: bool,
}

impl UnixSocket {
    /// Listens at `path`, in the place of a socket that a dead process has left there.
    pub(crate) fn bind(path: &Path) -> Result<Self, UnixSocketError> {
        let failed = |source| UnixSocketError::System { path: path.to_owned(), source };
        // One at a time: of two that find the same dead socket, the second would remove the socket of the first.
        let _turn = take_turn(path).map_err(failed)?;
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(UnixSocketError::NotASocket { path: path.to_owned() });
            }
            Ok(_) if is_alive(path).map_err(failed)? => return Err(UnixSocketError::InUse { path: path.to_owned() }),
            Ok(_) => std::fs::remove_file(path).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let file = open_in_place(path).map_err(failed)?;
        // By the handle, which is the socket's whatever its path names.
        let handle = format!("/proc/self/fd/{}", file.as_raw_fd());
        std::fs::set_permissions(handle, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
        Ok(Self { listener, accepted: Mutex::default(), path: path.to_owned(), file, outlives_us: false })
    }

    /// The one at `path` that was passed to this process.
    pub(crate) fn passed(
        PassedListener { listener, accepted }: PassedListener,
        path: &Path,
    ) -> Result<Self, UnixSocketError> {
        let failed = |source| UnixSocketError::System { path: path.to_owned(), source };
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        let non_blocking = |stream: StdStream| stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
        let accepted = accepted.into_iter().map(non_blocking).collect::<io::Result<_>>().map_err(failed)?;
        let file = open_in_place(path).map_err(failed)?;
        Ok(Self { listener, accepted: Mutex::new(accepted), path: path.to_owned(), file, outlives_us: false })
    }

    /// Keeps the file at the end.
    pub(crate) fn leave_to_next_process(&mut self) {
        self.outlives_us = true;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(stream) = accepted {
            return Ok(stream);
        }
        Ok(self.listener.accept().await?.0)
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // The socket still listens here, so no other process considers it dead meanwhile.
        let ours = self.file.metadata().map(|ours| (ours.dev(), ours.ino()));
        let there = std::fs::symlink_metadata(&self.path).map(|there| (there.dev(), there.ino()));
        if let (Ok(ours), Ok(there)) = (ours, there)
            && ours == there
            && !self.outlives_us
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket's file could not be removed");
        }
    }
}

/// The socket's file itself, which cannot be opened to read or write.
fn open_in_place(path: &Path) -> io::Result<File> {
    let file = File::from(openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    if file.metadata()?.file_type().is_socket() {
        return Ok(file);
    }
    Err(io::Error::other("it was replaced while it was created"))
}

/// The right to make a socket in the directory of `path`, until it is dropped.
fn take_turn(path: &Path) -> io::Result<File> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(directory)?;
    let until = Instant::now() + TURN;
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a process listens on the socket at `path`. Does not wait: a process that was stopped and accepts nothing still listens.
fn is_alive(path: &Path) -> io::Result<bool> {
    Ok(!matches!(try_connect(&new_socket()?, path)?, Attempt::Refused))
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?)
}

enum Attempt {
    Connected,
    /// As many wait there as may.
    Full,
    /// There is a socket file, but no process listens on it.
    Refused,
}

fn try_connect(socket: &OwnedFd, path: &Path) -> io::Result<Attempt> {
    match connect(socket, &SocketAddrUnix::new(path)?) {
        Ok(()) => Ok(Attempt::Connected),
        Err(Errno::AGAIN) => Ok(Attempt::Full),
        Err(Errno::CONNREFUSED) => Ok(Attempt::Refused),
        Err(error) => Err(error.into()),
    }
}

/// A listening socket that was passed to this process, non-blocking.
#[derive(Debug)]
pub struct PassedListener {
    listener: StdListener,
    accepted: Vec<StdStream>,
}

impl PassedListener {
    pub(crate) fn new(listener: StdListener) -> Self {
        Self { listener, accepted: Vec::new() }
    }

    /// Whether clients that connect to `path` reach this listener. The file that it was bound to may have been removed, and another process
    /// may listen at the path; the listener's own address does not show that, and the system does not report the file of a socket. So this
    /// connects from a unique name, and checks whether the connection arrives. Connections that waited before it are kept, to be served.
    /// Does not wait.
    ///
    /// # Errors
    ///
    /// If this cannot be determined, for example because this process may not connect there.
    pub(crate) fn is_reached_by(&mut self, path: &Path) -> io::Result<bool> {
        // A link would lead there too, but is not the file that was bound.
        if !std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            return Ok(false);
        }
        let probe = new_socket()?;
        // The system chooses a free abstract name.
        bind(&probe, &SocketAddrUnix::new_unnamed())?;
        let name = SocketAddrUnix::try_from(getsockname(&probe)?)?;
        loop {
            let attempt = match try_connect(&probe, path) {
                Ok(Attempt::Refused) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                attempt => attempt?,
            };
            let had_accepted = self.accepted.len();
            loop {
                match self.listener.accept() {
                    Ok((_, from))
                        if from.as_abstract_name().is_some() && from.as_abstract_name() == name.abstract_name() =>
                    {
                        return Ok(true);
                    }
                    Ok((stream, _)) => self.accepted.push(stream),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            // There may be room now, after waiting connections were accepted.
            if matches!(attempt, Attempt::Connected) || self.accepted.len() == had_accepted {
                return Ok(false);
            }
        }
    }
}
