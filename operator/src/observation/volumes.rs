//! A pod that waits for its volumes or its network: the kubelet starts no container before they are set up, and tries for ever. The
//! operator cannot see which object is missing, because it has no rights on Secrets. The kubelet says it, in an event of the pod. Until
//! there is one, the operator names all that the volumes need.

mod csi;

use super::container_state::waits_because;
use crate::{message, names};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMapProjection, Event, KeyToPath, Pod, SecretProjection, Volume};
use kube::ResourceExt as _;
use std::collections::BTreeMap;

/// How long this counts as starting. To attach a disk may take as long.
const STARTUP_TIME: SignedDuration = SignedDuration::from_mins(1);

/// How long an event counts: the kubelet repeats it at least every five minutes while the object is missing.
const EVENT_AGE: SignedDuration = SignedDuration::from_mins(6);

/// What the kubelet puts before the newest message after ten different ones, such as those with an id of AWS' request.
const COMBINED: &str = "(combined from similar events): ";

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
    let needed = message::list(
        volumes.filter(|volume| !names::SELF_MADE_VOLUMES.contains(&volume.name.as_str())).flat_map(needs),
    );
    if starting {
        return (true, format!("its network and its volumes are being set up (it needs {needed})"));
    }
    let reason = format!(
        "its volumes or its network are not set up yet; see kubectl describe pod {}. Check that these exist: {needed}",
        pod.name_any()
    );
    (false, reason)
}

/// What the kubelet says in its `events` of `pod` about objects and keys that do not exist, and whatever it says about a volume of a CSI
/// driver. `None` for all else, such as a disk that is still being attached, which needs only time.
pub(super) fn missing_objects(pod: &Pod, events: &[Event], now: Timestamp) -> Option<String> {
    let is_current = |event: &&Event| {
        event.reason.as_deref() == Some("FailedMount")
            && event.last_timestamp.as_ref().is_none_or(|last| now.duration_since(last.0) < EVENT_AGE)
    };
    let volumes = || pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    // The newest words about each volume: another reason is no reason any more. And events of several volumes take turns in being the newest,
    // which the sentence must not.
    let mut missing = BTreeMap::new();
    for event in events.iter().filter(is_current) {
        let message = event.message.as_deref().unwrap_or_default();
        let message = message.strip_prefix(COMBINED).unwrap_or(message);
        let Some(message) = message.strip_prefix("MountVolume.SetUp failed for volume \"") else { continue };
        let Some((name, why)) = message.split_once("\" : ") else { continue };
        let volume = volumes().find(|volume| volume.name == name);
        let sentence = match volume.and_then(|volume| volume.csi.as_ref()) {
            Some(csi) => csi::not_mounted(pod, name, csi, why),
            None if ["not found", "non-existent"].iter().any(|words| why.contains(words)) => {
                // Whole objects are named by the kubelet, and of a key that is missing only the key.
                let needed = message::list(volume.into_iter().flat_map(needs));
                let needed = if needed.is_empty() { needed } else { format!(" needs {needed}") };
                format!("{} (volume {name}{needed}); create what is missing", message::excerpt(why))
            }
            None => continue,
        };
        let at = event.last_timestamp.as_ref().map(|last| last.0);
        let newest = missing.entry(name).or_insert_with(|| (at, sentence.clone()));
        if newest.0 <= at {
            *newest = (at, sentence);
        }
    }
    let sentences = missing.into_values().map(|(_, sentence)| sentence);
    let sentences = message::list_by("; ", sentences);
    (!sentences.is_empty()).then(|| format!("{sentences}, and the kubelet tries again by itself"))
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
    needs.extend(volume.csi.as_ref().map(|csi| format!("CSI driver {}", csi::described(csi))));
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
        _ => format!("{kind} {name} (keys {})", message::list(keys)),
    }
}
