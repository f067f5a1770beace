//! The Deployment: of one baker, which is replaced in place, or of signers behind a Service, of which none goes before another
//! has come. Their pods are in [`baker`] and [`replica`].

use super::{baker, names, owned, replica};
use crate::controller::validate::{Form, ValidSigner};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Container, PodSpec, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// How long a pod stays on a node that does not answer. The lease is what keeps two pods apart, so it may be short.
const LOST_NODE_SECONDS: i64 = 30;
/// How long a pod may take to end. Of the signer: what is in flight (1.5 s), the lease (2 s), then 10 s of forwarding what still
/// comes, and the last lines of the audit log.
pub(super) const TERMINATION_GRACE_SECONDS: i64 = 30;

pub(super) fn deployment(signer: &ValidSigner, image: &str, config_map: &str) -> Deployment {
    // How many pods there may be too many, and too few, while they are replaced. Two bakers are never meant to run at once.
    let (replicas, surge, unavailable, template) = match &signer.form {
        Form::Baker(template) => (1, 0, 1, baker::pod(signer, template, image, config_map)),
        Form::Service(form) => (form.replicas, 1, 0, replica::pod(signer, image, config_map)),
    };
    Deployment {
        metadata: owned(&signer.identity, names::deployment(&signer.identity)),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas.into()),
            revision_history_limit: Some(2),
            selector: LabelSelector {
                match_labels: Some(names::selector(&signer.identity)),
                ..LabelSelector::default()
            },
            // Not Recreate, which waits for ever for a pod on a node that is gone.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(surge)),
                    max_unavailable: Some(IntOrString::Int(unavailable)),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// The signer's container in a Deployment that runs, and whether it is a baker's sidecar.
pub(crate) fn running_signer(live: &Deployment) -> Option<(bool, &Container)> {
    let pod = live.spec.as_ref()?.template.spec.as_ref()?;
    let beside_a_baker = pod.init_containers.iter().flatten().map(|container| (true, container));
    let alone = pod.containers.iter().map(|container| (false, container));
    beside_a_baker.chain(alone).find(|(_, container)| container.name == names::SIGNER_CONTAINER)
}

/// Unless the user said how long to wait for a node.
pub(super) fn tolerate_lost_node(spec: &mut PodSpec) {
    let tolerations = spec.tolerations.get_or_insert_default();
    for taint in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if tolerations.iter().all(|toleration| toleration.key.as_deref() != Some(taint)) {
            tolerations.push(Toleration {
                key: Some(taint.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some("NoExecute".to_owned()),
                toleration_seconds: Some(LOST_NODE_SECONDS),
                value: None,
            });
        }
    }
}
