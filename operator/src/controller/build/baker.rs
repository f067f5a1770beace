//! The baker's pod, with the signer as its native sidecar.
//!
//! The signer is an init container before all of the user's, so that it starts before them and ends after them; its startup
//! probe holds the rest back until it can sign. Only its container has the API token, the PIN and the configuration. What
//! brings the HSM's client to it runs before, and ends.

use super::container::{container, plain_container, runtime_default, volumes};
use super::{cloud_hsm, deployment, names};
use crate::controller::validate::{HsmAccess, ValidSigner};
use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodTemplateSpec};

/// The pod that `template` becomes.
pub(super) fn pod(signer: &ValidSigner, template: &PodTemplateSpec, image: &str, config_map: &str) -> PodTemplateSpec {
    let mut template = template.clone();
    let spec = template.spec.get_or_insert_default();
    let mut without_aws: Vec<String> =
        spec.init_containers.iter().flatten().chain(&spec.containers).map(|container| container.name.clone()).collect();
    let sidecar = Container { restart_policy: Some("Always".to_owned()), ..container(signer, image) };
    let mut own = vec![sidecar];
    if let HsmAccess::CloudHsm(client) = &signer.hsm {
        // AWS is asked, if at all, by the container that configures the client.
        without_aws.extend([names::CLIENT_CONTAINER, names::SIGNER_CONTAINER].map(str::to_owned));
        own.splice(0..0, cloud_hsm::init_containers(client, |name| plain_container(name, image)));
    }

    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(names::labels(&signer.identity));
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(names::CONFIG_ANNOTATION.to_owned(), config_map.to_owned());
    // The EKS identity webhook would give every container AWS credentials of the signer's ServiceAccount.
    annotations.insert(names::SKIP_AWS_ANNOTATION.to_owned(), without_aws.join(","));

    spec.init_containers.get_or_insert_default().splice(0..0, own);
    spec.volumes.get_or_insert_default().extend(volumes(signer, config_map));
    spec.service_account_name = Some(names::service_account(&signer.identity));
    spec.automount_service_account_token = Some(false);
    spec.termination_grace_period_seconds.get_or_insert(deployment::TERMINATION_GRACE_SECONDS);
    let security = spec.security_context.get_or_insert_with(PodSecurityContext::default);
    security.seccomp_profile.get_or_insert_with(runtime_default);
    deployment::tolerate_lost_node(spec);
    template
}
