//! The names of the objects that the operator makes, and the labels by which it finds them.

pub mod aws_kms;
pub mod pkcs11;

use crate::identity::Identity;
use std::collections::BTreeMap;

/// The name of the container that runs the signer.
pub const SIGNER_CONTAINER: &str = "signer";

/// The containers that the operator adds to the pod.
pub const OWN_CONTAINERS: [&str; 3] = [SIGNER_CONTAINER, pkcs11::CLIENT_CONTAINER, pkcs11::CONFIGURE_CONTAINER];

/// The volumes that the operator adds to the pod; only its own containers mount them.
pub const OWN_VOLUMES: [&str; 8] = [
    CONFIG_VOLUME,
    aws_kms::CREDENTIALS_VOLUME,
    pkcs11::PIN_VOLUME,
    TOKEN_VOLUME,
    pkcs11::CLIENT_VOLUME,
    pkcs11::CLIENT_CONFIG_VOLUME,
    pkcs11::CLIENT_TLS_VOLUME,
    TLS_VOLUME,
];
/// Those of them that need no object of the user's.
pub const SELF_MADE_VOLUMES: [&str; 4] =
    [CONFIG_VOLUME, TOKEN_VOLUME, pkcs11::CLIENT_VOLUME, pkcs11::CLIENT_CONFIG_VOLUME];
pub(crate) const CONFIG_VOLUME: &str = "signer-config";
pub(crate) const TOKEN_VOLUME: &str = "signer-token";
pub(crate) const TLS_VOLUME: &str = "signer-tls";

/// The port where clients ask for signatures, in pods and in the Service.
pub(crate) const SIGNING_PORT_NAME: &str = "signer";
pub(crate) const PEER_PORT_NAME: &str = "signer-peer";
pub(crate) const ADMIN_PORT_NAME: &str = "signer-admin";

/// The variables that the operator sets in the signer's container.
pub const OWN_ENV: [&str; 3] = ["POD_NAME", "POD_UID", "POD_IP"];

/// Where the signer finds its certificate.
pub const TLS_CERTIFICATE_FILE: &str = "/run/secrets/tls/tls.crt";
/// Where the signer finds the private key of its certificate.
pub const TLS_KEY_FILE: &str = "/run/secrets/tls/tls.key";
/// The authorities of the other replicas' certificates.
pub const TLS_CA_FILE: &str = "/run/secrets/tls/ca.crt";
/// The authorities of the clients' certificates.
pub const CLIENT_CA_FILE: &str = "/run/secrets/tls/client-ca.crt";

/// The labels that the operator sets on pods.
pub const OWN_LABELS: [&str; 3] = [NAME_LABEL, INSTANCE_LABEL, MANAGED_BY_LABEL];
/// The application that an object belongs to.
const NAME_LABEL: &str = "app.kubernetes.io/name";
/// Keeps a TezosSigner until its rights on the records are taken away, and the records are released.
pub(crate) const FINALIZER: &str = "signer.tezos.io/release-records";

/// The program that manages an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The operator, as a value of [`MANAGED_BY_LABEL`].
pub const OPERATOR: &str = "tezos-signer-operator";
/// The TezosSigner that an object belongs to.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// The namespace of that TezosSigner, on objects in another namespace.
pub const NAMESPACE_LABEL: &str = "signer.tezos.io/namespace";
/// The name of the ConfigMap with the configuration that a pod runs with.
pub const CONFIG_ANNOTATION: &str = "signer.tezos.io/config";

/// The TezosSigner with `spec.inject` whose sidecar a pod gets.
pub const INJECT_LABEL: &str = "signer.tezos.io/inject";
/// The digest of the sidecar that a pod has.
pub const SIDECAR_ANNOTATION: &str = "signer.tezos.io/sidecar";

/// The containers that the EKS identity webhook skips.
pub(crate) const SKIP_AWS_ANNOTATION: &str = "eks.amazonaws.com/skip-containers";

/// The labels of every object of `signer`.
pub fn labels(signer: &Identity) -> BTreeMap<String, String> {
    let mut labels = selector(signer);
    labels.insert(MANAGED_BY_LABEL.to_owned(), OPERATOR.to_owned());
    labels
}

/// The labels by which a selector finds the pods of `signer` and no others. They cannot change: a Deployment's selector is immutable.
pub fn selector(signer: &Identity) -> BTreeMap<String, String> {
    let pairs = [(NAME_LABEL, "tezos-signer"), (INSTANCE_LABEL, &signer.name)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The selectors, as text for queries, of the pods with a signer of `signer`: the operator's own, and those of the user's that ask for a sidecar.
pub fn pod_selectors(signer: &Identity) -> [String; 2] {
    let own = selector(signer).into_iter().map(|(key, value)| format!("{key}={value}"));
    [own.collect::<Vec<_>>().join(","), format!("{INJECT_LABEL}={}", signer.name)]
}

/// The TezosSignerSidecar, in the records' namespace. Neither part has a dot, so no two TezosSigners share one.
pub fn sidecar(signer: &Identity) -> String {
    format!("{}.{}", signer.namespace, signer.name)
}

/// The name of the Deployment.
pub fn deployment(signer: &Identity) -> String {
    signer.name.clone()
}

/// The name of the Deployment that is never created, by which the API server is asked about a sidecar.
pub fn trial(signer: &Identity) -> String {
    format!("{}-signer-trial", signer.name)
}

/// The Service, under whose name clients find the signers: `<name>.<namespace>.svc`.
pub fn service(signer: &Identity) -> String {
    signer.name.clone()
}

/// The name of the `NetworkPolicy`.
pub fn network_policy(signer: &Identity) -> String {
    format!("{}-signer", signer.name)
}

/// The name of the `PodDisruptionBudget`.
pub fn disruption_budget(signer: &Identity) -> String {
    format!("{}-signer", signer.name)
}

/// The name of the ServiceAccount of the pods.
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
