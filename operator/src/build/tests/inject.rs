//! What `spec.inject` becomes, and that the chart's policies know the same names.

use super::*;
use crate::image::ImageSource;
use crate::validate::tests::{inject_example, with_field_of};
use crate::validate::{self};
use serde_json::{Value, json};

const POLICIES: &str = include_str!("../../../../charts/tezos-signer-operator/templates/injection.yaml");

fn injected(signer: &crate::api::TezosSigner) -> Objects {
    objects(&validate::validate(signer).unwrap(), "registry.example/tezos-signer:0.1.0")
}

fn built_with(valid: Valid) -> Built {
    let reference = "registry.example/tezos-signer:0.1.0".to_owned();
    build(valid, Image { reference, source: ImageSource::Default, ran_well: None })
}

/// Whoever changes this file gives every injected pod an older sidecar than the present one.
#[test]
fn the_example_with_inject_becomes_these_objects() {
    let objects = injected(&inject_example());
    assert_eq!(objects.service_account, None);
    let parts = [text(objects.sidecar.as_ref().unwrap()), text(&objects.role), text(&objects.role_binding)];
    is_as_in(&parts.join("---\n"), "golden-inject.yaml");
}

/// «The same pure function builds the baker form's pod.»
#[test]
fn the_sidecar_is_that_of_the_bakers_pod() {
    let mut baker = serde_json::to_value(inject_example()).unwrap();
    let spec = baker["spec"].as_object_mut().unwrap();
    spec.remove("inject");
    spec.insert("baker".to_owned(), json!({"template": {"spec": {"containers": [{"name": "x", "image": "x"}]}}}));
    let pod = injected(&serde_json::from_value(baker).unwrap()).deployment.spec["template"]["spec"].clone();
    let sidecar = injected(&inject_example()).sidecar.unwrap().spec.sidecar;
    assert_eq!(pod["initContainers"], json!(sidecar.init_containers));
    assert_eq!(pod["volumes"], json!(sidecar.volumes));
    assert_eq!(sidecar.init_containers.last().unwrap()["name"], names::SIGNER_CONTAINER);
}

#[test]
fn the_sidecar_before_is_kept_until_the_next_change() {
    let after = |level: &str, published: Option<&Objects>| {
        let env = json!([{"name": "RUST_LOG", "value": level}]);
        let valid = with_field_of(&inject_example(), "/spec/env", env).unwrap();
        let published = published.and_then(|objects| objects.sidecar.clone());
        built_with(valid).accepting(&Former { published, ..Former::default() }).objects
    };
    let first = after("a", None);
    let second = after("b", Some(&first));
    let again = after("b", Some(&second));
    let third = after("c", Some(&again));
    let digest = |objects: &Objects| objects.sidecar.as_ref().unwrap().spec.sidecar.digest.clone();
    let previous = |objects: &Objects| Some(objects.sidecar.as_ref()?.spec.previous.as_ref()?.digest.clone());
    assert_eq!(previous(&second), Some(digest(&first)));
    assert_eq!(previous(&again), Some(digest(&first)), "nothing has changed");
    assert_eq!(previous(&third), Some(digest(&second)));
    let rights = third.role.rules.unwrap().pop().unwrap().resource_names.unwrap();
    assert_eq!(rights.len(), 3, "one for the TezosSigner and one for each sidecar: {rights:?}");
}

#[test]
fn records_of_former_keys_stay_readable_for_older_sidecars() {
    let former = Former { records: ["watermark-old".to_owned()].into(), ..Former::default() };
    let objects = built_with(validate::validate(&inject_example()).unwrap()).accepting(&former).objects;
    let records = objects.role.rules.unwrap()[0].resource_names.clone().unwrap();
    assert_eq!(records.len(), 2);
    assert!(records.contains(&"watermark-old".to_owned()), "{records:?}");
}

/// Whatever the user's pod is, a policy in CEL checks it. It knows the names of the sidecar's containers and volumes by heart.
#[test]
fn the_policies_know_the_names_that_the_operator_uses() {
    let list = |names: &[&str]| format!("['{}']", names.join("', '"));
    for names in [&names::OWN_CONTAINERS[..], &names::OWN_VOLUMES[..]] {
        assert!(POLICIES.contains(&list(names)), "{}", list(names));
    }
    for name in [names::INJECT_LABEL, names::SIDECAR_ANNOTATION, names::CONFIG_ANNOTATION, names::SKIP_AWS_ANNOTATION] {
        assert!(POLICIES.contains(name), "{name}");
    }
    for port in [tezos_signer_core::config::SIGNING_PORT, tezos_signer_core::config::ADMIN_PORT] {
        assert!(POLICIES.contains(&port.to_string()), "{port}");
    }
}

#[test]
fn what_goes_with_other_forms_only_is_refused_with_inject() {
    for (field, value, words) in [
        ("inject", json!({"serviceAccountName": "default"}), "spec.inject.serviceAccountName: not default"),
        (
            "inject",
            json!({"serviceAccountName": "a-signer"}),
            "spec.inject.serviceAccountName: names that end in -signer",
        ),
        (
            "inject",
            json!({"serviceAccountName": "A"}),
            "spec.inject.serviceAccountName: \"A\" is not a valid object name",
        ),
        ("placement", json!({"nodeSelector": {"a": "b"}}), "spec.placement: not with inject"),
        ("pod", json!({"labels": {"a": "b"}}), "spec.pod: not with inject"),
        ("serviceAccount", json!({"annotations": {"a": "b"}}), "spec.serviceAccount: not with inject"),
        ("service", json!({"replicas": 2}), "spec: exactly one of baker"),
        ("inject", Value::Null, "spec: exactly one of baker"),
    ] {
        let refusal = with_field_of(&inject_example(), &format!("/spec/{field}"), value).unwrap_err().to_string();
        assert!(refusal.starts_with(words), "{field}: {refusal}");
    }
}
