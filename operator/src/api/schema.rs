//! Schemas that no Rust type has: objects of Kubernetes that its own API server checks, and lists with a type of Kubernetes.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use tezos_signer_core::payload::operation::OperationKind;
use tezos_signer_core::policy::PayloadKind;

/// An object of Kubernetes. The API server checks it when the operator tries it out, by what it knows itself: so newer fields pass,
/// and the definition stays small enough for `kubectl apply`.
pub(super) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Several of them.
pub(super) fn any_objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}

/// Labels of nodes.
pub(super) fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 63}})
}

/// Amounts of what a node has: `50m`, `64Mi`, `1`. The API server reads them when the operator tries the Deployment.
pub(super) fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 16, "additionalProperties": {"x-kubernetes-int-or-string": true}})
}

/// Words of a command line.
pub(super) fn argument_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 1024}})
}

/// What a key can be allowed to sign, by the words of `core`. Draining the delegate has a switch of its own.
pub(super) fn allowed_kinds(_: &mut SchemaGenerator) -> Schema {
    let operations = OperationKind::ALL.into_iter().filter(|kind| *kind != OperationKind::DrainDelegate);
    let kinds = PayloadKind::CONSENSUS.into_iter().chain(operations.map(PayloadKind::Operation));
    let words: Vec<Value> = kinds.map(|kind| json!(kind)).collect();
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": words.len(),
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "enum": words},
    })
}

/// Votes on a protocol.
pub(super) fn votes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 3,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "enum": ["yay", "nay", "pass"]},
    })
}
