//! The TezosSignerSidecar resource: what an admission policy of the chart copies into the pods of a TezosSigner with `spec.inject`. The
//! operator writes it, into the namespace of the records; the policies in charts/…/templates/injection.yaml read it.

// The derive of KubeSchema generates a public copy of each type inside a function.
#![allow(unreachable_pub)]

use super::schema::{any_objects, names};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The sidecar of the pods with the label `signer.tezos.io/inject: NAME` in one namespace. The operator writes it.
#[derive(Debug, Clone, PartialEq, CustomResource, KubeSchema, Serialize, Deserialize)]
#[kube(
    group = "signer.tezos.io",
    version = "v1alpha1",
    kind = "TezosSignerSidecar",
    plural = "tezossignersidecars",
    namespaced,
    derive = "PartialEq",
    doc = "A TezosSignerSidecar is the signer of a TezosSigner with spec.inject, as admission policies add it to the pods of a baker. The operator writes it; its name is NAMESPACE.NAME of the TezosSigner.",
    printcolumn(name = "Digest", type_ = "string", json_path = ".spec.sidecar.digest"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TezosSignerSidecarSpec {
    /// The ServiceAccount that the pods must have: `spec.inject.serviceAccountName` of the TezosSigner.
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: String,
    /// The sidecar that is added to new pods.
    pub sidecar: Sidecar,
    /// The sidecar before it. A pod whose own template has it is accepted too, so that a change of the TezosSigner does not keep it from being
    /// recreated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Sidecar>,
    /// The Secrets that no other container of the pod may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "names")]
    pub reserved_secrets: Vec<String>,
}

/// What is added to a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Identifies the contents: 16 hexadecimal digits. It is the value of the annotation `signer.tezos.io/sidecar` of the pods.
    #[schemars(length(min = 16, max = 16))]
    pub digest: String,
    /// The name of the ConfigMap with the signer's configuration.
    #[schemars(length(min = 1, max = 253))]
    pub config: String,
    /// The image of the signer.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// The containers, the signer last. They come before all init containers of the pod.
    #[schemars(schema_with = "any_objects")]
    pub init_containers: Vec<Value>,
    /// The volumes that the operator defines.
    #[schemars(schema_with = "any_objects")]
    pub volumes: Vec<Value>,
    /// The volumes of `spec.hsm.pkcs11.volumes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub library_volumes: Vec<Value>,
    /// Secrets for pulling the images, which are added to those of the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub image_pull_secrets: Vec<Value>,
    /// The containers among them that get no AWS credentials from the EKS identity webhook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "names")]
    pub without_aws: Vec<String>,
}
