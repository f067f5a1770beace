//! The pods of TezosSigners as their watch last saw them, so that a reconcile need not list them.

use super::events::WatchEvent;
use crate::api::SignerRef;
use crate::observation::injection::is_injected;
use crate::observation::waits_for_volumes;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
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
                let (signer, waits, injected) = (signer_of(&pod)?, waits_for_volumes(&pod), is_injected(&pod));
                // The spec is large, and the Deployment has it. Kept is what is reported of a pod that waits for its volumes, and the
                // ServiceAccount of a pod of the user's, which may be one that the TezosSigner does not name any more.
                let spec = pod.spec.take().filter(|_| waits || injected);
                pod.spec = spec.map(|spec| PodSpec {
                    volumes: spec.volumes.filter(|_| waits),
                    node_name: spec.node_name,
                    service_account_name: spec.service_account_name,
                    ..PodSpec::default()
                });
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
