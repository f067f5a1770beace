//! The TezosSigner: keys in an HSM, and the baker that signs with them.

// The derive of KubeSchema makes a public twin of each type inside a function.
#![allow(unreachable_pub)]

use super::TezosSignerStatus;
use super::baker::BakerSpec;
use super::cloud_hsm::CloudHsmSpec;
use super::key::KeySpec;
use super::pod::{ImagePullSecret, PlacementSpec, ResourcesSpec};
use super::schema::any_objects;
use super::service::ServiceSpec;
use super::token::TokenSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Keys in an HSM that sign for a Tezos baker, and the pod that uses them.
#[derive(Debug, Clone, PartialEq, CustomResource, KubeSchema, Serialize, Deserialize)]
#[kube(
    group = "signer.tezos.io",
    version = "v1alpha1",
    kind = "TezosSigner",
    plural = "tezossigners",
    shortname = "tzs",
    namespaced,
    status = "TezosSignerStatus",
    derive = "PartialEq",
    doc = "A TezosSigner signs for a Tezos baker with keys that live in an HSM, and never twice for one level and round.",
    validation = Rule::new("self.metadata.name.size() <= 40 && !self.metadata.name.contains('.')")
        .message("metadata.name: at most 40 characters and no dots, because the names of pods and roles are made of it"),
    validation = Rule::new("!has(self.spec.service) || self.metadata.name.matches('^[a-z]')")
        .message("metadata.name: it must begin with a letter, because the Service of spec.service has this name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message"),
    printcolumn(name = "Chain", type_ = "string", json_path = ".spec.chain"),
    printcolumn(name = "Holder", type_ = "string", json_path = ".status.holder"),
    printcolumn(name = "HSM", type_ = "string", json_path = ".status.conditions[?(@.type=='HsmReady')].status", priority = 1),
    printcolumn(name = "Watermark", type_ = "string", json_path = ".status.conditions[?(@.type=='WatermarkReady')].status", priority = 1),
    printcolumn(name = "Keys", type_ = "string", json_path = ".status.keys[*].publicKeyHash", priority = 1),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.baker) != has(self.service)")
        .message("spec: exactly one of baker (a pod with the signer as its sidecar) and service (a signer only) is needed"),
    validation = Rule::new("!has(self.baker) || !has(self.baker.octez) || has(self.baker.octez.delegate) || self.keys.size() == 1")
        .message("spec.baker.octez.delegate: needed where spec.keys has several keys: the address of the one that bakes"),
    validation = Rule::new("!has(self.placement) || !has(self.baker) || !has(self.baker.template)")
        .message("spec.placement: only with service and baker.octez; a baker.template says where its pod runs itself"),
    validation = Rule::new("has(self.service) || self.keys.all(key, !has(key.authorizedKeys))")
        .message("spec.keys: authorizedKeys only with service; beside a baker nobody else reaches the signer")
)]
pub struct TezosSignerSpec {
    /// The chain to sign for: `mainnet`, or a chain id such as `NetXdQprcVkpaWU`. Payloads of any other chain are refused.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("self == 'mainnet' || self.matches('^Net[1-9A-HJ-NP-Za-km-z]{12}$')")
            .message("spec.chain: expected mainnet, or a chain id of 15 characters such as NetXdQprcVkpaWU (octez-client rpc get /chains/main/chain_id)"),
        validation = Rule::new("self == oldSelf || (self in ['mainnet', 'NetXdQprcVkpaWU'] && oldSelf in ['mainnet', 'NetXdQprcVkpaWU'])")
            .message("spec.chain: cannot be changed: what these keys have signed is remembered for each chain, and the pods would be replaced one by one with both in use; make another TezosSigner for the other chain")
    )]
    pub chain: String,

    /// The keys to sign with, at most 16. Each has a watermark record of its own, which no other TezosSigner can use meanwhile.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["publicKey"]))]
    #[x_kube(validation = Rule::new("self.size() > 0").message("spec.keys: at least one key is needed"))]
    pub keys: Vec<KeySpec>,

    /// The token that holds the keys.
    pub hsm: HsmSpec,

    /// Where a key starts that has no watermark record yet. Used once, and ignored as soon as there is a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_watermark: Option<InitialWatermarkSpec>,

    /// A baker, with the signer as its sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baker: Option<BakerSpec>,

    /// Signers without a baker, behind a Service, for bakers elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,

    /// The signer's image. Default: what was deployed last, else what the operator was installed with; so an upgrade of the
    /// operator restarts no signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,

    /// Secrets in the TezosSigner's namespace by which the images are pulled, of the signer, of the CloudHSM client and of the baker.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Vec<ImagePullSecret>,

    /// Where the pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementSpec>,

    /// Requests and limits of the signer's container, as in a pod: `{limits: {memory: 512Mi}}`. What is left out is as usual, so a request
    /// of more than 256Mi of memory needs a limit too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesSpec>,

    /// Sign nothing until this is false again. It is written into the watermark record, so that no signer can miss it.
    #[serde(default)]
    pub suspend: bool,

    /// An Octez node, `http://HOST:PORT`, that each signer asks once after its start whether the chain has signatures of the keys that
    /// their watermark records do not know: those were set back to an old copy then, and nothing is signed. Default: none is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("self.matches('^http://[^/?#@ ]+/?$')")
            .message("spec.nodeEndpoint: expected http://HOST or http://HOST:PORT, without a path; https is not supported")
    )]
    pub node_endpoint: Option<String>,

    /// After how many seconds without a sign of life from the holder another pod may take over. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 300))]
    pub lease_duration_seconds: Option<i32>,
}

/// How the token is reached.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.cloudHsm) != has(self.pkcs11)")
        .message("spec.hsm: exactly one of cloudHsm and pkcs11 is needed")
)]
pub struct HsmSpec {
    /// An AWS CloudHSM cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_hsm: Option<CloudHsmSpec>,
    /// Any PKCS#11 library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs11: Option<Pkcs11Spec>,
}

/// A PKCS#11 library and the token it reaches.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.token) != has(self.serial)")
        .message("exactly one of token (the token's label) and serial (its serial number) is needed, to find the token")
)]
pub struct Pkcs11Spec {
    /// The library, an absolute path in the signer's container.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("module: expected an absolute path, such as /opt/cloudhsm/lib/libcloudhsm_pkcs11.so"))]
    pub module: String,
    /// The token, and how to log in.
    #[serde(flatten)]
    pub token: TokenSpec,
    /// Volumes of the pod that only the signer's container mounts: the library, its configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub volumes: Vec<Value>,
    /// Where the signer's container mounts them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub volume_mounts: Vec<Value>,
    /// Environment variables of the signer's container, for the library. Never the PIN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_objects")]
    pub env: Vec<Value>,
}

/// Where a key starts that has no watermark record yet.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.level) != (has(self.fresh) && self.fresh)")
        .message("spec.initialWatermark: exactly one of level (the last level that was signed) and fresh: true is needed")
)]
pub struct InitialWatermarkSpec {
    /// The first thing signed is above this level: at least the last level that these keys have signed anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub level: Option<i32>,
    /// These keys have never signed anything on this chain. What comes first is signed, whatever its level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<bool>,
    /// After this time no record is made, so that a manifest that is applied or restored later cannot start anew from a
    /// level that is long passed. Half an hour from now is a good choice.
    pub not_after: Time,
}
