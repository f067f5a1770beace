//! The stage that brings the objects to the cluster: server-side apply, with one field manager, of what is not there already;
//! and takes away what is not used any more.

use crate::controller::Guarded;
use crate::controller::build::{Front, Objects, OpenDeployment, names, running_signer};
use crate::controller::owned::{Object, Owned, Version};
use crate::controller::validate::Identity;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
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
    #[error("cannot {doing} the {kind} {name}: {}", super::said(.source))]
    Api {
        /// What was tried.
        doing: &'static str,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What happened.
        #[source]
        source: Box<kube::Error>,
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
        source => ApplyError::Api { doing, kind, name, source: Box::new(source) },
    }
}

/// The objects of one TezosSigner on the cluster.
pub struct Cluster<'a> {
    client: &'a Client,
    owned: &'a Owned,
    signer: &'a Identity,
    of: ObjectRef<Guarded>,
}

impl<'a> Cluster<'a> {
    /// Of `signer`.
    pub fn new(client: &'a Client, owned: &'a Owned, signer: &'a Identity) -> Self {
        Self { client, owned, signer, of: ObjectRef::new(&signer.name).within(&signer.namespace) }
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
        let name = names::deployment(self.signer);
        self.ours(read(&self.api(), &name).await?)
    }

    /// The pods that exist now, ending ones among them. Not what a watch has seen: for what cannot be taken back.
    pub async fn pods(&self) -> Result<Vec<Pod>, ApplyError> {
        let selector = names::selector_text(self.signer);
        let pods = self.api::<Pod>().list(&ListParams::default().labels(&selector)).await;
        Ok(pods.map_err(api_error::<Pod>("list", &selector))?.items)
    }

    /// Brings `objects` to the cluster; the Deployment last, when everything that its pods need is there. Returns it as it
    /// is then.
    ///
    /// A Deployment of the other form goes first, and what belongs to that form with it. Its pods are not replaced one by one: a
    /// baker's signer cannot be forwarded to, so the new ones would not become ready while it holds the records.
    pub async fn apply(&self, objects: &Objects, live: Option<OpenDeployment>) -> Result<OpenDeployment, ApplyError> {
        let live = match live {
            Some(live) if is_of_another_form(&live, &objects.deployment) => {
                delete(&self.api::<OpenDeployment>(), &live.name_any()).await?;
                None
            }
            live => live,
        };
        self.bring(&self.api(), &objects.service_account).await?;
        self.bring(&self.records_api(), &objects.role).await?;
        self.bring(&self.records_api(), &objects.role_binding).await?;
        self.bring(&self.api(), &objects.config).await?;
        match &objects.front {
            Some(front) => self.bring_front(front).await?,
            None => self.delete_front().await?,
        }
        self.bring_over(&self.api(), &Wanted::new(&objects.deployment)?, live).await
    }

    async fn bring_front(&self, front: &Front) -> Result<(), ApplyError> {
        self.bring(&self.api(), &front.network_policy).await?;
        match &front.disruption_budget {
            Some(budget) => self.bring(&self.api(), budget).await?,
            None => self.delete_ours::<PodDisruptionBudget>(&names::disruption_budget(self.signer)).await?,
        }
        self.bring(&self.api(), &front.service).await
    }

    async fn delete_front(&self) -> Result<(), ApplyError> {
        self.delete_ours::<Service>(&names::service(self.signer)).await?;
        self.delete_ours::<PodDisruptionBudget>(&names::disruption_budget(self.signer)).await?;
        self.delete_ours::<NetworkPolicy>(&names::network_policy(self.signer)).await
    }

    /// Deletes the configurations that neither `current` nor any pod uses.
    pub async fn delete_old_configs(&self, current: &str) -> Result<(), ApplyError> {
        let mut old = self.owned.names::<ConfigMap>(&self.of);
        old.retain(|name| name != current);
        if old.is_empty() {
            return Ok(());
        }
        let pods = self.pods().await?;
        old.retain(|name| pods.iter().all(|pod| pod.annotations().get(names::CONFIG_ANNOTATION) != Some(name)));
        for name in old {
            // Which looks whose it is: its label may say something else.
            self.delete_live::<ConfigMap>(&name).await?;
        }
        Ok(())
    }

    /// Deletes the Deployment, and with it its pods.
    pub async fn delete_deployment(&self) -> Result<(), ApplyError> {
        self.delete_live::<OpenDeployment>(&names::deployment(self.signer)).await
    }

    /// Deletes the object of that name if it may be there, unless it is another's.
    async fn delete_ours<K>(&self, name: &str) -> Result<(), ApplyError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        if self.owned.may_have::<K>(&self.of, name) { self.delete_live::<K>(name).await } else { Ok(()) }
    }

    async fn delete_live<K>(&self, name: &str) -> Result<(), ApplyError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        match self.ours::<K>(read(&self.api(), name).await?) {
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

    /// `found`, which must be ours if there is one.
    fn ours<K: Resource<DynamicType = ()>>(&self, found: Option<K>) -> Result<Option<K>, ApplyError> {
        match found {
            Some(object) if object.owner_references().iter().all(|owner| owner.uid != self.signer.uid) => {
                Err(ApplyError::NotOurs { kind: K::kind(&()).into_owned(), name: object.name_any() })
            }
            found => Ok(found),
        }
    }

    /// Has `object` at the API server. It is not even read if the watch has seen nobody touch it since the last time.
    async fn bring<K>(&self, api: &Api<K>, object: &K) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let wanted = Wanted::new(object)?;
        if self.owned.is_settled(&self.of, &Object::new::<K>(&wanted.name), &wanted.digest) {
            return Ok(());
        }
        let live = read(api, &wanted.name).await?;
        // What is in the records' namespace has no owner.
        let live = if object.owner_references().is_empty() { live } else { self.ours(live)? };
        let is_there = live.is_some();
        match self.bring_over(api, &wanted, live).await {
            Err(ApplyError::Refused { .. }) if is_there && make_way(api, &wanted).await? => {
                self.bring_over(api, &wanted, None).await.map(drop)
            }
            result => result.map(drop),
        }
    }

    /// Applies what is wanted, unless `live` is that already: a steady state writes nothing.
    async fn bring_over<K>(&self, api: &Api<K>, wanted: &Wanted, live: Option<K>) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        if let Some(live) = live
            && self.is_made_of(&live, wanted)?
        {
            self.settle(&live, wanted)?;
            return Ok(live);
        }
        let parameters = PatchParams::apply(names::OPERATOR).force();
        let made = api.patch(&wanted.name, &parameters, &Patch::Apply(&wanted.content)).await;
        let made = made.map_err(api_error::<K>("apply", &wanted.name))?;
        self.settle(&made, wanted)?;
        Ok(made)
    }

    /// Whether `live` is what is wanted: as it was written, or as the API server has made it of that.
    pub(super) fn is_made_of<K>(&self, live: &K, wanted: &Wanted) -> Result<bool, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let part = wanted.part_of(live)?;
        let object = Object::new::<K>(&wanted.name);
        let made = live.uid().and_then(|uid| self.owned.made(&self.of, &object, &uid, &wanted.digest));
        Ok(part == wanted.content || made == Some(digest(&part)))
    }

    /// `made` is what the API server has made of `wanted`.
    fn settle<K>(&self, made: &K, wanted: &Wanted) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let (object, part) = (Object::new::<K>(&wanted.name), wanted.part_of(made)?);
        self.owned.settle(&self.of, object, Version::of(made), wanted.digest, digest(&part));
        Ok(())
    }
}

/// Takes away what keeps `wanted` from being applied over an object that somebody has changed. False if nothing can.
async fn make_way<K>(api: &Api<K>, wanted: &Wanted) -> Result<bool, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    match &*K::kind(&()) {
        // Made anew with a field that nobody can change: another role, another content. (A pod that runs has its own copy.)
        "RoleBinding" | "ConfigMap" => delete(api, &wanted.name).await?,
        // A port is told from others by its number: another number is another port, with the name that ours must have.
        "Service" => {
            let ports = json!({"spec": {"ports": wanted.content["spec"]["ports"]}});
            let parameters = PatchParams { field_manager: Some(names::OPERATOR.to_owned()), ..PatchParams::default() };
            let patched = api.patch(&wanted.name, &parameters, &Patch::Merge(&ports)).await;
            patched.map_err(api_error::<K>("apply", &wanted.name))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn is_of_another_form(live: &OpenDeployment, wanted: &OpenDeployment) -> bool {
    let is_sidecar =
        |deployment: &OpenDeployment| running_signer(&deployment.known()).map(|(is_sidecar, _)| is_sidecar);
    is_sidecar(live).is_some_and(|live| is_sidecar(wanted) != Some(live))
}

/// Which content was applied, so that a field that is not wanted any more is noticed too.
const APPLIED_ANNOTATION: &str = "signer.tezos.io/applied";

/// An object as it is applied, with a mark of its content.
pub(super) struct Wanted {
    /// Its name.
    pub(super) name: String,
    /// All of it.
    pub(super) content: Value,
    digest: Digest,
}

impl Wanted {
    /// Of `object`.
    pub(super) fn new<K>(object: &K) -> Result<Self, ApplyError>
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

    /// What `live` has in the places that this names.
    fn part_of<K>(&self, live: &K) -> Result<Value, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let live = serde_json::to_value(live).map_err(kube::Error::SerdeError);
        Ok(part(&live.map_err(api_error::<K>("read", &self.name))?, &self.content))
    }
}

/// What `live` has in the places that `wanted` names. It is `wanted`, unless somebody has changed it there or the API server writes
/// a value in another way. What others have added elsewhere does not matter. A list of nothing is as good as none: the API server
/// drops it.
fn part(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let common = wanted.iter().filter_map(|(name, wanted)| match live.get(name) {
                Some(live) => Some((name.clone(), part(live, wanted))),
                None => (*wanted == json!([])).then(|| (name.clone(), json!([]))),
            });
            Value::Object(common.collect())
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            live.iter().zip(wanted).map(|(live, wanted)| part(live, wanted)).collect()
        }
        (live, _) => live.clone(),
    }
}

fn digest(value: &Value) -> Digest {
    Digest::of(value.to_string().as_bytes())
}

async fn read<K>(api: &Api<K>, name: &str) -> Result<Option<K>, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    api.get_opt(name).await.map_err(api_error::<K>("read", name))
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

    fn contains(live: &Value, wanted: &Value) -> bool {
        part(live, wanted) == *wanted
    }

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
        assert!(!contains(&json!({"spec": {"containers": [{"name": "a"}]}}), &wanted), "a person took it out");
    }

    #[test]
    fn what_others_add_elsewhere_does_not_change_the_part() {
        let wanted = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"cpu": "1000m", "args": []}});
        let made = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"cpu": "1"}});
        let later = json!({"metadata": {"labels": {"a": "b", "c": "d"}}, "spec": {"cpu": "1", "x": 1}, "status": {}});
        assert_eq!(part(&made, &wanted), part(&later, &wanted));
        let changed = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"cpu": "2"}});
        assert_ne!(part(&made, &wanted), part(&changed, &wanted));
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
        let before = Wanted::new(&account).unwrap().content;
        assert_eq!(before, Wanted::new(&account).unwrap().content);
        account.automount_service_account_token = None;
        assert!(!contains(&before, &Wanted::new(&account).unwrap().content));
    }
}
