//! A volume that a CSI driver does not mount: which driver, with which attributes, why, and what to do. Such an error stays until somebody
//! acts, on the driver, on the object that the attributes name, or on the rights of the pod's ServiceAccount.

use crate::message;
use crate::names::pkcs11::{PROVIDER_CLASS, SECRETS_STORE};
use k8s_openapi::api::core::v1::{CSIVolumeSource, Pod};
use kube::ResourceExt as _;

/// `secrets-store.csi.k8s.io (secretProviderClass pin)`.
pub(super) fn described(csi: &CSIVolumeSource) -> String {
    let attributes = csi.volume_attributes.iter().flatten();
    let attributes = message::excerpt(&message::list(attributes.map(|(name, value)| format!("{name} {value}"))));
    let driver = &csi.driver;
    if attributes.is_empty() { driver.clone() } else { format!("{driver} ({attributes})") }
}

/// The sentence about the volume of that name; `why` is what the kubelet says.
pub(super) fn not_mounted(pod: &Pod, name: &str, csi: &CSIVolumeSource, why: &str) -> String {
    let driver = described(csi);
    format!(
        "the CSI driver {driver} does not mount the volume {name}: {}; {}",
        message::excerpt(why),
        remedy(pod, csi, why)
    )
}

fn remedy(pod: &Pod, csi: &CSIVolumeSource, why: &str) -> String {
    let spec = pod.spec.as_ref();
    let driver = &csi.driver;
    if why.contains("not found in the list of registered CSI drivers") {
        let node = spec.and_then(|spec| spec.node_name.as_deref()).unwrap_or("of the pod");
        return format!("install {driver}, or see why its pod on the node {node} is not ready");
    }
    if why.contains("not supported by driver") {
        return format!("the CSIDriver object {driver} must exist and list Ephemeral in volumeLifecycleModes");
    }
    if why.contains("NodePublishSecretRef") {
        let secret = csi.node_publish_secret_ref.as_ref().map_or("", |secret| secret.name.as_str());
        return format!("create the Secret {secret}");
    }
    let account = spec.and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    if why.contains("tezos-signer-tokens") {
        return format!(
            "the provider gets no token of the ServiceAccount {account}: name the provider's ServiceAccount in the chart's value \
             podPolicy.tokenRequesters"
        );
    }
    let class = csi.volume_attributes.as_ref().and_then(|attributes| attributes.get(PROVIDER_CLASS));
    match class.filter(|_| *driver == SECRETS_STORE) {
        Some(class) if why.to_lowercase().contains("secretproviderclass") => {
            let namespace = pod.namespace().unwrap_or_default();
            format!("create the SecretProviderClass {class} in the namespace {namespace}, or correct its name")
        }
        Some(class) => {
            format!(
                "correct the SecretProviderClass {class}, or what the ServiceAccount {account} may read in its provider"
            )
        }
        None => format!("correct volumeAttributes, or what the ServiceAccount {account} may read by the driver"),
    }
}
