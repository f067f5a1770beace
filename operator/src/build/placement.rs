//! Scheduling, image pull secrets and termination of every pod that the operator makes.

use super::json::{extend, items_of, json, set_default};
use crate::validate::{Placement, PodAdditions};
use k8s_openapi::api::core::v1::Toleration;
use serde_json::{Value, json};

/// How long a pod stays on a node that does not answer. It may be short, because the lease keeps two pods from signing at the same time.
const LOST_NODE_SECONDS: i64 = 30;
/// How long a pod may take to end. The signer needs 1.5 s for requests in flight, 2 s for the lease and 10 s in which it forwards late
/// requests, then writes the last lines of the audit log.
const TERMINATION_GRACE_SECONDS: i64 = 30;

/// Adds scheduling and image pull secrets to the spec of a pod.
pub(super) fn place(pod: &mut Value, placement: &Placement) {
    if !placement.node_selector.is_empty() {
        pod["nodeSelector"] = json(&placement.node_selector);
    }
    if let Some(affinity) = &placement.affinity {
        pod["affinity"] = affinity.clone();
    }
    if let Some(constraints) = &placement.topology_spread_constraints {
        pod["topologySpreadConstraints"] = json(constraints);
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

/// Sets how long a pod may take to end, unless its template says it.
pub(super) fn set_grace(pod: &mut Value, additions: &PodAdditions) {
    let seconds = additions.termination_grace_seconds.unwrap_or(TERMINATION_GRACE_SECONDS);
    set_default(pod, "terminationGracePeriodSeconds", seconds);
}

/// Adds tolerations of a lost node, unless the user has set them.
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
