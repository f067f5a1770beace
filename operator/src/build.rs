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

use crate::api::TezosSignerSidecar;
use crate::identity::Identity;
use crate::image::Image;
use crate::names;
use crate::open_deployment::OpenDeployment;
use crate::validate::{Inject, Valid, Workload};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;
use std::collections::BTreeSet;
use tezos_signer_core::record::RECORDS_NAMESPACE;

/// Everything that is applied for a TezosSigner. Watermark records are claimed, never applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    /// The identity of the pods at the API server. `None`: it is the user's.
    pub service_account: Option<ServiceAccount>,
    /// The rights of the pods: to read and update their records.
    pub role: Role,
    /// Gives the ServiceAccount these rights.
    pub role_binding: RoleBinding,
    /// The signer's configuration.
    pub config: ConfigMap,
    /// The baker with its signer, or the signers. With a `sidecar`: a pod that has it, which only the dry run sees.
    pub deployment: OpenDeployment,
    /// The further objects of signers behind a Service.
    pub service: Option<ServiceObjects>,
    /// What admission policies add to the user's pods.
    pub sidecar: Option<TezosSignerSidecar>,
}

impl Objects {
    /// The names of the configurations that pods may start with.
    pub fn configs(&self) -> Vec<String> {
        let previous = self.sidecar.iter().filter_map(|sidecar| sidecar.spec.previous.as_ref());
        self.config.metadata.name.iter().chain(previous.map(|previous| &previous.config)).cloned().collect()
    }
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

/// What the user's pods of `spec.inject` still use of earlier versions of a TezosSigner: they run until their user replaces them.
#[derive(Debug, Default)]
pub struct Former {
    /// The sidecar that is published.
    pub published: Option<TezosSignerSidecar>,
    /// The records of keys that were removed from the spec. A signer that cannot read one of its records does not sign with its other keys.
    pub records: BTreeSet<String>,
    /// The ServiceAccounts of pods that were created before the TezosSigner named another one.
    pub accounts: BTreeSet<String>,
}

impl Built {
    /// The same, with all that is `former` still accepted. Without `spec.inject` nothing is.
    #[must_use]
    pub fn accepting(mut self, former: &Former) -> Self {
        let Some(sidecar) = &mut self.objects.sidecar else { return self };
        sidecar.spec.previous = former.published.as_ref().and_then(|published| {
            let is_present = published.spec.sidecar.digest == sidecar.spec.sidecar.digest;
            if is_present { published.spec.previous.clone() } else { Some(published.spec.sidecar.clone()) }
        });
        self.objects.role = access::role(&self.valid, &former.records, Some(sidecar));
        self.objects.role_binding = access::role_binding(&self.valid, &former.accounts);
        self
    }
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
    let (mut service, mut sidecar) = (None, None);
    match &signer.workload {
        Workload::Baker(_) => {}
        Workload::Service(workload) => service = Some(service::objects(&signer.identity, workload)),
        Workload::Inject(inject) => sidecar = Some(baker::sidecar(signer, inject, image, &config_name)),
    }
    let former = Former::default();
    Objects {
        service_account: sidecar.is_none().then(|| access::service_account(signer)),
        role: access::role(signer, &former.records, sidecar.as_ref()),
        role_binding: access::role_binding(signer, &former.accounts),
        deployment: deployment::deployment(signer, image, &config_name),
        service,
        sidecar,
        config,
    }
}

/// The part of a pod template with the sidecar of `signer`, whose `spec.inject` is `inject`.
pub fn pod_template_of_sidecar(signer: &Valid, inject: &Inject, image: &str) -> serde_json::Value {
    let config = config::config_map(signer).metadata.name.unwrap_or_default();
    baker::template_of(&signer.identity, &baker::sidecar(signer, inject, image, &config).spec)
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

/// Metadata of an object in the records' namespace. It has no owner, because the garbage collector deletes objects whose owner is in another
/// namespace. The finalizer deletes them.
fn records_metadata(signer: &Identity, name: String) -> ObjectMeta {
    let mut labels = names::labels(signer);
    labels.insert(names::NAMESPACE_LABEL.to_owned(), signer.namespace.clone());
    ObjectMeta {
        name: Some(name),
        namespace: Some(RECORDS_NAMESPACE.to_owned()),
        labels: Some(labels),
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
