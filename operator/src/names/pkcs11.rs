//! The names of what a PKCS#11 keystore adds to the pod.

/// The container that copies the CloudHSM client to where the signer finds it.
pub const CLIENT_CONTAINER: &str = "signer-cloudhsm-client";
/// The container in which AWS's program writes the client's configuration.
pub const CONFIGURE_CONTAINER: &str = "signer-cloudhsm-configure";

pub(crate) const PIN_VOLUME: &str = "signer-pin";
pub(crate) const CLIENT_VOLUME: &str = "signer-cloudhsm";
pub(crate) const CLIENT_CONFIG_VOLUME: &str = "signer-cloudhsm-config";
pub(crate) const CLIENT_TLS_VOLUME: &str = "signer-cloudhsm-tls";

/// Where the signer finds the PIN.
pub const PIN_FILE: &str = "/run/secrets/hsm/pin";

/// AWS's library, where its package installs it; the library expects its configuration beside it.
pub const CLOUD_HSM_MODULE: &str = "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so";
