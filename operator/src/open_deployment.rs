//! A Deployment of the operator's, read and written without loss of fields that this release does not know.

use crate::names;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// A Deployment whose pods may have fields that this release does not know: the user's, and those of a newer API server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenDeployment {
    api_version: String,
    kind: String,
    /// The metadata of the Deployment.
    pub metadata: ObjectMeta,
    /// The desired state, `spec` of the Deployment.
    pub spec: Value,
    /// The observed state, `status` of the Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

impl OpenDeployment {
    /// A Deployment that is to be applied.
    pub(crate) fn new(metadata: ObjectMeta, spec: Value) -> Self {
        let (api_version, kind) = (Deployment::api_version(&()).into_owned(), Deployment::kind(&()).into_owned());
        Self { api_version, kind, metadata, spec, status: None }
    }

    /// The fields that this release knows.
    pub fn known(&self) -> Deployment {
        Deployment {
            metadata: self.metadata.clone(),
            spec: serde_json::from_value(self.spec.clone()).ok(),
            status: self.status.clone().and_then(|status| serde_json::from_value(status).ok()),
        }
    }

    /// How many init containers of the operator's stand before the user's.
    pub fn own_init_containers(&self) -> usize {
        let containers = self.spec["template"]["spec"]["initContainers"].as_array();
        containers.into_iter().flatten().filter(|container| is_own(container)).count()
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

/// The signer's container in a Deployment that runs, and whether it is a baker's sidecar.
pub(crate) fn running_signer(live: &Deployment) -> Option<(bool, &Container)> {
    let pod = live.spec.as_ref()?.template.spec.as_ref()?;
    let beside_a_baker = pod.init_containers.iter().flatten().map(|container| (true, container));
    let alone = pod.containers.iter().map(|container| (false, container));
    beside_a_baker.chain(alone).find(|(_, container)| container.name == names::SIGNER_CONTAINER)
}
