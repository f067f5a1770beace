//! What users may add to the pods, and what is refused by its name.

use super::*;
use crate::validate::tests::{example, octez_example, service_example};
use crate::validate::validate as validate_all;
use serde_json::{Value, json};

fn refused(change: &Value, begin: &str) {
    for signer in [service_example(), octez_example()] {
        let mut value = serde_json::to_value(&signer).unwrap();
        let Value::Object(fields) = change else { panic!("an object") };
        for (name, field) in fields {
            value["spec"][name] = field.clone();
        }
        let error = validate_all(&serde_json::from_value(value).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with(begin), "{error}\n  expected: {begin}");
    }
}

#[test]
fn what_the_operator_sets_or_what_weakens_the_signer_is_refused_by_its_name() {
    for label in
        ["app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "pod-template-hash"]
    {
        refused(
            &json!({"pod": {"labels": {label: "x"}}}),
            &format!("spec.pod.labels[{label}]: the operator and Kubernetes set"),
        );
    }
    for name in ["signer.tezos.io/config", "signer.tezos.io/anything"] {
        for (field, change) in [
            ("spec.pod.labels", json!({"pod": {"labels": {name: "x"}}})),
            ("spec.pod.annotations", json!({"pod": {"annotations": {name: "x"}}})),
            ("spec.serviceAccount.annotations", json!({"serviceAccount": {"annotations": {name: "x"}}})),
        ] {
            refused(&change, &format!("{field}[{name}]: names with signer.tezos.io/ are the operator's"));
        }
    }
    for annotation in [
        "eks.amazonaws.com/skip-containers",
        "container.apparmor.security.beta.kubernetes.io/signer",
        "container.seccomp.security.alpha.kubernetes.io/signer",
    ] {
        let change = json!({"pod": {"annotations": {annotation: "x"}}});
        refused(&change, &format!("spec.pod.annotations[{annotation}]: not allowed: "));
    }
    for name in ["", "a b", "-a", "a/b/c", "/a", "a/", "ä", &"a".repeat(64)] {
        refused(
            &json!({"pod": {"labels": {name: "x"}}}),
            &format!("spec.pod.labels[{name}]: not a name of Kubernetes"),
        );
    }
    for seconds in [0, 19, 3601] {
        let begin = format!("spec.pod.terminationGracePeriodSeconds: {seconds} is not from 20 to 3600");
        refused(&json!({"pod": {"terminationGracePeriodSeconds": seconds}}), &begin);
    }
    for (name, begin) in [
        ("POD_UID", "spec.env[0].name: the operator sets POD_UID"),
        ("KUBECONFIG", "spec.env[0].name: KUBECONFIG is not allowed: with it the signer would use"),
        ("KUBERNETES_SERVICE_HOST", "spec.env[0].name: KUBERNETES_SERVICE_HOST is not allowed"),
        ("LD_PRELOAD", "spec.env[0].name: LD_PRELOAD is not allowed: it would load code"),
        ("LISTEN_FDS", "spec.env[0].name: LISTEN_FDS is not allowed"),
        ("NOTIFY_SOCKET", "spec.env[0].name: NOTIFY_SOCKET is not allowed"),
        ("1A", "spec.env[0].name: \"1A\" is not the name of a variable"),
        ("A=B", "spec.env[0].name: \"A=B\" is not"),
    ] {
        refused(&json!({"env": [{"name": name, "value": "x"}]}), begin);
    }
    refused(&json!({"env": [{"name": "A"}, {"name": "A"}]}), "spec.env[1].name: A is set twice");
}

#[test]
fn a_template_has_its_own_labels_and_the_signer_its_environment() {
    let mut signer = example();
    signer.spec.env = vec![EnvSpec { name: "RUST_LOG".to_owned(), value: "debug".to_owned() }];
    assert_eq!(validate_all(&signer).unwrap().additions.env, signer.spec.env);
    signer.spec.pod = Some(PodMetadataSpec::default());
    assert!(validate_all(&signer).unwrap_err().to_string().starts_with("spec.pod: only with service or baker.octez"));
}

#[test]
fn a_variable_of_the_library_is_not_set_twice() {
    let mut signer = service_example();
    signer.spec.hsm.as_mut().unwrap().pkcs11.as_mut().unwrap().env = vec![json!({"name": "A", "value": "1"})];
    signer.spec.env = vec![EnvSpec { name: "A".to_owned(), value: "2".to_owned() }];
    assert!(validate_all(&signer).unwrap_err().to_string().starts_with("spec.env[0].name: A is set twice"));
}
