//! Why the containers of a pod do not run: the signer's own, those that bring the CloudHSM client, and others.

use super::container_state::{ended, is_pull_failure, waits_because};
use super::volumes::{self, waits_for_volumes};
use crate::message::excerpt;
use crate::names;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

/// How long a container that was restarted twice or more must run until it does not count as crashing.
const CRASH_LOOP: SignedDuration = SignedDuration::from_mins(1);

/// Why the signer in `pod` does not answer, and whether the pod is still starting.
pub(super) fn waiting_for(pod: &Pod, now: Timestamp) -> (bool, String) {
    let Some(status) = &pod.status else { return (true, "it was just created".to_owned()) };
    let unscheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return (
            false,
            format!("it cannot be scheduled: {}", excerpt(condition.message.as_deref().unwrap_or("no reason given"))),
        );
    }
    if let Some(reason) = status.init_container_statuses.iter().flatten().find_map(|c| client_failure(pod, c)) {
        return (false, reason);
    }
    if waits_for_volumes(pod) {
        return volumes::waiting_for(pod, now);
    }
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let Some(signer) = containers.find(|container| container.name == names::SIGNER_CONTAINER) else {
        return (true, "no node has started it yet".to_owned());
    };
    if let Some(code) = ended(signer.state.as_ref()).or_else(|| ended(signer.last_state.as_ref())) {
        let logs = format!("see kubectl logs {} -c signer (with --previous if it was restarted)", pod.name_any());
        return (false, format!("its signer exited with code {code}; {logs}"));
    }
    let Some(waiting) = signer.state.as_ref().and_then(|state| state.waiting.as_ref()) else {
        return (false, "its signer runs, but does not answer on the admin port".to_owned());
    };
    match (waiting.reason.as_deref().unwrap_or_default(), waiting.message.as_deref()) {
        ("PodInitializing" | "ContainerCreating", _) => {
            (true, "its images are being pulled, or earlier init containers are running".to_owned())
        }
        // The kubelet reports these reasons in turn, with different messages: one sentence for all of them.
        (reason, _) if is_pull_failure(reason) => {
            let image = &signer.image;
            (false, format!("the signer's image {image} cannot be pulled; see kubectl describe pod {}", pod.name_any()))
        }
        (reason, message) => {
            (false, format!("its signer is not started: {reason} {}", excerpt(message.unwrap_or_default())))
        }
    }
}

/// Why `container`, one of the user's or of a webhook's, does not run. `None` while it is starting.
pub(super) fn container_trouble(pod: &Pod, container: &ContainerStatus, now: Timestamp) -> Option<String> {
    let (pod, name, image) = (pod.name_any(), &container.name, &container.image);
    if ends_again_and_again(container, now) {
        let code =
            ended(container.last_state.as_ref()).map_or_else(String::new, |code| format!(" with exit code {code}"));
        return Some(format!("container {name} repeatedly exits{code}; see kubectl logs {pod} -c {name} --previous"));
    }
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref()? {
        reason if is_pull_failure(reason) => {
            Some(format!("the image {image} of container {name} cannot be pulled; see kubectl describe pod {pod}"))
        }
        "CreateContainerConfigError" if message.contains("non-numeric user") => Some(format!(
            "the image {image} of container {name} has a user name, which runAsNonRoot cannot verify: set securityContext.runAsUser \
             of the container to the user's numeric id"
        )),
        "CreateContainerConfigError" if message.contains("will run as root") => Some(format!(
            "the image {image} of container {name} runs as root, which runAsNonRoot forbids: set securityContext.runAsUser of the \
             container to the numeric id of another user"
        )),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(format!("container {name} cannot be started: {}", excerpt(message)))
        }
        _ => None,
    }
}

/// Whether the container crashes repeatedly. Between two restarts the kubelet reports it as running.
fn ends_again_and_again(container: &ContainerStatus, now: Timestamp) -> bool {
    let waits = waits_because(container) == Some("CrashLoopBackOff");
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.finished_at.as_ref());
    let has_just_ended = last.is_some_and(|at| now.duration_since(at.0) < CRASH_LOOP);
    let is_done = ended(container.state.as_ref()) == Some(0);
    waits || container.restart_count >= 2 && has_just_ended && !is_done
}

/// Why `container` does not bring the CloudHSM client into the pod, if it is one of those that should and it failed.
fn client_failure(pod: &Pod, container: &ContainerStatus) -> Option<String> {
    if ![names::pkcs11::CLIENT_CONTAINER, names::pkcs11::CONFIGURE_CONTAINER].contains(&container.name.as_str()) {
        return None;
    }
    let (pod, name, image) = (pod.name_any(), &container.name, &container.image);
    if waits_because(container).is_some_and(is_pull_failure) {
        return Some(format!(
            "the image {image} of the CloudHSM client cannot be pulled; see kubectl describe pod {pod}"
        ));
    }
    match ended(container.state.as_ref()).or_else(|| ended(container.last_state.as_ref())) {
        None | Some(0) => None,
        Some(code) => Some(format!(
            "{name}, which installs the CloudHSM client, exited with code {code}; see kubectl logs {pod} -c {name}"
        )),
    }
}
