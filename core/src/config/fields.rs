//! The configuration file as it is written: which fields may be left out, and what is not written because it is as by default. A release
//! with a new field must not change the text that the operator writes, because another text restarts bakers.

use super::aws_kms::AwsKmsConfig;
use super::hsm::HsmConfig;
use super::key::KeyConfig;
use super::listen::{
    self, DEFAULT_MAX_CONCURRENT_REQUESTS, DEFAULT_MAX_CONNECTIONS, PathPrefix, SocketPath, TlsConfig,
};
use super::node::NodeEndpoint;
use super::peer::PeerConfig;
use super::{
    ADMIN_PORT, AuditConfig, ConfigError, DEFAULT_SEALED_CHECK_SECONDS, DEFAULT_SEALED_GRACE_SECONDS, KeystoreConfig,
    SIGNING_PORT, SealedTerms, SignerConfig, WatermarkConfig,
};
use crate::authentication::AuthorizedKeys;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// [`SignerConfig`] as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SignerFields {
    #[serde(default = "default_listen", deserialize_with = "listen::socket_address")]
    listen: SocketAddr,
    #[serde(default = "default_admin", deserialize_with = "listen::socket_address")]
    admin: SocketAddr,
    #[serde(default = "default_request_deadline")]
    request_deadline_milliseconds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unix_socket: Option<SocketPath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<PeerConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_prefix: Option<PathPrefix>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    allow_known_keys: bool,
    #[serde(default = "default_max_concurrent_requests", skip_serializing_if = "is_default_max_concurrent_requests")]
    max_concurrent_requests: u16,
    #[serde(default = "default_max_connections", skip_serializing_if = "is_default_max_connections")]
    max_connections: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hsm: Option<HsmConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aws_kms: Option<AwsKmsConfig>,
    #[serde(default = "default_sealed_grace", skip_serializing_if = "is_default_sealed_grace")]
    sealed_grace_seconds: u32,
    #[serde(default = "default_sealed_check", skip_serializing_if = "is_default_sealed_check")]
    sealed_check_seconds: u32,
    #[serde(default, skip_serializing_if = "AuthorizedKeys::is_empty")]
    authorized_keys: AuthorizedKeys,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_endpoint: Option<NodeEndpoint>,
    #[serde(default, skip_serializing_if = "AuditConfig::is_default")]
    audit: AuditConfig,
    #[serde(default)]
    keys: Vec<KeyConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watermarks: Option<WatermarkConfig>,
}

fn default_listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), SIGNING_PORT)
}

fn default_admin() -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), ADMIN_PORT)
}

fn default_request_deadline() -> u32 {
    1500
}

fn default_max_concurrent_requests() -> u16 {
    DEFAULT_MAX_CONCURRENT_REQUESTS
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_max_concurrent_requests(value: &u16) -> bool {
    *value == DEFAULT_MAX_CONCURRENT_REQUESTS
}

fn default_max_connections() -> u16 {
    DEFAULT_MAX_CONNECTIONS
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_max_connections(value: &u16) -> bool {
    *value == DEFAULT_MAX_CONNECTIONS
}

fn default_sealed_grace() -> u32 {
    DEFAULT_SEALED_GRACE_SECONDS
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_sealed_grace(value: &u32) -> bool {
    *value == DEFAULT_SEALED_GRACE_SECONDS
}

fn default_sealed_check() -> u32 {
    DEFAULT_SEALED_CHECK_SECONDS
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_sealed_check(value: &u32) -> bool {
    *value == DEFAULT_SEALED_CHECK_SECONDS
}

fn seconds(field: &str, least: u32, most: u32, seconds: u32) -> Result<Duration, ConfigError> {
    if (least..=most).contains(&seconds) {
        return Ok(Duration::from_secs(seconds.into()));
    }
    Err(ConfigError::value(field, format!("{seconds} is not from {least} to {most}")))
}

fn in_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

impl TryFrom<SignerFields> for SignerConfig {
    type Error = ConfigError;
    fn try_from(fields: SignerFields) -> Result<Self, ConfigError> {
        let keystore = match (fields.hsm, fields.aws_kms) {
            (Some(hsm), None) => KeystoreConfig::Pkcs11(hsm),
            (None, Some(kms)) => KeystoreConfig::AwsKms(kms),
            (None, None) => {
                let reason = "missing, and so is awsKms: give the place of the private keys, hsm (a PKCS#11 token) or awsKms (AWS KMS)";
                return Err(ConfigError::value("hsm", reason.to_owned()));
            }
            (Some(_), Some(_)) => {
                let reason = "hsm is there too, and a signer has one of them: run a second signer for the other keys";
                return Err(ConfigError::value("awsKms", reason.to_owned()));
            }
        };
        let sealed = SealedTerms {
            grace: seconds("sealedGraceSeconds", 60, 604_800, fields.sealed_grace_seconds)?,
            check_period: seconds("sealedCheckSeconds", 1, 600, fields.sealed_check_seconds)?,
        };
        Ok(Self {
            keystore,
            sealed,
            listen: fields.listen,
            admin: fields.admin,
            request_deadline_milliseconds: fields.request_deadline_milliseconds,
            unix_socket: fields.unix_socket,
            tls: fields.tls,
            peer: fields.peer,
            path_prefix: fields.path_prefix,
            allow_known_keys: fields.allow_known_keys,
            max_concurrent_requests: fields.max_concurrent_requests,
            max_connections: fields.max_connections,
            authorized_keys: fields.authorized_keys,
            node_endpoint: fields.node_endpoint,
            audit: fields.audit,
            keys: fields.keys,
            watermarks: fields.watermarks,
        })
    }
}

impl From<SignerConfig> for SignerFields {
    fn from(config: SignerConfig) -> Self {
        let (hsm, aws_kms) = match config.keystore {
            KeystoreConfig::Pkcs11(hsm) => (Some(hsm), None),
            KeystoreConfig::AwsKms(kms) => (None, Some(kms)),
        };
        Self {
            hsm,
            aws_kms,
            sealed_grace_seconds: in_seconds(config.sealed.grace),
            sealed_check_seconds: in_seconds(config.sealed.check_period),
            listen: config.listen,
            admin: config.admin,
            request_deadline_milliseconds: config.request_deadline_milliseconds,
            unix_socket: config.unix_socket,
            tls: config.tls,
            peer: config.peer,
            path_prefix: config.path_prefix,
            allow_known_keys: config.allow_known_keys,
            max_concurrent_requests: config.max_concurrent_requests,
            max_connections: config.max_connections,
            authorized_keys: config.authorized_keys,
            node_endpoint: config.node_endpoint,
            audit: config.audit,
            keys: config.keys,
            watermarks: config.watermarks,
        }
    }
}
