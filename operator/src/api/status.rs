//! What the operator reports of a TezosSigner. Nothing here changes with each signature.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
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
    /// The keys whose records this TezosSigner has claimed, who holds them, and what they remember.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["record"]))]
    pub keys: Vec<KeyStatus>,
    /// The generation of the spec that this status was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A key whose watermark record is claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Nothing above this level is signed. Absent: there is no ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<i64>,
    /// The id of the chain that is signed for.
    pub chain: String,
    /// Who holds the record, and so signs with the key. Absent: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderStatus>,
    /// The address of the key: tz2… or tz3….
    pub public_key_hash: String,
    /// The name of its record, a ConfigMap in the namespace tezos-signer-records.
    pub record: String,
    /// The UID that the record had when it was seen. A record that was seen once is never made anew.
    #[serde(rename = "recordUID")]
    pub record_uid: String,
    /// What the record said at its readAt. Not newer than that: this status does not follow each signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsStatus>,
    /// Whether the record says that nothing may be signed.
    #[serde(default)]
    pub suspended: bool,
}

/// Who holds a watermark record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HolderStatus {
    /// What the record says: the UID of a pod, or the name that a signer outside the cluster gave itself.
    pub identity: String,
    /// The name of that pod. Absent: it is no pod of this TezosSigner, or gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Since when, by the holder's own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// How often the record has changed hands, this holder's turn among them.
    pub term: i64,
}

/// The rows of a watermark record: what was signed last, or a floor that somebody set. A kind without a row is not signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowsStatus {
    /// The newest attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<RowStatus>,
    /// The newest block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<RowStatus>,
    /// The newest preattestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preattestation: Option<RowStatus>,
    /// When this was read. It is written when something else of the status changes, and else every ten minutes at most.
    pub read_at: Time,
}

/// One row of a watermark record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowStatus {
    /// Nothing below this level is signed.
    pub level: i64,
    /// Nothing below this round of the level is signed; 2147483647: nothing of the level, because somebody set a floor.
    pub round: i64,
}
