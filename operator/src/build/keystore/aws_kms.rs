//! What AWS KMS needs of the pod: nothing, or a shared credentials file from a Secret. Credentials of EKS Pod Identity and IRSA come by
//! EKS' webhook, into the signer's container and no other.

use super::KeystoreObjects;
use crate::build::projection::{READABLE, item};
use crate::names;
use crate::validate::AwsKms;
use k8s_openapi::api::core::v1::{SecretVolumeSource, Volume, VolumeMount};

const CREDENTIALS_DIRECTORY: &str = "/run/secrets/aws";
const CREDENTIALS_FILE_NAME: &str = "credentials";

impl KeystoreObjects for AwsKms {
    fn credentials(&self) -> Vec<(Volume, VolumeMount)> {
        let from_secret = self.credentials.iter().map(|credentials| {
            let volume = Volume {
                name: names::aws_kms::CREDENTIALS_VOLUME.to_owned(),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(credentials.secret.clone()),
                    items: Some(vec![item(&credentials.key, CREDENTIALS_FILE_NAME)]),
                    default_mode: Some(READABLE),
                    optional: None,
                }),
                ..Volume::default()
            };
            let mount = VolumeMount {
                name: names::aws_kms::CREDENTIALS_VOLUME.to_owned(),
                mount_path: CREDENTIALS_DIRECTORY.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            };
            (volume, mount)
        });
        from_secret.collect()
    }
}

#[cfg(test)]
mod tests;
