//! `spec.hsm` of a TezosSigner: a token that is reached by a PKCS#11 library, which the user's volumes bring or AWS's CloudHSM client, and how to
//! log in.

// The derive of KubeSchema makes a public twin of each type inside a function.
#![allow(unreachable_pub)]

mod cloud_hsm;
mod pin;

pub use cloud_hsm::*;
pub use pin::*;

use crate::api::schema::{any_objects, mechanism_number};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the signer connects to the token.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.cloudHsm) != has(self.pkcs11)")
        .message("spec.hsm: exactly one of cloudHsm and pkcs11 is required")
)]
pub struct HsmSpec {
    /// An AWS CloudHSM cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_hsm: Option<CloudHsmSpec>,
    /// Any other token with a PKCS#11 library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs11: Option<Pkcs11Spec>,
}

/// A token with a PKCS#11 library.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.token) != has(self.serial)")
        .message("exactly one of token (the token's label) and serial (its serial number) is required, to find the token")
)]
pub struct Pkcs11Spec {
    /// The absolute path of the library in the signer's container.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("module: expected an absolute path, such as /opt/cloudhsm/lib/libcloudhsm_pkcs11.so"))]
    pub module: String,
    /// The token, and how to log in.
    #[serde(flatten)]
    pub token: TokenSpec,
    /// Volumes of the pod that only the signer's container mounts, such as the library and its configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub volumes: Vec<Value>,
    /// The mounts of these volumes in the signer's container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub volume_mounts: Vec<Value>,
    /// Environment variables of the signer's container, for the library. Never put the PIN here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub env: Vec<Value>,
}

/// The token, how to log in, and when to give up on a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSpec {
    /// The label of the token. Default with cloudHsm: `hsm1`. With pkcs11, exactly one of this and `serial` is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub token: Option<String>,

    /// The serial number of the token, instead of its label, if labels are not unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub serial: Option<String>,

    /// The PIN. For CloudHSM: the crypto user and its password, as `user:password`.
    pub pin: PinSource,

    /// The number of sessions. Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub sessions: Option<i32>,

    /// The number of seconds without a successful signature after which the signer exits, so that the kubelet starts a new process. This
    /// is the last step of the recovery from errors of the token or the library. Default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub exit_after_seconds: Option<i32>,

    /// The same while a call of the library hangs and no other session signs. Only a new process recovers from that. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 3600))]
    pub exit_after_hang_seconds: Option<i32>,

    /// The number of the token's mechanism for Ed25519 signatures, for tz1 keys: a number, or hexadecimal digits such as `0x80001057`. Set
    /// it if the signer reports that it does not find the mechanism. Default: the one in the token's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "mechanism_number")]
    pub eddsa_mechanism: Option<MechanismNumber>,
}

/// The number of a PKCS#11 mechanism.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MechanismNumber {
    /// As a number.
    Number(i64),
    /// As `0x` and hexadecimal digits.
    Text(String),
}

impl std::fmt::Display for MechanismNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}
