//! Connections: listeners, sockets that outlive the process, TLS, and limits. Nothing here depends on what is signed.

pub mod body;
pub mod client;
mod connection;
pub mod connection_error;
mod connection_limit;
mod connection_state;
pub mod kept_sockets;
pub mod listener;
mod peer_identity;
mod segments;
pub mod tls;
pub(crate) mod unix_socket;
