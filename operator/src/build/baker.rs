//! A baker's pod with the signer as its native sidecar: the operator's own, or one that an admission policy makes of the user's.
//!
//! The signer is an init container before all of the user's, so that it starts before them and ends after them; its startup
//! probe holds them back until it can sign. Only its container has the API token, the keystore's credentials and the
//! configuration. The containers that the keystore adds run before it, and end.

use super::container::{container, plain_container, runtime_default, volumes};
use super::json::{extend, json, prepend, set, set_default, texts};
use super::{keystore, octez, placement, records_metadata};
use crate::api::{Sidecar, TezosSignerSidecar, TezosSignerSidecarSpec};
use crate::identity::Identity;
use crate::names;
use crate::validate::{Baker, Inject, Template, Valid};
use serde_json::{Value, json};
use tezos_signer_core::key::Digest;

/// The pod of `baker`.
pub(super) fn pod(signer: &Valid, baker: &Baker, image: &str, config_map: &str) -> Value {
    match baker {
        Baker::Template(template) => with_signer(signer, template, image, config_map),
        Baker::Octez(baker) => with_signer(signer, &octez::template(baker), image, config_map),
    }
}

/// The containers that stand before all init containers of the pod; the signer is the last of them.
fn own_containers(signer: &Valid, image: &str) -> Vec<Value> {
    let mut sidecar = container(signer, image);
    sidecar["restartPolicy"] = json!("Always");
    let before = keystore::objects(&signer.keystore).init_containers(&|name| plain_container(name, image));
    before.iter().flatten().map(json).chain([sidecar]).collect()
}

/// What an admission policy adds to the pods of `inject`.
pub(super) fn sidecar(signer: &Valid, inject: &Inject, image: &str, config_map: &str) -> TezosSignerSidecar {
    let is_own = |volume: &Value| volume["name"].as_str().is_some_and(|name| names::OWN_VOLUMES.contains(&name));
    let (own, of_library) = volumes(signer, config_map).into_iter().partition(is_own);
    let mut sidecar = Sidecar {
        digest: String::new(),
        config: config_map.to_owned(),
        image: image.to_owned(),
        init_containers: own_containers(signer, image),
        volumes: own,
        library_volumes: of_library,
        image_pull_secrets: signer.placement.image_pull_secrets.iter().map(|name| json!({"name": name})).collect(),
        without_aws: keystore::objects(&signer.keystore).without_aws().iter().map(|&name| name.to_owned()).collect(),
    };
    let digest = Digest::of(json(&sidecar).to_string().as_bytes()).to_string();
    digest[..16].clone_into(&mut sidecar.digest);
    let spec = TezosSignerSidecarSpec {
        service_account_name: inject.service_account.clone(),
        sidecar,
        previous: None,
        reserved_secrets: inject.reserved_secrets.clone(),
    };
    TezosSignerSidecar { metadata: records_metadata(&signer.identity, names::sidecar(&signer.identity)), spec }
}

/// The part of a pod template that has `sidecar`, for clusters that do not add it by themselves.
pub(super) fn template_of(signer: &Identity, sidecar: &TezosSignerSidecarSpec) -> Value {
    let Sidecar { digest, config, init_containers, volumes, library_volumes, image_pull_secrets, .. } =
        &sidecar.sidecar;
    let volumes: Vec<&Value> = volumes.iter().chain(library_volumes).collect();
    let mut template = json!({
        "metadata": {
            "labels": {names::INJECT_LABEL: signer.name},
            "annotations": {names::SIDECAR_ANNOTATION: digest, names::CONFIG_ANNOTATION: config},
        },
        "spec": {
            "serviceAccountName": sidecar.service_account_name,
            "automountServiceAccountToken": false,
            "initContainers": init_containers,
            "volumes": volumes,
        },
    });
    extend(&mut template["spec"], "imagePullSecrets", image_pull_secrets.iter().cloned());
    template
}

/// A pod with the sidecar of `spec.inject`, which the API server is asked about and which is never created.
pub(super) fn trial_pod(signer: &Valid, image: &str, config_map: &str) -> Value {
    let baker = json!({"metadata": {}, "spec": {"containers": [{"name": TRIAL_CONTAINER, "image": image}]}});
    let template = Template { value: baker, containers: vec![TRIAL_CONTAINER.to_owned()] };
    with_signer(signer, &template, image, config_map)
}

const TRIAL_CONTAINER: &str = "baker";

/// `template`, with the signer added.
fn with_signer(signer: &Valid, template: &Template, image: &str, config_map: &str) -> Value {
    let own = own_containers(signer, image);
    let mut without_aws = template.containers.clone();
    without_aws.extend(keystore::objects(&signer.keystore).without_aws().iter().map(|&name| name.to_owned()));

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
