//! `spec.inject`: what the pods must be that get the sidecar. Their own fields are checked when they are created, by the chart's admission
//! policies (charts/…/templates/injection.yaml), with the rules of [`template`](super::template).

use super::Invalid;
use super::keystore::object;
use super::template::Reserved;
use crate::api::{InjectSpec, TezosSignerSpec};

const SERVICE_ACCOUNT: &str = "spec.inject.serviceAccountName";

/// The pods that get the sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inject {
    /// The ServiceAccount that they must have.
    pub service_account: String,
    /// The Secrets that no other container of theirs may use.
    pub reserved_secrets: Vec<String>,
}

/// Validates `inject`; what is `reserved` only the sidecar may use.
pub(super) fn validate(
    spec: &TezosSignerSpec,
    inject: &InjectSpec,
    reserved: &Reserved<'_>,
) -> Result<Inject, Invalid> {
    let name = &inject.service_account_name;
    object::name(SERVICE_ACCOUNT, name)?;
    if name == "default" {
        let reason = "not default, which every pod without a ServiceAccount of its own has: create one for the baker";
        return Err(Invalid::new(SERVICE_ACCOUNT, reason));
    }
    if name.ends_with("-signer") {
        let reason = "names that end in -signer are for ServiceAccounts that the operator creates: use another name";
        return Err(Invalid::new(SERVICE_ACCOUNT, reason));
    }
    let not_with_inject = [
        (
            "spec.serviceAccount",
            spec.service_account.is_some(),
            "annotate the ServiceAccount that spec.inject.serviceAccountName names",
        ),
        ("spec.placement", spec.placement.is_some(), "set the placement in the template of the workload"),
        (
            "spec.pod",
            spec.pod.is_some(),
            "set labels, annotations and terminationGracePeriodSeconds in the template of the workload",
        ),
    ];
    if let Some((field, _, instead)) = not_with_inject.into_iter().find(|(_, is_set, _)| *is_set) {
        return Err(Invalid::new(field, format!("not with inject: {instead}")));
    }
    Ok(Inject {
        service_account: name.clone(),
        reserved_secrets: reserved.secrets.iter().map(|&name| name.to_owned()).collect(),
    })
}
