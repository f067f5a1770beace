//! What both ways to a token, `spec.hsm.cloudHsm` and `spec.hsm.pkcs11`, say of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A token, how to log in, and how much patience to have with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSpec {
    /// The label of the token. Default: `hsm1` with cloudHsm; with pkcs11 either this or `serial` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub token: Option<String>,

    /// The serial number of the token, in place of its label, where labels are not unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub serial: Option<String>,

    /// Where the PIN is; for CloudHSM that is the crypto user and its password, as `user:password`.
    pub pin: PinSource,

    /// How many sessions are open at once. Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub sessions: Option<i32>,

    /// After how many seconds of nothing but errors the signer ends itself, so that the kubelet starts a new process: the last
    /// thing that it tries against a token or a library that fails. Default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub exit_after_seconds: Option<i32>,

    /// The same where a call of the library does not return and no other session signs: only a new process ends it. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 3600))]
    pub exit_after_hang_seconds: Option<i32>,
}

// The definition shows the text of a field's type here, and not that of the field.

/// Where the PIN is: a key of a Secret in the TezosSigner's namespace. It is mounted as a file into the signer's container only.
/// For CloudHSM it is the crypto user and its password, as `user:password`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinSource {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
