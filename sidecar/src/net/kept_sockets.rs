//! Listening sockets that outlive the process: the service manager keeps them while no process runs, so that a client that
//! connects during a restart waits in the socket's queue for the next process instead of being refused.
//!
//! They are passed in `LISTEN_FDS`, from one of two sources. The file descriptor store of the service
//! (`FileDescriptorStoreMax=`) has sockets that the signer has bound itself: only the configuration determines their
//! addresses, and stopping the service closes them. A socket unit belongs to the administrator; its sockets must be in the
//! configuration.

use crate::net::listener::PassedListener;
use crate::systemd;
use listenfd::ListenFd;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tezos_signer_core::config::{SignerConfig, SocketPath};

/// The names under which the store has our sockets: the fields of the configuration.
pub(crate) const LISTEN: &str = "listen";
pub(crate) const UNIX_SOCKET: &str = "unixSocket";

/// Why a socket that the service manager passed cannot be used. Each of these errors prevents the start, because clients of that socket would
/// wait without end.
/// A new start helps once the unit or the configuration is changed.
#[derive(Debug, thiserror::Error)]
pub enum PassedSocketError {
    /// A socket of a unit listens where the configuration does not.
    #[error(
        "{unit} listens on {address}, and the configuration on {configured}: make ListenStream= of that unit (systemctl edit {unit}) and \
         listen or unixSocket of the configuration the same, or disable the unit"
    )]
    Unconfigured {
        /// The socket unit, by the name of its file descriptor.
        unit: String,
        /// Where its socket listens.
        address: String,
        /// The address in the configuration.
        configured: String,
    },
    /// The path of a unit's socket is another file's now.
    #[error(
        "{unit} listens on {}, but clients that connect there do not reach that socket: its file was removed or replaced, perhaps \
         by another program that listens there (ss --listening --unix --processes src {}). Stop that program, then systemctl \
         restart {unit}",
        path.display(), path.display()
    )]
    Unreachable {
        /// The socket unit, by the name of its file descriptor.
        unit: String,
        /// Where its socket was bound.
        path: PathBuf,
    },
    /// Not a listening stream socket.
    #[error(
        "{unit} passed a file descriptor that is not a listening stream socket ({source}): use ListenStream= and Accept=no"
    )]
    Unusable {
        /// The socket unit, by the name of its file descriptor.
        unit: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The sockets that the service manager passed to this process.
pub struct PassedSockets(Vec<Passed>);

struct Passed {
    name: String,
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener, SocketAddr),
    /// Without a path if it is an abstract socket.
    Unix(UnixListener, Option<PathBuf>),
}

/// Where a listening socket comes from, which decides whether it outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This process has bound it.
    Bound,
    /// An earlier process of the service has bound and stored it.
    Store,
    /// A socket unit holds it.
    Unit,
}

impl Origin {
    /// Stores `socket` under `name` unless a socket unit holds it. Returns whether it outlives this process.
    pub(crate) fn keep(self, name: &str, socket: &impl AsFd) -> bool {
        match self {
            Self::Unit => true,
            // One of the store once more: discarding another of the same name has discarded it too.
            Self::Store | Self::Bound => systemd::store_socket(name, socket.as_fd()),
        }
    }
}

/// The sockets of the signing port that were passed, and need not be bound.
#[derive(Debug, Default)]
pub(crate) struct SigningSockets {
    pub(crate) tcp: Option<(TcpListener, Origin)>,
    unix: Option<PassedUnix>,
}

#[derive(Debug)]
struct PassedUnix {
    name: String,
    origin: Origin,
    listener: UnixListener,
    path: PathBuf,
}

impl SigningSockets {
    /// The Unix socket, if clients still reach it. It accepts the clients that wait in it, so the start must not fail after this: they would
    /// lose their connections.
    pub(crate) fn take_unix(&mut self) -> Result<Option<(PassedListener, Origin)>, PassedSocketError> {
        let Some(PassedUnix { name, origin, listener, path }) = self.unix.take() else { return Ok(None) };
        let mut listener = PassedListener::new(listener);
        let is_reachable = listener.is_reached_by(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "cannot verify that clients reach the socket that was passed");
            // A socket unit may have given it to others than the signer.
            true
        });
        if is_reachable {
            return Ok(Some((listener, origin)));
        }
        if origin == Origin::Unit {
            return Err(PassedSocketError::Unreachable { unit: name, path });
        }
        tracing::warn!(field = name, path = %path.display(), "the file of the kept socket was removed or replaced");
        systemd::discard_sockets(&name);
        Ok(None)
    }
}

impl PassedSockets {
    /// Takes the sockets that were passed to this process. It changes the environment, so that no child process takes them too. Call it
    /// once, before there are threads.
    pub fn from_environment() -> Result<Self, PassedSocketError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            let name = names.next().unwrap_or("the socket unit").to_owned();
            match Socket::take(&mut passed, index) {
                Ok(socket) => sockets.push(Passed { name, socket }),
                Err(source) => return Err(PassedSocketError::Unusable { unit: name, source }),
            }
        }
        Ok(Self(sockets))
    }

    /// The sockets for the signing port of `config`. A stored one that listens elsewhere, because the configuration has changed since, is
    /// closed.
    pub(crate) fn claim(self, config: &SignerConfig) -> Result<SigningSockets, PassedSocketError> {
        let path = config.unix_socket.as_ref().map(SocketPath::as_path);
        let mut sockets = SigningSockets::default();
        for Passed { name, socket } in self.0 {
            let origin = if [LISTEN, UNIX_SOCKET].contains(&name.as_str()) { Origin::Store } else { Origin::Unit };
            match socket {
                Socket::Tcp(listener, bound) if is_at(config.listen, bound) => {
                    sockets.tcp = Some((listener, origin));
                }
                Socket::Unix(listener, Some(bound)) if path == Some(&bound) => {
                    sockets.unix = Some(PassedUnix { name, origin, listener, path: bound });
                }
                socket if origin == Origin::Store => {
                    tracing::info!(field = name, address = %socket, "no longer listening");
                    systemd::discard_sockets(&name);
                }
                socket => {
                    let path = path.map(|path| format!(" and {}", path.display())).unwrap_or_default();
                    return Err(PassedSocketError::Unconfigured {
                        unit: name,
                        address: socket.to_string(),
                        configured: format!("{}{path}", config.listen),
                    });
                }
            }
        }
        Ok(sockets)
    }
}

impl Socket {
    fn take(passed: &mut ListenFd, index: usize) -> io::Result<Self> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        Ok(if let Ok(listener) = passed.take_tcp_listener(index) {
            let listener = listener.ok_or_else(missing)?;
            prepare(&listener, TcpListener::set_nonblocking)?;
            let address = listener.local_addr()?;
            Self::Tcp(listener, address)
        } else {
            let listener = passed.take_unix_listener(index)?.ok_or_else(missing)?;
            prepare(&listener, UnixListener::set_nonblocking)?;
            let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
            Self::Unix(listener, path)
        })
    }
}

/// Has the runtime wait for it in place of the system.
///
/// # Errors
///
/// Where it does not listen.
fn prepare<L: AsFd>(listener: &L, set_nonblocking: fn(&L, bool) -> io::Result<()>) -> io::Result<()> {
    set_nonblocking(listener, true)?;
    let listens = rustix::net::sockopt::socket_acceptconn(listener)?;
    if listens { Ok(()) } else { Err(io::Error::other("it is connected to a client")) }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, address) => address.fmt(f),
            Self::Unix(_, Some(path)) => path.display().fmt(f),
            Self::Unix(_, None) => f.write_str("an abstract Unix socket"),
        }
    }
}

/// Whether a socket bound to `bound` is one that `listen` asks for: port 0 is whichever the system chose, and `[::]` is all interfaces of
/// IPv4 where the kernel has no IPv6.
fn is_at(listen: SocketAddr, bound: SocketAddr) -> bool {
    let has_port = listen.port() == 0 || listen.port() == bound.port();
    let is_everywhere = listen.ip() == Ipv6Addr::UNSPECIFIED && bound.ip() == Ipv4Addr::UNSPECIFIED;
    has_port && (listen.ip() == bound.ip() || is_everywhere)
}
