//! A Unix socket with an owner: made when nobody listens there, removed at the end, and never taken from a living process.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Its owner and group may connect, which takes the right to write.
const MODE: u32 = 0o660;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// Somebody answers there.
    #[error("cannot listen on {path} (unixSocket in the configuration): another process does already; stop it first")]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// There is something of another type.
    #[error(
        "cannot listen on {path} (unixSocket in the configuration): there is something that is no socket, and it is not removed"
    )]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// The system.
    #[error("cannot listen on {path} (unixSocket in the configuration): {source}")]
    System {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// A listening socket and its file.
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file: somebody else's at the same place is not removed.
    file: (u64, u64),
}

impl UnixSocket {
    /// Listens at `path`, in the place of a socket that a dead process has left there.
    pub(crate) fn bind(path: &Path) -> Result<Self, UnixSocketError> {
        let failed = |source| UnixSocketError::System { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(UnixSocketError::NotASocket { path: path.to_owned() });
            }
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(UnixSocketError::InUse { path: path.to_owned() }),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(failed)?;
                }
                Err(error) => return Err(failed(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
        let file = identity(path).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), file })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket's file could not be removed");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
