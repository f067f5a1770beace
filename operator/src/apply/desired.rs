//! An object as it is applied, and how it is compared with what the API server has.

use super::error::{ApplyError, api_error};
use kube::Resource;
use serde::Serialize;
use serde_json::{Value, json};
use tezos_signer_core::key::Digest;

/// The digest of the content that was applied, so that the removal of a field is a change too.
const APPLIED_ANNOTATION: &str = "signer.tezos.io/applied";

/// An object as it is applied, with the digest of its content in an annotation.
pub(crate) struct Desired {
    /// The value of `metadata.name`.
    pub(crate) name: String,
    /// The object as it is sent to the API server.
    pub(crate) content: Value,
    /// The digest of the object.
    pub(super) digest: Digest,
}

impl Desired {
    /// `object`, as it is applied.
    pub(crate) fn new<K>(object: &K) -> Result<Self, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let name = object.meta().name.clone().unwrap_or_default();
        let failed = |error| api_error::<K>("write", &name)(kube::Error::SerdeError(error));
        let digest = Digest::of(&serde_json::to_vec(object).map_err(failed)?);
        let mut content = serde_json::to_value(object).map_err(failed)?;
        content["metadata"]["annotations"][APPLIED_ANNOTATION] = digest.to_string()[..16].into();
        Ok(Self { name, content, digest })
    }

    /// The object as it is created, which the API server does not apply to one that exists: the version is that of no object.
    pub(crate) fn as_new(&self) -> Value {
        let mut content = self.content.clone();
        content["metadata"]["resourceVersion"] = "1".into();
        content
    }

    /// The part of `live` that this object names.
    pub(super) fn part_of<K>(&self, live: &K) -> Result<Value, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let live = serde_json::to_value(live).map_err(kube::Error::SerdeError);
        Ok(part(&live.map_err(api_error::<K>("read", &self.name))?, &self.content))
    }
}

/// The fields of `live` that `desired` names. They equal `desired`, unless somebody has changed one or the API server writes a value in
/// another way. Fields that others have added do not matter. An empty list equals a missing one: the API server drops it.
fn part(live: &Value, desired: &Value) -> Value {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            let common = desired.iter().filter_map(|(name, desired)| match live.get(name) {
                Some(live) => Some((name.clone(), part(live, desired))),
                None => (*desired == json!([])).then(|| (name.clone(), json!([]))),
            });
            Value::Object(common.collect())
        }
        (Value::Array(live), Value::Array(desired)) if live.len() == desired.len() => {
            live.iter().zip(desired).map(|(live, desired)| part(live, desired)).collect()
        }
        (live, _) => live.clone(),
    }
}

/// The digest of `value`.
pub(super) fn digest(value: &Value) -> Digest {
    Digest::of(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ServiceAccount;

    fn contains(live: &Value, desired: &Value) -> bool {
        part(live, desired) == *desired
    }

    #[test]
    fn what_is_there_already_is_not_applied() {
        let desired = json!({"spec": {"replicas": 1, "containers": [{"name": "a"}]}});
        let live =
            json!({"spec": {"replicas": 1, "containers": [{"name": "a", "default": 1}], "more": 2}, "status": {}});
        assert!(contains(&live, &desired));
        assert!(
            !contains(&json!({"spec": {"replicas": 0, "containers": [{"name": "a"}]}}), &desired),
            "a person changed it"
        );
        assert!(contains(&live, &json!({"spec": {"replicas": 1, "tolerations": []}})), "the API server drops it");
        let injected = json!({"spec": {"replicas": 1, "containers": [{"name": "a"}, {"name": "b"}]}});
        assert!(!contains(&injected, &desired));
        assert!(!contains(&json!({"spec": {"containers": [{"name": "a"}]}}), &desired), "a person took it out");
    }

    #[test]
    fn what_others_add_elsewhere_does_not_change_the_part() {
        let desired = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"cpu": "1000m", "args": []}});
        let made = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"cpu": "1"}});
        let later = json!({"metadata": {"labels": {"a": "b", "c": "d"}}, "spec": {"cpu": "1", "x": 1}, "status": {}});
        assert_eq!(part(&made, &desired), part(&later, &desired));
        let changed = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"cpu": "2"}});
        assert_ne!(part(&made, &desired), part(&changed, &desired));
    }

    #[test]
    fn a_field_that_is_not_wanted_any_more_changes_the_mark() {
        let mut account = ServiceAccount { automount_service_account_token: Some(false), ..ServiceAccount::default() };
        let before = Desired::new(&account).unwrap().content;
        assert_eq!(before, Desired::new(&account).unwrap().content);
        account.automount_service_account_token = None;
        assert!(!contains(&before, &Desired::new(&account).unwrap().content));
    }
}
