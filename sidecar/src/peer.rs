//! Several replicas, one of which holds a record: the others forward requests to it. [`Peers`] is the client side,
//! [`crate::http::peer`] the server side.
//!
//! A request is forwarded at most once. The record, not this module, prevents two signers from signing.

mod client;

pub use client::{PeerAnswer, PeerError, Peers};

/// The header that names the holder that is meant, by its identity: another pod may have its address by now.
pub const HOLDER_HEADER: &str = "tezos-signer-holder";

/// The header with the original client, for the audit log.
pub const CLIENT_HEADER: &str = "tezos-signer-client";

/// The header of the request's id, in an answer too.
pub const REQUEST_ID_HEADER: &str = "tezos-signer-request-id";
