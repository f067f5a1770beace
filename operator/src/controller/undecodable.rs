//! A TezosSigner that this release cannot read, from a later one perhaps: it is left as it is, its signers go on, and its status
//! says so. The others are not stopped by it.

use super::{Context, Error, Guarded, event};
use crate::api::TezosSigner;
use crate::controller::build::names;
use crate::controller::status;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, error_boundary::InvalidObject};
use kube::runtime::controller::Action;
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::{Value, json};

/// Tells of it, once: by a condition, which is written into the status as it is, an event, and the log.
pub(super) async fn tell(object: &Guarded, invalid: &InvalidObject, context: &Context) -> Result<Action, Error> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let kind = ApiResource::erase::<TezosSigner>(&());
    let raw: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &kind);
    let Some(found) = raw.get_opt(&name).await.map_err(|error| Error::Signer("read", error))? else {
        return Ok(Action::await_change());
    };
    let status = found.data.get("status").cloned().unwrap_or_default();
    let ready = condition(&status, invalid, found.metadata.generation);
    let conditions = with(&status, &ready);
    if status.get("conditions") == Some(&conditions) {
        return Ok(Action::await_change());
    }
    tracing::warn!(signer = %format!("{namespace}/{name}"), "{}", ready.message);
    if let Err(error) = context.recorder.publish(&event(&ready), &object.object_ref(&())).await {
        tracing::warn!(%error, "cannot publish an event");
    }
    // Not by server-side apply: that would take away what is not named, such as the records that are remembered.
    let patch = json!({
        "metadata": {"resourceVersion": found.metadata.resource_version},
        "status": {"conditions": conditions},
    });
    let parameters = PatchParams { field_manager: Some(names::OPERATOR.to_owned()), ..PatchParams::default() };
    match raw.patch_status(&name, &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => {}
        // Its status is not of the shape of today's definition either: the event has said it.
        Err(kube::Error::Api(refused)) if refused.is_invalid() => {
            tracing::warn!(message = refused.message, "its status cannot say so");
        }
        Err(error) => return Err(Error::Signer("write the status of", error)),
    }
    Ok(Action::await_change())
}

fn condition(status: &Value, invalid: &InvalidObject, generation: Option<i64>) -> Condition {
    let old = status["conditions"].as_array().into_iter().flatten();
    let old = old.filter_map(|condition| serde_json::from_value::<Condition>(condition.clone()).ok());
    status::undecodable(&old.collect::<Vec<_>>(), &invalid.error, generation, &Time(Timestamp::now()))
}

/// The conditions of `status`, with `ready` in its place.
fn with(status: &Value, ready: &Condition) -> Value {
    let mut conditions: Vec<Value> = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != ready.type_.as_str());
    conditions.insert(0, json!(ready));
    Value::Array(conditions)
}
