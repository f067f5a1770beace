//! The objects of the example, as text. Whoever changes `golden.yaml` restarts every baker whose operator is upgraded:
//! that is what the file is there to show. `UPDATE_GOLDEN=1 cargo test -p tezos-signer-operator` writes it anew.

use super::json::json;
use super::*;
use crate::validate::tests::{example, kms_example, octez_example, service_example, tz4_example};
use crate::validate::validate;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use serde::Serialize;

fn text<T: Serialize>(object: &T) -> String {
    serde_yaml::to_string(object).unwrap()
}

fn built() -> Objects {
    objects(&validate(&example()).unwrap(), "registry.example/tezos-signer:0.1.0")
}

fn template(objects: &Objects) -> PodTemplateSpec {
    objects.deployment.known().spec.unwrap().template
}

fn pod(objects: &Objects) -> PodSpec {
    template(objects).spec.unwrap()
}

fn is_as_in(now: &str, file: &str) {
    let path = format!("{}/src/build/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    assert_eq!(now, std::fs::read_to_string(&path).unwrap(), "see the top of this file");
}

#[test]
fn the_example_becomes_these_objects() {
    let objects = built();
    let parts = [
        text(objects.service_account.as_ref().unwrap()),
        text(&objects.role),
        text(&objects.role_binding),
        text(&objects.config),
        text(&objects.deployment),
    ];
    is_as_in(&parts.join("---\n"), "golden.yaml");
}

#[test]
fn the_example_of_an_octez_baker_becomes_this_pod() {
    let objects = objects(&validate(&octez_example()).unwrap(), "registry.example/tezos-signer:0.1.0");
    is_as_in(&text(&objects.deployment.spec["template"]), "golden-octez.yaml");
}

#[test]
fn the_examples_of_sealed_keys_and_of_aws_kms_become_these_pods() {
    for (example, file) in [(tz4_example(), "golden-tz4.yaml"), (kms_example(), "golden-kms.yaml")] {
        let objects = objects(&validate(&example).unwrap(), "registry.example/tezos-signer:0.1.0");
        is_as_in(&text(&objects.deployment.spec["template"]), file);
    }
}

/// With what it is not told.
#[test]
fn an_octez_baker_without_a_dal_node_and_a_claim() {
    let mut signer = octez_example();
    let octez = signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap();
    (octez.dal_node, octez.volume_claim, octez.resources) = (None, None, None);
    octez.liquidity_baking_vote = Some(crate::api::LiquidityBakingVote::Off);
    octez.extra_arguments = vec!["--pre-emptive-forge-time".to_owned(), "1".to_owned()];
    let pod = pod(&objects(&validate(&signer).unwrap(), "i"));
    assert_eq!(
        pod.containers[0].command.as_ref().unwrap().join(" "),
        "octez-baker --base-dir /var/lib/octez-client --endpoint http://octez-node:8732 run remotely baker \
         --liquidity-baking-toggle-vote off --remote-calls-timeout 3 --keep-alive --without-dal --pre-emptive-forge-time 1"
    );
    assert!(pod.security_context.unwrap().fs_group.is_none());
    assert!(pod.volumes.unwrap().iter().any(|volume| volume.name == "octez-client" && volume.empty_dir.is_some()));
}

/// Octez uses the companion keys that its command names, so each is imported, and named.
#[test]
fn an_octez_baker_of_tz4_gets_its_companion_key_too() {
    let objects = objects(&validate(&tz4_example()).unwrap(), "i");
    let annotations = template(&objects).metadata.unwrap().annotations.unwrap();
    let pod = pod(&objects);
    let commands: Vec<_> = pod
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.name.starts_with("import-"))
        .map(|container| (container.name.as_str(), container.command.as_ref().unwrap()[5..].join(" ")))
        .collect();
    let import = |alias: &str, key: &str| format!("import secret key {alias} http://127.0.0.1:6732/{key} --force");
    assert_eq!(
        commands,
        [
            ("import-key", import("baker", "tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy")),
            ("import-companion-key-1", import("companion-1", "tz4VnwAwMUpNfMgzc7dvqF951CteFHBKowv4")),
        ]
    );
    let run = pod.containers[0].command.as_ref().unwrap().join(" ");
    assert!(run.contains(" run remotely baker companion-1 --liquidity-baking-toggle-vote pass "), "{run}");
    assert_eq!(
        annotations["eks.amazonaws.com/skip-containers"],
        "import-key,import-companion-key-1,baker,signer-cloudhsm-client,signer"
    );
}

/// From one key to two to the new one: each step changes the pod once, whose command names the keys, and what was there keeps its name.
#[test]
fn an_octez_baker_bakes_with_all_keys_that_are_named() {
    let first = "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA";
    let second = "tz2DTy9uoYbCFZrtSi9AHNUsnyE8CgDSyQqp";
    let key = "sppk7cXzUGMoqqa3MNc5zUZrwuqCAtmxQYcQA82f1xRyZFnzyzYUS5Z";
    let mut signer = octez_example();
    let mut stages = Vec::new();
    let mut stage = |signer: &crate::api::TezosSigner| {
        let pod = pod(&objects(&validate(signer).unwrap(), "i"));
        let imports = pod.init_containers.iter().flatten().filter(|container| container.name.starts_with("import-"));
        let imports =
            imports.map(|container| (container.name.clone(), container.command.clone().unwrap()[8..10].join(" ")));
        let run = pod.containers[0].command.as_ref().unwrap().join(" ");
        let (_, sources) = run.split_once("run remotely ").unwrap();
        let sources = sources.split_once(" --liquidity").unwrap().0.to_owned();
        stages.push((imports.collect::<Vec<_>>(), sources));
    };
    stage(&signer);
    let mut new = signer.spec.keys[0].clone();
    new.public_key = key.to_owned();
    signer.spec.keys.push(new);
    signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap().delegates = vec![first.to_owned(), second.to_owned()];
    stage(&signer);
    signer.spec.keys.remove(0);
    signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap().delegates = vec![second.to_owned()];
    stage(&signer);
    let import = |name: &str, alias: &str, key: &str| (name.to_owned(), format!("{alias} http://127.0.0.1:6732/{key}"));
    assert_eq!(
        stages,
        [
            (vec![import("import-key", "baker", first)], "baker".to_owned()),
            (
                vec![import("import-key", "baker", first), import("import-key-2", "baker-2", second)],
                "baker baker-2".to_owned()
            ),
            (vec![import("import-key", "baker", second)], "baker".to_owned()),
        ]
    );
}

#[test]
fn an_octez_baker_gets_its_extra_nodes() {
    let mut signer = octez_example();
    let octez = signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap();
    octez.node_endpoint = None;
    octez.node_endpoints = ["http://a:8732", "http://b:8732", "https://c/rpc"].map(str::to_owned).to_vec();
    let pod = pod(&objects(&validate(&signer).unwrap(), "i"));
    let run = pod.containers[0].command.as_ref().unwrap().join(" ");
    assert!(run.starts_with("octez-baker --base-dir /var/lib/octez-client --endpoint http://a:8732 run "), "{run}");
    assert!(run.contains(" --keep-alive --extra-node http://b:8732 --extra-node https://c/rpc --dal-node "), "{run}");
    let imports = pod.init_containers.iter().flatten().filter(|container| container.name.starts_with("import-"));
    for import in imports {
        let command = import.command.as_ref().unwrap().join(" ");
        assert!(command.contains("--endpoint http://a:8732 import") && !command.contains("extra"), "{command}");
    }
}

fn built_service(change: impl FnOnce(&mut crate::api::ServiceSpec)) -> Objects {
    let mut signer = service_example();
    change(signer.spec.service.as_mut().unwrap());
    objects(&validate(&signer).unwrap(), "registry.example/tezos-signer:0.1.0")
}

#[test]
fn the_example_of_a_service_becomes_these_objects() {
    let objects = built_service(|_| {});
    let service = objects.service.unwrap();
    let parts = [
        text(&objects.config),
        text(&service.service),
        text(&service.network_policy),
        text(&service.disruption_budget),
        text(&objects.deployment),
    ];
    is_as_in(&parts.join("---\n"), "golden-service.yaml");
}

#[test]
fn a_drain_can_move_the_only_signer() {
    let budget =
        |replicas| built_service(|service| service.replicas = Some(replicas)).service.unwrap().disruption_budget;
    assert!(budget(1).is_none());
    assert!(budget(2).is_some());
    assert!(built().service.is_none(), "a baker has none of it");
}

#[test]
fn the_signers_of_a_service_find_their_certificates_where_their_configuration_says() {
    let objects = built_service(|service| {
        service.client_ca =
            Some(crate::api::ClientCa { config_map: None, secret: Some("clients".to_owned()), key: None });
    });
    let pod = pod(&objects);
    let volume = pod.volumes.unwrap().into_iter().find(|volume| volume.name == names::TLS_VOLUME).unwrap();
    let files: Vec<String> = volume
        .projected
        .unwrap()
        .sources
        .unwrap()
        .into_iter()
        .flat_map(|source| {
            let secret = source.secret.unwrap();
            secret
                .items
                .unwrap()
                .into_iter()
                .map(move |item| format!("{} of {} as {}", item.key, secret.name, item.path))
        })
        .collect();
    assert_eq!(
        files,
        [
            "tls.crt of signer-one-tls as tls.crt",
            "tls.key of signer-one-tls as tls.key",
            "ca.crt of signer-one-tls as ca.crt",
            "ca.crt of clients as client-ca.crt"
        ]
    );
    let config = &objects.config.data.unwrap()["config.yaml"];
    let mount = pod.containers[0].volume_mounts.iter().flatten().find(|mount| mount.name == names::TLS_VOLUME).unwrap();
    for file in ["tls.crt", "tls.key", "ca.crt", "client-ca.crt"] {
        assert!(config.contains(&format!("{}/{file}", mount.mount_path)), "{file} is not in\n{config}");
    }
}

#[test]
fn the_client_of_cloudhsm_comes_before_a_signer_alone_too() {
    let mut signer = crate::validate::tests::cloud_hsm_example();
    signer.spec.baker = None;
    signer.spec.service = Some(crate::api::ServiceSpec { unauthenticated: Some(true), ..Default::default() });
    let template = template(&objects(&validate(&signer).unwrap(), "i"));
    let annotations = template.metadata.unwrap().annotations.unwrap();
    assert_eq!(annotations["eks.amazonaws.com/skip-containers"], "signer-cloudhsm-client,signer");
    let pod = template.spec.unwrap();
    let names = |containers: &[k8s_openapi::api::core::v1::Container]| {
        containers
            .iter()
            .map(|container| (container.name.clone(), container.restart_policy.clone()))
            .collect::<Vec<_>>()
    };
    assert!(names(pod.init_containers.as_ref().unwrap()).contains(&("signer-cloudhsm-client".to_owned(), None)));
    assert_eq!(names(&pod.containers), [("signer".to_owned(), None)]);
}

/// Between two releases a pod may only be replaced because its TezosSigner changed.
#[test]
fn the_pod_follows_from_the_spec_and_the_image_alone() {
    assert_eq!(built(), built());
    let version = env!("CARGO_PKG_VERSION");
    let mut deployment = built().deployment;
    deployment.spec["template"]["spec"]["initContainers"][0]["image"] = serde_json::Value::Null;
    assert!(!text(&deployment).contains(version), "the operator's version is in the pod");
}

#[test]
fn only_the_signer_has_the_token_the_pin_and_the_configuration() {
    let objects = built();
    let pod = pod(&objects);
    assert_eq!(pod.automount_service_account_token, Some(false));
    let signer = &pod.init_containers.as_ref().unwrap()[0];
    assert_eq!(signer.name, names::SIGNER_CONTAINER);
    assert_eq!(signer.restart_policy.as_deref(), Some("Always"));
    for volume in [names::CONFIG_VOLUME, names::pkcs11::PIN_VOLUME, names::TOKEN_VOLUME] {
        assert!(signer.volume_mounts.iter().flatten().any(|mount| mount.name == volume), "{volume}");
        assert!(pod.containers.iter().flat_map(|c| c.volume_mounts.iter().flatten()).all(|mount| mount.name != volume));
    }
}

#[test]
fn what_the_user_says_about_the_pod_stays() {
    let mut signer = example();
    let written = serde_json::json!({
        "metadata": {"labels": {"team": "bakers"}, "annotations": {"a": "b"}},
        "spec": {
            "terminationGracePeriodSeconds": 90,
            "securityContext": {"fsGroup": 1000, "seccompProfile": {"type": "Unconfined"}},
            "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 5}],
            "imagePullSecrets": [{"name": "mine"}, {"name": "both"}],
            "ofTheNextRelease": {"kept": true},
            "initContainers": [{"name": "wait-for-node", "image": "x"}],
            "containers": [{"name": "baker", "image": "x"}, {"name": "accuser", "image": "x"}],
        },
    });
    signer.spec.baker.as_mut().unwrap().template = Some(written);
    signer.spec.image_pull_secrets =
        ["both", "signers"].map(|name| crate::api::ImagePullSecret { name: name.to_owned() }).to_vec();
    let objects = objects(&validate(&signer).unwrap(), "i");
    assert_eq!(objects.deployment.spec["template"]["spec"]["ofTheNextRelease"]["kept"], true);
    let pod = template(&objects);
    let metadata = pod.metadata.unwrap();
    assert_eq!(metadata.labels.as_ref().unwrap()["team"], "bakers");
    assert_eq!(
        metadata.labels.unwrap()["app.kubernetes.io/instance"],
        "baker-one",
        "the Deployment must find its pods"
    );
    let annotations = metadata.annotations.unwrap();
    assert_eq!(annotations["a"], "b");
    assert_eq!(annotations["eks.amazonaws.com/skip-containers"], "wait-for-node,baker,accuser");
    let spec = pod.spec.unwrap();
    assert_eq!(spec.termination_grace_period_seconds, Some(90));
    let security = spec.security_context.unwrap();
    assert_eq!((security.fs_group, security.seccomp_profile.unwrap().type_.as_str()), (Some(1000), "Unconfined"));
    let seconds: Vec<_> = spec.tolerations.unwrap().iter().map(|toleration| toleration.toleration_seconds).collect();
    assert_eq!(seconds, [Some(5), Some(30)]);
    assert_eq!(spec.init_containers.unwrap()[1].name, "wait-for-node");
    let secrets: Vec<_> = spec.image_pull_secrets.unwrap().into_iter().map(|secret| secret.name).collect();
    assert_eq!(secrets, ["mine", "both", "signers"]);
}

#[test]
fn signers_behind_a_service_run_where_they_are_told() {
    let mut signer = service_example();
    signer.spec.placement = Some(crate::api::PlacementSpec {
        node_selector: std::collections::BTreeMap::from([("disk".to_owned(), "fast".to_owned())]),
        tolerations: vec![serde_json::json!({"key": "bakers", "operator": "Exists"})],
        affinity: Some(serde_json::json!({"nodeAffinity": {"ofTheNextRelease": 1}})),
        topology_spread_constraints: Some(vec![serde_json::json!({"topologyKey": "rack", "maxSkew": 1})]),
        priority_class_name: Some("bakers".to_owned()),
    });
    signer.spec.image_pull_secrets = vec![crate::api::ImagePullSecret { name: "registry".to_owned() }];
    let objects = objects(&validate(&signer).unwrap(), "i");
    assert_eq!(objects.deployment.spec["template"]["spec"]["affinity"]["nodeAffinity"]["ofTheNextRelease"], 1);
    let spread = &objects.deployment.spec["template"]["spec"]["topologySpreadConstraints"];
    assert_eq!(*spread, serde_json::json!([{"topologyKey": "rack", "maxSkew": 1}]), "in place of the defaults");
    let pod = pod(&objects);
    assert_eq!(pod.node_selector.unwrap()["disk"], "fast");
    let tolerations: Vec<_> = pod.tolerations.unwrap().into_iter().filter_map(|toleration| toleration.key).collect();
    assert_eq!(tolerations, ["bakers", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]);
    assert_eq!(pod.priority_class_name.as_deref(), Some("bakers"));
    assert_eq!(pod.image_pull_secrets.unwrap()[0].name, "registry");
}

/// What users add is there, and what the operator sets wins.
#[test]
fn what_is_added_to_the_pods_is_there_beside_what_the_operator_sets() {
    let added = serde_json::json!({
        "pod": {
            "labels": {"team": "bakers"}, "annotations": {"example.org/owner": "me"}, "terminationGracePeriodSeconds": 60,
        },
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
        "env": [{"name": "RUST_LOG", "value": "debug"}, {"name": "EMPTY"}],
    });
    for (signer, list) in [(service_example(), "containers"), (octez_example(), "initContainers")] {
        let usual = objects(&validate(&signer).unwrap(), "i");
        let mut value = serde_json::to_value(&signer).unwrap();
        for (name, field) in added.as_object().unwrap() {
            value["spec"][name] = field.clone();
        }
        let objects = objects(&validate(&serde_json::from_value(value).unwrap()).unwrap(), "i");
        let (template, usual_template) = (&objects.deployment.spec["template"], &usual.deployment.spec["template"]);
        let mut expected = usual_template.clone();
        expected["metadata"]["labels"]["team"] = "bakers".into();
        expected["metadata"]["annotations"]["example.org/owner"] = "me".into();
        expected["spec"]["terminationGracePeriodSeconds"] = 60.into();
        let env = expected["spec"][list][0]["env"].as_array_mut().unwrap();
        env.extend([serde_json::json!({"name": "RUST_LOG", "value": "debug"}), serde_json::json!({"name": "EMPTY"})]);
        assert_eq!(*template, expected);
        let account = objects.service_account.as_ref().unwrap().metadata.annotations.clone().unwrap();
        assert_eq!(account["eks.amazonaws.com/role-arn"], "arn:aws:iam::1:role/x");
        assert_eq!(objects.config, usual.config, "the signer's configuration is another matter");
        assert_eq!(usual.service_account.as_ref().unwrap().metadata.annotations, None);
    }
}

#[test]
fn the_signer_has_the_resources_that_are_named_and_the_usual_ones_beside_them() {
    let mut signer = crate::validate::tests::cloud_hsm_example();
    let resources = |signer: &crate::api::TezosSigner| {
        let containers = pod(&objects(&validate(signer).unwrap(), "i")).init_containers.unwrap();
        containers.into_iter().map(|container| json(&container.resources)).collect::<Vec<_>>()
    };
    let usual = serde_json::json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}});
    assert_eq!(resources(&signer), [usual.clone(), usual.clone()]);
    // A number too, as in a pod.
    let given = serde_json::json!({"limits": {"memory": "512Mi"}, "requests": {"cpu": 1}});
    signer.spec.resources = serde_json::from_value(given).unwrap();
    let signers = serde_json::json!({"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"memory": "512Mi"}});
    assert_eq!(resources(&signer), [usual, signers], "the client's container is not the signer's");
}

#[test]
fn names_fit_and_do_not_meet() {
    let identity = |namespace: &str, name: &str| Identity {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: "u".to_owned(),
    };
    let long = identity(&"n".repeat(63), &"s".repeat(40));
    assert!(names::config_map(&long, "0123456789").len() <= 63);
    assert!(names::service_account(&long).len() <= 63);
    assert!(names::service(&long).len() <= 63);
    assert!(names::role(&long).len() <= 253);
    assert_ne!(names::role(&identity("a-b", "c")), names::role(&identity("a", "b-c")));
}

mod effects;
mod eks;
mod inject;
