//! The stage that applies the objects: server-side apply, with one field manager, of those that are not up to date; and deletes those
//! that are not used any more.

mod desired;
mod error;

pub(crate) use desired::Desired;
pub use error::ApplyError;
pub(crate) use error::api_error;

use crate::api::{SignerRef, TezosSignerSidecar};
use crate::build::ServiceObjects;
use crate::claim::Claimed;
use crate::identity::Identity;
use crate::names;
use crate::open_deployment::{OpenDeployment, running_signer};
use crate::watch::object_cache::{ObjectCache, ObjectId, Version};
use desired::digest;
use futures::join;
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
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Debug;
use tezos_signer_core::record::RECORDS_NAMESPACE;

/// Claimed objects, after they were applied.
#[derive(Debug)]
pub struct Applied {
    claimed: Claimed,
    deployment: Option<OpenDeployment>,
}

impl Applied {
    /// The claimed records and objects that were applied.
    pub fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    /// What was claimed, and the Deployment as the API server has it; `None`: the pods are the user's.
    pub fn into_parts(self) -> (Claimed, Option<OpenDeployment>) {
        (self.claimed, self.deployment)
    }
}

/// The objects of one TezosSigner on the cluster.
pub struct Cluster<'a> {
    client: &'a Client,
    objects: &'a ObjectCache,
    signer: &'a Identity,
    of: SignerRef,
}

impl<'a> Cluster<'a> {
    /// The objects of `signer`.
    pub fn new(client: &'a Client, objects: &'a ObjectCache, signer: &'a Identity) -> Self {
        Self { client, objects, signer, of: ObjectRef::new(&signer.name).within(&signer.namespace) }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
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

    /// Whether there may be an object of this kind and name in the TezosSigner's namespace, or in that of the records.
    pub(crate) fn may_have<K: Resource<DynamicType = ()>>(&self, name: &str) -> bool {
        self.objects.may_have::<K>(&self.of, name)
    }

    /// Remembers that there is an object which the watch does not see.
    pub(crate) fn found_unseen<K: Resource<DynamicType = ()>>(&self, name: &str) {
        self.objects.found_unseen(&self.of, ObjectId::new::<K>(name));
    }

    /// The Deployment as the API server has it.
    pub async fn live_deployment(&self) -> Result<Option<OpenDeployment>, ApplyError> {
        let name = names::deployment(self.signer);
        self.ours(read(&self.api(), &name).await?)
    }

    /// The Deployment as the API server has it. The API server is not asked if the cache excludes it: one that the watch does not see is found when it is to be created.
    pub async fn seen_deployment(&self) -> Result<Option<OpenDeployment>, ApplyError> {
        if self.may_have::<OpenDeployment>(&names::deployment(self.signer)) {
            self.live_deployment().await
        } else {
            Ok(None)
        }
    }

    /// The sidecar of the user's pods as the API server has it. The API server is not asked if the cache excludes that there is one.
    pub async fn live_sidecar(&self) -> Result<Option<TezosSignerSidecar>, ApplyError> {
        let name = names::sidecar(self.signer);
        if !self.may_have::<TezosSignerSidecar>(&name) {
            return Ok(None);
        }
        read(&self.records_api(), &name).await
    }

    /// The ServiceAccounts that have the rights on the records as the API server has them, and not by `binding`. The API server is not asked if the
    /// cache knows that `binding` is what it has.
    pub async fn former_accounts(&self, binding: &RoleBinding) -> Result<BTreeSet<String>, ApplyError> {
        let desired = Desired::new(binding)?;
        if self.objects.is_up_to_date(&self.of, &ObjectId::new::<RoleBinding>(&desired.name), &desired.digest) {
            return Ok(BTreeSet::new());
        }
        let live: Option<RoleBinding> = read(&self.records_api(), &desired.name).await?;
        let present: BTreeSet<&String> = binding.subjects.iter().flatten().map(|subject| &subject.name).collect();
        let subjects = live.and_then(|live| live.subjects).unwrap_or_default();
        Ok(subjects.into_iter().map(|subject| subject.name).filter(|name| !present.contains(name)).collect())
    }

    /// Why no client reaches the signers by their Service, if it is missing or its selector was changed.
    pub async fn service_problem(&self) -> Result<Option<&'static str>, ApplyError> {
        let name = names::service(self.signer);
        let live = match self.ours::<Service>(read(&self.api(), &name).await?) {
            Ok(live) => live.filter(|live| live.metadata.deletion_timestamp.is_none()),
            Err(ApplyError::NotOurs { .. }) => return Ok(Some("a Service of that name has another owner")),
            Err(error) => return Err(error),
        };
        let Some(live) = live else {
            return Ok(Some("its Service was deleted, and is restored after the pause"));
        };
        let is_ours = live.spec.and_then(|spec| spec.selector) == Some(names::selector(self.signer));
        Ok((!is_ours).then_some("the selector of its Service was changed, which stays until the pause ends"))
    }

    /// The pods that exist now, terminating ones among them: a list and not the watch's cache, for decisions that cannot be undone.
    pub async fn pods(&self) -> Result<Vec<Pod>, ApplyError> {
        let mut all = Vec::new();
        for selector in names::pod_selectors(self.signer) {
            let pods = self.api::<Pod>().list(&ListParams::default().labels(&selector)).await;
            all.extend(pods.map_err(api_error::<Pod>("list", &selector))?.items);
        }
        Ok(all)
    }

    /// Applies the objects of `claimed`; the Deployment, or the sidecar of the user's pods, last, when everything that the pods need exists.
    ///
    /// A Deployment of another workload, or its sidecar, is deleted first. A rolling update would not end: a
    /// baker's signer cannot be forwarded to, so the new pods would not become ready while it holds the records.
    pub async fn apply(&self, claimed: Claimed, live: Option<OpenDeployment>) -> Result<Applied, ApplyError> {
        let objects = &claimed.built().objects;
        match &objects.sidecar {
            Some(_) => self.delete_ours::<OpenDeployment>(&names::deployment(self.signer)).await?,
            None => self.delete_sidecar().await?,
        }
        let live = match live {
            Some(live) if is_of_another_workload(&live, &objects.deployment) => {
                delete(&self.api::<OpenDeployment>(), &live.name_any()).await?;
                None
            }
            live => live,
        };
        if let Some(account) = &objects.service_account {
            self.ensure(&self.api(), account).await?;
        }
        // The API server takes up to 100 ms for each of Role and RoleBinding: it compares the rights with the operator's own.
        let (roles, configs) = (self.records_api(), self.api());
        let (role, config) = join!(self.ensure(&roles, &objects.role), self.ensure(&configs, &objects.config));
        role.and(config)?;
        self.ensure(&self.records_api(), &objects.role_binding).await?;
        match &objects.service {
            Some(service) => self.ensure_service(service).await?,
            None => self.delete_service().await?,
        }
        if let Some(sidecar) = &objects.sidecar {
            self.ensure(&self.records_api(), sidecar).await?;
            return Ok(Applied { claimed, deployment: None });
        }
        let desired = Desired::new(&objects.deployment)?;
        let deployment = match live {
            Some(live) => self.apply_object(&self.api(), &desired, Some(live)).await?,
            None => self.create_or_apply(&self.api(), &desired, true).await?,
        };
        Ok(Applied { claimed, deployment: Some(deployment) })
    }

    async fn ensure_service(&self, service: &ServiceObjects) -> Result<(), ApplyError> {
        self.ensure(&self.api(), &service.network_policy).await?;
        match &service.disruption_budget {
            Some(budget) => self.ensure(&self.api(), budget).await?,
            None => self.delete_ours::<PodDisruptionBudget>(&names::disruption_budget(self.signer)).await?,
        }
        self.ensure(&self.api(), &service.service).await
    }

    async fn delete_service(&self) -> Result<(), ApplyError> {
        self.delete_ours::<Service>(&names::service(self.signer)).await?;
        self.delete_ours::<PodDisruptionBudget>(&names::disruption_budget(self.signer)).await?;
        self.delete_ours::<NetworkPolicy>(&names::network_policy(self.signer)).await
    }

    /// Deletes the configurations that no pod uses, but for those of `current`.
    pub async fn delete_old_configs(&self, current: &[String]) -> Result<(), ApplyError> {
        let mut old = self.objects.names::<ConfigMap>(&self.of);
        old.retain(|name| !current.contains(name));
        if old.is_empty() {
            return Ok(());
        }
        let pods = self.pods().await?;
        old.retain(|name| pods.iter().all(|pod| pod.annotations().get(names::CONFIG_ANNOTATION) != Some(name)));
        for name in old {
            // Checks the owner: the label may name another one.
            self.delete_live::<ConfigMap>(&name).await?;
        }
        Ok(())
    }

    /// Deletes the Deployment, and with it its pods.
    pub async fn delete_deployment(&self) -> Result<(), ApplyError> {
        self.delete_live::<OpenDeployment>(&names::deployment(self.signer)).await
    }

    /// Ends the injection: no pod gets the sidecar any more.
    pub async fn delete_sidecar(&self) -> Result<(), ApplyError> {
        let name = names::sidecar(self.signer);
        if self.may_have::<TezosSignerSidecar>(&name) {
            delete(&self.records_api::<TezosSignerSidecar>(), &name).await?;
        }
        Ok(())
    }

    /// Deletes the object of that name if this TezosSigner owns it. Asks the API server only if the cache does not exclude it.
    async fn delete_ours<K>(&self, name: &str) -> Result<(), ApplyError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        if self.may_have::<K>(name) { self.delete_live::<K>(name).await } else { Ok(()) }
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

    /// `found`, if this TezosSigner owns it.
    fn ours<K: Resource<DynamicType = ()>>(&self, found: Option<K>) -> Result<Option<K>, ApplyError> {
        match found {
            Some(object) if object.owner_references().iter().all(|owner| owner.uid != self.signer.uid) => {
                Err(ApplyError::NotOurs { kind: K::kind(&()).into_owned(), name: object.name_any() })
            }
            found => Ok(found),
        }
    }

    /// Applies `object` unless it is up to date. It is not even read if the watch has seen no change since it was applied.
    async fn ensure<K>(&self, api: &Api<K>, object: &K) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let desired = Desired::new(object)?;
        if self.objects.is_up_to_date(&self.of, &ObjectId::new::<K>(&desired.name), &desired.digest) {
            return Ok(());
        }
        // Objects in the records' namespace have no owner.
        self.create_or_apply(api, &desired, !object.owner_references().is_empty()).await.map(drop)
    }

    /// Creates the object where the cache excludes that it exists. Otherwise, and if that is wrong, reads it and applies `desired` to it;
    /// one that `is_owned` only if this TezosSigner owns it.
    async fn create_or_apply<K>(&self, api: &Api<K>, desired: &Desired, is_owned: bool) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        if !self.may_have::<K>(&desired.name)
            && let Some(made) = self.create(api, desired).await?
        {
            return Ok(made);
        }
        let live = read(api, &desired.name).await?;
        let live = if is_owned { self.ours(live)? } else { live };
        let is_there = live.is_some();
        match self.apply_object(api, desired, live).await {
            Err(ApplyError::Refused { .. }) if is_there && recreate_immutable(api, desired).await? => {
                self.apply_object(api, desired, None).await
            }
            result => result,
        }
    }

    /// Creates the object. `None` if there is one of that name, whosever it is.
    ///
    /// Not by POST: fields that were created so would stay when a later apply does not name them any more.
    async fn create<K>(&self, api: &Api<K>, desired: &Desired) -> Result<Option<K>, ApplyError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let parameters = PatchParams::apply(names::OPERATOR).force();
        match api.patch(&desired.name, &parameters, &Patch::Apply(&desired.as_new())).await {
            Ok(made) => {
                self.record_applied(&made, desired)?;
                Ok(Some(made))
            }
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                self.found_unseen::<K>(&desired.name);
                Ok(None)
            }
            Err(error) => Err(api_error::<K>("apply", &desired.name)(error)),
        }
    }

    /// Applies `desired`, unless `live` is up to date: a steady state writes nothing.
    async fn apply_object<K>(&self, api: &Api<K>, desired: &Desired, live: Option<K>) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        if let Some(live) = live
            && self.is_up_to_date(&live, desired)?
        {
            self.record_applied(&live, desired)?;
            return Ok(live);
        }
        let parameters = PatchParams::apply(names::OPERATOR).force();
        let made = api.patch(&desired.name, &parameters, &Patch::Apply(&desired.content)).await;
        let made = made.map_err(api_error::<K>("apply", &desired.name))?;
        self.record_applied(&made, desired)?;
        Ok(made)
    }

    /// Whether `live` has what `desired` says, as it was sent or as the API server returned it.
    pub(crate) fn is_up_to_date<K>(&self, live: &K, desired: &Desired) -> Result<bool, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let part = desired.part_of(live)?;
        let object = ObjectId::new::<K>(&desired.name);
        let made = live.uid().and_then(|uid| self.objects.returned(&self.of, &object, &uid, &desired.digest));
        Ok(part == desired.content || made == Some(digest(&part)))
    }

    /// Remembers that the API server has made `made` of `desired`.
    fn record_applied<K>(&self, made: &K, desired: &Desired) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let (object, part) = (ObjectId::new::<K>(&desired.name), desired.part_of(made)?);
        self.objects.record_applied(&self.of, object, Version::of(made), desired.digest, digest(&part));
        Ok(())
    }
}

/// Deletes or patches an object whose immutable fields somebody has changed, so that `desired` can be applied. False if that does not help.
async fn recreate_immutable<K>(api: &Api<K>, desired: &Desired) -> Result<bool, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    match &*K::kind(&()) {
        // Recreated with another immutable field: role or content. (A pod that runs has its own copy of the content.)
        "RoleBinding" | "ConfigMap" => delete(api, &desired.name).await?,
        // Server-side apply identifies a port by its number: one with another number would be added, with a name that is taken.
        "Service" => {
            let ports = json!({"spec": {"ports": desired.content["spec"]["ports"]}});
            let parameters = PatchParams { field_manager: Some(names::OPERATOR.to_owned()), ..PatchParams::default() };
            let patched = api.patch(&desired.name, &parameters, &Patch::Merge(&ports)).await;
            patched.map_err(api_error::<K>("apply", &desired.name))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn is_of_another_workload(live: &OpenDeployment, desired: &OpenDeployment) -> bool {
    let is_sidecar =
        |deployment: &OpenDeployment| running_signer(&deployment.known()).map(|(is_sidecar, _)| is_sidecar);
    is_sidecar(live).is_some_and(|live| is_sidecar(desired) != Some(live))
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
    use serde_json::Value;

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
        assert!(is_of_another_workload(&sidecar, &alone) && is_of_another_workload(&alone, &sidecar));
        assert!(!is_of_another_workload(&sidecar, &with("initContainers", "b")));
        assert!(!is_of_another_workload(&alone, &with("containers", "b")));
        assert!(!is_of_another_workload(&deployment(&json!({})), &alone), "somebody broke it; it is applied again");
    }
}
