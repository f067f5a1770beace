//! The baker's pod, with the signer as its native sidecar.
//!
//! The signer is an init container before all of the user's, so that it starts before them and ends after them; its startup
//! probe holds the rest back until it can sign. Only its container has the API token, the PIN and the configuration. What
//! brings the HSM's client to it runs before, and ends.

use super::{cloud_hsm, config, names, owned};
use crate::controller::validate::{HsmAccess, ValidSigner};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, ConfigMapVolumeSource, Container, ContainerPort, DownwardAPIProjection,
    DownwardAPIVolumeFile, EnvVar, EnvVarSource, HTTPGetAction, KeyToPath, ObjectFieldSelector, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecretVolumeSource,
    SecurityContext, ServiceAccountTokenProjection, Toleration, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tezos_signer_core::config::ADMIN_PORT;

/// The user and group of the signer's process: "nonroot", as in the image.
const SIGNER_USER: i64 = 65532;
const CONFIG_DIRECTORY: &str = "/etc/tezos-signer";
const PIN_DIRECTORY: &str = "/run/secrets/hsm";
const PIN_FILE_NAME: &str = "pin";
/// Where every client library looks for it.
const TOKEN_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// A year of probes, one each second: waiting for a lease or an HSM is not a reason to kill the signer.
const STARTUP_FAILURES: i32 = 365 * 24 * 60 * 60;
/// How long a pod stays on a node that does not answer. The lease is what keeps two pods apart, so it may be short.
const LOST_NODE_SECONDS: i64 = 30;
const TERMINATION_GRACE_SECONDS: i64 = 30;
/// Files of Secrets are readable by whoever has the mount, and only the signer's container has it. The alternative, a pod
/// wide fsGroup, would have the kubelet change the group of the baker's own data as well.
const READABLE: i32 = 0o444;

pub(super) fn deployment(signer: &ValidSigner, image: &str, config_map: &str) -> Deployment {
    let replace_in_place =
        RollingUpdateDeployment { max_surge: Some(IntOrString::Int(0)), max_unavailable: Some(IntOrString::Int(1)) };
    Deployment {
        metadata: owned(&signer.identity, names::deployment(&signer.identity)),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            revision_history_limit: Some(2),
            selector: LabelSelector {
                match_labels: Some(names::selector(&signer.identity)),
                ..LabelSelector::default()
            },
            // Not Recreate, which waits for ever for a pod on a node that is gone.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(replace_in_place),
            }),
            template: pod(signer, image, config_map),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn pod(signer: &ValidSigner, image: &str, config_map: &str) -> PodTemplateSpec {
    let mut template = signer.template.clone();
    let spec = template.spec.get_or_insert_default();
    let mut without_aws: Vec<String> =
        spec.init_containers.iter().flatten().chain(&spec.containers).map(|container| container.name.clone()).collect();
    let mut own = vec![container(signer, image)];
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
    annotations.insert("eks.amazonaws.com/skip-containers".to_owned(), without_aws.join(","));

    spec.init_containers.get_or_insert_default().splice(0..0, own);
    spec.volumes.get_or_insert_default().extend(volumes(signer, config_map));
    spec.service_account_name = Some(names::service_account(&signer.identity));
    spec.automount_service_account_token = Some(false);
    spec.termination_grace_period_seconds.get_or_insert(TERMINATION_GRACE_SECONDS);
    let security = spec.security_context.get_or_insert_with(PodSecurityContext::default);
    security.seccomp_profile.get_or_insert_with(runtime_default);
    tolerate_lost_node(spec);
    template
}

fn container(signer: &ValidSigner, image: &str) -> Container {
    let mut env: Vec<EnvVar> =
        names::OWN_ENV.iter().zip(["metadata.name", "metadata.uid", "status.podIP"]).map(field).collect();
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let mut volume_mounts = vec![
        mount(names::CONFIG_VOLUME, CONFIG_DIRECTORY),
        mount(names::PIN_VOLUME, PIN_DIRECTORY),
        mount(names::TOKEN_VOLUME, TOKEN_DIRECTORY),
    ];
    match &signer.hsm {
        HsmAccess::Pkcs11(access) => {
            env.extend(access.env.iter().cloned());
            volume_mounts.extend(access.volume_mounts.iter().cloned());
        }
        HsmAccess::CloudHsm(client) => volume_mounts.extend(cloud_hsm::volume_mounts(client)),
    }
    Container {
        args: Some(vec!["serve".to_owned(), "--config".to_owned(), format!("{CONFIG_DIRECTORY}/{}", config::FILE)]),
        restart_policy: Some("Always".to_owned()),
        env: Some(env),
        ports: Some(vec![ContainerPort {
            name: Some("signer-admin".to_owned()),
            container_port: ADMIN_PORT.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        volume_mounts: Some(volume_mounts),
        startup_probe: Some(probe("/startupz", 1, 1, STARTUP_FAILURES)),
        readiness_probe: Some(probe("/readyz", 2, 2, 2)),
        liveness_probe: Some(probe("/livez", 5, 5, 6)),
        ..plain_container(names::SIGNER_CONTAINER, image)
    }
}

/// A container with no rights, no command and no mounts.
fn plain_container(name: &str, image: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(resources()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            privileged: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            run_as_user: Some(SIGNER_USER),
            run_as_group: Some(SIGNER_USER),
            seccomp_profile: Some(runtime_default()),
            ..SecurityContext::default()
        }),
        ..Container::default()
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

/// No limit on CPU: a signature that waits for the next quota period is a late signature.
fn resources() -> ResourceRequirements {
    let quantities = |pairs: &[(&str, &str)]| {
        Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect())
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "50m"), ("memory", "64Mi")]),
        limits: quantities(&[("memory", "256Mi")]),
        ..ResourceRequirements::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}

fn volumes(signer: &ValidSigner, config_map: &str) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: names::CONFIG_VOLUME.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: config_map.to_owned(),
                default_mode: Some(READABLE),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: names::PIN_VOLUME.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(signer.pin.secret.clone()),
                items: Some(vec![KeyToPath {
                    key: signer.pin.key.clone(),
                    path: PIN_FILE_NAME.to_owned(),
                    mode: None,
                }]),
                default_mode: Some(READABLE),
                optional: None,
            }),
            ..Volume::default()
        },
        token_volume(),
    ];
    match &signer.hsm {
        HsmAccess::Pkcs11(access) => volumes.extend(access.volumes.iter().cloned()),
        HsmAccess::CloudHsm(client) => volumes.extend(cloud_hsm::volumes(client, config_map, READABLE)),
    }
    volumes
}

/// What is mounted into a container by default, but only into the signer's: token, certificate of the API server, namespace.
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
            items: Some(vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None }]),
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

/// Unless the user said how long to wait for a node.
fn tolerate_lost_node(spec: &mut PodSpec) {
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
