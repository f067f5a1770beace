//! `awsKms` in the configuration file: how to reach AWS KMS.

use crate::aws::{AwsRegion, KmsEndpoint};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How to reach AWS KMS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsKmsConfig {
    /// The AWS region of the keys, such as `eu-west-1`.
    pub region: AwsRegion,
    /// Where KMS is asked in place of the region's public endpoint: a VPC endpoint (`PrivateLink`), or a stand-in on this host. Default:
    /// the public endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<KmsEndpoint>,
    /// A shared credentials file of AWS with the profile `default`, an absolute path. Default: what the host or pod has: EKS Pod Identity,
    /// a web identity token (IRSA), the environment of AWS tools, the instance's profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}
