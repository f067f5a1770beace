//! `spec.awsKms`: AWS KMS as the signer's configuration says it, and where the credentials are.

use super::object;
use crate::api::{AwsCredentialsSource, AwsKmsSpec, KeySpec};
use crate::names;
use crate::validate::Invalid;
use crate::validate::template::Reserved;
use tezos_signer_core::aws::KmsKey;
use tezos_signer_core::config::AwsKmsConfig;

/// AWS KMS, and how to ask it.
#[derive(Debug, Clone, PartialEq)]
pub struct AwsKms {
    /// KMS, as the signer's configuration says it.
    pub config: AwsKmsConfig,
    /// Where the credentials are; `None`: what EKS or the node gives to the signer's container.
    pub credentials: Option<AwsCredentialsSource>,
}

impl AwsKms {
    /// What the baker may not use: the Secret with the credentials.
    pub(super) fn reserved(&self) -> Reserved<'_> {
        let secrets = self.credentials.iter().map(|credentials| credentials.secret.as_str()).collect();
        Reserved {
            volumes: Vec::new(),
            volumes_field: "spec.awsKms",
            secrets,
            secrets_field: "spec.awsKms.credentials",
            csi: None,
        }
    }
}

pub(super) fn validate(spec: &AwsKmsSpec) -> Result<AwsKms, Invalid> {
    let region = spec.region.parse().map_err(|error| Invalid::of("spec.awsKms.region", error))?;
    let endpoint = spec.endpoint.as_deref().map(str::parse).transpose();
    let endpoint = endpoint.map_err(|error| Invalid::of("spec.awsKms.endpoint", error))?;
    if let Some(credentials) = &spec.credentials {
        object::name("spec.awsKms.credentials.secret", &credentials.secret)?;
        object::key("spec.awsKms.credentials.key", &credentials.key)?;
    }
    let credentials_file = spec.credentials.as_ref().map(|_| names::aws_kms::CREDENTIALS_FILE.into());
    Ok(AwsKms { config: AwsKmsConfig { region, endpoint, credentials_file }, credentials: spec.credentials.clone() })
}

/// The name of a key in KMS; `None` if the key is not there.
pub(super) fn key(spec: &KeySpec) -> Result<Option<KmsKey>, Invalid> {
    let name = spec.kms_key.as_deref().map(str::parse).transpose();
    name.map_err(|error| Invalid::of(".kmsKey", error))
}
