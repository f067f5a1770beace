//! The Deployment: of one baker, which is replaced in place, or of signers behind a Service, of which none goes before another
//! has come. Their pods are in [`baker`] and [`replica`].

use super::json::{extend, items_of, json, set_default};
use super::{baker, names, owned, replica};
use crate::controller::validate::{Form, Placement, ValidSigner};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;

/// How long a pod stays on a node that does not answer. The lease is what keeps two pods apart, so it may be short.
const LOST_NODE_SECONDS: i64 = 30;
/// How long a pod may take to end. Of the signer: what is in flight (1.5 s), the lease (2 s), then 10 s of forwarding what still
/// comes, and the last lines of the audit log.
pub(super) const TERMINATION_GRACE_SECONDS: i64 = 30;

/// A Deployment whose pods may have fields that this release does not know: the user's, and those of a newer API server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenDeployment {
    api_version: String,
    kind: String,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: Value,
    /// What there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

impl OpenDeployment {
    fn new(metadata: ObjectMeta, spec: Value) -> Self {
        let (api_version, kind) = (Deployment::api_version(&()).into_owned(), Deployment::kind(&()).into_owned());
        Self { api_version, kind, metadata, spec, status: None }
    }

    /// What this release knows of it.
    pub fn known(&self) -> Deployment {
        Deployment {
            metadata: self.metadata.clone(),
            spec: serde_json::from_value(self.spec.clone()).ok(),
            status: self.status.clone().and_then(|status| serde_json::from_value(status).ok()),
        }
    }

    /// How many init containers come before the user's.
    pub fn own_init_containers(&self) -> usize {
        let containers = items_of(&self.spec["template"]["spec"], "initContainers");
        containers.iter().filter(|container| is_own(container)).count()
    }
}

fn is_own(container: &Value) -> bool {
    container["name"].as_str().is_some_and(|name| names::OWN_CONTAINERS.contains(&name))
}

impl Resource for OpenDeployment {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;
    fn kind((): &()) -> Cow<'_, str> {
        Deployment::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        Deployment::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        Deployment::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        Deployment::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

pub(super) fn deployment(signer: &ValidSigner, image: &str, config_map: &str) -> OpenDeployment {
    // How many pods there may be too many, and too few, while they are replaced. Two bakers are never meant to run at once.
    let (replicas, surge, unavailable, template) = match &signer.form {
        Form::Baker(baker) => (1, 0, 1, baker::pod(signer, baker, image, config_map)),
        Form::Service(form) => (form.replicas, 1, 0, replica::pod(signer, image, config_map)),
    };
    let spec = json!({
        "replicas": replicas,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": names::selector(&signer.identity)},
        // Not Recreate, which waits for ever for a pod on a node that is gone.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
        "template": template,
    });
    OpenDeployment::new(owned(&signer.identity, names::deployment(&signer.identity)), spec)
}

/// The signer's container in a Deployment that runs, and whether it is a baker's sidecar.
pub(crate) fn running_signer(live: &Deployment) -> Option<(bool, &Container)> {
    let pod = live.spec.as_ref()?.template.spec.as_ref()?;
    let beside_a_baker = pod.init_containers.iter().flatten().map(|container| (true, container));
    let alone = pod.containers.iter().map(|container| (false, container));
    beside_a_baker.chain(alone).find(|(_, container)| container.name == names::SIGNER_CONTAINER)
}

/// What a pod, whose spec this is, needs of nodes and registries.
pub(super) fn place(pod: &mut Value, placement: &Placement) {
    if !placement.node_selector.is_empty() {
        pod["nodeSelector"] = json(&placement.node_selector);
    }
    if let Some(affinity) = &placement.affinity {
        pod["affinity"] = affinity.clone();
    }
    if let Some(class) = &placement.priority_class_name {
        set_default(pod, "priorityClassName", class.as_str());
    }
    extend(pod, "tolerations", placement.tolerations.iter().cloned());
    tolerate_lost_node(pod);
    let named = items_of(pod, "imagePullSecrets");
    let secrets = placement.image_pull_secrets.iter().map(|name| json!({"name": name}));
    extend(pod, "imagePullSecrets", secrets.filter(|secret| !named.contains(secret)));
}

/// Unless the user said how long to wait for a node.
fn tolerate_lost_node(pod: &mut Value) {
    for taint in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if items_of(pod, "tolerations").iter().all(|toleration| toleration["key"] != taint) {
            let toleration = Toleration {
                key: Some(taint.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some("NoExecute".to_owned()),
                toleration_seconds: Some(LOST_NODE_SECONDS),
                value: None,
            };
            extend(pod, "tolerations", [json(&toleration)]);
        }
    }
}
