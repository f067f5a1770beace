//! `spec.placement` and `spec.imagePullSecrets`: what the pods need of nodes and registries. The API server knows their parts.

use super::Invalid;
use crate::api::{PlacementSpec, TezosSignerSpec};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the pods need of nodes and registries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Placement {
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not keep them away.
    pub tolerations: Vec<Value>,
    /// Which nodes, and beside which pods.
    pub affinity: Option<Value>,
    /// How the pods are spread, in place of the defaults.
    pub topology_spread_constraints: Option<Vec<Value>>,
    /// The priority class of the pods.
    pub priority_class_name: Option<String>,
    /// The Secrets by which their images are pulled.
    pub image_pull_secrets: Vec<String>,
}

pub(super) fn validate(spec: &TezosSignerSpec) -> Result<Placement, Invalid> {
    if spec.placement.is_some() && spec.baker.as_ref().is_some_and(|baker| baker.template.is_some()) {
        let reason = "only with service or baker.octez; with baker.template, set the placement in the template";
        return Err(Invalid::new("spec.placement", reason));
    }
    let PlacementSpec { node_selector, tolerations, affinity, topology_spread_constraints, priority_class_name } =
        spec.placement.clone().unwrap_or_default();
    Ok(Placement {
        node_selector,
        tolerations: tolerations.iter().map(without_nulls).collect(),
        affinity: affinity.as_ref().map(without_nulls),
        topology_spread_constraints: topology_spread_constraints.map(|all| all.iter().map(without_nulls).collect()),
        priority_class_name,
        image_pull_secrets: spec.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
    })
}

/// `value` without fields that are null. The API server drops them, so that the object would never be up to date.
pub(super) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            fields.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        value => value.clone(),
    }
}
