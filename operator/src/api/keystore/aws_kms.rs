//! `spec.awsKms` of a TezosSigner: keys in AWS KMS, the region that they are in, and the credentials.

// The derive of KubeSchema makes a public twin of each type inside a function.
#![allow(unreachable_pub)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the signer connects to AWS KMS. By default it gets credentials from EKS Pod Identity, from IRSA
/// (`spec.serviceAccount.annotations`), or from the node's instance profile; no other container of the pod gets them from EKS.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsKmsSpec {
    /// The region of the keys, such as `eu-central-1`.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}$')")
            .message("awsKms.region: expected a region such as eu-central-1, not a zone (eu-central-1a)")
    )]
    pub region: String,

    /// The address of KMS, for an interface endpoint of your VPC whose private DNS is off: `https://HOST`. Default: the public address
    /// of the region. `http` is accepted for 127.0.0.1, `[::1]` and localhost only, for a stand-in in the same pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("self.matches('^(https://[^/?#@ ]+|http://(127[.]0[.]0[.]1|[[]::1[]]|localhost)(:[0-9]{1,5})?)/?$')")
            .message("awsKms.endpoint: expected https://HOST or https://HOST:PORT, without a path; http only for 127.0.0.1, [::1] and localhost (a stand-in for tests)")
    )]
    pub endpoint: Option<String>,

    /// Credentials in a Secret, where the signer has no other. Prefer Pod Identity or IRSA, whose credentials expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentialsSource>,
}

// The CRD shows the description of this type here, instead of that of the field.

/// An AWS shared credentials file (`[default]`, `aws_access_key_id`, `aws_secret_access_key`): a key of a Secret in the TezosSigner's
/// namespace. It is mounted as a file into the signer's container only. Default: EKS Pod Identity, IRSA, or the node's instance profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredentialsSource {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
    /// The key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
