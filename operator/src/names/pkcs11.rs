//! The names of what a PKCS#11 keystore adds to the pod.

/// The container that copies the CloudHSM client to where the signer finds it.
pub const CLIENT_CONTAINER: &str = "signer-cloudhsm-client";
/// The container in which AWS's program writes the client's configuration.
pub const CONFIGURE_CONTAINER: &str = "signer-cloudhsm-configure";

pub(crate) const PIN_VOLUME: &str = "signer-pin";
pub(crate) const CLIENT_VOLUME: &str = "signer-cloudhsm";
pub(crate) const CLIENT_CONFIG_VOLUME: &str = "signer-cloudhsm-config";
pub(crate) const CLIENT_TLS_VOLUME: &str = "signer-cloudhsm-tls";

/// Where the volume with the PIN is mounted.
pub(crate) const PIN_DIRECTORY: &str = "/run/secrets/hsm";
/// The file in it, if the PIN is in a Secret. A CSI driver names its files itself.
pub(crate) const PIN_FILE_NAME: &str = "pin";

/// The attribute of the Secrets Store CSI driver that names a `SecretProviderClass`.
pub(crate) const PROVIDER_CLASS: &str = "secretProviderClass";
/// The Secrets Store CSI driver.
pub(crate) const SECRETS_STORE: &str = "secrets-store.csi.k8s.io";

/// AWS's library, where its package installs it; the library expects its configuration beside it.
pub const CLOUD_HSM_MODULE: &str = "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so";
