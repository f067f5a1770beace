//! Whom the signer is to the API server, and what it may do there: read, watch and update its own records, nothing else.

use super::{names, owned};
use crate::controller::validate::{Identity, ValidSigner};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tezos_signer_core::record::RECORDS_NAMESPACE;

pub(super) fn service_account(signer: &Identity) -> ServiceAccount {
    ServiceAccount {
        metadata: owned(signer, names::service_account(signer)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Without an owner: one in another namespace would have it collected as garbage. The finalizer removes it.
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

pub(super) fn role(signer: &ValidSigner) -> Role {
    Role {
        metadata: metadata(&signer.identity),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["configmaps".to_owned()]),
            resource_names: Some(signer.keys.iter().map(|key| key.record_name().to_string()).collect()),
            verbs: ["get", "watch", "update"].map(str::to_owned).to_vec(),
            ..PolicyRule::default()
        }]),
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
