//! The TezosSigner resource and its spec.

// The derive of KubeSchema generates a public copy of each type inside a function.
#![allow(unreachable_pub)]

use super::TezosSignerStatus;
use super::baker::BakerSpec;
use super::inject::InjectSpec;
use super::key::KeySpec;
use super::keystore::{AwsKmsSpec, HsmSpec};
use super::pod::{EnvSpec, ImagePullSecret, PlacementSpec, PodMetadataSpec, ResourcesSpec, ServiceAccountSpec};
use super::service::ServiceSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// The keys that sign for a Tezos baker, where they are, and the pods that use them.
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
    doc = "A TezosSigner signs for a Tezos baker with keys in an HSM or in AWS KMS, or sealed by one of them. It never signs two different payloads for one level and round.",
    validation = Rule::new("self.metadata.name.size() <= 40 && !self.metadata.name.contains('.')")
        .message("metadata.name: at most 40 characters and no dots, because the names of pods and roles are derived from it"),
    validation = Rule::new("!has(self.spec.service) || self.metadata.name.matches('^[a-z]')")
        .message("metadata.name: it must begin with a letter, because the Service of spec.service has this name"),
    // The sentence is the longest, and last: what stands behind it would be off the screen.
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Holder", type_ = "string", json_path = ".status.holder"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reported", type_ = "date", json_path = ".status.keys[0].rows.readAt", description = "How long ago the operator reported the levels of the first record. While the key signs, at most eleven minutes; longer if it signs nothing, or if the operator is away and the other columns are as old."),
    printcolumn(name = "Chain", type_ = "string", json_path = ".spec.chain"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message"),
    printcolumn(name = "HSM", type_ = "string", json_path = ".status.conditions[?(@.type=='HsmReady')].status", priority = 1),
    printcolumn(name = "Watermark", type_ = "string", json_path = ".status.conditions[?(@.type=='WatermarkReady')].status", priority = 1),
    printcolumn(name = "Keys", type_ = "string", json_path = ".status.keys[*].publicKeyHash", priority = 1),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.deployedImage", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.baker), has(self.service), has(self.inject)].exists_one(form, form)")
        .message("spec: exactly one of baker (a pod with the signer as its sidecar), service (signers only) and inject (a sidecar for pods of your own) is required"),
    validation = Rule::new("has(self.hsm) != has(self.awsKms)")
        .message("spec: exactly one of hsm (a token with a PKCS#11 library, such as AWS CloudHSM) and awsKms (AWS KMS) is required"),
    validation = Rule::new("!has(self.hsm) || self.keys.all(key, !has(key.kmsKey))")
        .message("spec.keys: kmsKey only with spec.awsKms; with spec.hsm, name the key by label or id"),
    validation = Rule::new("!has(self.awsKms) || self.keys.all(key, !has(key.label) && !has(key.id))")
        .message("spec.keys: label and id only with spec.hsm; with spec.awsKms, name the key by kmsKey"),
    validation = Rule::new("!has(self.hsm) || self.keys.all(key, !has(key.sealed) || !key.sealed.startsWith('v1.awskms.'))")
        .message("spec.keys: sealed was made by AWS KMS (v1.awskms.…), which spec.hsm cannot open: use spec.awsKms, or seal the key anew by the HSM (tezos-signer keys seal)"),
    validation = Rule::new("!has(self.awsKms) || self.keys.all(key, !has(key.sealed) || !key.sealed.startsWith('v1.pkcs11.'))")
        .message("spec.keys: sealed was made by an HSM (v1.pkcs11.…), which spec.awsKms cannot open: use spec.hsm, or seal the key anew by AWS KMS (tezos-signer keys seal)"),
    validation = Rule::new("!has(self.awsKms) || self.keys.all(key, !has(key.kmsKey) || !key.kmsKey.startsWith('arn:') || key.kmsKey.split(':').size() != 6 || key.kmsKey.split(':')[3] == self.awsKms.region)")
        .message("spec.keys: the ARN in kmsKey is of another region than spec.awsKms.region: name a key of that region, or change the region"),
    validation = Rule::new("self.keys.all(key, !has(key.sealed) || self.keys.exists_one(other, has(other.sealed) && other.sealed == key.sealed))")
        .message("spec.keys: the same sealed text stands at two keys, and opens for one of them only: set the text of the other key; a companion key differs from the consensus key"),
    validation = Rule::new("self.keys.all(key, !has(key.kmsKey) || self.keys.exists_one(other, has(other.kmsKey) && other.kmsKey == key.kmsKey))")
        .message("spec.keys: the same kmsKey stands at two keys: a key of AWS KMS has one public key"),
    validation = Rule::new("self.keys.all(key, !has(key.companion) || !key.companion || self.keys.exists_one(other, other.publicKey == key.publicKey))")
        .message("spec.keys: a companion key must differ from the consensus key: make a second tz4 key for it"),
    validation = Rule::new("!has(self.baker) || !has(self.baker.octez) || has(self.baker.octez.delegate) || has(self.baker.octez.delegates) || self.keys.filter(key, !has(key.companion) || !key.companion).size() == 1")
        .message("spec.baker.octez.delegate: required unless exactly one key of spec.keys is no companion key: the address of the key that bakes, or delegates with the addresses of several"),
    validation = Rule::new("!has(self.placement) || has(self.service) || (has(self.baker) && has(self.baker.octez))")
        .message("spec.placement: only with service or baker.octez; with baker.template or inject, set the placement in the pod's own template"),
    validation = Rule::new("!has(self.pod) || has(self.service) || (has(self.baker) && has(self.baker.octez))")
        .message("spec.pod: only with service or baker.octez; with baker.template or inject, set labels, annotations and terminationGracePeriodSeconds in the pod's own template"),
    validation = Rule::new("!has(self.serviceAccount) || !has(self.inject)")
        .message("spec.serviceAccount: not with inject; annotate the ServiceAccount that spec.inject.serviceAccountName names"),
    validation = Rule::new("has(self.service) || self.keys.all(key, !has(key.authorizedKeys))")
        .message("spec.keys: authorizedKeys only with service; with baker or inject, only the baker's pod can reach the signer")
)]
pub struct TezosSignerSpec {
    /// The chain to sign for: `mainnet`, or a chain id such as `NetXdQprcVkpaWU`. Payloads of any other chain are refused.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("self == 'mainnet' || self.matches('^Net[1-9A-HJ-NP-Za-km-z]{12}$')")
            .message("spec.chain: expected mainnet, or a chain id of 15 characters such as NetXdQprcVkpaWU (octez-client rpc get /chains/main/chain_id)"),
        validation = Rule::new("self == oldSelf || (self in ['mainnet', 'NetXdQprcVkpaWU'] && oldSelf in ['mainnet', 'NetXdQprcVkpaWU'])")
            .message("spec.chain: cannot be changed, because each chain has watermark records of its own, and both would be in use while the pods are replaced one by one; create another TezosSigner for the other chain")
    )]
    pub chain: String,

    /// The keys to sign with, at most 16. Each has a watermark record of its own, which no other TezosSigner can use at the same time.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["publicKey"]))]
    #[x_kube(validation = Rule::new("self.size() > 0").message("spec.keys: at least one key is required"))]
    pub keys: Vec<KeySpec>,

    /// The token that holds the keys, and the keys that seal. Exactly one of hsm and awsKms is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsm: Option<HsmSpec>,

    /// The keys are in AWS KMS, and so are the keys that seal. Exactly one of hsm and awsKms is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_kms: Option<AwsKmsSpec>,

    /// The number of seconds that a sealed key goes on signing while the HSM or AWS KMS cannot be reached. A refusal stops it at once.
    /// Default: 86400, a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 604_800))]
    pub sealed_grace_seconds: Option<i32>,

    /// The number of seconds after which the HSM or AWS KMS is asked again whether it still opens a sealed key. Default: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600))]
    pub sealed_check_seconds: Option<i32>,

    /// The watermark record to create for a key that has none. Ignored for keys that have a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_watermark: Option<InitialWatermarkSpec>,

    /// A baker with the signer as a sidecar. Exactly one of baker, service and inject is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baker: Option<BakerSpec>,

    /// Signers behind a Service, for bakers that run elsewhere. Exactly one of baker, service and inject is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,

    /// The signer as a sidecar in pods that something else makes, such as a Helm chart of a baker. Exactly one of baker, service and inject is
    /// required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inject: Option<InjectSpec>,

    /// The signer's image. Default: the last image that ran well (`status.image`), otherwise the operator's default. An upgrade of the
    /// operator therefore does not restart signers, and an image that does not start is reverted by removing this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,

    /// Secrets in the TezosSigner's namespace for pulling the images of the signer, the CloudHSM client and the baker. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Vec<ImagePullSecret>,

    /// Scheduling of the pods. Only with `service` or `baker.octez`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementSpec>,

    /// Labels, annotations and termination of the pods. Only with `service` or `baker.octez`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodMetadataSpec>,

    /// The ServiceAccount of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountSpec>,

    /// Additional environment variables of the signer's container, such as `RUST_LOG`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvSpec>,

    /// Requests and limits of the signer's container, as in a pod: `{limits: {memory: 512Mi}}`. Values that are not set keep their
    /// defaults, so a request of more than 256Mi of memory also needs a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesSpec>,

    /// Suspends all keys: nothing is signed while this is true. It is written to the watermark records, so that it applies to all signers
    /// of the keys.
    #[serde(default)]
    pub suspend: bool,

    /// The RPC address of an Octez node, `http://HOST:PORT`. Each signer asks it once after its start whether the chain has signatures of
    /// the keys above their watermark records. If so, a record was restored from an old copy, and nothing is signed with the key. The
    /// operator asks it for the level of the chain before it creates a record. Default: no node is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("self.matches('^http://[^/?#@ ]+/?$')")
            .message("spec.nodeEndpoint: expected http://HOST or http://HOST:PORT, without a path; https is not supported")
    )]
    pub node_endpoint: Option<String>,

    /// The number of seconds after the holder's last renewal of the lease after which another pod may take over. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 300))]
    pub lease_duration_seconds: Option<i32>,
}

/// The watermark record to create for a key that has none.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.level) != (has(self.fresh) && self.fresh)")
        .message("spec.initialWatermark: exactly one of level (the last level that was signed) and fresh: true is required")
)]
pub struct InitialWatermarkSpec {
    /// The last level that these keys have signed anywhere, or a higher one. Only levels above it are signed. At most 100000000, and at
    /// most 14400 above the head of the chain if `nodeEndpoint` is set and the node answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    #[x_kube(
        validation = Rule::new("self <= 100000000")
            .message("spec.initialWatermark.level: above 100000000, which no chain has reached. Nothing would be signed below it, and a record is never lowered. Check the number of digits")
    )]
    pub level: Option<i32>,
    /// Confirms that these keys have never signed anything on this chain. The first request is signed at any level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<bool>,
    /// The time after which no record is created, so that an old manifest that is applied or restored later cannot create a record at an
    /// outdated level. Half an hour from now is a good choice; more than 24 hours from now is rejected.
    pub not_after: Time,
}
