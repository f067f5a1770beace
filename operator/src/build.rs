//! The second stage: from a valid TezosSigner to the objects that it needs. Pure, and it cannot fail.
//!
//! What is in the pod template decides whether a baker restarts, so nothing of the operator's own version is in it: the
//! golden file of the tests changes only when every baker is meant to restart.

mod access;
mod baker;
mod config;
mod container;
mod deployment;
mod json;
mod keystore;
mod octez;
mod placement;
mod projection;
mod replica;
mod service;

pub(crate) use octez::BAKER_CONTAINER;
pub use service::ServiceObjects;

use crate::identity::Identity;
use crate::image::Image;
use crate::names;
use crate::open_deployment::OpenDeployment;
use crate::validate::{Valid, Workload};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;

/// Everything that is applied for a TezosSigner. Watermark records are claimed, never applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    /// The identity of the pods at the API server.
    pub service_account: ServiceAccount,
    /// The rights of the pods: to read and update their records.
    pub role: Role,
    /// Gives the ServiceAccount these rights.
    pub role_binding: RoleBinding,
    /// The signer's configuration.
    pub config: ConfigMap,
    /// The baker with its signer, or the signers.
    pub deployment: OpenDeployment,
    /// The further objects of signers behind a Service.
    pub service: Option<ServiceObjects>,
}

/// A valid TezosSigner, the image of its signer, and the objects that follow from both.
#[derive(Debug)]
pub struct Built {
    /// The validated spec and identity of the TezosSigner.
    pub valid: Valid,
    /// The image of the signer, and why it is this one.
    pub image: Image,
    /// The objects that must exist.
    pub objects: Objects,
}

/// Builds the objects of `valid`, whose signer runs `image`.
pub fn build(valid: Valid, image: Image) -> Built {
    let objects = objects(&valid, &image.reference);
    Built { valid, image, objects }
}

/// The objects of `signer`, whose signer runs `image`.
pub fn objects(signer: &Valid, image: &str) -> Objects {
    let config = config::config_map(signer);
    let config_name = config.metadata.name.clone().unwrap_or_default();
    Objects {
        service_account: access::service_account(signer),
        role: access::role(signer),
        role_binding: access::role_binding(&signer.identity),
        deployment: deployment::deployment(signer, image, &config_name),
        service: match &signer.workload {
            Workload::Baker(_) => None,
            Workload::Service(workload) => Some(service::objects(&signer.identity, workload)),
        },
        config,
    }
}

/// Metadata of an object in the TezosSigner's namespace, which the garbage collector deletes after the TezosSigner.
fn owned_metadata(signer: &Identity, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(signer.namespace.clone()),
        labels: Some(names::labels(signer)),
        owner_references: Some(vec![owner_reference(signer)]),
        ..ObjectMeta::default()
    }
}

fn owner_reference(signer: &Identity) -> OwnerReference {
    OwnerReference {
        api_version: crate::api::TezosSigner::api_version(&()).into_owned(),
        kind: crate::api::TezosSigner::kind(&()).into_owned(),
        name: signer.name.clone(),
        uid: signer.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests;
