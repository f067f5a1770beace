//! The signer's configuration file. It is a contract between two programs: the operator writes it with the types that the
//! signer parses. Unknown fields are errors, and every error names the field and the line.

mod aws_kms;
mod fields;
mod hsm;
mod key;
mod listen;
mod node;
mod peer;

pub use aws_kms::AwsKmsConfig;
pub use hsm::{
    DEFAULT_EXIT_AFTER_HANG_SECONDS, DEFAULT_EXIT_AFTER_SECONDS, DEFAULT_SESSIONS, HsmConfig, MechanismNumber,
    MechanismNumberError, TokenSelector,
};
pub use key::{KeyConfig, KeySelector, KeySource};
pub use listen::{DEFAULT_MAX_CONCURRENT_REQUESTS, DEFAULT_MAX_CONNECTIONS, PathPrefix, SocketPath, TlsConfig};
pub use node::{NodeEndpoint, NodeEndpointError};
pub use peer::{PeerConfig, PeerTlsConfig};

use crate::authentication::AuthorizedKeys;
use crate::aws::{AwsRegion, KmsKey};
use crate::record::RECORDS_NAMESPACE;
use crate::sealed::SealedKey;
use crate::yaml;
use fields::SignerFields;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The port that Octez' own signer listens on.
pub const SIGNING_PORT: u16 = 6732;

/// The port where replicas forward requests to each other.
pub const PEER_PORT: u16 = 6733;

/// The port of probes, metrics and status.
pub const ADMIN_PORT: u16 = 9583;

/// The configuration file of the signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerConfig {
    /// Where signing requests are accepted. Default: `127.0.0.1:6732`.
    pub listen: SocketAddr,
    /// Where probes, metrics and status are served. Default: `[::]:9583`.
    pub admin: SocketAddr,
    /// The longest that one request may take in all, in milliseconds, 100 to 60000; then it is answered with 502. Default: 1500.
    pub request_deadline_milliseconds: u32,
    /// A Unix socket where signing requests are accepted too, in the same HTTP, and never with TLS. Default: none.
    pub unix_socket: Option<SocketPath>,
    /// TLS for `listen`. Default: none.
    pub tls: Option<TlsConfig>,
    /// Where other replicas forward requests to, whose records this one holds; and that this one forwards. Default: neither.
    pub peer: Option<PeerConfig>,
    /// What stands before every path of the protocol; a request without it is 404. Default: nothing.
    pub path_prefix: Option<PathPrefix>,
    /// Whether `GET /known_keys` lists the keys; else it is 403. Default: false.
    pub allow_known_keys: bool,
    /// How many requests are signed at once, 1 to 1024; above it the answer is 502. Default: 64.
    pub max_concurrent_requests: u16,
    /// How many connections each of `listen` and `unixSocket` keeps open, up to 8192 and more than `maxConcurrentRequests`;
    /// above it the one that has been silent longest is closed. Default: 512.
    pub max_connections: u16,
    /// Where the private keys are, and what opens sealed ones.
    pub keystore: KeystoreConfig,
    /// How long a sealed key is signed with, and how often it is asked whether it still may be.
    pub sealed: SealedTerms,
    /// The clients that may ask for signatures, of every key that names none of its own. Default: whoever reaches the port.
    pub authorized_keys: AuthorizedKeys,
    /// An Octez node that is asked, once after the start, whether the chain has signatures of the keys that their records do not
    /// know: `http://node:8732`. Default: none.
    pub node_endpoint: Option<NodeEndpoint>,
    /// The audit log.
    pub audit: AuditConfig,
    /// The keys that are signed with.
    pub keys: Vec<KeyConfig>,
    /// Where the watermark records are. Needed by everything but `keys`.
    pub watermarks: Option<WatermarkConfig>,
}

/// Where the private keys of a signer are: one of `hsm` and `awsKms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeystoreConfig {
    /// A PKCS#11 token, `hsm`.
    Pkcs11(HsmConfig),
    /// AWS KMS, `awsKms`.
    AwsKms(AwsKmsConfig),
}

impl KeystoreConfig {
    /// The field of the configuration that it stands in.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Pkcs11(_) => "hsm",
            Self::AwsKms(_) => "awsKms",
        }
    }

    /// The token, where it is one.
    pub fn hsm(&self) -> Option<&HsmConfig> {
        match self {
            Self::Pkcs11(hsm) => Some(hsm),
            Self::AwsKms(_) => None,
        }
    }
}

/// [`SealedTerms::grace`] by default, in seconds: a day.
pub const DEFAULT_SEALED_GRACE_SECONDS: u32 = 86_400;

/// [`SealedTerms::check_period`] by default, in seconds: ten minutes.
pub const DEFAULT_SEALED_CHECK_SECONDS: u32 = 600;

/// How the HSM or AWS KMS keeps its say over sealed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedTerms {
    /// How long a sealed key is signed with while checks get no answer: `sealedGraceSeconds`, a minute to a week.
    pub grace: Duration,
    /// How often it is checked that the key may still be opened: `sealedCheckSeconds`, a second to ten minutes.
    pub check_period: Duration,
}

impl Default for SealedTerms {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(DEFAULT_SEALED_GRACE_SECONDS.into()),
            check_period: Duration::from_secs(DEFAULT_SEALED_CHECK_SECONDS.into()),
        }
    }
}

impl AuditConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the audit log is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditConfig {
    /// The file that lines are appended to. Default: standard output, which a supervisor keeps; in a cluster, the kubelet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// Where the watermark records are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WatermarkFields", into = "WatermarkFields")]
pub enum WatermarkConfig {
    /// In files of this directory: protects against a second signature on this host only.
    File(PathBuf),
    /// In ConfigMaps of a cluster.
    ConfigMap(ConfigMapConfig),
}

/// How ConfigMap records are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapConfig {
    /// Where the records are. Default: `tezos-signer-records`.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// After how long without a change another signer may take over: 3 or more seconds. Default: 5.
    #[serde(default = "default_lease_duration")]
    pub lease_duration_seconds: u32,
}

impl ConfigMapConfig {
    /// [`Self::lease_duration_seconds`] as a duration.
    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.lease_duration_seconds.into())
    }
}

impl Default for ConfigMapConfig {
    fn default() -> Self {
        Self { namespace: default_namespace(), lease_duration_seconds: default_lease_duration() }
    }
}

fn default_namespace() -> String {
    RECORDS_NAMESPACE.to_owned()
}

fn default_lease_duration() -> u32 {
    5
}

/// [`WatermarkConfig`] as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WatermarkFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config_map: Option<ConfigMapConfig>,
}

impl TryFrom<WatermarkFields> for WatermarkConfig {
    type Error = String;
    fn try_from(fields: WatermarkFields) -> Result<Self, String> {
        match (fields.file, fields.config_map) {
            (Some(directory), None) => Ok(Self::File(directory)),
            (None, Some(config_map)) if config_map.lease_duration_seconds >= 3 => Ok(Self::ConfigMap(config_map)),
            (None, Some(_)) => {
                Err("watermarks.configMap.leaseDurationSeconds is below 3: a short delay of the API server would lose the lease".to_owned())
            }
            _ => Err("watermarks needs either file: <directory>, or configMap: {}".to_owned()),
        }
    }
}

impl From<WatermarkConfig> for WatermarkFields {
    fn from(config: WatermarkConfig) -> Self {
        match config {
            WatermarkConfig::File(directory) => Self { file: Some(directory), config_map: None },
            WatermarkConfig::ConfigMap(config_map) => Self { file: None, config_map: Some(config_map) },
        }
    }
}

/// Why a configuration cannot be used. A retry does not help before it is changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not YAML of this shape; the message has field, line and column.
    #[error("{0}")]
    Yaml(#[from] serde_yaml::Error),
    /// A value is out of its range, or contradicts another one.
    #[error("{field}: {reason}")]
    Value {
        /// The path of the field, such as `keys[0].label`.
        field: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
}

impl ConfigError {
    fn value(field: &str, reason: String) -> Self {
        Self::Value { field: field.to_owned(), reason }
    }
}

impl SignerConfig {
    /// Reads and checks a configuration file's text.
    pub fn from_yaml(text: &str) -> Result<Self, ConfigError> {
        let fields: SignerFields = yaml::from_str(text)?;
        Self::try_from(fields)?.validated()
    }

    /// The configuration as YAML, which [`Self::from_yaml`] reads back.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        Ok(serde_yaml::to_string(&SignerFields::from(self.clone()))?)
    }

    /// Who may ask for signatures of `key`.
    pub fn authorized_keys_of<'a>(&'a self, key: &'a KeyConfig) -> &'a AuthorizedKeys {
        if key.authorized_keys.is_empty() { &self.authorized_keys } else { &key.authorized_keys }
    }

    /// Why the peer port would sign for whom the signing port does not: what replicas ask there, anybody could.
    fn open_to_peers(&self) -> Option<String> {
        let peer = self.peer.as_ref().filter(|peer| peer.tls.is_none() && !peer.listen.ip().is_loopback())?;
        let by_certificate = self.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
        let by_host = self.listen.ip().is_loopback();
        let by_key = self.keys.iter().all(|key| !self.authorized_keys_of(key).is_empty());
        let clients = match (by_certificate, by_host) {
            (true, _) => "clients with a certificate",
            (false, true) if !by_key => "clients on this host",
            _ => return None,
        };
        Some(format!(
            "missing: listen is for {clients} only, but every client that can connect to {} could send requests as a replica. \
             Configure certificates for the replicas (docs/replicas.md)",
            peer.listen
        ))
    }

    /// Why the private key of `key` cannot be where its configuration says, with the field.
    fn source_problem(&self, key: &KeyConfig) -> Option<(&'static str, String)> {
        let in_region = |field, name: &KmsKey, region: &AwsRegion| {
            let other = name.region().filter(|other| *other != region.as_str())?;
            Some((field, format!("the key is in {other}, and awsKms.region is {region}")))
        };
        let wants =
            |field, wanted: &str, has: &str| Some((field, format!("needs {wanted}, and this signer has {has}")));
        match (&key.source, &self.keystore) {
            (KeySource::Pkcs11(selector), KeystoreConfig::AwsKms(_)) => {
                wants(selector.field(), "hsm", "awsKms: give kmsKey instead")
            }
            (KeySource::AwsKms(_), KeystoreConfig::Pkcs11(_)) => {
                wants("kmsKey", "awsKms", "hsm: give label or id instead")
            }
            (KeySource::Sealed(SealedKey::Pkcs11 { .. }), KeystoreConfig::AwsKms(_)) => {
                wants("sealed", "the hsm that sealed it", "awsKms: seal the key with a key of KMS")
            }
            (KeySource::Sealed(SealedKey::AwsKms { .. }), KeystoreConfig::Pkcs11(_)) => {
                wants("sealed", "awsKms, which sealed it", "hsm: seal the key with a key of the token")
            }
            (KeySource::AwsKms(name), KeystoreConfig::AwsKms(kms)) => in_region("kmsKey", name, &kms.region),
            (KeySource::Sealed(SealedKey::AwsKms { key: name, .. }), KeystoreConfig::AwsKms(kms)) => {
                in_region("sealed", name, &kms.region)
            }
            (KeySource::Pkcs11(_) | KeySource::Sealed(SealedKey::Pkcs11 { .. }), KeystoreConfig::Pkcs11(_)) => None,
        }
    }

    fn validated(self) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| Err(ConfigError::value(field, reason));
        if !(100..=60_000).contains(&self.request_deadline_milliseconds) {
            let got = self.request_deadline_milliseconds;
            return wrong("requestDeadlineMilliseconds", format!("{got} is not from 100 to 60000"));
        }
        let (requests, connections) = (self.max_concurrent_requests, self.max_connections);
        if !(1..=1024).contains(&requests) {
            return wrong("maxConcurrentRequests", format!("{requests} is not from 1 to 1024"));
        }
        // One connection more than can be busy: so there is always one that may be closed for a new client.
        if !(requests + 1..=8192).contains(&connections) {
            let reason = format!("{connections} is not from {} (maxConcurrentRequests + 1) to 8192", requests + 1);
            return wrong("maxConnections", reason);
        }
        if self.peer.is_some() && matches!(self.watermarks, Some(WatermarkConfig::File(_))) {
            let reason = "records in files are used by one signer, so there is no replica to forward to: remove peer, or use configMap";
            return wrong("peer", reason.to_owned());
        }
        if let Some(reason) = self.open_to_peers() {
            return wrong("peer.tls", reason);
        }
        for (i, key) in self.keys.iter().enumerate() {
            if self.keys[..i].iter().any(|other| other.hash() == key.hash()) {
                return wrong(&format!("keys[{i}].publicKey"), format!("{} is listed twice", key.hash()));
            }
            if let Some((field, reason)) = self.source_problem(key) {
                return wrong(&format!("keys[{i}].{field}"), reason);
            }
        }
        Ok(self)
    }
}
