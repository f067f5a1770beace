//! The accept loop of each port. It does not end by itself, does not wait for a client, and does not refuse new clients. When
//! it is stopped, clients that were not accepted stay in the queue of the socket, for the next process if the socket outlives
//! this one.

use crate::net::client::Peer;
use crate::net::connection::{Connection, Protocol};
use crate::net::connection_error::ConnectionErrorObserver;
use crate::net::connection_limit::ConnectionLimit;
use crate::net::connection_state::ConnectionState;
use crate::net::tls::Tls;
use crate::net::unix_socket::UnixSocket;
pub use crate::net::unix_socket::{PassedListener, UnixSocketError};
use axum::Router;
use rustix::io::Errno;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long nothing is accepted after the system had no file or memory for it; meanwhile something else may have been closed.
const AFTER_FAILURE: Duration = Duration::from_millis(20);

/// How often such a failure is logged, while it lasts.
const LOG_AGAIN: Duration = Duration::from_secs(10);

/// After how long without a word a client's system is asked whether it still knows the connection; it is given up after three
/// questions, ten seconds apart. Shorter than the idle time-outs of load balancers and address translators on the way.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_mins(1), Duration::from_secs(10), 3);

/// A socket that listens.
pub struct Listener {
    socket: Socket,
}

enum Socket {
    Tcp { listener: TcpListener, tls: Option<Arc<Tls>> },
    Unix(UnixSocket),
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp { listener, .. } => listener.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What is served on a listener.
pub struct Service {
    /// The routes of the HTTP server.
    pub router: Router,
    /// Gets the faults of connections without a request.
    pub observer: ConnectionErrorObserver,
    /// How many connections are kept open.
    pub max_connections: u16,
}

impl Listener {
    /// On a TCP address, with or without TLS.
    pub async fn tcp(address: SocketAddr, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        let listener = match TcpListener::bind(address).await {
            Err(error) if is_missing(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await?
            }
            bound => bound?,
        };
        Ok(Self { socket: Socket::Tcp { listener, tls } })
    }

    /// On a Unix socket at `path`, for its owner and group. The socket is removed when the listener ends.
    pub fn unix(path: &Path) -> Result<Self, UnixSocketError> {
        Ok(Self { socket: Socket::Unix(UnixSocket::bind(path)?) })
    }

    /// On a TCP socket that was passed to this process, non-blocking; with or without TLS.
    pub fn passed_tcp(socket: std::net::TcpListener, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        Ok(Self { socket: Socket::Tcp { listener: TcpListener::from_std(socket)?, tls } })
    }

    /// On the Unix socket at `path` that was passed to this process.
    pub fn passed_unix(socket: PassedListener, path: &Path) -> Result<Self, UnixSocketError> {
        Ok(Self { socket: Socket::Unix(UnixSocket::passed(socket, path)?) })
    }

    /// Keeps the file of a Unix socket when the listener ends, because the next process listens on the same socket.
    pub fn leave_to_next_process(&mut self) {
        if let Socket::Unix(socket) = &mut self.socket {
            socket.leave_to_next_process();
        }
    }

    /// Where it really listens: port 0 is a free one that the system chose.
    pub fn address(&self) -> io::Result<String> {
        Ok(match &self.socket {
            Socket::Tcp { listener, .. } => listener.local_addr()?.to_string(),
            Socket::Unix(socket) => socket.path().display().to_string(),
        })
    }

    /// Accepts until `stopped`; then closes idle connections, and the others after their answers.
    pub async fn serve(self, service: Service, stopped: watch::Receiver<bool>) {
        let connections = ConnectionLimit::new(service.max_connections.into(), service.observer.clone());
        let protocol = Protocol { router: service.router, observer: service.observer, stopped: stopped.clone() };
        let mut stopped = stopped;
        let mut stop = pin!(async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        let mut tasks = JoinSet::new();
        let mut logged: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.accept() => accepted,
                Some(_) = tasks.join_next() => continue,
            };
            match accepted {
                Ok((stream, peer)) => self.start(stream, peer, &connections, &protocol, &mut tasks),
                // Of that one connection: its client has gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if logged.is_none_or(|logged| logged.elapsed() >= LOG_AGAIN) {
                        logged = Some(Instant::now());
                        tracing::error!(%error, "a connection cannot be accepted: closing idle connections and retrying");
                    }
                    connections.make_room();
                    tokio::select! { () = &mut stop => break, () = tokio::time::sleep(AFTER_FAILURE) => {} }
                }
            }
        }
        drop(self);
        while tasks.join_next().await.is_some() {}
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp { listener, .. } => {
                let (stream, address) = listener.accept().await?;
                if let Err(error) = prepare(&stream) {
                    tracing::debug!(%error, "a socket option could not be set");
                }
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Socket::Unix(socket) => Ok((Stream::Unix(socket.accept().await?), Peer::Unix)),
        }
    }

    fn start(
        &self,
        stream: Stream,
        peer: Peer,
        connections: &Arc<ConnectionLimit>,
        protocol: &Protocol,
        tasks: &mut JoinSet<()>,
    ) {
        let tls = match &self.socket {
            Socket::Tcp { tls, .. } => tls.clone(),
            Socket::Unix(_) => None,
        };
        let first = if tls.is_some() { ConnectionState::Handshake } else { ConnectionState::Idle };
        let connection = Connection::new(peer, first, protocol.clone());
        connections.admit(connection.client.clone(), connection.progress.clone(), |permit| {
            tasks.spawn(async move {
                let _seat = permit;
                match stream {
                    Stream::Tcp(stream) => connection.run_tcp(stream, tls).await,
                    Stream::Unix(stream) => connection.run_unix(stream).await,
                }
            })
        });
    }
}

/// Whether the kernel has no IPv6, as after `ipv6.disable=1`: all interfaces are those of IPv4 then.
fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

/// What both ends of a connection set.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    // Without it an answer waits for the client's delayed acknowledgement of the one before.
    stream.set_nodelay(true)?;
    let (idle, interval, count) = KEEP_ALIVE;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, interval)?;
    sockopt::set_tcp_keepcnt(stream, count)?;
    Ok(())
}
