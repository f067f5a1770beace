//! What the kubelet reports of a container.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};

/// The reason for which the container is waiting.
pub(super) fn waits_because(container: &ContainerStatus) -> Option<&str> {
    container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

/// The exit code of a terminated container.
pub(super) fn ended(state: Option<&ContainerState>) -> Option<i32> {
    Some(state?.terminated.as_ref()?.exit_code)
}

/// Whether a container waits for this reason because its image cannot be pulled.
pub(super) fn is_pull_failure(reason: &str) -> bool {
    ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"].contains(&reason)
}
