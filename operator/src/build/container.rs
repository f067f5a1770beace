//! The signer's container, which is the same beside a baker and alone: its rights, probes and mounts, and the volumes that only it
//! mounts.

use super::json::json;
use super::projection::{READABLE, item};
use super::{config, keystore};
use crate::api::ResourcesSpec;
use crate::names;
use crate::validate::{Authorities, AuthoritiesSource, ServiceCertificate, Valid, Workload};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, ConfigMapVolumeSource, Container, ContainerPort, DownwardAPIProjection,
    DownwardAPIVolumeFile, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe, ProjectedVolumeSource,
    ResourceRequirements, SeccompProfile, SecretProjection, SecurityContext, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tezos_signer_core::config::{ADMIN_PORT, PEER_PORT, SIGNING_PORT};

/// The user and group of the signer's process: "nonroot", as in the image.
const SIGNER_USER: i64 = 65532;
const CONFIG_DIRECTORY: &str = "/etc/tezos-signer";
const TLS_DIRECTORY: &str = "/run/secrets/tls";
/// Where client libraries look for the token.
const TOKEN_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// A year of probes, one each second: waiting for a lease or an HSM is not a reason to kill the signer.
const STARTUP_FAILURES: i32 = 365 * 24 * 60 * 60;

/// The signer in a pod of `signer`.
pub(super) fn container(signer: &Valid, image: &str) -> Value {
    let paths = ["metadata.name", "metadata.uid", "status.podIP"];
    let mut env: Vec<Value> = names::OWN_ENV.iter().zip(paths).map(|variable| json(&field(variable))).collect();
    let mount = |name: &str, path: &str| {
        json(&VolumeMount {
            name: name.to_owned(),
            mount_path: path.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        })
    };
    let keystore = keystore::objects(&signer.keystore);
    env.extend(keystore.env());
    env.extend(signer.additions.env.iter().map(json));
    let mut volume_mounts = vec![mount(names::CONFIG_VOLUME, CONFIG_DIRECTORY)];
    volume_mounts.extend(keystore.credentials().iter().map(|(_, mount)| json(mount)));
    volume_mounts.push(mount(names::TOKEN_VOLUME, TOKEN_DIRECTORY));
    volume_mounts.extend(keystore.volume_mounts());
    let mut ports = vec![port(names::ADMIN_PORT_NAME, ADMIN_PORT)];
    if let Workload::Service(workload) = &signer.workload {
        ports.splice(0..0, [port(names::SIGNING_PORT_NAME, SIGNING_PORT), port(names::PEER_PORT_NAME, PEER_PORT)]);
        volume_mounts.extend(workload.tls.as_ref().map(|_| mount(names::TLS_VOLUME, TLS_DIRECTORY)));
    }
    let known = Container {
        args: Some(vec!["serve".to_owned(), "--config".to_owned(), format!("{CONFIG_DIRECTORY}/{}", config::FILE)]),
        ports: Some(ports),
        startup_probe: Some(probe("/startupz", 1, 1, STARTUP_FAILURES)),
        readiness_probe: Some(probe("/readyz", 2, 2, 2)),
        liveness_probe: Some(probe("/livez", 5, 5, 6)),
        resources: Some(resources(&signer.resources)),
        ..plain_container(names::SIGNER_CONTAINER, image)
    };
    let mut container = json(&known);
    container["env"] = Value::Array(env);
    container["volumeMounts"] = Value::Array(volume_mounts);
    container
}

/// A container with no rights, no command and no mounts.
pub(super) fn plain_container(name: &str, image: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(resources(&ResourcesSpec::default())),
        security_context: Some(restricted(SIGNER_USER)),
        ..Container::default()
    }
}

/// The minimal rights of a process of `user`, as Pod Security "restricted" requires.
pub(super) fn restricted(user: i64) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

fn port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn field((name, path): (&&str, &str)) -> EnvVar {
    let field_ref = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() };
    EnvVar {
        name: (*name).to_owned(),
        value_from: Some(EnvVarSource { field_ref: Some(field_ref), ..EnvVarSource::default() }),
        value: None,
    }
}

fn probe(path: &str, period: i32, timeout: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(ADMIN_PORT.into()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        success_threshold: Some(1),
        ..Probe::default()
    }
}

/// The default resources, with those that are `given`. There is no limit on CPU: a signature that waits for the next quota period is late.
fn resources(given: &ResourcesSpec) -> ResourceRequirements {
    let quantities = |usual: &[(&str, &str)], given: &BTreeMap<String, Quantity>| {
        let usual = usual.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned())));
        Some(usual.chain(given.clone()).collect())
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "50m"), ("memory", "64Mi")], &given.requests),
        limits: quantities(&[("memory", "256Mi")], &given.limits),
        ..ResourceRequirements::default()
    }
}

pub(super) fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}

/// The volumes that the signer's container mounts.
pub(super) fn volumes(signer: &Valid, config_map: &str) -> Vec<Value> {
    let config = Volume {
        name: names::CONFIG_VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            default_mode: Some(READABLE),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let keystore = keystore::objects(&signer.keystore);
    let mut volumes = vec![json(&config)];
    volumes.extend(keystore.credentials().iter().map(|(volume, _)| json(volume)));
    volumes.push(json(&token_volume()));
    if let Workload::Service(workload) = &signer.workload {
        volumes.extend(workload.tls.as_ref().map(|tls| json(&tls_volume(tls))));
    }
    volumes.extend(keystore.volumes(config_map));
    volumes
}

/// What Kubernetes mounts into every container by default, but here only into the signer's: token, certificate of the API server,
/// namespace.
fn token_volume() -> Volume {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            expiration_seconds: Some(3600),
            path: "token".to_owned(),
            audience: None,
        }),
        ..VolumeProjection::default()
    };
    let certificate = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".to_owned(),
            items: Some(vec![item("ca.crt", "ca.crt")]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let namespace_field =
        ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: "metadata.namespace".to_owned() };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection {
            items: Some(vec![DownwardAPIVolumeFile {
                path: "namespace".to_owned(),
                field_ref: Some(namespace_field),
                ..DownwardAPIVolumeFile::default()
            }]),
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: names::TOKEN_VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![token, certificate, namespace]),
            default_mode: Some(READABLE),
        }),
        ..Volume::default()
    }
}

/// The signer's certificate and the authorities of other certificates. One volume, whose files change together.
fn tls_volume(tls: &ServiceCertificate) -> Volume {
    let files = [names::TLS_CERTIFICATE_FILE, names::TLS_KEY_FILE, names::TLS_CA_FILE].map(file_name);
    let certificate = VolumeProjection {
        secret: Some(SecretProjection {
            name: tls.secret.clone(),
            items: Some(files.map(|file| item(file, file)).to_vec()),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let client_ca = tls.client_ca.as_ref().map(client_ca_projection);
    Volume {
        name: names::TLS_VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some([certificate].into_iter().chain(client_ca).collect()),
            default_mode: Some(READABLE),
        }),
        ..Volume::default()
    }
}

fn client_ca_projection(authorities: &Authorities) -> VolumeProjection {
    let items = Some(vec![item(&authorities.key, file_name(names::CLIENT_CA_FILE))]);
    match &authorities.source {
        AuthoritiesSource::ConfigMap(name) => VolumeProjection {
            config_map: Some(ConfigMapProjection { name: name.clone(), items, optional: None }),
            ..VolumeProjection::default()
        },
        AuthoritiesSource::Secret(name) => VolumeProjection {
            secret: Some(SecretProjection { name: name.clone(), items, optional: None }),
            ..VolumeProjection::default()
        },
    }
}

fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}
