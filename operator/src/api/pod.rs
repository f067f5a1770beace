//! Fields of a TezosSigner about its pods: placement, resources and pull secrets.

// The derive of KubeSchema generates a public copy of each type inside a function.
#![allow(unreachable_pub)]

use super::schema::{any_object, any_objects, label_map, metadata_map, quantities};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Scheduling of the pods with `service` or `baker.octez`. With `baker.template`, set it in the template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementSpec {
    /// Labels that a node must have. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations, as in a pod. Default: none, except that pods stay on a lost node for 30 s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub tolerations: Vec<Value>,
    /// Affinity, as in a pod. Default: none. Signers behind a Service are spread over nodes in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub affinity: Option<Value>,
    /// Topology spread constraints, as in a pod, in place of the defaults. Default: with `service`, the signers prefer different nodes and
    /// zones; with `baker.octez`, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_objects")]
    pub topology_spread_constraints: Option<Vec<Value>>,
    /// The name of a `PriorityClass`. Default: that of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

/// Labels, annotations and termination of the pods with `service` or `baker.octez`. With `baker.template`, set them in the template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMetadataSpec {
    /// Additional labels of the pods. The operator's own (`app.kubernetes.io/name`, `instance` and `managed-by`) and names with the prefix
    /// `signer.tezos.io/` are rejected. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "metadata_map")]
    pub labels: BTreeMap<String, String>,
    /// Additional annotations of the pods. Rejected are names with the prefix `signer.tezos.io/`, and those that would weaken the pod:
    /// `eks.amazonaws.com/skip-containers`, `container.apparmor.security.beta.kubernetes.io/…` and `container.seccomp.security.alpha.kubernetes.io/…`.
    /// Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "metadata_map")]
    pub annotations: BTreeMap<String, String>,
    /// The number of seconds that a pod has to terminate. The signer needs up to 15, to finish requests, release its records
    /// and forward late requests. Default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 20, max = 3600))]
    pub termination_grace_period_seconds: Option<i64>,
}

/// An additional environment variable of the signer's container.
#[derive(Debug, Clone, PartialEq, Eq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvSpec {
    /// The name. Rejected are the names that the operator sets (`POD_NAME`, `POD_UID`, `POD_IP`), those by which the signer would use another
    /// cluster or load other code (`KUBECONFIG`, `KUBERNETES_…`, `LD_…`), and those of systemd (`LISTEN_…`, `NOTIFY_SOCKET`,
    /// `CREDENTIALS_DIRECTORY`).
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_]*$')").message("env: expected the name of a variable: letters, digits and _, not beginning with a digit"))]
    pub name: String,
    /// The value. There is no `valueFrom`: secrets do not belong into the environment, which other processes and crash reports show.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// The ServiceAccount that the operator creates for the pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountSpec {
    /// Additional annotations, such as `eks.amazonaws.com/role-arn`. Names with the prefix `signer.tezos.io/` are rejected. They take effect
    /// when a pod is created; a change does not replace pods. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "metadata_map")]
    pub annotations: BTreeMap<String, String>,
}

/// Requests and limits of the signer's container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesSpec {
    /// The limits. A CPU limit delays signatures. Default: `{memory: 256Mi}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, Quantity>,
    /// The requests. Default: `{cpu: 50m, memory: 64Mi}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, Quantity>,
}

/// A Secret in the TezosSigner's namespace for pulling images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullSecret {
    /// The name of the Secret, of type `kubernetes.io/dockerconfigjson`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
