//! An Octez baker's pod, before the signer is added: its keys are imported into the client directory, one by one, then the baker runs with all of them.
//!
//! Checked against Octez' own sources (`lib_agnostic_baker/{commands,configuration}.ml` of v25.1): the options of the client
//! stand before the command, those of the command behind it.

use super::container::restricted;
use super::json::json;
use crate::validate::{OctezBaker, REQUEST_DEADLINE_MILLISECONDS, Template};
use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, EnvVar, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, Volume,
    VolumeMount,
};
use serde_json::json;
use tezos_signer_core::config::SIGNING_PORT;
use tezos_signer_core::key::PublicKeyHash;

/// The container that runs `octez-baker`.
pub(crate) const BAKER_CONTAINER: &str = "baker";
const IMPORT_CONTAINER: &str = "import-key";
const IMPORT_COMPANION_CONTAINER: &str = "import-companion-key";
/// What the client calls the key that bakes, and before its number each further one.
const ALIAS: &str = "baker";
/// What the client calls a companion key, before its number.
const COMPANION_ALIAS: &str = "companion";
const CLIENT_VOLUME: &str = "octez-client";
const CLIENT_DIRECTORY: &str = "/var/lib/octez-client";
/// The number of the user of Octez' images, which name it only by name. `runAsNonRoot` needs the number.
const USER: i64 = 1000;

/// How long the baker waits for a signature, in seconds: two requests that use the signer's whole deadline. A later vote is worth
/// little, and delays the next one.
const REMOTE_CALLS_TIMEOUT_SECONDS: u32 = (2 * REQUEST_DEADLINE_MILLISECONDS).div_ceil(1000);

pub(super) fn template(baker: &OctezBaker) -> Template {
    let delegates = aliases(baker)
        .into_iter()
        .zip(&baker.delegates)
        .enumerate()
        .map(|(i, (alias, key))| container(baker, &numbered(IMPORT_CONTAINER, i), import_key(baker, &alias, key)));
    let companions = baker.companions.iter().zip(1..).map(|(key, number)| {
        let command = import_key(baker, &format!("{COMPANION_ALIAS}-{number}"), key);
        container(baker, &format!("{IMPORT_COMPANION_CONTAINER}-{number}"), command)
    });
    // One after the other: each writes the whole client directory.
    let imports: Vec<Container> = delegates.chain(companions).collect();
    let mut containers: Vec<String> = imports.iter().map(|container| container.name.clone()).collect();
    containers.push(BAKER_CONTAINER.to_owned());
    let mut main = json(&container(baker, BAKER_CONTAINER, run(baker)));
    if let Some(resources) = &baker.resources {
        main["resources"] = resources.clone();
    }
    let claim = baker
        .volume_claim
        .as_ref()
        .map(|name| PersistentVolumeClaimVolumeSource { claim_name: name.clone(), read_only: None });
    let pod = PodSpec {
        init_containers: Some(imports),
        // The directory of a new claim belongs to root. An emptyDir is writable for everybody.
        security_context: claim.is_some().then(|| PodSecurityContext {
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            ..PodSecurityContext::default()
        }),
        volumes: Some(vec![Volume {
            name: CLIENT_VOLUME.to_owned(),
            empty_dir: claim.is_none().then(EmptyDirVolumeSource::default),
            persistent_volume_claim: claim,
            ..Volume::default()
        }]),
        ..PodSpec::default()
    };
    let mut value = json!({"spec": json(&pod)});
    value["spec"]["containers"] = json!([main]);
    Template { value, containers }
}

/// What the client calls each key that bakes.
fn aliases(baker: &OctezBaker) -> Vec<String> {
    (0..baker.delegates.len()).map(|i| numbered(ALIAS, i)).collect()
}

/// The first has no number, so that the pod of a baker with one key stays as it is.
fn numbered(name: &str, i: usize) -> String {
    if i == 0 { name.to_owned() } else { format!("{name}-{}", i + 1) }
}

/// `--force`, because the client directory may have this key or another one from the previous pod, under the same name.
fn import_key(baker: &OctezBaker, alias: &str, key: &PublicKeyHash) -> Vec<String> {
    let key = format!("http://127.0.0.1:{SIGNING_PORT}/{key}");
    let command = ["import", "secret", "key", alias, &key, "--force"];
    program("octez-client", baker).chain(command.map(str::to_owned)).collect()
}

fn run(baker: &OctezBaker) -> Vec<String> {
    let timeout = REMOTE_CALLS_TIMEOUT_SECONDS.to_string();
    let vote = baker.liquidity_baking_vote.as_str();
    // INVARIANT O12: Without --keep-alive the baker ends when its node is gone for a minute, and the kubelet lets it wait up to five.
    let options =
        ["--liquidity-baking-toggle-vote", vote, "--remote-calls-timeout", &timeout, "--keep-alive"].map(str::to_owned);
    // The baker uses the keys that its command names, and no others of the client directory.
    let companions = (1..=baker.companions.len()).map(|number| format!("{COMPANION_ALIAS}-{number}"));
    let dal = match &baker.dal_node {
        Some(dal_node) => vec!["--dal-node".to_owned(), dal_node.clone()],
        None => vec!["--without-dal".to_owned()],
    };
    let extra_nodes = baker.extra_nodes.iter().flat_map(|node| ["--extra-node".to_owned(), node.clone()]);
    program("octez-baker", baker)
        .chain(["run", "remotely"].map(str::to_owned))
        .chain(aliases(baker))
        .chain(companions)
        .chain(options)
        .chain(extra_nodes)
        .chain(dal)
        .chain(baker.extra_arguments.clone())
        .collect()
}

fn program(name: &str, baker: &OctezBaker) -> impl Iterator<Item = String> {
    [name, "--base-dir", CLIENT_DIRECTORY, "--endpoint", &baker.node_endpoint].map(str::to_owned).into_iter()
}

/// A container with a command in place of the image's entry point, which knows only the commands of its release.
fn container(baker: &OctezBaker, name: &str, command: Vec<String>) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(baker.image.clone()),
        command: Some(command),
        // The only writable directory: the root file system is read-only.
        env: Some(vec![EnvVar { name: "HOME".to_owned(), value: Some(CLIENT_DIRECTORY.to_owned()), value_from: None }]),
        volume_mounts: Some(vec![VolumeMount {
            name: CLIENT_VOLUME.to_owned(),
            mount_path: CLIENT_DIRECTORY.to_owned(),
            ..VolumeMount::default()
        }]),
        security_context: Some(restricted(USER)),
        ..Container::default()
    }
}
