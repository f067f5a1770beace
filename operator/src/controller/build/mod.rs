//! The second stage: from a valid TezosSigner to the objects that make it true. Pure, and it cannot fail.
//!
//! What is in the pod template decides whether a baker restarts, so nothing of the operator's own version is in it: the
//! golden file of the tests changes only when every baker is meant to restart.

mod access;
mod baker;
mod cloud_hsm;
mod config;
mod container;
mod deployment;
mod json;
pub mod names;
mod octez;
mod replica;
mod service;

pub use deployment::OpenDeployment;
pub(super) use deployment::running_signer;
pub use service::Front;

use crate::controller::validate::{Form, Identity, ValidSigner};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;

/// Everything that is applied for a TezosSigner. The watermark records are not among it: they are claimed, never applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    /// Whom the pod is to the API server.
    pub service_account: ServiceAccount,
    /// What it may do: read and update its records.
    pub role: Role,
    /// That it may.
    pub role_binding: RoleBinding,
    /// The signer's configuration.
    pub config: ConfigMap,
    /// The baker's pod, or the signers' own.
    pub deployment: OpenDeployment,
    /// What only signers behind a Service have.
    pub front: Option<Front>,
}

/// The objects of `signer`, whose signer runs `image`.
pub fn build(signer: &ValidSigner, image: &str) -> Objects {
    let config = config::config_map(signer);
    let config_name = config.metadata.name.clone().unwrap_or_default();
    Objects {
        service_account: access::service_account(&signer.identity),
        role: access::role(signer),
        role_binding: access::role_binding(&signer.identity),
        deployment: deployment::deployment(signer, image, &config_name),
        front: match &signer.form {
            Form::Baker(_) => None,
            Form::Service(form) => Some(service::front(&signer.identity, form)),
        },
        config,
    }
}

/// Metadata of an object in the TezosSigner's namespace, which goes when the TezosSigner goes.
fn owned(signer: &Identity, name: String) -> ObjectMeta {
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
