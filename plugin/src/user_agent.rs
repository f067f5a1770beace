//! Who asks, in audit logs, managed fields, and the logs of signers and nodes.

/// The `User-Agent` of all requests.
pub(crate) const USER_AGENT: &str = concat!("kubectl-tezos-signer/", env!("CARGO_PKG_VERSION"));
