//! The PIN: which volume it is in, and which file of it.

use crate::api::{CsiVolume, PinSource};
use crate::names::pkcs11::{PIN_DIRECTORY, PIN_FILE_NAME, PROVIDER_CLASS, SECRETS_STORE};
use crate::validate::Invalid;
use crate::validate::keystore::object;
use std::path::{Path, PathBuf};

/// The kubelet sets attributes with this beginning, such as the name of the pod.
const KUBELET_ATTRIBUTES: &str = "csi.storage.k8s.io/";

/// Where the PIN is.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// The Secret or the CSI volume with the PIN.
    pub volume: PinVolume,
    /// The key of the Secret, or the path in the CSI volume.
    pub key: String,
}

/// The volume that the PIN is in.
#[derive(Debug, Clone, PartialEq)]
pub enum PinVolume {
    /// A Secret, by its name.
    Secret(String),
    /// A volume of a CSI driver.
    Csi(CsiVolume),
}

impl Pin {
    /// The file, as the signer's container sees it.
    pub(super) fn file(&self) -> PathBuf {
        let name = match self.volume {
            PinVolume::Secret(_) => PIN_FILE_NAME,
            PinVolume::Csi(_) => &self.key,
        };
        Path::new(PIN_DIRECTORY).join(name)
    }

    /// The Secret with the PIN, or the one by which the driver gets it.
    pub(super) fn secret(&self) -> Option<&str> {
        match &self.volume {
            PinVolume::Secret(name) => Some(name),
            PinVolume::Csi(volume) => volume.node_publish_secret_ref.as_ref().map(|secret| secret.name.as_str()),
        }
    }

    /// The CSI volume with the PIN.
    pub(super) fn csi(&self) -> Option<&CsiVolume> {
        match &self.volume {
            PinVolume::Secret(_) => None,
            PinVolume::Csi(volume) => Some(volume),
        }
    }
}

/// `field` is where in the spec it is.
pub(super) fn validate(field: &str, spec: &PinSource) -> Result<Pin, Invalid> {
    let key = spec.key.clone();
    match (&spec.secret, &spec.csi) {
        (Some(secret), None) => {
            object::name(&format!("{field}.secret"), secret)?;
            object::key(&format!("{field}.key"), &key)?;
            Ok(Pin { volume: PinVolume::Secret(secret.clone()), key })
        }
        (None, Some(csi)) => {
            check_volume(&format!("{field}.csi"), csi)?;
            check_path(&format!("{field}.key"), &key)?;
            Ok(Pin { volume: PinVolume::Csi(csi.clone()), key })
        }
        _ => {
            let reason = "exactly one of secret (the name of a Secret) and csi (a volume of a CSI driver) is required";
            Err(Invalid::new(field, reason))
        }
    }
}

fn check_volume(field: &str, csi: &CsiVolume) -> Result<(), Invalid> {
    let driver = &csi.driver;
    if driver.len() > 63 || object::name("", driver).is_err() {
        let reason = format!("{driver:?} is not the name of a CSI driver, such as {SECRETS_STORE}");
        return Err(Invalid::new(format!("{field}.driver"), reason));
    }
    let attributes = format!("{field}.volumeAttributes");
    if csi.volume_attributes.len() > 32 {
        return Err(Invalid::new(attributes, "more than 32; remove those that the driver does not need"));
    }
    if let Some(name) = csi.volume_attributes.keys().find(|name| name.starts_with(KUBELET_ATTRIBUTES)) {
        return Err(Invalid::new(attributes, format!("the kubelet sets {name}: remove it")));
    }
    match csi.volume_attributes.get(PROVIDER_CLASS) {
        Some(class) if driver == SECRETS_STORE => object::name(&format!("{attributes}.{PROVIDER_CLASS}"), class)?,
        None if driver == SECRETS_STORE => {
            let reason = "missing; set it to the name of a SecretProviderClass in this namespace";
            return Err(Invalid::new(format!("{attributes}.{PROVIDER_CLASS}"), reason));
        }
        _ => {}
    }
    if let Some(secret) = &csi.node_publish_secret_ref {
        object::name(&format!("{field}.nodePublishSecretRef.name"), &secret.name)?;
    }
    Ok(())
}

/// A path below the mount. Drivers name files after what they hold, such as `arn:aws:secretsmanager:…`.
fn check_path(field: &str, path: &str) -> Result<(), Invalid> {
    let is_step = |step: &str| !step.is_empty() && step != "." && !step.starts_with("..");
    if path.len() <= 253 && path.split('/').all(is_step) && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let reason = format!(
        "{path:?} is not the path of a file in the volume: expected a name such as pin, or names joined by /, without .. and blanks"
    );
    Err(Invalid::new(field, reason))
}

#[cfg(test)]
mod tests;
