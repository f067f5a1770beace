//! The ServiceAccount of the signer and its rights: to read, watch and update its own records, and nothing else.
//!
//! The Role has a second rule, on a resource that does not exist. By it the chart's admission policies distinguish a signer's
//! ServiceAccount from any other whose name ends in `-signer`: they can check the rights of an account, but not its labels.
//!
//! With `spec.inject` the ServiceAccount is the user's, and a third rule says which sidecar its pods may have, for the policies too.

use super::{owned_metadata, records_metadata};
use crate::api::{Sidecar, TezosSigner, TezosSignerSidecar};
use crate::names;
use crate::validate::{Valid, Workload};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use std::collections::BTreeSet;

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

/// The rights of the pods: to their own records and to `former_records`, and to have `sidecar`.
pub(super) fn role(signer: &Valid, former_records: &BTreeSet<String>, sidecar: Option<&TezosSignerSidecar>) -> Role {
    let records = signer.keys.iter().map(|key| key.record_name().to_string());
    let own = PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["configmaps".to_owned()]),
        resource_names: Some(records.chain(former_records.iter().cloned()).collect()),
        verbs: ["get", "watch", "update"].map(str::to_owned).to_vec(),
        ..PolicyRule::default()
    };
    let hold = PolicyRule {
        api_groups: Some(vec![TezosSigner::group(&()).into_owned()]),
        resources: Some(vec!["records".to_owned()]),
        verbs: vec!["hold".to_owned()],
        ..PolicyRule::default()
    };
    Role {
        metadata: records_metadata(&signer.identity, names::role(&signer.identity)),
        rules: Some([own, hold].into_iter().chain(sidecar.map(sidecar_rule)).collect()),
    }
}

/// The right to have a sidecar. A policy can check the rights of a pod's ServiceAccount, but cannot find out that an object does not exist: without
/// this rule, a pod with a sidecar of its own would be accepted while the operator's TezosSignerSidecar is missing.
fn sidecar_rule(sidecar: &TezosSignerSidecar) -> PolicyRule {
    let name = sidecar.name_any();
    let exactly = |Sidecar { image, config, .. }: &Sidecar| format!("{name} {image} {config}");
    let sidecars = [&sidecar.spec.sidecar].into_iter().chain(&sidecar.spec.previous);
    PolicyRule {
        api_groups: Some(vec![TezosSigner::group(&()).into_owned()]),
        resources: Some(vec!["sidecars".to_owned()]),
        resource_names: Some([name.clone()].into_iter().chain(sidecars.map(exactly)).collect()),
        verbs: vec!["run".to_owned()],
        ..PolicyRule::default()
    }
}

/// Gives these rights to the ServiceAccount of the pods, and to `former_accounts`.
pub(super) fn role_binding(signer: &Valid, former_accounts: &BTreeSet<String>) -> RoleBinding {
    let Valid { identity, workload, .. } = signer;
    // With inject no pod has this account, and it exists only if the workload was another one before. Its name stays here because the policies
    // identify the signer's configuration by it.
    let mut accounts = vec![names::service_account(identity)];
    if let Workload::Inject(inject) = workload {
        accounts.push(inject.service_account.clone());
    }
    accounts.extend(former_accounts.iter().cloned());
    let subject = |name: String| Subject {
        kind: "ServiceAccount".to_owned(),
        name,
        namespace: Some(identity.namespace.clone()),
        ..Subject::default()
    };
    RoleBinding {
        metadata: records_metadata(identity, names::role(identity)),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: names::role(identity),
        },
        subjects: Some(accounts.into_iter().map(subject).collect()),
    }
}
