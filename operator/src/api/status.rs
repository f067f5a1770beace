//! What the operator reports of a TezosSigner. Nothing here changes with each signature.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known of a `TezosSigner`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TezosSignerStatus {
    /// What is well and what is not, each with a sentence that says what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The pod that holds the watermark records, and so signs; of several, those that hold them, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The image of the signer that was deployed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The keys whose records this TezosSigner has claimed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["record"]))]
    pub keys: Vec<KeyStatus>,
    /// The generation of the spec that this status was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A key whose watermark record is claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// The id of the chain that is signed for.
    pub chain: String,
    /// The address of the key: tz2… or tz3….
    pub public_key_hash: String,
    /// The name of its record, a ConfigMap in the namespace tezos-signer-records.
    pub record: String,
    /// The UID that the record had when it was seen. A record that was seen once is never made anew.
    #[serde(rename = "recordUID")]
    pub record_uid: String,
}
