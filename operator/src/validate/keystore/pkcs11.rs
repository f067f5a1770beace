//! `spec.hsm`: the token as the signer's configuration says it, how a key is found in it, and what its PKCS#11 library needs of the pod.

mod cloud_hsm;
mod pin;
mod token;

pub use cloud_hsm::{CloudHsmClient, ClusterAddress};
pub use pin::{Pin, PinVolume};

use super::ONE_PLACE;
use crate::api::{HsmSpec, KeySpec, Pkcs11Spec};
use crate::names;
use crate::validate::template::{self, Reserved};
use crate::validate::{Invalid, placement, read};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use tezos_signer_core::config::{HsmConfig, KeySelector, TokenSelector};

/// A token, how to log in, and its library.
#[derive(Debug, Clone, PartialEq)]
pub struct Pkcs11 {
    /// The token, as the signer's configuration says it.
    pub config: HsmConfig,
    /// Where the PIN is.
    pub pin: Pin,
    /// Where the library comes from.
    pub library: Library,
}

/// Where the PKCS#11 library comes from, and what it needs of the pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Library {
    /// The user's volumes, mounts and environment.
    Mounted(MountedLibrary),
    /// AWS's client, its configuration and certificates.
    CloudHsm(CloudHsmClient),
}

/// What a PKCS#11 library needs, as the user wrote it. Each item has a name; the API server validates the rest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MountedLibrary {
    /// Volumes of the pod.
    pub volumes: Vec<Value>,
    /// Their mounts in the signer's container.
    pub volume_mounts: Vec<Value>,
    /// Environment of the signer's container.
    pub env: Vec<Value>,
}

impl Pkcs11 {
    /// What the baker may not use: the user's volumes for the library, and the Secrets and the CSI volume for the login.
    pub(super) fn reserved(&self) -> Reserved<'_> {
        let mut secrets: Vec<&str> = self.pin.secret().into_iter().collect();
        let volumes = match &self.library {
            Library::Mounted(library) => library.volumes.iter().filter_map(|volume| volume["name"].as_str()).collect(),
            Library::CloudHsm(client) => {
                secrets.extend(client.mutual_tls_secret.as_deref());
                Vec::new() // the operator's volumes have reserved names
            }
        };
        let csi = self.pin.csi();
        Reserved { volumes, volumes_field: "spec.hsm.pkcs11.volumes", secrets, secrets_field: "spec.hsm", csi }
    }
}

pub(super) fn validate(spec: &HsmSpec) -> Result<Pkcs11, Invalid> {
    match (&spec.cloud_hsm, &spec.pkcs11) {
        (Some(cloud_hsm), None) => {
            let pin = pin::validate("spec.hsm.cloudHsm.pin", &cloud_hsm.token.pin)?;
            let (config, client) = cloud_hsm::validate(cloud_hsm, pin.file())?;
            Ok(Pkcs11 { config, pin, library: Library::CloudHsm(client) })
        }
        (None, Some(pkcs11)) => {
            let pin = pin::validate("spec.hsm.pkcs11.pin", &pkcs11.token.pin)?;
            let config = config(pkcs11, pin.file())?;
            let library = Library::Mounted(mounted_library(pkcs11)?);
            Ok(Pkcs11 { config, pin, library })
        }
        _ => Err(Invalid::new("spec.hsm", "exactly one of cloudHsm and pkcs11 is required")),
    }
}

/// How a key is found in the token; `None` if the key is not there.
pub(super) fn selector(spec: &KeySpec) -> Result<Option<KeySelector>, Invalid> {
    match (&spec.label, &spec.id) {
        (None, None) => Ok(None),
        (Some(label), None) if !label.is_empty() => Ok(Some(KeySelector::Label(label.clone()))),
        (Some(_), None) => Err(Invalid::new(".label", "empty")),
        (None, Some(id)) => hex::decode(id)
            .map(|bytes| Some(KeySelector::Id(bytes)))
            .map_err(|_| Invalid::new(".id", "expected hexadecimal digits, two for each byte")),
        (Some(_), Some(_)) => Err(Invalid::new("", ONE_PLACE)),
    }
}

fn config(spec: &Pkcs11Spec, pin_file: PathBuf) -> Result<HsmConfig, Invalid> {
    let token = match (&spec.token.token, &spec.token.serial) {
        (Some(label), None) => TokenSelector::Label(label.clone()),
        (None, Some(serial)) => TokenSelector::Serial(serial.clone()),
        _ => {
            let reason = "exactly one of token (the token's label) and serial (its serial number) is required";
            return Err(Invalid::new("spec.hsm.pkcs11", reason));
        }
    };
    token::config("spec.hsm.pkcs11", spec.module.clone().into(), token, pin_file, &spec.token)
}

/// The name of a volume, a mount or a variable: all that is read of it.
#[derive(Deserialize)]
struct Named {
    name: String,
}

fn names_of(field: &str, values: &[Value]) -> Result<Vec<String>, Invalid> {
    let name = |(i, value)| read(&format!("{field}[{i}]"), value).map(|named: Named| named.name);
    values.iter().enumerate().map(name).collect()
}

fn mounted_library(pkcs11: &Pkcs11Spec) -> Result<MountedLibrary, Invalid> {
    let volumes = names_of("spec.hsm.pkcs11.volumes", &pkcs11.volumes)?;
    for (i, volume) in volumes.iter().enumerate() {
        template::refuse_own_name(&format!("spec.hsm.pkcs11.volumes[{i}].name"), volume)?;
    }
    let env = names_of("spec.hsm.pkcs11.env", &pkcs11.env)?;
    if let Some(i) = env.iter().position(|name| names::OWN_ENV.contains(&name.as_str())) {
        return Err(Invalid::new(format!("spec.hsm.pkcs11.env[{i}].name"), "set by the operator: remove it"));
    }
    let mounts = names_of("spec.hsm.pkcs11.volumeMounts", &pkcs11.volume_mounts)?;
    if let Some(i) = mounts.iter().position(|mount| !volumes.contains(mount)) {
        let reason = format!("there is no volume {:?} in spec.hsm.pkcs11.volumes", mounts[i]);
        return Err(Invalid::new(format!("spec.hsm.pkcs11.volumeMounts[{i}].name"), reason));
    }
    let as_written = |values: &[Value]| values.iter().map(placement::without_nulls).collect();
    Ok(MountedLibrary {
        volumes: as_written(&pkcs11.volumes),
        volume_mounts: as_written(&pkcs11.volume_mounts),
        env: as_written(&pkcs11.env),
    })
}
