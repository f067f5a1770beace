//! AWS's CloudHSM client in the pod: where its library and its configuration come from, and who mounts them.
//!
//! `/opt/cloudhsm` is where AWS's package installs itself, and where its library looks. It is read-only for the signer, and
//! nobody else has it. Three volumes: the library, copied from the client's image; `etc`, the configuration; certificates.

mod client_config;

use crate::build::projection::{READABLE, item};
use crate::names;
use crate::validate::CloudHsmClient;
use client_config::ClientConfig;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, ProjectedVolumeSource,
    SecretProjection, Volume, VolumeMount, VolumeProjection,
};

/// The name of the configuration, in the ConfigMap and in `etc`.
pub(super) const CONFIG_FILE: &str = "cloudhsm-pkcs11.cfg";
const LIBRARY_DIRECTORY: &str = "/opt/cloudhsm/lib";
const CONFIG_DIRECTORY: &str = "/opt/cloudhsm/etc";
const CONFIGURE_PROGRAM: &str = "/opt/cloudhsm/bin/configure-pkcs11";
/// Where the volume of the library is mounted while it is filled.
const COPY_DIRECTORY: &str = "/signer-cloudhsm";
/// Certificates are in a volume of their own, because one of them may be secret.
const TLS_DIRECTORY: &str = "/run/secrets/cloudhsm";
const CUSTOMER_CA_FILE: &str = "/run/secrets/cloudhsm/customerCA.crt";
const CLIENT_CERTIFICATE_FILE: &str = "/run/secrets/cloudhsm/client.crt";
const CLIENT_KEY_FILE: &str = "/run/secrets/cloudhsm/client.key";

/// The configuration file, if the operator writes it and not AWS's program.
pub(super) fn config_file(client: &CloudHsmClient) -> Option<String> {
    match client_config::of(client) {
        ClientConfig::File(text) => Some(text),
        ClientConfig::Arguments(_) => None,
    }
}

/// The containers that run to completion before the signer. `like_signer` makes one with the signer's rights, limits and image.
pub(super) fn init_containers(client: &CloudHsmClient, like_signer: &dyn Fn(&str) -> Container) -> Vec<Container> {
    let config = client_config::of(client);
    let container = |name: &str, command: Vec<String>, volume_mounts: Vec<VolumeMount>| {
        let plain = like_signer(name);
        let image = client.image.clone().or(plain.image.clone());
        Container { image, command: Some(command), volume_mounts: Some(volume_mounts), ..plain }
    };
    // Commands without a shell.
    let copy = |directories: &[&str]| {
        let command = ["cp", "-Rf"].iter().chain(directories).chain(&[COPY_DIRECTORY]);
        let mount = writable(mount(names::pkcs11::CLIENT_VOLUME, COPY_DIRECTORY));
        container(names::pkcs11::CLIENT_CONTAINER, command.map(|word| (*word).to_owned()).collect(), vec![mount])
    };
    match (config, &client.image) {
        (ClientConfig::File(_), None) => Vec::new(),
        (ClientConfig::File(_), Some(_)) => vec![copy(&[LIBRARY_DIRECTORY])],
        (ClientConfig::Arguments(arguments), image) => {
            // The program changes an existing configuration; it starts from the one in AWS's package.
            let copied: &[&str] =
                if image.is_some() { &[LIBRARY_DIRECTORY, CONFIG_DIRECTORY] } else { &[CONFIG_DIRECTORY] };
            let command = [CONFIGURE_PROGRAM.to_owned()].into_iter().chain(arguments).collect();
            let mounts =
                vec![writable(part(CONFIG_DIRECTORY, "etc")), mount(names::pkcs11::CLIENT_TLS_VOLUME, TLS_DIRECTORY)];
            vec![copy(copied), container(names::pkcs11::CONFIGURE_CONTAINER, command, mounts)]
        }
    }
}

/// The mounts of the signer's container, all read-only.
pub(super) fn volume_mounts(client: &CloudHsmClient) -> Vec<VolumeMount> {
    let mut mounts = Vec::new();
    if client.image.is_some() {
        mounts.push(part(LIBRARY_DIRECTORY, "lib"));
    }
    mounts.push(match client_config::of(client) {
        ClientConfig::File(_) => mount(names::pkcs11::CLIENT_CONFIG_VOLUME, CONFIG_DIRECTORY),
        ClientConfig::Arguments(_) => part(CONFIG_DIRECTORY, "etc"),
    });
    mounts.push(mount(names::pkcs11::CLIENT_TLS_VOLUME, TLS_DIRECTORY));
    mounts
}

/// The volumes of the pod.
pub(super) fn volumes(client: &CloudHsmClient, config_map: &str) -> Vec<Volume> {
    let mut volumes = Vec::new();
    let file = matches!(client_config::of(client), ClientConfig::File(_));
    if !file || client.image.is_some() {
        volumes.push(Volume {
            name: names::pkcs11::CLIENT_VOLUME.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        });
    }
    if file {
        volumes.push(Volume {
            name: names::pkcs11::CLIENT_CONFIG_VOLUME.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: config_map.to_owned(),
                items: Some(vec![item(CONFIG_FILE, CONFIG_FILE)]),
                default_mode: Some(READABLE),
                optional: None,
            }),
            ..Volume::default()
        });
    }
    let (ca_config_map, ca_key) = &client.customer_ca;
    let mut sources = vec![VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: ca_config_map.clone(),
            items: Some(vec![item(ca_key, "customerCA.crt")]),
            optional: None,
        }),
        ..VolumeProjection::default()
    }];
    if let Some(secret) = &client.mutual_tls_secret {
        sources.push(VolumeProjection {
            secret: Some(SecretProjection {
                name: secret.clone(),
                items: Some(["client.crt", "client.key"].map(|file| item(file, file)).to_vec()),
                optional: None,
            }),
            ..VolumeProjection::default()
        });
    }
    volumes.push(Volume {
        name: names::pkcs11::CLIENT_TLS_VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource { sources: Some(sources), default_mode: Some(READABLE) }),
        ..Volume::default()
    });
    volumes
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

/// A directory of the copied client.
fn part(path: &str, directory: &str) -> VolumeMount {
    VolumeMount { sub_path: Some(directory.to_owned()), ..mount(names::pkcs11::CLIENT_VOLUME, path) }
}

fn writable(mount: VolumeMount) -> VolumeMount {
    VolumeMount { read_only: None, ..mount }
}

#[cfg(test)]
mod tests;
