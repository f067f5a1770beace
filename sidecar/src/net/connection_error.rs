//! Errors of a connection before there is a request for a handler, and how they are reported.

use crate::net::client::Client;
use std::sync::Arc;
use tezos_signer_core::cause::Cause;

/// Why a connection ended without an answer of the protocol. The client may connect again; what it has to change, the variants say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// What it sent is not HTTP/1, or its head is too large. It was answered with 400, 414 or 431.
    #[error("the request is not HTTP/1: {0}")]
    Malformed(#[source] Cause),
    /// It began a request and closed the connection before the head was complete.
    #[error("the connection was closed before the request head was complete")]
    Incomplete,
    /// It began a request and did not send the whole head in time. It was answered with 400.
    #[error("the request head did not arrive in time")]
    HeadTimeout,
    /// It opened a connection and asked nothing for long, or not again.
    #[error("the connection was idle for too long")]
    Idle,
    /// The TLS handshake failed: no TLS, no common version, no certificate that is accepted.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] Cause),
    /// The TLS handshake was not over in time.
    #[error("the TLS handshake did not finish in time")]
    HandshakeTimeout,
    /// Too many connections were open, and this one had been idle longest.
    #[error("too many connections: this one had been idle longest")]
    Displaced,
}

impl ConnectionError {
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

    /// The label of each variant, so that every series exists from the start.
    pub(crate) fn labels() -> [&'static str; 7] {
        let text = || Cause::from("");
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

/// Gets every fault, on the connection's task. It must not block: a hostile client can cause thousands of faults a second.
pub type ConnectionErrorObserver = Arc<dyn Fn(&Client, &ConnectionError) + Send + Sync>;
