//! `nodeEndpoint` in the configuration file: the Octez node that the signer asks about its keys.

use std::fmt;
use std::str::FromStr;

/// The port of a node's RPCs, where none is named.
const RPC_PORT: u16 = 8732;

/// `http://host:port`, and nothing more: it is asked in the pod's or host's own network, and says nothing secret.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    host: String,
    port: u16,
}
crate::serde_as_text!(NodeEndpoint);

/// A text is not the URL of a node that can be asked. A retry does not help: write it as the message says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the address of a node: expected http://HOST or http://HOST:PORT, without a path; https is not supported"
)]
pub struct NodeEndpointError(String);

impl NodeEndpoint {
    /// `host:port`, to connect to.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl FromStr for NodeEndpoint {
    type Err = NodeEndpointError;
    fn from_str(text: &str) -> Result<Self, NodeEndpointError> {
        let wrong = || NodeEndpointError(text.to_owned());
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (authority, RPC_PORT),
        };
        let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        let is_address =
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok());
        if port == 0 || !(is_name || is_address.is_some()) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for NodeEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}
