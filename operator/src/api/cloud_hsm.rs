//! `spec.hsm.cloudHsm` of a TezosSigner: an AWS CloudHSM cluster, and how its client library is set up in the pod.
//!
//! The fields have the names of AWS's options (`configure-pkcs11`), so that AWS's documentation of them can be looked up.

// The derive of KubeSchema makes a public twin of each type inside a function.
#![allow(unreachable_pub)]

use super::token::TokenSpec;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An AWS CloudHSM cluster.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.addresses) != has(self.clusterId)")
        .message("exactly one of addresses (of the HSMs) and clusterId (AWS is asked for them when a pod starts) is needed"),
    validation = Rule::new("has(self.clusterId) == has(self.region)")
        .message("region: needed with clusterId, and only with it"),
    validation = Rule::new("!has(self.token) || !has(self.serial)")
        .message("at most one of token (the token's label) and serial (its serial number), to find the token")
)]
pub struct CloudHsmSpec {
    /// The HSMs' IP addresses, or names of them: `aws cloudhsmv2 describe-clusters` shows them as `EniIp`. Name all of them;
    /// the client finds the others through any of them, but at its start one of these must answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 28), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub addresses: Option<Vec<String>>,

    /// The cluster's id, instead of addresses. Each new pod asks AWS for the addresses, so it does not start while AWS cannot
    /// be asked; the pod's ServiceAccount needs a role with `cloudhsm:DescribeClusters`. Prefer addresses.
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

    /// An image that holds AWS's client for PKCS#11 in `/opt/cloudhsm`, and the program `cp`: images/cloudhsm makes one.
    /// Absent: the signer's own image holds the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub client_image: Option<String>,

    /// The token, and how to log in.
    #[serde(flatten)]
    pub token: TokenSpec,

    /// Use a key that is on fewer than two HSMs too. Without it the client refuses to, so a cluster of two HSMs may stop signing
    /// when one of them is lost, and a cluster of one never signs. Set it for clusters of one or two HSMs, once the key is in a
    /// backup: a key that is on one HSM only is lost with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_key_availability_check: bool,

    /// Do not have the client ask the HSM about the key before each signature: one round trip less. Every signature is verified
    /// by the signer in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_validate_key_at_init: bool,

    /// What the client does when an HSM is too busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_mode: Option<RetryMode>,

    /// How much the client logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,

    /// A certificate of this client's own, for clusters that want one (mutual TLS, on hsm2m.medium).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutual_tls: Option<MutualTls>,
}

/// Where customerCA.crt is.
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

/// A certificate of this client's own, for clusters that want one (mutual TLS, on hsm2m.medium).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MutualTls {
    /// The name of a Secret in the TezosSigner's namespace, with the keys `client.crt` and `client.key`. The key must not be
    /// encrypted: the client would wait for a passphrase that nobody types.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
}

// The definition shows the text of a field's type here, and not that of the field.

/// What the client does when an HSM is too busy: `standard` tries up to three times more, `none` leaves it to the signer. (AWS
/// calls that one `off`, which in YAML would mean false.) Default: standard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetryMode {
    /// Tries up to three times more.
    #[default]
    Standard,
    /// Fails; the signer tries again.
    None,
}

/// How much the client logs, into the signer's log. Default: info.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Errors.
    Error,
    /// And warnings.
    Warn,
    /// And connections that come and go.
    #[default]
    Info,
    /// And calls.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// As AWS writes it.
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
