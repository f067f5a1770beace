//! The client's configuration as AWS's documentation and users' files have it; and who sees what of the client in the pod.
//! `UPDATE_GOLDEN=1 cargo test -p tezos-signer-operator` writes the golden files anew.

use super::*;
use crate::api::TezosSigner;
use crate::build::{self, Objects};
use crate::validate::tests::cloud_hsm_example;
use crate::validate::validate;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::{Value, json};

/// The example with other fields in `spec.hsm.cloudHsm` (null: left out).
fn objects(fields: &Value) -> Objects {
    let mut object = serde_json::to_value(cloud_hsm_example()).unwrap();
    let cloud_hsm = object.pointer_mut("/spec/hsm/cloudHsm").unwrap().as_object_mut().unwrap();
    for (name, value) in fields.as_object().unwrap() {
        if value.is_null() {
            cloud_hsm.remove(name);
        } else {
            cloud_hsm.insert(name.clone(), value.clone());
        }
    }
    let signer: TezosSigner = serde_json::from_value(object).unwrap();
    build::objects(&validate(&signer).unwrap(), "registry.example/tezos-signer:0.1.0")
}

fn golden(file: &str, now: &str) {
    let path = format!("{}/src/build/keystore/pkcs11/cloud_hsm/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    assert_eq!(now, std::fs::read_to_string(&path).unwrap(), "see the top of this file");
}

fn config_of(objects: &Objects) -> Option<String> {
    objects.config.data.as_ref().unwrap().get(CONFIG_FILE).cloned()
}

fn pod(objects: &Objects) -> PodSpec {
    objects.deployment.known().spec.unwrap().template.spec.unwrap()
}

fn container<'a>(pod: &'a PodSpec, name: &str) -> Option<&'a Container> {
    pod.init_containers.iter().flatten().find(|container| container.name == name)
}

/// Where a container mounts what, and whether it may write there.
fn mounts(container: &Container) -> Vec<(&str, &str, Option<&str>, bool)> {
    container
        .volume_mounts
        .iter()
        .flatten()
        .filter(|mount| mount.name.starts_with("signer-cloudhsm"))
        .map(|mount| {
            (mount.name.as_str(), mount.mount_path.as_str(), mount.sub_path.as_deref(), mount.read_only != Some(true))
        })
        .collect()
}

#[test]
fn the_example_becomes_this_pod_and_this_configuration() {
    let objects = objects(&json!({}));
    golden("cloudhsm-pkcs11.cfg", &config_of(&objects).unwrap());
    golden("golden-pod.yaml", &serde_yaml::to_string(&objects.deployment.spec["template"]).unwrap());
}

/// The form that users' files have, written by `configure-pkcs11 -a`; and that the client logs to the terminal.
#[test]
fn the_file_has_the_form_of_awss_own() {
    let text = config_of(&objects(&json!({"disableKeyAvailabilityCheck": true, "logLevel": "warn"}))).unwrap();
    let server = |address: &str| json!({"hostname": address, "port": 2223, "enable": true});
    let expected = json!({
        "clusters": [{
            "type": "hsm1",
            "cluster": {
                "hsm_ca_file": "/run/secrets/cloudhsm/customerCA.crt",
                "servers": [server("10.0.1.6"), server("10.0.2.9"), server("10.0.3.4")],
                "options": {"disable_key_availability_check": true},
            },
        }],
        "logging": {
            "log_type": "term",
            "log_file": "/opt/cloudhsm/run/cloudhsm-pkcs11.log",
            "log_level": "warn",
            "log_interval": "daily",
        },
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
}

#[test]
fn another_configuration_is_another_config_map_and_so_another_pod() {
    let (one, other) = (objects(&json!({})), objects(&json!({"addresses": ["10.0.1.6"]})));
    assert_ne!(one.config.metadata.name, other.config.metadata.name);
    assert_eq!(one.config.immutable, Some(true));
    assert_eq!(one.config.data.unwrap()["config.yaml"], other.config.data.unwrap()["config.yaml"]);
}

#[test]
fn the_client_is_copied_and_only_the_signer_has_it_read_only() {
    let objects = objects(&json!({}));
    let pod = pod(&objects);
    let names: Vec<&str> = pod.init_containers.iter().flatten().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["signer-cloudhsm-client", "signer"], "the client is there before the signer starts");
    let client = container(&pod, names::pkcs11::CLIENT_CONTAINER).unwrap();
    assert_eq!(client.image.as_deref(), Some("registry.example/team/cloudhsm-client:5.18.1"));
    assert_eq!(client.command.as_ref().unwrap().join(" "), "cp -Rf /opt/cloudhsm/lib /signer-cloudhsm");
    assert_eq!(client.restart_policy, None, "it ends");
    assert_eq!(mounts(client), [("signer-cloudhsm", "/signer-cloudhsm", None, true)]);
    assert_eq!(client.volume_mounts.as_ref().unwrap().len(), 1, "neither PIN nor token");
    assert_eq!((&client.env, &client.ports, &client.startup_probe), (&None, &None, &None));
    let signer = container(&pod, names::SIGNER_CONTAINER).unwrap();
    assert_eq!(client.security_context, signer.security_context);
    let security = signer.security_context.as_ref().unwrap();
    assert_eq!((security.read_only_root_filesystem, security.run_as_user), (Some(true), Some(65532)));
    assert_eq!(
        mounts(signer),
        [
            ("signer-cloudhsm", "/opt/cloudhsm/lib", Some("lib"), false),
            ("signer-cloudhsm-config", "/opt/cloudhsm/etc", None, false),
            ("signer-cloudhsm-tls", "/run/secrets/cloudhsm", None, false),
        ]
    );
    for baker in &pod.containers {
        assert_eq!(mounts(baker), [], "{}", baker.name);
    }
    let signer_config = &objects.config.data.as_ref().unwrap()["config.yaml"];
    assert!(
        signer_config.contains("module: /opt/cloudhsm/lib/libcloudhsm_pkcs11.so\n  token: hsm1\n"),
        "{signer_config}"
    );
}

#[test]
fn an_image_with_the_client_in_it_needs_no_container_before_the_signer() {
    let objects = objects(&json!({"clientImage": null}));
    let pod = pod(&objects);
    assert_eq!(pod.init_containers.as_ref().unwrap().len(), 1);
    let signer = container(&pod, names::SIGNER_CONTAINER).unwrap();
    assert_eq!(
        mounts(signer),
        [
            ("signer-cloudhsm-config", "/opt/cloudhsm/etc", None, false),
            ("signer-cloudhsm-tls", "/run/secrets/cloudhsm", None, false),
        ]
    );
    assert!(pod.volumes.iter().flatten().all(|volume| volume.name != names::pkcs11::CLIENT_VOLUME));
}

/// AWS documents these settings only as arguments of its program, so that one writes the configuration.
#[test]
fn what_only_awss_program_knows_is_left_to_it() {
    let certificates = json!({
        "mutualTls": {"secret": "hsm-tls"}, "retryMode": "none", "disableValidateKeyAtInit": true,
        "customerCa": {"configMap": "ca", "key": "ca.pem"},
    });
    let made = objects(&certificates);
    assert_eq!(config_of(&made), None);
    let pod = pod(&made);
    let copy = container(&pod, names::pkcs11::CLIENT_CONTAINER).unwrap();
    assert_eq!(copy.command.as_ref().unwrap().join(" "), "cp -Rf /opt/cloudhsm/lib /opt/cloudhsm/etc /signer-cloudhsm");
    let configure = container(&pod, names::pkcs11::CONFIGURE_CONTAINER).unwrap();
    assert_eq!(configure.image.as_deref(), Some("registry.example/team/cloudhsm-client:5.18.1"));
    assert_eq!(
        configure.command.as_ref().unwrap().join(" "),
        "/opt/cloudhsm/bin/configure-pkcs11 -a 10.0.1.6 10.0.2.9 10.0.3.4 \
         --hsm-ca-cert /run/secrets/cloudhsm/customerCA.crt --log-type term --log-level info \
         --client-cert-hsm-tls-file /run/secrets/cloudhsm/client.crt \
         --client-key-hsm-tls-file /run/secrets/cloudhsm/client.key \
         --enable-key-availability-check --disable-validate-key-at-init --default-retry-mode off"
    );
    assert_eq!(
        mounts(configure),
        [
            ("signer-cloudhsm", "/opt/cloudhsm/etc", Some("etc"), true),
            ("signer-cloudhsm-tls", "/run/secrets/cloudhsm", None, false),
        ]
    );
    let signer = container(&pod, names::SIGNER_CONTAINER).unwrap();
    assert_eq!(mounts(signer)[1], ("signer-cloudhsm", "/opt/cloudhsm/etc", Some("etc"), false));
    let tls = pod.volumes.iter().flatten().find(|volume| volume.name == names::pkcs11::CLIENT_TLS_VOLUME).unwrap();
    assert_eq!(
        serde_json::to_value(&tls.projected).unwrap()["sources"],
        json!([
            {"configMap": {"name": "ca", "items": [{"key": "ca.pem", "path": "customerCA.crt"}]}},
            {"secret": {"name": "hsm-tls", "items": [
                {"key": "client.crt", "path": "client.crt"}, {"key": "client.key", "path": "client.key"},
            ]}},
        ])
    );
}

#[test]
fn with_a_cluster_id_aws_is_asked_by_one_container_alone() {
    let made = objects(&json!({
        "addresses": null, "clusterId": "cluster-abcdefghijk", "region": "eu-central-1", "clientImage": null,
    }));
    let pod = pod(&made);
    let names: Vec<&str> = pod.init_containers.iter().flatten().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["signer-cloudhsm-client", "signer-cloudhsm-configure", "signer"]);
    let copy = container(&pod, names::pkcs11::CLIENT_CONTAINER).unwrap();
    assert_eq!(copy.command.as_ref().unwrap().join(" "), "cp -Rf /opt/cloudhsm/etc /signer-cloudhsm");
    assert_eq!(
        copy.image.as_deref(),
        Some("registry.example/tezos-signer:0.1.0"),
        "the client is in the signer's image"
    );
    let configure = container(&pod, names::pkcs11::CONFIGURE_CONTAINER).unwrap().command.as_ref().unwrap().join(" ");
    let begin =
        "/opt/cloudhsm/bin/configure-pkcs11 --cluster-id cluster-abcdefghijk --region eu-central-1 --hsm-ca-cert ";
    assert!(configure.starts_with(begin), "{configure}");
    let annotations = made.deployment.known().spec.unwrap().template.metadata.unwrap().annotations.unwrap();
    assert_eq!(annotations["eks.amazonaws.com/skip-containers"], "baker,signer-cloudhsm-client,signer");
}
