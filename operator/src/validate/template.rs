//! The baker's pod template. Refused is what would give the signer's secrets to another container, or one name to two things.
//!
//! Only the fields that this needs are read. The rest stays as it was written, and the API server validates it, which may know more fields
//! of pods than this release.

use super::{Invalid, placement, read};
use crate::api::CsiVolume;
use crate::names;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tezos_signer_core::config::{ADMIN_PORT, SIGNING_PORT};

const TEMPLATE: &str = "spec.baker.template";

/// A pod template that gives away no secret of the signer.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// As it was written, but for fields that are null. An object, whose `spec` is one.
    pub value: Value,
    /// The names of its containers, those of `initContainers` first.
    pub containers: Vec<String>,
}

/// The fields of a pod template that are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    #[serde(default)]
    metadata: Option<serde_json::Map<String, Value>>,
    #[serde(default)]
    spec: Option<PodSpec>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[allow(clippy::struct_excessive_bools, reason = "as in Kubernetes")]
struct PodSpec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    volumes: Vec<Volume>,
    // Only their types are checked, because `build` adds to them.
    #[serde(rename = "securityContext")]
    _security_context: serde_json::Map<String, Value>,
    #[serde(rename = "tolerations")]
    _tolerations: Vec<Value>,
    #[serde(rename = "imagePullSecrets")]
    _image_pull_secrets: Vec<Value>,
    #[serde(rename = "hostPID")]
    host_pid: bool,
    #[serde(rename = "hostIPC")]
    host_ipc: bool,
    host_network: bool,
    share_process_namespace: bool,
    service_account_name: Option<String>,
    service_account: Option<String>,
    automount_service_account_token: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default)]
    volume_mounts: Vec<Named>,
    #[serde(default)]
    volume_devices: Vec<Named>,
    #[serde(default)]
    env: Vec<Variable>,
    #[serde(default)]
    env_from: Vec<EnvFrom>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Variable {
    value_from: ValueFrom,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ValueFrom {
    secret_key_ref: Option<Named>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct EnvFrom {
    secret_ref: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    container_port: u16,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Volume {
    name: String,
    #[serde(default)]
    secret: Option<SecretVolume>,
    #[serde(default)]
    projected: Option<Projected>,
    #[serde(default)]
    csi: Option<Csi>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Csi {
    driver: String,
    volume_attributes: BTreeMap<String, String>,
    node_publish_secret_ref: Option<Named>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SecretVolume {
    secret_name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Projected {
    sources: Vec<Source>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    secret: Option<Named>,
    service_account_token: Option<Value>,
    pod_certificate: Option<Value>,
}

/// Volumes and Secrets of the spec that only the signer's container may use.
#[derive(Default)]
pub(super) struct Reserved<'a> {
    /// Volumes of the pod.
    pub(super) volumes: Vec<&'a str>,
    /// The field of the spec that they are from.
    pub(super) volumes_field: &'static str,
    /// Secrets, by their names.
    pub(super) secrets: Vec<&'a str>,
    /// The field of the spec that names them.
    pub(super) secrets_field: &'static str,
    /// The CSI volume with the PIN.
    pub(super) csi: Option<&'a CsiVolume>,
}

/// Checks the template, in which nothing that is `reserved` may be used.
pub(super) fn validate(template: &Value, reserved: &Reserved<'_>) -> Result<Template, Invalid> {
    let value = placement::without_nulls(template);
    let pod: Pod = read(TEMPLATE, &value)?;
    for name in ["labels", "annotations"] {
        let found = pod.metadata.as_ref().and_then(|metadata| metadata.get(name));
        if found.is_some_and(|found| !found.is_object()) {
            return Err(Invalid::new(format!("{TEMPLATE}.metadata.{name}"), "expected a map of names to values"));
        }
    }
    refuse_own_labels(pod.metadata.as_ref())?;
    let Some(spec) = pod.spec else {
        return Err(Invalid::new(format!("{TEMPLATE}.spec"), "missing; the template needs the baker's containers"));
    };
    if spec.containers.is_empty() {
        return Err(Invalid::new(
            format!("{TEMPLATE}.spec.containers"),
            "empty; the template needs the baker's container",
        ));
    }
    refuse_shared(&spec)?;
    refuse_account(&spec)?;
    check_volumes(&spec.volumes, reserved)?;
    let containers = spec.containers.iter().enumerate().map(|(i, c)| (format!("containers[{i}]"), c));
    let init = spec.init_containers.iter().enumerate().map(|(i, c)| (format!("initContainers[{i}]"), c));
    for (which, container) in containers.chain(init) {
        check_container(&format!("{TEMPLATE}.spec.{which}"), container, reserved)?;
    }
    let containers = spec.init_containers.into_iter().chain(spec.containers).map(|container| container.name).collect();
    Ok(Template { value, containers })
}

/// Refuses labels by which the operator, Services and monitoring find the pods.
fn refuse_own_labels(metadata: Option<&serde_json::Map<String, Value>>) -> Result<(), Invalid> {
    let labels = metadata.and_then(|metadata| metadata.get("labels")).and_then(Value::as_object);
    match names::OWN_LABELS.into_iter().find(|label| labels.is_some_and(|labels| labels.contains_key(*label))) {
        None => Ok(()),
        Some(label) => {
            let reason =
                format!("the operator sets {label} and selects the pod by it: remove it, or use another label");
            Err(Invalid::new(format!("{TEMPLATE}.metadata.labels"), reason))
        }
    }
}

/// Refuses namespaces that are shared with the signer's container or with the node.
fn refuse_shared(spec: &PodSpec) -> Result<(), Invalid> {
    let shared = [
        ("shareProcessNamespace", spec.share_process_namespace, "the baker could read the PIN in the signer's memory"),
        ("hostPID", spec.host_pid, "the pod could see the node's processes, and they could see the signer"),
        ("hostIPC", spec.host_ipc, "the pod could share memory with the node's processes"),
        ("hostNetwork", spec.host_network, "all processes of the node could request signatures on 127.0.0.1"),
    ];
    match shared.into_iter().find(|(_, set, _)| *set) {
        None => Ok(()),
        Some((name, _, why)) => Err(Invalid::new(format!("{TEMPLATE}.spec.{name}"), format!("not allowed: {why}"))),
    }
}

/// Refuses another ServiceAccount, and its token in other containers than the signer's.
fn refuse_account(spec: &PodSpec) -> Result<(), Invalid> {
    if spec.service_account_name.is_some() || spec.service_account.is_some() {
        let reason =
            "not allowed: the pod runs as a ServiceAccount that the operator creates for the signer; remove it";
        return Err(Invalid::new(format!("{TEMPLATE}.spec.serviceAccountName"), reason));
    }
    if spec.automount_service_account_token {
        let reason = "not allowed: the token is the signer's, and the baker could write the watermark record with it";
        return Err(Invalid::new(format!("{TEMPLATE}.spec.automountServiceAccountToken"), reason));
    }
    Ok(())
}

fn check_volumes(volumes: &[Volume], reserved: &Reserved<'_>) -> Result<(), Invalid> {
    for (i, volume) in volumes.iter().enumerate() {
        let field = format!("{TEMPLATE}.spec.volumes[{i}]");
        refuse_own_name(&format!("{field}.name"), &volume.name)?;
        if reserved.volumes.contains(&volume.name.as_str()) {
            let reason = format!("{} already has a volume of that name", reserved.volumes_field);
            return Err(Invalid::new(format!("{field}.name"), reason));
        }
        let sources = || volume.projected.iter().flat_map(|projected| &projected.sources);
        if sources().any(|source| source.service_account_token.is_some()) {
            let reason =
                "a ServiceAccount token is the signer's, and the baker could write the watermark record with it";
            return Err(Invalid::new(format!("{field}.projected"), reason));
        }
        // INVARIANT O13: The API server may accept such a certificate as the pod's ServiceAccount.
        if sources().any(|source| source.pod_certificate.is_some()) {
            let reason =
                "a certificate of the pod is the signer's, and the baker could write the watermark record with it";
            return Err(Invalid::new(format!("{field}.projected"), reason));
        }
        let whole = volume.secret.iter().map(|secret| &secret.secret_name);
        let parts = sources().filter_map(|source| source.secret.as_ref()).map(|secret| &secret.name);
        let of_driver = volume.csi.iter().filter_map(|csi| csi.node_publish_secret_ref.as_ref());
        refuse_secrets(&field, whole.chain(parts).chain(of_driver.map(|secret| &secret.name)), reserved)?;
        refuse_csi(&format!("{field}.csi"), volume.csi.as_ref(), reserved.csi)?;
    }
    Ok(())
}

fn check_container(field: &str, container: &Container, reserved: &Reserved<'_>) -> Result<(), Invalid> {
    if names::OWN_CONTAINERS.contains(&container.name.as_str()) {
        let reason =
            format!("{:?} is the name of a container that the operator adds; choose another name", container.name);
        return Err(Invalid::new(format!("{field}.name"), reason));
    }
    let taken = |port: &Port| [SIGNING_PORT, ADMIN_PORT].contains(&port.container_port);
    if let Some(i) = container.ports.iter().position(taken) {
        let reason = format!(
            "{} is a port of the signer in this pod: no other container can listen on it, and no port of the node may be mapped to it",
            container.ports[i].container_port
        );
        return Err(Invalid::new(format!("{field}.ports[{i}].containerPort"), reason));
    }
    let variables = container.env.iter().filter_map(|variable| variable.value_from.secret_key_ref.as_ref());
    refuse_secrets(&format!("{field}.env"), variables.map(|secret| &secret.name), reserved)?;
    let all = container.env_from.iter().filter_map(|from| from.secret_ref.as_ref());
    refuse_secrets(&format!("{field}.envFrom"), all.map(|secret| &secret.name), reserved)?;
    let mounted = container.volume_mounts.iter().chain(&container.volume_devices).map(|mount| &mount.name);
    match mounted.into_iter().find(|name| is_own(name) || reserved.volumes.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let reason = format!("not allowed: only the signer's container may mount the volume {name:?}");
            Err(Invalid::new(format!("{field}.volumeMounts"), reason))
        }
    }
}

/// INVARIANT O13: Whoever has the PIN can use the key behind the signer's back.
fn refuse_secrets<'a>(
    field: &str,
    mut named: impl Iterator<Item = &'a String>,
    reserved: &Reserved<'_>,
) -> Result<(), Invalid> {
    match named.find(|name| reserved.secrets.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let reason = format!(
                "not allowed: only the signer's container may use the Secret {name:?} of {}; put the baker's secrets into another \
                 Secret",
                reserved.secrets_field
            );
            Err(Invalid::new(field, reason))
        }
    }
}

/// INVARIANT O13: As for Secrets. Which attributes say what is in a volume only its driver knows: a volume is another one if an attribute
/// that both have differs.
fn refuse_csi(field: &str, volume: Option<&Csi>, reserved: Option<&CsiVolume>) -> Result<(), Invalid> {
    let (Some(volume), Some(reserved)) = (volume, reserved) else { return Ok(()) };
    let differs =
        |(name, value): (&String, &String)| reserved.volume_attributes.get(name).is_some_and(|own| own != value);
    if volume.driver != reserved.driver || volume.volume_attributes.iter().any(differs) {
        return Ok(());
    }
    let driver = &volume.driver;
    let reason = format!(
        "not allowed: only the signer's container may mount the volume of {driver} with the PIN; put the baker's secrets into another \
         volume, with other volumeAttributes"
    );
    Err(Invalid::new(field, reason))
}

fn is_own(volume: &str) -> bool {
    names::OWN_VOLUMES.contains(&volume)
}

/// Refuses a volume with the name of one that the operator adds.
pub(super) fn refuse_own_name(field: &str, volume: &str) -> Result<(), Invalid> {
    if is_own(volume) {
        return Err(Invalid::new(
            field,
            format!("{volume:?} is the name of a volume that the operator adds; choose another name"),
        ));
    }
    Ok(())
}
