//! `spec.baker` of a TezosSigner: a baker whose pod the signer is a sidecar of.

// The derive of KubeSchema makes a public twin of each type inside a function.
#![allow(unreachable_pub)]

use super::schema::{any_object, argument_list};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A baker. The signer is added to its pod as a native sidecar, before all init containers of the template, so that it starts before
/// the baker, holds it back until it can sign, and ends after it; only what brings the CloudHSM client into the pod runs before. It
/// answers on `http://127.0.0.1:6732`, in the pod only.
#[derive(Debug, Clone, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.octez) != has(self.template)")
        .message("spec.baker: exactly one of octez (the operator writes the command) and template (a pod of your own) is needed")
)]
pub struct BakerSpec {
    /// An Octez baker, whose command the operator writes. The signer's key is imported into its client directory first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub octez: Option<OctezBakerSpec>,

    /// A pod template, as in a Deployment: any field that the cluster's API server knows. The baker in it asks for signatures on
    /// `http://127.0.0.1:6732`. What would hand the signer's secrets or its port to others is refused: `hostNetwork`, `hostPID`,
    /// `hostIPC`, `shareProcessNamespace`, a ServiceAccount or its token, the Secrets of `spec.hsm`, and the signer's own names, labels,
    /// volumes and ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub template: Option<Value>,
}

/// An Octez baker (`octez-baker run remotely`).
#[derive(Debug, Clone, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OctezBakerSpec {
    /// An image of an Octez release with `octez-baker` and `octez-client` in its `PATH`, such as `tezos/tezos:octez-v24.0`. It
    /// must be able to run as user 1000 with a read-only root. A new protocol needs a release that knows it, in time.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^[^ \\\\t\\\\n]+$')").message("baker.octez.image: expected the reference of an image, without spaces"))]
    pub image: String,

    /// The RPC address of the Octez node that the baker follows: `http://HOST:PORT` or `https://HOST:PORT`. The node must let the
    /// baker's pod use its RPCs (`octez-node --allow-all-rpc`), so keep it away from everybody else.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("self.matches('^https?://[^/?#@ ]+(/[^?#@ ]*)?$')")
            .message("baker.octez.nodeEndpoint: expected http://HOST:PORT or https://HOST:PORT")
    )]
    pub node_endpoint: String,

    /// The address (tz2… or tz3…) of the key of `spec.keys` that the baker signs with: its consensus key, or its own key. Default:
    /// the only key of `spec.keys`; with several, it must be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 36, max = 36))]
    #[x_kube(
        validation = Rule::new("self.matches('^tz[23][1-9A-HJ-NP-Za-km-z]{33}$')")
            .message("baker.octez.delegate: expected the address of a key of spec.keys, tz2… or tz3…; octez-client show address NAME prints it")
    )]
    pub delegate: Option<String>,

    /// The RPC address of a DAL node, `http://HOST:PORT`, of which the baker learns what to attest. Default: none
    /// (`--without-dal`); then it gets no rewards of the data availability layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("self.matches('^https?://[^/?#@ ]+(/[^?#@ ]*)?$')")
            .message("baker.octez.dalNode: expected http://HOST:PORT or https://HOST:PORT")
    )]
    pub dal_node: Option<String>,

    /// The vote on the liquidity baking subsidy that stands in each block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liquidity_baking_vote: Option<LiquidityBakingVote>,

    /// More options of `octez-baker run remotely`, each word an item, such as `[--pre-emptive-forge-time, "1"]`. They stand behind
    /// those that the operator writes, which cannot be given again. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "argument_list")]
    pub extra_arguments: Vec<String>,

    /// The name of a `PersistentVolumeClaim` for the baker's client directory, where it keeps seed nonces from the block that
    /// commits to one until it reveals it, a cycle later. Default: a directory that goes with the pod; a nonce that is lost with it cannot be
    /// revealed, which costs rewards. On mainnet, name one. A `ReadWriteOnce` disk, as EBS, stays with a lost node for about six minutes, and
    /// the new pod waits for it, unless somebody taints the node `node.kubernetes.io/out-of-service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
            .message("baker.octez.volumeClaim: expected the name of a PersistentVolumeClaim")
    )]
    pub volume_claim: Option<String>,

    /// Requests and limits of the baker's container, as in a pod. Default: none. A limit on CPU makes votes late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub resources: Option<Value>,
}

// The definition shows the text of a field's type here, and not that of the field.

/// The vote on the liquidity baking subsidy that stands in each block: `on` to continue it, `off` to end it, `pass` to abstain.
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
    /// As `octez-baker` reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Pass => "pass",
        }
    }
}
