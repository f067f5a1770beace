//! The ServiceAccount of the signer and its rights: to read, watch and update its own records, and nothing else.
//!
//! The Role has a second rule, on a resource that does not exist. By it the chart's admission policies distinguish a signer's
//! ServiceAccount from any other whose name ends in `-signer`: they can check the rights of an account, but not its labels.

use super::owned_metadata;
use crate::api::TezosSigner;
use crate::identity::Identity;
use crate::names;
use crate::validate::Valid;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use tezos_signer_core::record::RECORDS_NAMESPACE;

pub(super) fn service_account(signer: &Valid) -> ServiceAccount {
    let annotations = signer.additions.service_account_annotations.clone();
    ServiceAccount {
        metadata: ObjectMeta {
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..owned_metadata(&signer.identity, names::service_account(&signer.identity))
        },
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Metadata without an owner, because the garbage collector deletes objects whose owner is in another namespace. The finalizer deletes
/// them.
fn metadata(signer: &Identity) -> ObjectMeta {
    let mut labels = names::labels(signer);
    labels.insert(names::NAMESPACE_LABEL.to_owned(), signer.namespace.clone());
    ObjectMeta {
        name: Some(names::role(signer)),
        namespace: Some(RECORDS_NAMESPACE.to_owned()),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

pub(super) fn role(signer: &Valid) -> Role {
    Role {
        metadata: metadata(&signer.identity),
        rules: Some(vec![
            PolicyRule {
                api_groups: Some(vec![String::new()]),
                resources: Some(vec!["configmaps".to_owned()]),
                resource_names: Some(signer.keys.iter().map(|key| key.record_name().to_string()).collect()),
                verbs: ["get", "watch", "update"].map(str::to_owned).to_vec(),
                ..PolicyRule::default()
            },
            PolicyRule {
                api_groups: Some(vec![TezosSigner::group(&()).into_owned()]),
                resources: Some(vec!["records".to_owned()]),
                verbs: vec!["hold".to_owned()],
                ..PolicyRule::default()
            },
        ]),
    }
}

pub(super) fn role_binding(signer: &Identity) -> RoleBinding {
    RoleBinding {
        metadata: metadata(signer),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: names::role(signer),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: names::service_account(signer),
            namespace: Some(signer.namespace.clone()),
            ..Subject::default()
        }]),
    }
}
