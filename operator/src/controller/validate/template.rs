//! The baker's pod template: what a user may not do in it, because it would hand the signer's secrets to another container
//! or let two things have one name.
//!
//! Only what that needs is read. The rest stays as it was written, and whether it is right the API server says, which may know
//! more of pods than this release.

use super::{Invalid, placement, read};
use crate::controller::build::names;
use serde::Deserialize;
use serde_json::Value;
use tezos_signer_core::config::{ADMIN_PORT, SIGNING_PORT};

const TEMPLATE: &str = "spec.baker.template";

/// A pod template that gives nothing away.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// As it was written, but for fields that are null. An object, whose `spec` is one.
    pub value: Value,
    /// The names of its containers, those of `initContainers` first.
    pub containers: Vec<String>,
}

/// What is read of a pod template.
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
#[allow(clippy::struct_excessive_bools, reason = "as Kubernetes has them")]
struct PodSpec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    volumes: Vec<Volume>,
    // Read as far as something is added to them.
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

/// What of the spec only the signer's container may have, beside what the operator adds itself.
#[derive(Default)]
pub(super) struct Reserved<'a> {
    /// Volumes of the pod.
    pub(super) volumes: Vec<&'a str>,
    /// Secrets, by their names.
    pub(super) secrets: Vec<&'a str>,
}

/// Checks the template, in which nothing that is `reserved` may be used.
pub(super) fn validate(template: &Value, reserved: &Reserved<'_>) -> Result<Template, Invalid> {
    let value = placement::without_nulls(template);
    let pod: Pod = read(TEMPLATE, &value)?;
    for name in ["labels", "annotations"] {
        let found = pod.metadata.as_ref().and_then(|metadata| metadata.get(name));
        if found.is_some_and(|found| !found.is_object()) {
            return Err(Invalid::new(format!("{TEMPLATE}.metadata.{name}"), "expected names with their values"));
        }
    }
    refuse_own_labels(pod.metadata.as_ref())?;
    let Some(spec) = pod.spec else {
        return Err(Invalid::new(format!("{TEMPLATE}.spec"), "missing; it needs the baker's containers"));
    };
    if spec.containers.is_empty() {
        return Err(Invalid::new(format!("{TEMPLATE}.spec.containers"), "empty; the baker is missing"));
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

/// By these the operator, Services and monitoring find the pods: the signer's values must stand there.
fn refuse_own_labels(metadata: Option<&serde_json::Map<String, Value>>) -> Result<(), Invalid> {
    let labels = metadata.and_then(|metadata| metadata.get("labels")).and_then(Value::as_object);
    match names::OWN_LABELS.into_iter().find(|label| labels.is_some_and(|labels| labels.contains_key(*label))) {
        None => Ok(()),
        Some(label) => {
            let reason =
                format!("the operator sets {label}, by which it finds the pod: leave it out, or use another label");
            Err(Invalid::new(format!("{TEMPLATE}.metadata.labels"), reason))
        }
    }
}

/// Namespaces that the baker shares with the signer's container, or both with the node.
fn refuse_shared(spec: &PodSpec) -> Result<(), Invalid> {
    let shared = [
        ("shareProcessNamespace", spec.share_process_namespace, "the baker could read the PIN in the signer's memory"),
        ("hostPID", spec.host_pid, "the node's processes could be seen, and the signer's by them"),
        ("hostIPC", spec.host_ipc, "memory of the node's processes could be shared"),
        ("hostNetwork", spec.host_network, "the whole node could ask for signatures on 127.0.0.1"),
    ];
    match shared.into_iter().find(|(_, set, _)| *set) {
        None => Ok(()),
        Some((name, _, why)) => Err(Invalid::new(format!("{TEMPLATE}.spec.{name}"), format!("refused: {why}"))),
    }
}

/// The pod's ServiceAccount is the signer's, and only the signer's container has its token.
fn refuse_account(spec: &PodSpec) -> Result<(), Invalid> {
    if spec.service_account_name.is_some() || spec.service_account.is_some() {
        let reason = "refused: the pod runs as a ServiceAccount that the operator makes for the signer; leave it out";
        return Err(Invalid::new(format!("{TEMPLATE}.spec.serviceAccountName"), reason));
    }
    if spec.automount_service_account_token {
        let reason = "refused: the token is the signer's, and would let the baker write the watermark record";
        return Err(Invalid::new(format!("{TEMPLATE}.spec.automountServiceAccountToken"), reason));
    }
    Ok(())
}

fn check_volumes(volumes: &[Volume], reserved: &Reserved<'_>) -> Result<(), Invalid> {
    for (i, volume) in volumes.iter().enumerate() {
        let field = format!("{TEMPLATE}.spec.volumes[{i}]");
        refuse_own_name(&format!("{field}.name"), &volume.name)?;
        if reserved.volumes.contains(&volume.name.as_str()) {
            return Err(Invalid::new(format!("{field}.name"), "spec.hsm.pkcs11.volumes has a volume of that name"));
        }
        let sources = || volume.projected.iter().flat_map(|projected| &projected.sources);
        if sources().any(|source| source.service_account_token.is_some()) {
            let reason = "a ServiceAccount token is the signer's, and would let the baker write the watermark record";
            return Err(Invalid::new(format!("{field}.projected"), reason));
        }
        // ◆ It may be good for the API server, as the pod's ServiceAccount.
        if sources().any(|source| source.pod_certificate.is_some()) {
            let reason = "a certificate of the pod is the signer's, and could let the baker write the watermark record";
            return Err(Invalid::new(format!("{field}.projected"), reason));
        }
        let whole = volume.secret.iter().map(|secret| &secret.secret_name);
        let parts = sources().filter_map(|source| source.secret.as_ref()).map(|secret| &secret.name);
        refuse_secrets(&field, whole.chain(parts), reserved)?;
    }
    Ok(())
}

fn check_container(field: &str, container: &Container, reserved: &Reserved<'_>) -> Result<(), Invalid> {
    if names::OWN_CONTAINERS.contains(&container.name.as_str()) {
        let reason = format!("{:?} is the name of a container that the operator adds; choose another", container.name);
        return Err(Invalid::new(format!("{field}.name"), reason));
    }
    let taken = |port: &Port| [SIGNING_PORT, ADMIN_PORT].contains(&port.container_port);
    if let Some(i) = container.ports.iter().position(taken) {
        let reason = format!(
            "{} is a port of the signer in this pod: nothing else can listen on it, and no port of the node may lead to it",
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
            let reason = format!("refused: only the signer's container may mount the volume {name:?}");
            Err(Invalid::new(format!("{field}.volumeMounts"), reason))
        }
    }
}

/// ◆ Whoever has the PIN can use the key behind the signer's back.
fn refuse_secrets<'a>(
    field: &str,
    mut named: impl Iterator<Item = &'a String>,
    reserved: &Reserved<'_>,
) -> Result<(), Invalid> {
    match named.find(|name| reserved.secrets.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let reason = format!(
                "refused: only the signer's container may have the Secret {name:?}, which spec.hsm names; put what the baker needs \
                 into another one"
            );
            Err(Invalid::new(field, reason))
        }
    }
}

fn is_own(volume: &str) -> bool {
    names::OWN_VOLUMES.contains(&volume)
}

/// Refuses a volume with the name of one that the operator adds.
pub(super) fn refuse_own_name(field: &str, volume: &str) -> Result<(), Invalid> {
    if is_own(volume) {
        return Err(Invalid::new(
            field,
            format!("{volume:?} is the name of a volume that the operator adds; choose another"),
        ));
    }
    Ok(())
}
