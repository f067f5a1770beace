//! `spec.baker` of a TezosSigner: a baker with the signer as a sidecar in its pod.

// The derive of KubeSchema generates a public copy of each type inside a function.
#![allow(unreachable_pub)]

use super::schema::{any_object, argument_list};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A baker. The signer is added to its pod as a native sidecar, before all init containers of the template: it starts before the baker,
/// delays the baker until it can sign, and ends after it. Only the container that copies the CloudHSM client runs earlier. The signer
/// listens on `http://127.0.0.1:6732`, in the pod only.
#[derive(Debug, Clone, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.octez) != has(self.template)")
        .message("spec.baker: exactly one of octez (the operator writes the command) and template (a pod of your own) is required")
)]
pub struct BakerSpec {
    /// An Octez baker. The operator writes its command, and imports the signer's key into its client directory first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub octez: Option<OctezBakerSpec>,

    /// A pod template, as in a Deployment, with any field that the cluster's API server knows. The baker in it uses the remote signer
    /// `http://127.0.0.1:6732`. Fields that would expose the signer's secrets or its port are rejected: `hostNetwork`, `hostPID`,
    /// `hostIPC`, `shareProcessNamespace`, a ServiceAccount or its token, the Secrets of `spec.hsm` or `spec.awsKms`, and the signer's own names, labels,
    /// volumes and ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub template: Option<Value>,
}

/// An Octez baker (`octez-baker run remotely`).
#[derive(Debug, Clone, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.nodeEndpoint) != has(self.nodeEndpoints)")
        .message("spec.baker.octez: exactly one of nodeEndpoint (one node) and nodeEndpoints (a list of nodes) is required"),
    validation = Rule::new("!has(self.delegate) || !has(self.delegates)")
        .message("spec.baker.octez: at most one of delegate (one key) and delegates (a list of keys)")
)]
pub struct OctezBakerSpec {
    /// An image of an Octez release with `octez-baker` and `octez-client` in its `PATH`, such as `tezos/tezos:octez-v25.1`. It
    /// must run as user 1000 with a read-only root file system. Before a new protocol is activated, set a release that supports it.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^[^ \\\\t\\\\n]+$')").message("baker.octez.image: expected the reference of an image, without spaces"))]
    pub image: String,

    /// The RPC address of the baker's Octez node: `http://HOST:PORT` or `https://HOST:PORT`. The node must allow the baker's pod to use
    /// its RPCs (`octez-node --allow-all-rpc`), so restrict access to the node. Exactly one of nodeEndpoint and nodeEndpoints is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("self.matches('^https?://[^/?#@ ]+(/[^?#@ ]*)?$')")
            .message("baker.octez.nodeEndpoint: expected http://HOST:PORT or https://HOST:PORT")
    )]
    pub node_endpoint: Option<String>,

    /// The RPC addresses of several Octez nodes, as in nodeEndpoint, at most 8. The first is the baker's node (`--endpoint`), the others are
    /// its extra nodes (`--extra-node`, experimental in Octez v25): the baker takes a new head from whichever node has it first. Exactly one
    /// of nodeEndpoint and nodeEndpoints is required.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 512)))]
    #[x_kube(
        validation = Rule::new("self.all(node, node.matches('^https?://[^/?#@ ]+(/[^?#@ ]*)?$'))")
            .message("baker.octez.nodeEndpoints: expected http://HOST:PORT or https://HOST:PORT"),
        validation = Rule::new("self.all(node, self.exists_one(other, other == node))")
            .message("baker.octez.nodeEndpoints: the same node is listed twice")
    )]
    pub node_endpoints: Vec<String>,

    /// The address (tz1… to tz4…) of the key of `spec.keys` that the baker signs with: its consensus key, or its own key. Default: the key of
    /// `spec.keys` that is no companion key; delegate or delegates is required if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 36, max = 36))]
    #[x_kube(
        validation = Rule::new("self.matches('^tz[1-4][1-9A-HJ-NP-Za-km-z]{33}$')")
            .message("baker.octez.delegate: expected the address of a key of spec.keys, tz1… to tz4…; octez-client show address NAME prints it")
    )]
    pub delegate: Option<String>,

    /// The addresses of the keys of `spec.keys` that the baker signs with, in place of delegate. During a change of the consensus key, both
    /// the old and the new one: the baker signs with whichever is active, and its pod is not replaced when that changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 36, max = 36)))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.matches('^tz[1-4][1-9A-HJ-NP-Za-km-z]{33}$'))")
            .message("baker.octez.delegates: expected addresses of keys of spec.keys, tz1… to tz4…; octez-client show address NAME prints them"),
        validation = Rule::new("self.all(key, self.exists_one(other, other == key))")
            .message("baker.octez.delegates: the same key is listed twice")
    )]
    pub delegates: Vec<String>,

    /// The RPC address of the baker's DAL node, `http://HOST:PORT`. Default: none (`--without-dal`); the baker then gets no rewards of
    /// the data availability layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("self.matches('^https?://[^/?#@ ]+(/[^?#@ ]*)?$')")
            .message("baker.octez.dalNode: expected http://HOST:PORT or https://HOST:PORT")
    )]
    pub dal_node: Option<String>,

    /// The vote on the liquidity baking subsidy in each block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liquidity_baking_vote: Option<LiquidityBakingVote>,

    /// Additional options of `octez-baker run remotely`, one item for each word, such as `[--pre-emptive-forge-time, "1"]`. They follow
    /// the operator's options, which cannot be repeated. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "argument_list")]
    pub extra_arguments: Vec<String>,

    /// The name of a `PersistentVolumeClaim` for the baker's client directory, where it keeps each seed nonce until it reveals it a cycle
    /// later. Set it on mainnet: by default the directory is deleted with the pod, and a lost nonce cannot be revealed, which costs rewards.
    /// A `ReadWriteOnce` disk such as EBS stays attached to a lost node for about six minutes, and the new pod waits for it, unless the
    /// node is tainted with `node.kubernetes.io/out-of-service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
            .message("baker.octez.volumeClaim: expected the name of a PersistentVolumeClaim")
    )]
    pub volume_claim: Option<String>,

    /// Requests and limits of the baker's container, as in a pod. Default: none. A CPU limit delays votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub resources: Option<Value>,
}

// The CRD shows the description of this type here, instead of that of the field.

/// The vote on the liquidity baking subsidy in each block: `on` to continue it, `off` to end it, `pass` to abstain.
/// Default: pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LiquidityBakingVote {
    /// Continue it.
    On,
    /// End it.
    Off,
    /// Abstain.
    #[default]
    Pass,
}

impl LiquidityBakingVote {
    /// The value of octez-baker's option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Pass => "pass",
        }
    }
}
