//! The baker's pod, with the signer as its native sidecar.
//!
//! The signer is an init container before all of the user's, so that it starts before them and ends after them; its startup
//! probe holds them back until it can sign. Only its container has the API token, the keystore's credentials and the
//! configuration. The containers that the keystore adds run before it, and end.

use super::container::{container, plain_container, runtime_default, volumes};
use super::json::{extend, json, prepend, set, set_default, texts};
use super::{keystore, octez, placement};
use crate::names;
use crate::validate::{Baker, Template, Valid};
use serde_json::{Value, json};

/// The pod of `baker`.
pub(super) fn pod(signer: &Valid, baker: &Baker, image: &str, config_map: &str) -> Value {
    match baker {
        Baker::Template(template) => with_signer(signer, template, image, config_map),
        Baker::Octez(baker) => with_signer(signer, &octez::template(baker), image, config_map),
    }
}

/// `template`, with the signer added.
fn with_signer(signer: &Valid, template: &Template, image: &str, config_map: &str) -> Value {
    let mut sidecar = container(signer, image);
    sidecar["restartPolicy"] = json!("Always");
    let mut own = vec![sidecar];
    let mut without_aws = template.containers.clone();
    let keystore = keystore::objects(&signer.keystore);
    without_aws.extend(keystore.without_aws().iter().map(|&name| name.to_owned()));
    let before = keystore.init_containers(&|name| plain_container(name, image));
    own.splice(0..0, before.iter().flatten().map(json));

    let mut template = template.value.clone();
    let metadata = &mut template["metadata"];
    let additions = &signer.additions;
    set(&mut metadata["labels"], texts(&additions.labels));
    set(&mut metadata["annotations"], texts(&additions.annotations));
    let labels = names::labels(&signer.identity);
    set(&mut metadata["labels"], texts(&labels));
    let annotations = &mut metadata["annotations"];
    annotations[names::CONFIG_ANNOTATION] = json!(config_map);
    // The EKS identity webhook would give every container AWS credentials of the signer's ServiceAccount.
    annotations[names::SKIP_AWS_ANNOTATION] = json!(without_aws.join(","));

    let spec = &mut template["spec"];
    prepend(spec, "initContainers", own);
    extend(spec, "volumes", volumes(signer, config_map));
    spec["serviceAccountName"] = json!(names::service_account(&signer.identity));
    spec["automountServiceAccountToken"] = json!(false);
    placement::set_grace(spec, additions);
    set_default(&mut spec["securityContext"], "seccompProfile", json(&runtime_default()));
    placement::place(spec, &signer.placement);
    template
}
