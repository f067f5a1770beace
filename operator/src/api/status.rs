//! The status of a TezosSigner. No field changes with each signature.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The observed state of a `TezosSigner`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TezosSignerStatus {
    /// The conditions of the TezosSigner. Each message names the remedy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The pods that hold the watermark records, and therefore sign, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The signer's image in the Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_image: Option<String>,
    /// The last signer image that ran well: all pods used it, and the signer in one of them was ready. It is used if spec.image is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The keys whose watermark records this TezosSigner has claimed, with their holders and rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["record"]))]
    pub keys: Vec<KeyStatus>,
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A key whose watermark record is claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// The level above which nothing is signed. Absent: there is no ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<i64>,
    /// The chain id.
    pub chain: String,
    /// The holder of the record, which signs with the key. Absent: the record has no holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderStatus>,
    /// The address of the key: tz1… to tz4….
    pub public_key_hash: String,
    /// The name of the record, a ConfigMap in the namespace tezos-signer-records.
    pub record: String,
    /// The UID of the record. A record that has been observed once is never created again.
    #[serde(rename = "recordUID")]
    pub record_uid: String,
    /// The rows of the record at readAt. They are not updated with each signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsStatus>,
    /// Whether the record is suspended, so that nothing is signed.
    #[serde(default)]
    pub suspended: bool,
}

/// The holder of a watermark record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HolderStatus {
    /// The holder's identity in the record: the UID of a pod, or the name of a signer outside the cluster.
    pub identity: String,
    /// The name of that pod. Absent if the holder is not an existing pod of this TezosSigner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The time since which it holds the record, by the holder's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The number of changes of the holder, including the current one.
    pub term: i64,
}

/// The rows of a watermark record: the last signed positions, or floors. A kind without a row is not signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowsStatus {
    /// The last attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<RowStatus>,
    /// The last block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<RowStatus>,
    /// The last preattestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preattestation: Option<RowStatus>,
    /// The time when the rows were read. They are updated together with other changes of the status, otherwise at most every ten minutes.
    pub read_at: Time,
}

/// One row of a watermark record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowStatus {
    /// The level below which nothing is signed.
    pub level: i64,
    /// The round of the level below which nothing is signed. 2147483647 is a floor: nothing of the level is signed.
    pub round: i64,
}
