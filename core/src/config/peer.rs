//! `peer` in the configuration file: the port on which replicas forward requests to each other.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The port where requests of other replicas are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerConfig {
    /// Its address, such as `[::]:6733`. Others are told the IP address in the environment variable `POD_IP`, else this one where
    /// it names an address, with this port.
    #[serde(deserialize_with = "super::listen::socket_address")]
    pub listen: SocketAddr,
    /// TLS between the replicas, which all configure the same. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PeerTlsConfig>,
}

/// Mutual TLS between replicas: each shows its certificate, and verifies that of the other. The files are PEM, and are read again
/// when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerTlsConfig {
    /// The certificate, followed by those between it and the authority. The first name in it is the one that every replica's
    /// certificate must have.
    pub certificate_file: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub private_key_file: PathBuf,
    /// The authorities of the replicas' certificates.
    pub ca_file: PathBuf,
}
