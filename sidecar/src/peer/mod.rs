//! Several signers, one of which serves a key: the others ask it. [`Peers`] is who asks; [`port`] is where it is asked.
//!
//! One hop: what came by the peer port goes no further. Nothing here keeps two signers apart, the record does.

mod hop;
pub mod port;

pub use hop::{FORWARDED, HopError, PeerAnswer, Peers};

/// The header that names the holder that is meant, by its identity: another pod may have its address by now.
pub const HOLDER_HEADER: &str = "tezos-signer-holder";

/// The header that says who asked first, for the audit log.
pub const CLIENT_HEADER: &str = "tezos-signer-client";
