//! Where the PIN of a token comes from: a Secret, or a volume of a CSI driver.

// The derive of KubeSchema generates a public copy of each type inside a function.
#![allow(unreachable_pub)]

use crate::api::schema::volume_attributes;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// The CRD shows the description of this type here, instead of that of the field.

/// The PIN: a key of a Secret in the TezosSigner's namespace, or a file of a CSI volume. It is mounted as a file into the signer's container
/// only. For CloudHSM, it is the crypto user and its password, as `user:password`.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.secret) != has(self.csi)")
        .message("pin: exactly one of secret (the name of a Secret) and csi (a volume of a CSI driver) is required")
)]
pub struct PinSource {
    /// The name of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret: Option<String>,
    /// The volume of a CSI driver, such as the Secrets Store CSI driver. The driver mounts it when the pod starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CsiVolume>,
    /// The key in the Secret, or the path of the file in the CSI volume.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

// The fields have the names that they have in a volume of a pod.

/// The volume of a CSI driver, such as the Secrets Store CSI driver. The driver mounts it when the pod starts. It is always read-only.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CsiVolume {
    /// The name of the driver, such as `secrets-store.csi.k8s.io`.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
            .message("driver: expected the name of a CSI driver, such as secrets-store.csi.k8s.io")
    )]
    pub driver: String,
    /// What the driver needs to know, such as `secretProviderClass`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "volume_attributes")]
    pub volume_attributes: BTreeMap<String, String>,
    /// A Secret in the TezosSigner's namespace that the kubelet gives to the driver with each mount, if the driver needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_publish_secret_ref: Option<NodePublishSecret>,
}

// The CRD shows the description of this type here, instead of that of the field.

/// A Secret in the TezosSigner's namespace that the kubelet gives to the driver with each mount, if the driver needs one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePublishSecret {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
