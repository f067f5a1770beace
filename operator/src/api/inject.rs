//! `spec.inject` of a TezosSigner: the signer as a sidecar in pods that something else makes.

// The derive of KubeSchema generates a public copy of each type inside a function.
#![allow(unreachable_pub)]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The signer is added as a native sidecar to every pod of this namespace that has the label `signer.tezos.io/inject` with the name of the
/// TezosSigner: to the pods of a StatefulSet of the tezos-k8s chart, for example. Set the label in the template of the workload. It listens
/// on `http://127.0.0.1:6732`, in the pod only. Needs Kubernetes 1.36; with older versions such pods are rejected unless their template has
/// the sidecar already (`kubectl tezos-signer sidecar NAME` prints it).
#[derive(Debug, Clone, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InjectSpec {
    /// The ServiceAccount of the pods, which gets the right to update the watermark records. It must be the baker's own, and not `default`.
    /// Only the sidecar gets a token of it.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
            .message("spec.inject.serviceAccountName: expected the name of a ServiceAccount"),
        validation = Rule::new("self != 'default'")
            .message("spec.inject.serviceAccountName: not default, which every pod without a ServiceAccount of its own has: create one for the baker"),
        validation = Rule::new("!self.endsWith('-signer')")
            .message("spec.inject.serviceAccountName: names that end in -signer are for ServiceAccounts that the operator creates: use another name")
    )]
    pub service_account_name: String,
}
