//! The pods of TezosSigners as their watch last saw them, so that a reconcile need not list them.

use super::events::WatchEvent;
use crate::api::SignerRef;
use crate::names;
use crate::observation::waits_for_volumes;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::ResourceExt as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// The pods of each TezosSigner in one scope, without most of their specs.
#[derive(Debug, Default)]
pub(crate) struct PodCache(Mutex<HashMap<SignerRef, BTreeMap<String, Pod>>>);

impl PodCache {
    /// Takes in an event. Returns the TezosSigner that must be reconciled because of it. `signer_of` says which TezosSigner a pod
    /// belongs to.
    pub(crate) fn on_event(
        &self,
        event: WatchEvent<Pod>,
        signer_of: impl Fn(&Pod) -> Option<SignerRef>,
    ) -> Option<SignerRef> {
        let mut pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            WatchEvent::Listed => None,
            WatchEvent::Applied(mut pod) => {
                let signer = signer_of(&pod)?;
                let waits = waits_for_volumes(&pod);
                pod.spec = pod.spec.map(|spec| reported(spec, waits));
                pods.entry(signer.clone()).or_default().insert(pod.name_any(), pod);
                Some(signer)
            }
            WatchEvent::Deleted(deleted) => {
                let signer = deleted.signer?;
                if let Some(its) = pods.get_mut(&signer) {
                    its.remove(&deleted.name);
                    if its.is_empty() {
                        pods.remove(&signer);
                    }
                }
                Some(signer)
            }
        }
    }

    /// The pods of `signer`, terminating ones among them.
    pub(crate) fn of(&self, signer: &SignerRef) -> Vec<Pod> {
        let pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(signer).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }
}

/// The part of a pod's spec that is reported: the spec is large, and the Deployment has it. A pod that waits for its volumes also has these.
fn reported(spec: PodSpec, waits: bool) -> PodSpec {
    let signer = |containers: Vec<Container>| {
        let signer = containers.into_iter().filter(|container| container.name == names::SIGNER_CONTAINER);
        signer.map(|Container { name, image, .. }| Container { name, image, ..Container::default() }).collect()
    };
    PodSpec {
        containers: signer(spec.containers),
        init_containers: spec.init_containers.map(signer),
        volumes: spec.volumes.filter(|_| waits),
        node_name: spec.node_name,
        service_account_name: spec.service_account_name,
        ..PodSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::events::WatchEvent;
    use kube::runtime::reflector::ObjectRef;
    use serde_json::json;

    #[test]
    fn what_is_reported_of_a_pod_is_kept_and_nothing_else() {
        let pod = |waits: bool| -> Pod {
            let waiting = json!({"waiting": {"reason": "PodInitializing"}});
            let status = json!({
                "conditions": [{"type": "PodReadyToStartContainers", "status": if waits { "False" } else { "True" }}],
                "containerStatuses": [
                    {"name": "baker", "image": "o", "imageID": "", "ready": false, "restartCount": 0, "state": waiting},
                ],
            });
            let spec = json!({
                "nodeName": "node", "serviceAccountName": "account", "volumes": [{"name": "v"}],
                "initContainers": [{"name": "signer", "image": "i", "args": ["serve"]}, {"name": "import-key", "image": "o"}],
                "containers": [{"name": "baker", "image": "o"}],
            });
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec, "status": status}))
                .unwrap()
        };
        let (cache, signer) = (PodCache::default(), ObjectRef::new("s").within("n"));
        let kept = |waits| {
            cache.on_event(WatchEvent::Applied(pod(waits)), |_| Some(signer.clone()));
            serde_json::to_value(cache.of(&signer)[0].spec.clone().unwrap()).unwrap()
        };
        let mut expected = json!({
            "nodeName": "node", "serviceAccountName": "account", "containers": [], "initContainers": [{"name": "signer", "image": "i"}],
        });
        assert_eq!(kept(false), expected);
        expected["volumes"] = json!([{"name": "v"}]);
        assert_eq!(kept(true), expected);
    }
}
