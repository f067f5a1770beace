//! The client of a request, as far as the connection identifies it. Handlers get it as the extension [`Client`]; the audit
//! log records it.

use std::fmt;
use std::net::SocketAddr;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The transport, and the address where there is one.
    pub peer: Peer,
    /// The certificate that it has proved to hold; only where client certificates are required.
    pub certificate: Option<ClientCertificate>,
}

/// The address of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection, with the remote address.
    Tcp(SocketAddr),
    /// Over the Unix socket.
    Unix,
}

/// A client certificate that an accepted authority has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject, as RFC 4514 writes it: `CN=baker-one,O=Example`.
    pub subject: String,
    /// The SHA-256 of its DER encoding, in lower-case hex: what `openssl x509 -fingerprint -sha256` prints, without colons.
    pub fingerprint: String,
}

impl Client {
    /// One that has shown no certificate (yet).
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, certificate: None }
    }
}

/// The IP address and port, or `unix`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// The peer, and the identity of its certificate, if it has one.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.certificate {
            None => self.peer.fmt(f),
            Some(ClientCertificate { subject, fingerprint }) => {
                write!(f, "{} ({subject}, SHA-256 {fingerprint})", self.peer)
            }
        }
    }
}
