//! The baker's pod, with the signer as its native sidecar.
//!
//! The signer is an init container before all of the user's, so that it starts before them and ends after them; its startup
//! probe holds the rest back until it can sign. Only its container has the API token, the PIN and the configuration. What
//! brings the HSM's client to it runs before, and ends.

use super::container::{container, plain_container, runtime_default, volumes};
use super::json::{extend, json, prepend, set, set_default};
use super::{cloud_hsm, deployment, names, octez};
use crate::controller::validate::{Baker, HsmAccess, Template, ValidSigner};
use serde_json::{Value, json};

/// The pod of `baker`.
pub(super) fn pod(signer: &ValidSigner, baker: &Baker, image: &str, config_map: &str) -> Value {
    match baker {
        Baker::Template(template) => with_signer(signer, template, image, config_map),
        Baker::Octez(baker) => with_signer(signer, &octez::template(baker), image, config_map),
    }
}

/// What `template` becomes.
fn with_signer(signer: &ValidSigner, template: &Template, image: &str, config_map: &str) -> Value {
    let mut sidecar = container(signer, image);
    sidecar["restartPolicy"] = json!("Always");
    let mut own = vec![sidecar];
    let mut without_aws = template.containers.clone();
    if let HsmAccess::CloudHsm(client) = &signer.hsm {
        // AWS is asked, if at all, by the container that configures the client.
        without_aws.extend([names::CLIENT_CONTAINER, names::SIGNER_CONTAINER].map(str::to_owned));
        let client = cloud_hsm::init_containers(client, |name| plain_container(name, image));
        own.splice(0..0, client.iter().map(json));
    }

    let mut template = template.value.clone();
    let metadata = &mut template["metadata"];
    let labels = names::labels(&signer.identity);
    set(&mut metadata["labels"], labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let annotations = &mut metadata["annotations"];
    annotations[names::CONFIG_ANNOTATION] = json!(config_map);
    // The EKS identity webhook would give every container AWS credentials of the signer's ServiceAccount.
    annotations[names::SKIP_AWS_ANNOTATION] = json!(without_aws.join(","));

    let spec = &mut template["spec"];
    prepend(spec, "initContainers", own);
    extend(spec, "volumes", volumes(signer, config_map));
    spec["serviceAccountName"] = json!(names::service_account(&signer.identity));
    spec["automountServiceAccountToken"] = json!(false);
    set_default(spec, "terminationGracePeriodSeconds", deployment::TERMINATION_GRACE_SECONDS);
    set_default(&mut spec["securityContext"], "seccompProfile", json(&runtime_default()));
    deployment::place(spec, &signer.placement);
    template
}
