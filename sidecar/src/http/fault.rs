//! What a client can do wrong before there is a request that a handler could refuse, and who is told.

use super::client::Client;
use std::fmt;
use std::sync::Arc;

/// Why a connection ended without an answer of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// What it sent is not HTTP/1, or its head is too large. It was answered with 400, 414 or 431.
    Malformed(String),
    /// It began a request and closed the connection before the head was complete.
    Incomplete,
    /// It began a request and did not send the whole head in time. It was answered with 400.
    HeadTimeout,
    /// It opened a connection and asked nothing for long, or not again.
    Idle,
    /// The TLS handshake failed: no TLS, no common version, no certificate that is accepted.
    Handshake(String),
    /// The TLS handshake was not over in time.
    HandshakeTimeout,
    /// Too many connections were open, and this one had been silent longest.
    Displaced,
}

impl Fault {
    /// The value of the metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Incomplete => "incomplete",
            Self::HeadTimeout => "head_timeout",
            Self::Idle => "idle",
            Self::Handshake(_) => "handshake",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Displaced => "displaced",
        }
    }

    /// One of each.
    pub(crate) fn labels() -> [&'static str; 7] {
        let text = String::new;
        [
            Self::Malformed(text()),
            Self::Incomplete,
            Self::HeadTimeout,
            Self::Idle,
            Self::Handshake(text()),
            Self::HandshakeTimeout,
            Self::Displaced,
        ]
        .map(|fault| fault.label())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the request is not HTTP/1: {what}"),
            Self::Incomplete => f.write_str("the connection was closed in the middle of a request's head"),
            Self::HeadTimeout => f.write_str("the head of the request did not arrive in time"),
            Self::Idle => f.write_str("the connection was idle for too long"),
            Self::Handshake(what) => write!(f, "the TLS handshake failed: {what}"),
            Self::HandshakeTimeout => f.write_str("the TLS handshake was not over in time"),
            Self::Displaced => f.write_str("too many connections: this one had been silent longest"),
        }
    }
}

/// Is told of every fault, on the connection's task: it must not block. A hostile client can make thousands a second.
pub type FaultObserver = Arc<dyn Fn(&Client, &Fault) + Send + Sync>;
