//! A TezosSigner that cannot be decoded, perhaps because a later release wrote it. The operator changes none of its objects, suspends the
//! records where the spec says so and the record of a key that was certainly removed from the spec, and reports that in the status. Other
//! TezosSigners are not affected.

use crate::api::{Guarded, TezosSigner};
use crate::claim::{self, Claims};
use crate::context::Context;
use crate::error::Error;
use crate::identity::Identity;
use crate::report::{SignerError, publish_event};
use crate::{names, status};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, error_boundary::InvalidObject};
use kube::runtime::controller::Action;
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tezos_signer_core::key::{PublicKey, PublicKeyHash};

/// Suspends its records where the spec says so, and reports it once: by a condition, an event and the log.
pub(crate) async fn reconcile_invalid(
    object: &Guarded,
    invalid: &InvalidObject,
    context: &Context,
) -> Result<Action, Error> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let kind = ApiResource::erase::<TezosSigner>(&());
    let raw: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &kind);
    let Some(found) = raw.get_opt(&name).await.map_err(|error| SignerError("read", error))? else {
        return Ok(Action::await_change());
    };
    let status = found.data.get("status").cloned().unwrap_or_default();
    let suspend = found.data["spec"]["suspend"] == true;
    let former = former(&found.data["spec"], &status);
    let stopped = if suspend { records(&status) } else { former.values().cloned().collect() };
    let claims = Claims::new(context.client.clone(), Identity::of(&found.metadata)?);
    // The status is written also if a record cannot be, but does not say then that one is suspended.
    let suspended = claim::suspend(&claims, stopped).await;
    let (suspend, former) = if suspended.is_ok() { (suspend, former) } else { (false, BTreeMap::new()) };
    let suspended = suspended.map(|()| Action::await_change()).map_err(Error::from);
    let ready = condition(&status, invalid, suspend, former.keys(), found.metadata.generation);
    let conditions = with(&status, &ready);
    if status.get("conditions") == Some(&conditions) {
        return suspended;
    }
    tracing::warn!(signer = %format!("{namespace}/{name}"), "{}", ready.message);
    publish_event(&context.recorder, status::event(&ready), &object.object_ref(&())).await;
    // A merge patch, because server-side apply would remove what it does not name, such as the records that are remembered.
    let patch = json!({
        "metadata": {"resourceVersion": found.metadata.resource_version},
        "status": {"conditions": conditions},
    });
    let parameters = PatchParams { field_manager: Some(names::OPERATOR.to_owned()), ..PatchParams::default() };
    match raw.patch_status(&name, &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => {}
        // The status does not fit the CRD of this release either. The event has reported it.
        Err(kube::Error::Api(refused)) if refused.is_invalid() => {
            tracing::warn!(message = refused.message, "the API server rejects its status");
        }
        Err(error) => return Err(SignerError("write the status of", error).into()),
    }
    suspended
}

/// The records that `status` remembers.
fn records(status: &Value) -> BTreeSet<String> {
    let keys = status["keys"].as_array().into_iter().flatten();
    keys.filter_map(|key| key["record"].as_str().map(str::to_owned)).collect()
}

/// The records of keys that were certainly removed from `spec`, by the addresses of the keys.
///
/// INVARIANT O9: Empty if a key of `spec.keys` cannot be parsed, because that one may be the key which seems to be missing. A public key counts wherever
/// it stands in the spec, because a later release may name keys in other places.
fn former(spec: &Value, status: &Value) -> BTreeMap<PublicKeyHash, String> {
    let is_key = |key: &Value| key["publicKey"].as_str().is_some_and(|text| text.parse::<PublicKey>().is_ok());
    if !spec["keys"].as_array().is_some_and(|keys| !keys.is_empty() && keys.iter().all(is_key)) {
        return BTreeMap::new();
    }
    let mut named = BTreeSet::new();
    add_public_keys(spec, &mut named);
    let remembered = status["keys"].as_array().into_iter().flatten().filter_map(|key| {
        let hash: PublicKeyHash = key["publicKeyHash"].as_str()?.parse().ok()?;
        Some((hash, key["record"].as_str()?.to_owned()))
    });
    remembered.filter(|(hash, _)| !named.contains(hash)).collect()
}

/// Adds the hashes of all public keys in `value` to `named`.
fn add_public_keys(value: &Value, named: &mut BTreeSet<PublicKeyHash>) {
    match value {
        Value::String(text) => named.extend(text.parse::<PublicKey>().ok().map(|key| key.hash())),
        Value::Array(values) => values.iter().for_each(|value| add_public_keys(value, named)),
        Value::Object(fields) => fields.values().for_each(|value| add_public_keys(value, named)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn condition<'a>(
    status: &Value,
    invalid: &InvalidObject,
    suspend: bool,
    former: impl Iterator<Item = &'a PublicKeyHash>,
    generation: Option<i64>,
) -> Condition {
    let former: Vec<_> = former.map(ToString::to_string).collect();
    let old = status["conditions"].as_array().into_iter().flatten();
    let old = old.filter_map(|condition| serde_json::from_value::<Condition>(condition.clone()).ok());
    status::undecodable(&old.collect::<Vec<_>>(), &invalid.error, suspend, &former, generation, &Time(Timestamp::now()))
}

/// The conditions of `status`, with `ready` in its place.
fn with(status: &Value, ready: &Condition) -> Value {
    let mut conditions: Vec<Value> = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != ready.type_.as_str());
    conditions.insert(0, json!(ready));
    Value::Array(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "p2pk67wVncLFS1DQDm2gVR45sYCzQSXTtqn3bviNYXVCq6WRoqtxHXL";
    const FORMER: &str = "sppk7cXzUGMoqqa3MNc5zUZrwuqCAtmxQYcQA82f1xRyZFnzyzYUS5Z";

    /// The records of the keys that are taken out by a spec, where both were remembered.
    fn taken_out(spec: &Value) -> Vec<String> {
        let remembered = |text: &str, record: &str| {
            let hash = text.parse::<PublicKey>().unwrap().hash();
            json!({"publicKeyHash": hash.to_string(), "record": record, "newer": true})
        };
        former(spec, &json!({"keys": [remembered(KEPT, "kept"), remembered(FORMER, "former")]})).into_values().collect()
    }

    #[test]
    fn a_key_that_the_spec_names_no_more_is_taken_out_whatever_else_cannot_be_read() {
        let spec = json!({"chain": 7, "keys": [{"publicKey": KEPT, "label": 3, "newer": {}}], "hsm": "?"});
        assert_eq!(taken_out(&spec), ["former"]);
        let another = json!({"keys": [{"publicKey": "edpkuBknW28nW72KG6RoHtYW7p12T6GKc7nAbwYX5m8Wd9sDVC9yav"}]});
        assert_eq!(taken_out(&another), ["former", "kept"]);
    }

    /// INVARIANT O9: A key must not stop signing on a guess of this release.
    #[test]
    fn no_key_is_taken_out_where_that_is_not_certain() {
        for spec in [
            json!({"keys": [{"publicKey": KEPT}, {"publicKey": FORMER}]}),
            json!({"keys": [{"publicKey": KEPT}], "companions": [{"key": {"of": FORMER}}]}),
            json!({"keys": [{"publicKey": KEPT}, {"publicKey": &FORMER[..54]}]}),
            json!({"keys": [{"publicKey": KEPT}, {"kmsKey": "alias/baker"}]}),
            json!({"keys": [{"publicKey": KEPT}, "of a later release"]}),
            json!({"keys": []}),
            json!({"keys": {"publicKey": KEPT}}),
            json!({"keysFrom": {"configMap": "keys"}}),
            Value::Null,
        ] {
            assert!(taken_out(&spec).is_empty(), "{spec}");
        }
        assert!(former(&json!({"keys": [{"publicKey": KEPT}]}), &json!({"keys": "none"})).is_empty());
    }
}
