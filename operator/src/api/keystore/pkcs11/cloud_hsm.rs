//! `spec.hsm.cloudHsm` of a TezosSigner: an AWS CloudHSM cluster, and how its client library is set up in the pod.
//!
//! The fields have the names of AWS's options (`configure-pkcs11`), so that they can be found in AWS's documentation.

// The derive of KubeSchema generates a public copy of each type inside a function.
#![allow(unreachable_pub)]

use super::TokenSpec;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An AWS CloudHSM cluster.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.addresses) != has(self.clusterId)")
        .message("exactly one of addresses (of the HSMs) and clusterId (each new pod asks AWS for them) is required"),
    validation = Rule::new("has(self.clusterId) == has(self.region)")
        .message("region: required with clusterId, and only allowed with it"),
    validation = Rule::new("!has(self.token) || !has(self.serial)")
        .message("at most one of token (the token's label) and serial (its serial number), to find the token")
)]
pub struct CloudHsmSpec {
    /// The IP addresses or DNS names of the HSMs: `aws cloudhsmv2 describe-clusters` shows them as `EniIp`. List all of them: the client
    /// finds the others through any of them, but one of these must answer when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 28), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub addresses: Option<Vec<String>>,

    /// The id of the cluster, instead of addresses. Each new pod asks AWS for the addresses and cannot start if AWS does not answer. The
    /// pod's ServiceAccount needs a role with `cloudhsm:DescribeClusters`. Prefer addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(
        validation = Rule::new("self.matches('^cluster-[2-7a-zA-Z]{11,16}$')")
            .message("clusterId: expected the id that aws cloudhsmv2 describe-clusters shows, such as cluster-abcdefghijk")
    )]
    pub cluster_id: Option<String>,

    /// The region of `clusterId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z]+(-[a-z0-9]+)+$')").message("region: expected a region such as eu-central-1"))]
    pub region: Option<String>,

    /// The certificate that the cluster was initialised with (customerCA.crt).
    pub customer_ca: CustomerCa,

    /// An image with AWS's PKCS#11 client in `/opt/cloudhsm` and the program `cp`; images/cloudhsm builds one. Default: the client is in
    /// the signer's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub client_image: Option<String>,

    /// The token, and how to log in.
    #[serde(flatten)]
    pub token: TokenSpec,

    /// Allow keys that are on fewer than two HSMs. By default the client refuses to use them, so a cluster of one HSM never signs, and a
    /// cluster of two may stop signing when one of them is lost. Set it for clusters of one or two HSMs, after the key is in a backup: a
    /// key on a single HSM is lost with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_key_availability_check: bool,

    /// Do not check the key in the HSM before each signature, which saves a round trip. The signer verifies every signature in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_validate_key_at_init: bool,

    /// The client's behaviour when an HSM is too busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_mode: Option<RetryMode>,

    /// The client's log level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,

    /// A client certificate, for clusters that require one (mutual TLS, on hsm2m.medium).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutual_tls: Option<MutualTls>,
}

/// The certificate that the cluster was initialised with (customerCA.crt).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerCa {
    /// The name of a ConfigMap in the TezosSigner's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub config_map: String,
    /// The key in it. Default: `customerCA.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// A client certificate, for clusters that require one (mutual TLS, on hsm2m.medium).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MutualTls {
    /// The name of a Secret in the TezosSigner's namespace, with `client.crt` and `client.key`. The private key must not be encrypted,
    /// because the client would wait for a passphrase.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
}

// The CRD shows the description of this type here, instead of that of the field.

/// The client's behaviour when an HSM is too busy: `standard` retries up to three times, `none` leaves retries to the signer. (AWS calls
/// the latter `off`, which YAML would parse as false.) Default: standard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetryMode {
    /// Retries up to three times.
    #[default]
    Standard,
    /// Fails at once; the signer retries.
    None,
}

/// The client's log level. Its lines are in the signer's log. Default: info.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Errors.
    Error,
    /// Also warnings.
    Warn,
    /// Also connections.
    #[default]
    Info,
    /// Also calls.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The value of AWS's option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
