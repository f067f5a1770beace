//! The baker's pod template: what a user may not do in it, because it would hand the signer's secrets to another container
//! or let two things have one name.

use super::{Invalid, parse};
use crate::controller::build::names;
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use serde_json::Value;

const TEMPLATE: &str = "spec.baker.template";

/// Checks the template; only the signer's container may mount the volumes of `reserved` and our own.
pub(super) fn validate(template: &Value, reserved: &[&str]) -> Result<PodTemplateSpec, Invalid> {
    let template: PodTemplateSpec = parse(TEMPLATE, template)?;
    let Some(spec) = &template.spec else {
        return Err(Invalid::new(format!("{TEMPLATE}.spec"), "missing; it needs the baker's containers"));
    };
    if spec.containers.is_empty() {
        return Err(Invalid::new(format!("{TEMPLATE}.spec.containers"), "empty; the baker is missing"));
    }
    refuse_shared(spec)?;
    refuse_account(spec)?;
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        let field = format!("{TEMPLATE}.spec.volumes[{i}]");
        refuse_own_name(&format!("{field}.name"), &volume.name)?;
        if reserved.contains(&volume.name.as_str()) {
            return Err(Invalid::new(format!("{field}.name"), "spec.hsm.pkcs11.volumes has a volume of that name"));
        }
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        if sources.into_iter().any(|source| source.service_account_token.is_some()) {
            let reason = "a ServiceAccount token is the signer's, and would let the baker write the watermark record";
            return Err(Invalid::new(format!("{field}.projected"), reason));
        }
    }
    let containers = spec.containers.iter().enumerate().map(|(i, c)| (format!("containers[{i}]"), c));
    let init = spec.init_containers.iter().flatten().enumerate().map(|(i, c)| (format!("initContainers[{i}]"), c));
    for (which, container) in containers.chain(init) {
        check_container(&format!("{TEMPLATE}.spec.{which}"), container, reserved)?;
    }
    Ok(template)
}

/// Namespaces that the baker shares with the signer's container, or both with the node.
fn refuse_shared(spec: &PodSpec) -> Result<(), Invalid> {
    let shared = [
        ("shareProcessNamespace", spec.share_process_namespace, "the baker could read the PIN in the signer's memory"),
        ("hostPID", spec.host_pid, "the node's processes could be seen, and the signer's by them"),
        ("hostIPC", spec.host_ipc, "memory of the node's processes could be shared"),
        ("hostNetwork", spec.host_network, "the whole node could ask for signatures on 127.0.0.1"),
    ];
    match shared.into_iter().find(|(_, set, _)| *set == Some(true)) {
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
    if spec.automount_service_account_token == Some(true) {
        let reason = "refused: the token is the signer's, and would let the baker write the watermark record";
        return Err(Invalid::new(format!("{TEMPLATE}.spec.automountServiceAccountToken"), reason));
    }
    Ok(())
}

fn check_container(field: &str, container: &Container, reserved: &[&str]) -> Result<(), Invalid> {
    if names::OWN_CONTAINERS.contains(&container.name.as_str()) {
        let reason = format!("{:?} is the name of a container that the operator adds; choose another", container.name);
        return Err(Invalid::new(format!("{field}.name"), reason));
    }
    let mounts = container.volume_mounts.iter().flatten().map(|mount| &mount.name);
    let devices = container.volume_devices.iter().flatten().map(|device| &device.name);
    match mounts.chain(devices).find(|name| is_own(name) || reserved.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let reason = format!("refused: only the signer's container may mount the volume {name:?}");
            Err(Invalid::new(format!("{field}.volumeMounts"), reason))
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
