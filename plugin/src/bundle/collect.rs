//! What goes into a bundle. A part that cannot be read is noted, with the reason, and the others are read all the same.

use super::archive::Archive;
use super::redact;
use crate::cluster::Cluster;
use crate::error::PluginError;
use crate::status;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use tezos_signer_operator::api::{Guarded, TezosSigner};
use tezos_signer_operator::names::{self, CONFIG_ANNOTATION, OPERATOR, OWN_CONTAINERS};

/// Reads one thing after the other, so that an API server in trouble is not asked for all at once.
pub(super) struct Collector<'a> {
    cluster: &'a Cluster,
    lines: i64,
    archive: Archive,
}

impl<'a> Collector<'a> {
    pub(super) fn new(cluster: &'a Cluster, lines: i64) -> Self {
        Self { cluster, lines, archive: Archive::default() }
    }

    pub(super) fn finish(self, now: Timestamp) -> Archive {
        self.archive.at(now)
    }

    /// Reads everything about `signers`, and the operator.
    pub(super) async fn collect(&mut self, signers: &[Guarded]) {
        self.server().await;
        let mut namespaces = BTreeSet::new();
        for signer in signers {
            let namespace = signer.namespace().unwrap_or_default();
            if namespaces.insert(namespace.clone()) {
                self.namespace(&namespace).await;
            }
            match &signer.0 {
                Ok(signer) => self.signer(&namespace, signer).await,
                Err(invalid) => self.archive.miss(
                    format!("TezosSigner {namespace}/{}", signer.name_any()),
                    format!("this release cannot read it: {}", invalid.error),
                ),
            }
        }
        self.operator().await;
    }

    async fn server(&mut self) {
        match self.cluster.version().await {
            Ok(version) => self.object("cluster/version.json", &version),
            Err(error) => self.archive.miss("the version of the API server", error),
        }
    }

    /// What is read once for each namespace.
    async fn namespace(&mut self, namespace: &str) {
        let all = ListParams::default();
        self.list::<Event>("events", Some(namespace), &all, &format!("{namespace}/events")).await;
        let ours = ListParams::default().labels(&format!("{}={OPERATOR}", names::MANAGED_BY_LABEL));
        self.list::<Deployment>("deployments.apps", Some(namespace), &ours, &format!("{namespace}/deployments")).await;
        self.list::<Service>("services", Some(namespace), &ours, &format!("{namespace}/services")).await;
        let directory = format!("{namespace}/networkpolicies");
        self.list::<NetworkPolicy>("networkpolicies.networking.k8s.io", Some(namespace), &all, &directory).await;
    }

    async fn signer(&mut self, namespace: &str, signer: &TezosSigner) {
        let name = signer.name_any();
        self.object(&format!("{namespace}/tezossigners/{name}.json"), signer);
        for key in signer.status.iter().flat_map(|status| &status.keys) {
            match self.cluster.record(&key.record).await {
                Ok(record) => self.object(&format!("records/{}.json", key.record), &record),
                Err(error) => self.archive.miss("watermark records", error),
            }
        }
        let pods = match status::identity(signer) {
            Ok(identity) => self.cluster.pods(&identity).await,
            Err(error) => Err(error),
        };
        match pods {
            Ok(pods) => {
                for pod in &pods {
                    self.pod(namespace, pod).await;
                }
            }
            Err(error) => self.archive.miss(format!("pods of {namespace}/{name}"), error),
        }
    }

    /// A pod of a signer with its configuration, logs, metrics and state.
    async fn pod(&mut self, namespace: &str, pod: &Pod) {
        let name = pod.name_any();
        self.object(&format!("{namespace}/pods/{name}.json"), pod);
        if let Some(config) = pod.annotations().get(CONFIG_ANNOTATION) {
            match self.cluster.config_map(namespace, config).await {
                Ok(object) => self.object(&format!("{namespace}/configurations/{config}.json"), &object),
                Err(error) => self.archive.miss(format!("the configuration of pods in {namespace}"), error),
            }
        }
        // The baker's own log is its user's, and may contain anything.
        for container in containers(pod).filter(|container| OWN_CONTAINERS.contains(&container.as_str())) {
            self.log(namespace, &name, &container, &format!("{namespace}/logs/{name}")).await;
        }
        if !status::runs_signer(pod) {
            return;
        }
        for (path, file) in [
            ("/metrics", format!("{namespace}/metrics/{name}.txt")),
            ("/status", format!("{namespace}/status/{name}.json")),
        ] {
            match self.cluster.ask_signer(namespace, &name, path).await {
                Ok(body) => self.archive.add(file, &String::from_utf8_lossy(&body)),
                Err(error) => self.archive.miss(format!("{path} of the pod {namespace}/{name}"), error),
            }
        }
    }

    /// The log of a container, of the one before its last restart, and the lines of the audit log in them.
    async fn log(&mut self, namespace: &str, pod: &str, container: &str, directory: &str) {
        match self.cluster.log(namespace, pod, container, self.lines, false).await {
            Ok(log) => {
                self.archive.add(format!("{directory}/{container}.log"), &log);
                let is_audit = |line: &&str| !status::audit_lines(line).is_empty();
                let audit: Vec<&str> = log.lines().filter(is_audit).collect();
                if !audit.is_empty() {
                    self.archive.add(format!("{namespace}/audit/{pod}.jsonl"), &(audit.join("\n") + "\n"));
                }
            }
            Err(error) => self.archive.miss(format!("the log of {container} in the pod {namespace}/{pod}"), error),
        }
        // Most containers were never restarted: that is no gap.
        if let Ok(log) = self.cluster.log(namespace, pod, container, self.lines, true).await
            && !log.is_empty()
        {
            self.archive.add(format!("{directory}/{container}.previous.log"), &log);
        }
    }

    async fn operator(&mut self) {
        let by = ListParams::default().labels(&format!("app.kubernetes.io/name={OPERATOR}"));
        self.list::<Deployment>("deployments.apps", None, &by, "operator/deployments").await;
        for pod in self.list::<Pod>("pods", None, &by, "operator/pods").await {
            let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
            for container in containers(&pod).collect::<Vec<_>>() {
                self.log(&namespace, &name, &container, &format!("operator/logs/{name}")).await;
            }
        }
    }

    /// Lists objects, and puts each into a file of `directory`.
    async fn list<K>(&mut self, resource: &str, namespace: Option<&str>, by: &ListParams, directory: &str) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Serialize,
    {
        let listed: Result<Vec<K>, PluginError> = self.cluster.list(resource, namespace, by).await;
        match listed {
            Ok(objects) => {
                for object in &objects {
                    self.object(&format!("{directory}/{}.json", object.name_any()), object);
                }
                objects
            }
            Err(error) => {
                self.archive.miss(directory, error);
                Vec::new()
            }
        }
    }

    fn object(&mut self, path: &str, object: &impl Serialize) {
        let json = serde_json::to_value(object).and_then(|mut value| {
            redact::object(&mut value);
            serde_json::to_string_pretty(&value)
        });
        match json {
            Ok(text) => self.archive.add(path, &text),
            Err(error) => self.archive.miss(path, error),
        }
    }
}

/// The names of the containers of `pod`.
fn containers(pod: &Pod) -> impl Iterator<Item = String> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers))
        .map(|container| container.name.clone())
}
