//! What a keystore adds to the objects: one module for each kind, which implements [`KeystoreObjects`].

mod aws_kms;
mod pkcs11;

use crate::validate::Keystore;
use k8s_openapi::api::core::v1::{Container, Volume, VolumeMount};
use serde_json::Value;

/// What a keystore of one kind adds to the ConfigMap and to the pod. Whatever a kind does not need it leaves out.
pub(super) trait KeystoreObjects {
    /// Files beside the signer's configuration, each with its name and text. They are part of what names the ConfigMap.
    fn config_files(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Volumes with the Secrets by which the signer uses the keystore, each with its mount in the signer's container.
    fn credentials(&self) -> Vec<(Volume, VolumeMount)> {
        Vec::new()
    }

    /// Environment of the signer's container.
    fn env(&self) -> Vec<Value> {
        Vec::new()
    }

    /// Further mounts of the signer's container.
    fn volume_mounts(&self) -> Vec<Value> {
        Vec::new()
    }

    /// Further volumes of the pod; `config_map` has the configuration.
    fn volumes(&self, _config_map: &str) -> Vec<Value> {
        Vec::new()
    }

    /// Containers that run to completion before the signer. `like_signer` makes one with the signer's rights, limits and image.
    fn init_containers(&self, _like_signer: &dyn Fn(&str) -> Container) -> Option<Vec<Container>> {
        None
    }

    /// The containers that may not get AWS credentials, where another container may need them.
    fn without_aws(&self) -> &'static [&'static str] {
        &[]
    }
}

/// What `keystore` adds.
pub(super) fn objects(keystore: &Keystore) -> &dyn KeystoreObjects {
    match keystore {
        Keystore::Pkcs11(pkcs11) => &**pkcs11,
        Keystore::AwsKms(kms) => kms,
    }
}
