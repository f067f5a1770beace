//! The user's pods with an injected sidecar: which have the present one, and why there is none.

use crate::names;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use std::collections::BTreeSet;

/// The pods with a sidecar of a TezosSigner, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SidecarVersions {
    /// Those with the present sidecar.
    pub current: Vec<String>,
    /// Those with an older one.
    pub old: Vec<String>,
    /// Those with another ServiceAccount than the TezosSigner names now.
    pub of_another_account: Vec<String>,
}

impl SidecarVersions {
    /// The versions in `pods`, where `digest` identifies the present sidecar, and `account` is the ServiceAccount that the pods must have.
    pub(crate) fn of(pods: &[Pod], digest: &str, account: &str) -> Self {
        let mut versions = Self::default();
        let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none() && !super::is_over(pod);
        for pod in pods.iter().filter(|pod| is_injected(pod) && stays(pod)) {
            let list = if account_of(pod).is_some_and(|of_pod| of_pod != account) {
                &mut versions.of_another_account
            } else if has_sidecar(pod, digest) {
                &mut versions.current
            } else {
                &mut versions.old
            };
            list.push(pod.name_any());
        }
        versions
    }
}

fn account_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.service_account_name.as_deref()
}

/// The ServiceAccounts of the pods with a sidecar.
pub(crate) fn accounts(pods: &[Pod]) -> BTreeSet<String> {
    let injected = pods.iter().filter(|pod| is_injected(pod) && !super::is_over(pod));
    injected.filter_map(account_of).map(str::to_owned).collect()
}

/// Whether `pod` asks for a sidecar, and therefore has one: the admission policies reject it otherwise.
pub(crate) fn is_injected(pod: &Pod) -> bool {
    pod.labels().contains_key(names::INJECT_LABEL)
}

/// Whether `pod` has the sidecar that `digest` identifies.
pub(crate) fn has_sidecar(pod: &Pod, digest: &str) -> bool {
    pod.annotations().get(names::SIDECAR_ANNOTATION).is_some_and(|has| has == digest)
}

/// What to do where no pod of the TezosSigner `name` has a sidecar.
pub(crate) async fn advice(client: &Client, name: &str, service_account: &str) -> String {
    let label = format!("{}: {name}", names::INJECT_LABEL);
    let how = if injects(client).await {
        format!(
            "no pod has the label {label}: set it in the pod template of the baker's workload, with serviceAccountName: {service_account}"
        )
    } else {
        format!(
            "no pod has the label {label}. This API server cannot add the sidecar (MutatingAdmissionPolicy, Kubernetes 1.36): add what \
             kubectl tezos-signer sidecar {name} prints to the pod template of the baker's workload, with serviceAccountName: {service_account}"
        )
    };
    format!("{how}. If it is set, the events of the workload say why its pods are rejected")
}

/// Whether the API server has policies that change objects. True if it does not say.
pub(crate) async fn injects(client: &Client) -> bool {
    match client.list_api_group_resources("admissionregistration.k8s.io/v1").await {
        Ok(list) => list.resources.iter().any(|resource| resource.name == "mutatingadmissionpolicies"),
        Err(error) => {
            tracing::debug!(%error, "the resources of admissionregistration.k8s.io/v1 cannot be listed");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_with_an_older_sidecar_is_told_from_one_with_the_present() {
        let pod = |name: &str, label: &str, digest: &str| -> Pod {
            let metadata =
                json!({"name": name, "labels": {label: "s"}, "annotations": {"signer.tezos.io/sidecar": digest}});
            let spec = json!({"containers": [], "serviceAccountName": if name == "d" { "y" } else { "x" }});
            serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
        };
        let mut over = pod("e", names::INJECT_LABEL, "1");
        over.status = Some(serde_json::from_value(json!({"phase": "Failed"})).unwrap());
        let pods = [
            pod("a", names::INJECT_LABEL, "1"),
            pod("b", names::INJECT_LABEL, "2"),
            pod("c", "app", "2"),
            pod("d", names::INJECT_LABEL, "2"),
            over,
        ];
        let is = |name: &str| vec![name.to_owned()];
        let expected = SidecarVersions { current: is("b"), old: is("a"), of_another_account: is("d") };
        assert_eq!(SidecarVersions::of(&pods, "2", "x"), expected);
        assert_eq!(accounts(&pods[3..]).into_iter().collect::<Vec<_>>(), is("y"));
    }
}
