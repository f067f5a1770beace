//! The TezosSigner: keys in an HSM, and the baker that signs with them.

// The derive of KubeSchema makes a public twin of each type inside a function.
#![allow(unreachable_pub)]

use super::TezosSignerStatus;
use super::cloud_hsm::CloudHsmSpec;
use super::service::ServiceSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tezos_signer_core::position::ConsensusKind;

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
        .message("spec: exactly one of baker (a pod with the signer as its sidecar) and service (a signer only) is needed")
)]
pub struct TezosSignerSpec {
    /// The chain to sign for: `mainnet`, or a chain id such as `NetXdQprcVkpaWU`. Payloads of any other chain are refused.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("self == 'mainnet' || self.matches('^Net[1-9A-HJ-NP-Za-km-z]{12}$')")
            .message("spec.chain: expected mainnet, or a chain id of 15 characters such as NetXdQprcVkpaWU (octez-client rpc get /chains/main/chain_id)")
    )]
    pub chain: String,

    /// The keys to sign with.
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.size() > 0").message("spec.keys: at least one key is needed"))]
    pub keys: Vec<KeySpec>,

    /// The token that holds the keys.
    pub hsm: HsmSpec,

    /// Where a key starts that has no watermark record yet. Used once, and ignored as soon as there is a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_watermark: Option<InitialWatermarkSpec>,

    /// The baker's pod. The signer becomes its sidecar, which starts first and holds the baker back until it can sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baker: Option<BakerSpec>,

    /// Signers without a baker, behind a Service, for bakers elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,

    /// The signer's image. Default: what runs already, else what the operator was installed with; so an upgrade of the
    /// operator restarts no signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,

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

/// A key, and what it may sign.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.label) != has(self.id)")
        .message("exactly one of label (CKA_LABEL) and id (CKA_ID) is needed, to find the key in the token")
)]
pub struct KeySpec {
    /// The public key: `sppk…` (tz2, secp256k1) or `p2pk…` (tz3, P-256). The token's key is compared with it.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(
        validation = Rule::new("!self.startsWith('BLpk')")
            .message("publicKey: a tz4 (BLpk…) key cannot be used: CloudHSM has no mechanism for BLS signatures; use a tz2 or tz3 key"),
        validation = Rule::new("!self.startsWith('edpk')")
            .message("publicKey: a tz1 (edpk…) key cannot be used: only some CloudHSM clusters can sign with Ed25519; use a tz2 or tz3 key"),
        validation = Rule::new("!self.matches('^tz[1-4]')")
            .message("publicKey: this is an address (tz…), expected the public key (sppk… or p2pk…); octez-client show address NAME prints it"),
        validation = Rule::new("self.matches('^(BLpk|edpk|tz[1-4])') || self.matches('^(sppk|p2pk)[1-9A-HJ-NP-Za-km-z]{51}$')")
            .message("publicKey: expected sppk… (tz2) or p2pk… (tz3), 55 characters of base58")
    )]
    pub public_key: String,

    /// The key's `CKA_LABEL` in the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 127))]
    pub label: Option<String>,

    /// The key's `CKA_ID` in the token, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9a-fA-F]{2})+$')").message("id: expected hexadecimal digits, two for each byte"))]
    pub id: Option<String>,

    /// What is signed with it. Default: all three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    pub allow: Option<Vec<AllowedKind>>,

    /// How many levels above the highest that was signed a request may be. Default: 100000, about a week: one absurd level
    /// would make every real block too low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_level_jump: Option<i32>,
}

/// A kind of payload that a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllowedKind {
    /// Block headers.
    Block,
    /// Preattestations.
    Preattestation,
    /// Attestations, with or without DAL.
    Attestation,
}

impl From<AllowedKind> for ConsensusKind {
    fn from(kind: AllowedKind) -> Self {
        match kind {
            AllowedKind::Block => Self::Block,
            AllowedKind::Preattestation => Self::Preattestation,
            AllowedKind::Attestation => Self::Attestation,
        }
    }
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
    /// The label of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub token: Option<String>,
    /// The serial number of the token, where labels are not unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub serial: Option<String>,
    /// Where the PIN is.
    pub pin: PinSource,
    /// How many sessions are open at once. Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub sessions: Option<i32>,
    /// After how many seconds of nothing but errors the signer ends itself, so that the kubelet starts a new process: the last
    /// thing that it tries against a token or a library that fails. Default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub exit_after_seconds: Option<i32>,
    /// The same where a call of the library does not return and no other session signs: only a new process ends it. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 3600))]
    pub exit_after_hang_seconds: Option<i32>,
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

/// A key of a Secret in the TezosSigner's namespace. It is mounted as a file into the signer's container only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinSource {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
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

/// The baker's pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BakerSpec {
    /// A pod template, as in a Deployment. The signer is added as its first init container (a native sidecar), and answers
    /// on `http://127.0.0.1:6732`.
    #[schemars(schema_with = "any_object")]
    pub template: Value,
}

/// A Kubernetes object that is checked by the operator and not by this schema: spelled out, it would make the definition
/// too large for `kubectl apply`.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn any_objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}
