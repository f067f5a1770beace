//! How this program names itself.

/// The `User-Agent` of every request: to the API server, to other replicas and to Octez nodes.
pub(crate) const USER_AGENT: &str = concat!("tezos-signer/", env!("CARGO_PKG_VERSION"));
