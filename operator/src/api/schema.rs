//! Schemas that are not derived from a Rust type: Kubernetes objects, which the API server validates, and typed lists and maps.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use tezos_signer_core::payload::operation::OperationKind;
use tezos_signer_core::policy::PayloadKind;

/// A Kubernetes object of any shape. The API server validates it in the operator's dry run, so fields of newer versions are accepted, and
/// the CRD stays small enough for `kubectl apply`.
pub(super) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A list of Kubernetes objects.
pub(super) fn any_objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}

/// Names of Kubernetes objects, and texts of that size.
pub(super) fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 16, "items": {"type": "string", "minLength": 1, "maxLength": 1024}})
}

/// Labels of nodes.
pub(super) fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 63}})
}

/// Labels and annotations of objects. The API server limits their total length itself.
pub(super) fn metadata_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 4096}})
}

/// Attributes of a volume, for its CSI driver.
pub(super) fn volume_attributes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 4096}})
}

/// Resource quantities such as `50m`, `64Mi` and `1`. The API server parses them in the operator's dry run of the Deployment.
pub(super) fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 16, "additionalProperties": {"x-kubernetes-int-or-string": true}})
}

/// Words of a command line.
pub(super) fn argument_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 1024}})
}

/// The number of a PKCS#11 mechanism: YAML's `0x…` is a number, JSON has none of these and needs a text.
pub(super) fn mechanism_number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 1,
        "maximum": 4_294_967_295_u32,
        "maxLength": 10,
        "x-kubernetes-validations": [{
            "rule": "type(self) == int || self.matches('^0x[0-9a-fA-F]{1,8}$')",
            "message": "eddsaMechanism: expected the number of a mechanism, such as 0x80001057",
        }],
    })
}

/// The kinds of payloads that `allow` accepts, as named in `core`. `drain_delegate` has a field of its own.
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
