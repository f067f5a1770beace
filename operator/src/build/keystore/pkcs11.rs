//! What a token needs of the pod: the PIN as a file, and its PKCS#11 library, which is in the user's volumes or comes with AWS's client.

mod cloud_hsm;

use super::KeystoreObjects;
use crate::api::CsiVolume;
use crate::build::json::json;
use crate::build::projection::{READABLE, item};
use crate::names;
use crate::validate::{Library, PinVolume, Pkcs11};
use k8s_openapi::api::core::v1::{
    CSIVolumeSource, Container, LocalObjectReference, SecretVolumeSource, Volume, VolumeMount,
};
use serde_json::Value;

impl KeystoreObjects for Pkcs11 {
    fn config_files(&self) -> Vec<(&'static str, String)> {
        let text = match &self.library {
            Library::Mounted(_) => None,
            Library::CloudHsm(client) => cloud_hsm::config_file(client),
        };
        text.map(|text| (cloud_hsm::CONFIG_FILE, text)).into_iter().collect()
    }

    fn credentials(&self) -> Vec<(Volume, VolumeMount)> {
        let mut volume = Volume { name: names::pkcs11::PIN_VOLUME.to_owned(), ..Volume::default() };
        match &self.pin.volume {
            PinVolume::Secret(name) => {
                volume.secret = Some(SecretVolumeSource {
                    secret_name: Some(name.clone()),
                    items: Some(vec![item(&self.pin.key, names::pkcs11::PIN_FILE_NAME)]),
                    default_mode: Some(READABLE),
                    optional: None,
                });
            }
            PinVolume::Csi(csi) => volume.csi = Some(csi_source(csi)),
        }
        // The whole volume, because a part of it (subPath) would not follow when the PIN is replaced.
        let mount = VolumeMount {
            name: names::pkcs11::PIN_VOLUME.to_owned(),
            mount_path: names::pkcs11::PIN_DIRECTORY.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        vec![(volume, mount)]
    }

    fn env(&self) -> Vec<Value> {
        match &self.library {
            Library::Mounted(library) => library.env.clone(),
            Library::CloudHsm(_) => Vec::new(),
        }
    }

    fn volume_mounts(&self) -> Vec<Value> {
        match &self.library {
            Library::Mounted(library) => library.volume_mounts.clone(),
            Library::CloudHsm(client) => cloud_hsm::volume_mounts(client).iter().map(json).collect(),
        }
    }

    fn volumes(&self, config_map: &str) -> Vec<Value> {
        match &self.library {
            Library::Mounted(library) => library.volumes.clone(),
            Library::CloudHsm(client) => cloud_hsm::volumes(client, config_map).iter().map(json).collect(),
        }
    }

    fn init_containers(&self, like_signer: &dyn Fn(&str) -> Container) -> Option<Vec<Container>> {
        match &self.library {
            Library::Mounted(_) => None,
            Library::CloudHsm(client) => Some(cloud_hsm::init_containers(client, like_signer)),
        }
    }

    /// Only the container that configures the CloudHSM client may need AWS credentials.
    fn without_aws(&self) -> &'static [&'static str] {
        match &self.library {
            Library::Mounted(_) => &[],
            Library::CloudHsm(_) => &[names::pkcs11::CLIENT_CONTAINER, names::SIGNER_CONTAINER],
        }
    }
}

fn csi_source(csi: &CsiVolume) -> CSIVolumeSource {
    CSIVolumeSource {
        driver: csi.driver.clone(),
        read_only: Some(true),
        volume_attributes: (!csi.volume_attributes.is_empty()).then(|| csi.volume_attributes.clone()),
        node_publish_secret_ref: csi
            .node_publish_secret_ref
            .as_ref()
            .map(|secret| LocalObjectReference { name: secret.name.clone() }),
        fs_type: None,
    }
}

#[cfg(test)]
mod tests;
