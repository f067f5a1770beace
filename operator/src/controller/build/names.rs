//! The names of what the operator makes, and the labels by which it finds it again.

use crate::controller::validate::Identity;
use std::collections::BTreeMap;

/// The signer's container.
pub const SIGNER_CONTAINER: &str = "signer";

/// Copies the CloudHSM client to where the signer finds it.
pub const CLIENT_CONTAINER: &str = "signer-cloudhsm-client";
/// Has AWS's program write the client's configuration.
pub const CONFIGURE_CONTAINER: &str = "signer-cloudhsm-configure";

/// The containers that the operator adds to the pod.
pub const OWN_CONTAINERS: [&str; 3] = [SIGNER_CONTAINER, CLIENT_CONTAINER, CONFIGURE_CONTAINER];

/// The volumes that the operator adds to the pod; only its own containers mount them.
pub const OWN_VOLUMES: [&str; 7] =
    [CONFIG_VOLUME, PIN_VOLUME, TOKEN_VOLUME, CLIENT_VOLUME, CLIENT_CONFIG_VOLUME, CLIENT_TLS_VOLUME, TLS_VOLUME];
/// Those of them that need nothing of the user's.
pub const SELF_MADE_VOLUMES: [&str; 4] = [CONFIG_VOLUME, TOKEN_VOLUME, CLIENT_VOLUME, CLIENT_CONFIG_VOLUME];
pub(super) const CONFIG_VOLUME: &str = "signer-config";
pub(super) const PIN_VOLUME: &str = "signer-pin";
pub(super) const TOKEN_VOLUME: &str = "signer-token";
pub(super) const CLIENT_VOLUME: &str = "signer-cloudhsm";
pub(super) const CLIENT_CONFIG_VOLUME: &str = "signer-cloudhsm-config";
pub(super) const CLIENT_TLS_VOLUME: &str = "signer-cloudhsm-tls";
pub(super) const TLS_VOLUME: &str = "signer-tls";

/// The port where clients ask for signatures, in pods and in the Service.
pub(super) const SIGNING_PORT_NAME: &str = "signer";
pub(super) const PEER_PORT_NAME: &str = "signer-peer";
pub(super) const ADMIN_PORT_NAME: &str = "signer-admin";

/// The variables that the operator sets in the signer's container.
pub const OWN_ENV: [&str; 3] = ["POD_NAME", "POD_UID", "POD_IP"];

/// Where the signer finds the PIN.
pub const PIN_FILE: &str = "/run/secrets/hsm/pin";

/// Where the signer finds its certificate.
pub const TLS_CERTIFICATE_FILE: &str = "/run/secrets/tls/tls.crt";
/// And its private key.
pub const TLS_KEY_FILE: &str = "/run/secrets/tls/tls.key";
/// The authorities of the other replicas' certificates.
pub const TLS_CA_FILE: &str = "/run/secrets/tls/ca.crt";
/// The authorities of the clients' certificates.
pub const CLIENT_CA_FILE: &str = "/run/secrets/tls/client-ca.crt";

/// AWS's library, where its package installs it; the library expects its configuration beside it.
pub const CLOUD_HSM_MODULE: &str = "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so";

/// The labels that the operator sets on pods.
pub const OWN_LABELS: [&str; 3] = [NAME_LABEL, INSTANCE_LABEL, MANAGED_BY_LABEL];
/// What an object is.
const NAME_LABEL: &str = "app.kubernetes.io/name";
/// Whose work an object is.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The operator, as a value of [`MANAGED_BY_LABEL`].
pub const OPERATOR: &str = "tezos-signer-operator";
/// The TezosSigner that an object belongs to.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// The namespace of that TezosSigner, on objects that are elsewhere.
pub const NAMESPACE_LABEL: &str = "signer.tezos.io/namespace";
/// Which configuration a pod runs with: the name of its ConfigMap.
pub const CONFIG_ANNOTATION: &str = "signer.tezos.io/config";

/// Which containers the EKS identity webhook leaves alone.
pub(super) const SKIP_AWS_ANNOTATION: &str = "eks.amazonaws.com/skip-containers";

/// The labels of every object of `signer`.
pub fn labels(signer: &Identity) -> BTreeMap<String, String> {
    let mut labels = selector(signer);
    labels.insert(MANAGED_BY_LABEL.to_owned(), OPERATOR.to_owned());
    labels
}

/// What the pods of `signer` have, and no other pod of its namespace. Cannot be changed: a Deployment's selector is for ever.
pub fn selector(signer: &Identity) -> BTreeMap<String, String> {
    let pairs = [(NAME_LABEL, "tezos-signer"), (INSTANCE_LABEL, &signer.name)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The same as text, for a query.
pub fn selector_text(signer: &Identity) -> String {
    selector(signer).into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The Deployment.
pub fn deployment(signer: &Identity) -> String {
    signer.name.clone()
}

/// The Service, under whose name clients find the signers: `<name>.<namespace>.svc`.
pub fn service(signer: &Identity) -> String {
    signer.name.clone()
}

/// The `NetworkPolicy`.
pub fn network_policy(signer: &Identity) -> String {
    format!("{}-signer", signer.name)
}

/// The `PodDisruptionBudget`.
pub fn disruption_budget(signer: &Identity) -> String {
    format!("{}-signer", signer.name)
}

/// The ServiceAccount.
pub fn service_account(signer: &Identity) -> String {
    format!("{}-signer", signer.name)
}

/// A ConfigMap with a configuration whose hash is `hash`.
pub fn config_map(signer: &Identity, hash: &str) -> String {
    format!("{}-signer-{hash}", signer.name)
}

/// The Role and the RoleBinding in the records' namespace. Neither part has a dot, so no two TezosSigners share one.
pub fn role(signer: &Identity) -> String {
    format!("signer.{}.{}", signer.namespace, signer.name)
}
