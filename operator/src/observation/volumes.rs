//! A pod that waits for its volumes or its network: the kubelet starts no container before they are set up, and tries for ever. The
//! operator cannot see which object is missing, because it has no rights on Secrets. So it names all that the volumes need.

use super::container_state::waits_because;
use crate::names;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMapProjection, KeyToPath, Pod, SecretProjection, Volume};
use kube::ResourceExt as _;

/// How long this counts as starting. To attach a disk may take as long.
const STARTUP_TIME: SignedDuration = SignedDuration::from_mins(1);

/// Whether a node has accepted the pod and has not set up its volumes and network yet.
pub fn waits_for_volumes(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let is_set_up =
        status.conditions.iter().flatten().any(|c| c.type_ == "PodReadyToStartContainers" && c.status == "True");
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten().peekable();
    let has_begun = containers.peek().is_some();
    has_begun
        && !is_set_up
        && containers.all(|container| matches!(waits_because(container), Some("PodInitializing" | "ContainerCreating")))
}

/// Whether the pod is still starting, and what it waits for.
pub(super) fn waiting_for(pod: &Pod, now: Timestamp) -> (bool, String) {
    let since = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let starting = since.is_none_or(|since| now.duration_since(since.0) < STARTUP_TIME);
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let needed = volumes
        .filter(|volume| !names::SELF_MADE_VOLUMES.contains(&volume.name.as_str()))
        .flat_map(needs)
        .collect::<Vec<_>>()
        .join(", ");
    if starting {
        return (true, format!("its network and its volumes are being set up (it needs {needed})"));
    }
    let reason = format!(
        "its volumes or its network are not set up yet. Check that these exist: {needed}. See kubectl describe pod {}",
        pod.name_any()
    );
    (false, reason)
}

/// The objects that the volume needs, with the keys that they must have.
fn needs(volume: &Volume) -> Vec<String> {
    let mut needs = Vec::new();
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        needs.push(object("Secret", name, secret.items.as_ref()));
    }
    if let Some(config_map) = &volume.config_map {
        needs.push(object("ConfigMap", &config_map.name, config_map.items.as_ref()));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        needs.push(object("PersistentVolumeClaim", &claim.claim_name, None));
    }
    for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        if let Some(SecretProjection { name, items, .. }) = &source.secret {
            needs.push(object("Secret", name, items.as_ref()));
        }
        if let Some(ConfigMapProjection { name, items, .. }) = &source.config_map {
            needs.push(object("ConfigMap", name, items.as_ref()));
        }
    }
    needs
}

/// `Secret hsm-pin (key pin)`.
fn object(kind: &str, name: &str, items: Option<&Vec<KeyToPath>>) -> String {
    let keys: Vec<&str> = items.into_iter().flatten().map(|item| item.key.as_str()).collect();
    match keys[..] {
        [] => format!("{kind} {name}"),
        [key] => format!("{kind} {name} (key {key})"),
        _ => format!("{kind} {name} (keys {})", keys.join(", ")),
    }
}
