//! Why a pod is not Ready, although the signer in it may work. A Service sends no requests to such a pod, whichever of its containers is
//! not ready.

use super::BEING_DELETED;
use super::container_state::ended;
use super::containers::container_trouble;
use crate::message::excerpt;
use crate::names;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use kube::ResourceExt as _;

/// How long after the start of a pod a container that runs and is not ready counts as starting: probes have delays.
const STARTUP_TIME: SignedDuration = SignedDuration::from_mins(1);

/// Why a pod is not Ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// How far it is from Ready.
    pub progress: Progress,
    /// A sentence that names the container or the condition.
    pub reason: String,
}

/// How far a pod is from Ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Containers are being created or started.
    Starting,
    /// A container runs and is not ready, or something other than a container is missing.
    Unready,
    /// A container does not run, and does not start by itself.
    Broken,
}

/// Whether a Service would send requests to `pod`, or why not.
pub(super) fn readiness(pod: &Pod, now: Timestamp) -> Result<(), NotReady> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Err(NotReady { progress: Progress::Unready, reason: BEING_DELETED.to_owned() });
    }
    if is_ready(pod) {
        return Ok(());
    }
    Err(unready_container(pod, now).unwrap_or_else(|| {
        let message = ready_condition(pod).and_then(|condition| condition.message.clone());
        let reason = message.filter(|message| !message.is_empty()).map(|message| excerpt(&message));
        let reason = reason.unwrap_or_else(|| "the kubelet has not reported it as Ready".to_owned());
        NotReady { progress: progress(pod, now), reason }
    }))
}

/// Why a baker's pod is not Ready, once the kubelet has reported it.
pub(super) fn beside_the_signer(pod: &Pod, now: Timestamp) -> Option<NotReady> {
    let broken = foreign_containers(pod).find_map(|container| container_trouble(pod, container, now));
    if let Some(reason) = broken {
        return Some(NotReady { progress: Progress::Broken, reason });
    }
    ready_condition(pod).filter(|condition| condition.status != "True").and_then(|_| readiness(pod, now).err())
}

/// The container for which the pod is not Ready: one that does not run, else one of the user's or of a webhook's, else the signer's.
fn unready_container(pod: &Pod, now: Timestamp) -> Option<NotReady> {
    let broken = foreign_containers(pod).find_map(|container| container_trouble(pod, container, now));
    if let Some(reason) = broken {
        return Some(NotReady { progress: Progress::Broken, reason });
    }
    if let Some(container) = foreign_containers(pod).find(|container| !container.ready) {
        return Some(unready(pod, container, now));
    }
    let signer = containers(pod).find(|container| container.name == names::SIGNER_CONTAINER && !container.ready);
    signer.map(|_| NotReady {
        progress: progress(pod, now),
        reason: "the kubelet's readiness probe of the signer has not succeeded yet (GET /readyz on port 9583)"
            .to_owned(),
    })
}

fn unready(pod: &Pod, container: &ContainerStatus, now: Timestamp) -> NotReady {
    let name = &container.name;
    let state = container.state.as_ref();
    if let Some(code) = ended(state) {
        let reason =
            format!("container {name} has exited with code {code}; see kubectl logs {} -c {name}", pod.name_any());
        return NotReady { progress: Progress::Broken, reason };
    }
    if is_init_container(pod, name) && state.is_some_and(|state| state.running.is_some()) {
        let reason = format!("init container {name} is running, and has neither finished nor become ready");
        return NotReady { progress: progress(pod, now), reason };
    }
    if state.is_some_and(|state| state.running.is_some()) {
        let reason = format!("container {name} is running, but not ready: its startup or readiness probe fails");
        return NotReady { progress: progress(pod, now), reason };
    }
    NotReady { progress: Progress::Starting, reason: format!("container {name} is being started") }
}

fn is_init_container(pod: &Pod, name: &str) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.init_container_statuses.as_ref());
    statuses.into_iter().flatten().any(|container| container.name == *name)
}

fn progress(pod: &Pod, now: Timestamp) -> Progress {
    let since = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    if since.is_none_or(|since| now.duration_since(since.0) < STARTUP_TIME) {
        Progress::Starting
    } else {
        Progress::Unready
    }
}

/// Whether the Service sends requests to `pod`.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let statuses = pod.status.iter();
    statuses.flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses).flatten())
}

/// The containers that the operator has not added to the pod: the user's, and those of webhooks.
fn foreign_containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    containers(pod).filter(|container| !names::OWN_CONTAINERS.contains(&container.name.as_str()))
}

/// The status of the signer's container.
pub(super) fn signer(pod: &Pod) -> Option<&ContainerStatus> {
    containers(pod).find(|container| container.name == names::SIGNER_CONTAINER)
}

/// Whether the signer's container is ready and the pod is not terminating.
pub(super) fn has_ready_signer(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && signer(pod).is_some_and(|container| container.ready)
}

#[cfg(test)]
mod tests;
