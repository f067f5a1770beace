//! The stage that brings the objects to the cluster: server-side apply, with one field manager, of what is not there already;
//! and takes away what is not used any more.

use crate::controller::build::{Front, Objects, OpenDeployment, names, running_signer};
use crate::controller::validate::Identity;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use tezos_signer_core::key::Digest;
use tezos_signer_core::record::RECORDS_NAMESPACE;

/// Why an object is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else's object has the name that ours needs.
    #[error(
        "there is a {kind} {name} in this namespace that does not belong to this TezosSigner, and it is not overwritten: \
         delete or rename it, or give the TezosSigner another name"
    )]
    NotOurs {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API server refused what we ask for.
    #[error("the API server refuses the {kind} {name}: {message}")]
    Refused {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The API server's words.
        message: String,
    },
    /// It could not be asked.
    #[error("cannot {doing} the {kind} {name}: {source}")]
    Api {
        /// What was tried.
        doing: &'static str,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What happened.
        #[source]
        source: kube::Error,
    },
}

pub(super) fn api_error<K: Resource<DynamicType = ()>>(
    doing: &'static str,
    name: &str,
) -> impl FnOnce(kube::Error) -> ApplyError {
    let (kind, name) = (K::kind(&()).into_owned(), name.to_owned());
    move |source| match source {
        kube::Error::Api(status)
            if doing == "apply" && (status.is_invalid() || status.is_forbidden() || status.code == 400) =>
        {
            ApplyError::Refused { kind, name, message: status.message }
        }
        source => ApplyError::Api { doing, kind, name, source },
    }
}

/// The objects of one TezosSigner on the cluster.
pub struct Cluster<'a> {
    client: &'a Client,
    signer: &'a Identity,
}

impl<'a> Cluster<'a> {
    /// Of `signer`.
    pub fn new(client: &'a Client, signer: &'a Identity) -> Self {
        Self { client, signer }
    }

    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.signer.namespace)
    }

    fn records_api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), RECORDS_NAMESPACE)
    }

    /// The Deployment that runs now.
    pub async fn live_deployment(&self) -> Result<Option<OpenDeployment>, ApplyError> {
        self.ours(&names::deployment(self.signer)).await
    }

    /// The pods that exist now, ending ones among them.
    pub async fn pods(&self) -> Result<Vec<Pod>, ApplyError> {
        let selector = names::selector_text(self.signer);
        let pods = self.api::<Pod>().list(&ListParams::default().labels(&selector)).await;
        Ok(pods.map_err(api_error::<Pod>("list", &selector))?.items)
    }

    /// Brings `objects` to the cluster; the Deployment last, when everything that its pods need is there. Returns it as it
    /// is then.
    ///
    /// A Deployment of the other form goes first, and what belongs to that form with it. Its pods are not replaced one by one: a
    /// baker's signer cannot be forwarded to, so the new ones would not become ready while it holds the records. What the
    /// Deployment is tells that all else has followed, because it is made last.
    pub async fn apply(&self, objects: &Objects, live: Option<OpenDeployment>) -> Result<OpenDeployment, ApplyError> {
        let live = match live {
            Some(live) if is_of_another_form(&live, &objects.deployment) => {
                delete(&self.api::<OpenDeployment>(), &live.name_any()).await?;
                None
            }
            live => live,
        };
        let is_new = live.is_none();
        let account = self.ours(&objects.service_account.name_any()).await?;
        apply(&self.api(), &objects.service_account, account).await?;
        apply_unread(&self.records_api(), &objects.role).await?;
        apply_unread(&self.records_api(), &objects.role_binding).await?;
        apply_unread(&self.api(), &objects.config).await?;
        match &objects.front {
            Some(front) => self.apply_front(front).await?,
            None if is_new => self.delete_front().await?,
            None => {}
        }
        apply(&self.api(), &objects.deployment, live).await
    }

    async fn apply_front(&self, front: &Front) -> Result<(), ApplyError> {
        let policy = self.ours(&front.network_policy.name_any()).await?;
        apply(&self.api(), &front.network_policy, policy).await?;
        match &front.disruption_budget {
            Some(budget) => {
                let live = self.ours(&budget.name_any()).await?;
                apply(&self.api(), budget, live).await?;
            }
            None => self.delete_ours::<PodDisruptionBudget>(&names::disruption_budget(self.signer)).await?,
        }
        let service = self.ours(&front.service.name_any()).await?;
        apply(&self.api(), &front.service, service).await.map(drop)
    }

    async fn delete_front(&self) -> Result<(), ApplyError> {
        self.delete_ours::<Service>(&names::service(self.signer)).await?;
        self.delete_ours::<PodDisruptionBudget>(&names::disruption_budget(self.signer)).await?;
        self.delete_ours::<NetworkPolicy>(&names::network_policy(self.signer)).await
    }

    /// Deletes the configurations that neither `current` nor any of `pods` uses.
    pub async fn delete_old_configs(&self, current: &str, pods: &[Pod]) -> Result<(), ApplyError> {
        let api = self.api::<ConfigMap>();
        let selector = format!("{},{}={}", names::selector_text(self.signer), names::MANAGED_BY_LABEL, names::OPERATOR);
        let configs = api.list_metadata(&ListParams::default().labels(&selector)).await;
        for config in configs.map_err(api_error::<ConfigMap>("list", &selector))?.items {
            let name = config.name_any();
            if name != current && pods.iter().all(|pod| pod.annotations().get(names::CONFIG_ANNOTATION) != Some(&name))
            {
                delete(&api, &name).await?;
            }
        }
        Ok(())
    }

    /// Deletes the Deployment, and with it its pods.
    pub async fn delete_deployment(&self) -> Result<(), ApplyError> {
        self.delete_ours::<OpenDeployment>(&names::deployment(self.signer)).await
    }

    /// Deletes the object of that name, unless it is another's.
    async fn delete_ours<K>(&self, name: &str) -> Result<(), ApplyError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        match self.ours::<K>(name).await {
            Ok(Some(live)) if live.meta().deletion_timestamp.is_none() => delete(&self.api::<K>(), name).await,
            Ok(_) | Err(ApplyError::NotOurs { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes away the right to write the records.
    pub async fn delete_access(&self) -> Result<(), ApplyError> {
        let name = names::role(self.signer);
        delete(&self.records_api::<RoleBinding>(), &name).await?;
        delete(&self.records_api::<Role>(), &name).await
    }

    /// The object of that name, which must be ours if there is one.
    async fn ours<K>(&self, name: &str) -> Result<Option<K>, ApplyError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let found = self.api::<K>().get_opt(name).await.map_err(api_error::<K>("read", name))?;
        match found {
            Some(object) if object.owner_references().iter().all(|owner| owner.uid != self.signer.uid) => {
                Err(ApplyError::NotOurs { kind: K::kind(&()).into_owned(), name: name.to_owned() })
            }
            found => Ok(found),
        }
    }
}

fn is_of_another_form(live: &OpenDeployment, wanted: &OpenDeployment) -> bool {
    let is_sidecar =
        |deployment: &OpenDeployment| running_signer(&deployment.known()).map(|(is_sidecar, _)| is_sidecar);
    is_sidecar(live).is_some_and(|live| is_sidecar(wanted) != Some(live))
}

/// Which content was applied, so that a field that is not wanted any more is noticed too.
const APPLIED_ANNOTATION: &str = "signer.tezos.io/applied";

/// Applies `object`, unless it is `live` already: a steady state writes nothing.
async fn apply<K>(api: &Api<K>, object: &K, live: Option<K>) -> Result<K, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
{
    let name = object.name_any();
    let wanted = marked(object).map_err(|source| api_error::<K>("write", &name)(kube::Error::SerdeError(source)))?;
    if let Some(live) = live
        && serde_json::to_value(&live).is_ok_and(|live| contains(&live, &wanted))
    {
        return Ok(live);
    }
    let parameters = PatchParams::apply(names::OPERATOR).force();
    api.patch(&name, &parameters, &Patch::Apply(&wanted)).await.map_err(api_error::<K>("apply", &name))
}

async fn apply_unread<K>(api: &Api<K>, object: &K) -> Result<K, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
{
    let name = object.name_any();
    let live = api.get_opt(&name).await.map_err(api_error::<K>("read", &name))?;
    apply(api, object, live).await
}

/// `object` with a mark of its content.
pub(super) fn marked<K: Resource + Clone + Serialize>(object: &K) -> Result<Value, serde_json::Error> {
    let content = serde_json::to_vec(object)?;
    let mut object = object.clone();
    object.annotations_mut().insert(APPLIED_ANNOTATION.to_owned(), Digest::of(&content).to_string()[..16].to_owned());
    serde_json::to_value(&object)
}

/// Whether everything of `wanted` is in `live` as well. What others have added does not matter. Where the API server writes
/// a value in another way (a CPU of "1000m" as "1") the answer is no, and the object is applied once more, without effect. A list
/// of nothing is as good as none: the API server drops it.
pub(super) fn contains(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(name, wanted)| match live.get(name) {
            Some(live) => contains(live, wanted),
            None => wanted.as_array().is_some_and(Vec::is_empty),
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| contains(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

async fn delete<K>(api: &Api<K>, name: &str) -> Result<(), ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(api_error::<K>("delete", name)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ServiceAccount;
    use serde_json::json;

    #[test]
    fn what_is_there_already_is_not_applied() {
        let wanted = json!({"spec": {"replicas": 1, "containers": [{"name": "a"}]}});
        let live =
            json!({"spec": {"replicas": 1, "containers": [{"name": "a", "default": 1}], "more": 2}, "status": {}});
        assert!(contains(&live, &wanted));
        assert!(
            !contains(&json!({"spec": {"replicas": 0, "containers": [{"name": "a"}]}}), &wanted),
            "a person changed it"
        );
        assert!(contains(&live, &json!({"spec": {"replicas": 1, "tolerations": []}})), "the API server drops it");
        let injected = json!({"spec": {"replicas": 1, "containers": [{"name": "a"}, {"name": "b"}]}});
        assert!(!contains(&injected, &wanted));
    }

    fn deployment(spec: &Value) -> OpenDeployment {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "n"}, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_deployment_of_the_other_form_is_told_from_one_that_only_changed() {
        let with = |place: &str, image: &str| -> OpenDeployment {
            let mut pod = json!({"containers": [{"name": "baker"}]});
            pod[place] = json!([{"name": "signer", "image": image}]);
            let spec = json!({"selector": {}, "template": {"spec": pod}});
            deployment(&spec)
        };
        let (sidecar, alone) = (with("initContainers", "a"), with("containers", "a"));
        assert!(is_of_another_form(&sidecar, &alone) && is_of_another_form(&alone, &sidecar));
        assert!(!is_of_another_form(&sidecar, &with("initContainers", "b")));
        assert!(!is_of_another_form(&alone, &with("containers", "b")));
        assert!(!is_of_another_form(&deployment(&json!({})), &alone), "somebody broke it; it is applied again");
    }

    #[test]
    fn a_field_that_is_not_wanted_any_more_changes_the_mark() {
        let mut account = ServiceAccount { automount_service_account_token: Some(false), ..ServiceAccount::default() };
        let before = marked(&account).unwrap();
        assert_eq!(before, marked(&account).unwrap());
        account.automount_service_account_token = None;
        assert!(!contains(&before, &marked(&account).unwrap()));
    }
}
