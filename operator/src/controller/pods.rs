//! The pods of TezosSigners as their watch last saw them, without what nobody asks about: a look need not list them.

use super::watches::{Change, News};
use super::{Guarded, observe};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// The pods of each TezosSigner in one place.
#[derive(Debug, Default)]
pub(super) struct Pods(Mutex<HashMap<ObjectRef<Guarded>, BTreeMap<String, Pod>>>);

impl Pods {
    /// Takes in what the watch says. The TezosSigner that must be looked at because of it.
    pub(super) fn learn(
        &self,
        news: News<Pod>,
        of: impl Fn(&Pod) -> Option<ObjectRef<Guarded>>,
    ) -> Option<ObjectRef<Guarded>> {
        let mut pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::Complete => None,
            News::Change(Change::Is(mut pod)) => {
                let (of, waits) = (of(&pod)?, observe::waits_for_volumes(&pod));
                // What it is made of is its Deployment's, and large; what it mounts is told while it waits for it.
                let volumes = pod.spec.and_then(|spec| spec.volumes).filter(|_| waits);
                pod.spec = volumes.map(|volumes| PodSpec { volumes: Some(volumes), ..PodSpec::default() });
                pods.entry(of.clone()).or_default().insert(pod.name_any(), pod);
                Some(of)
            }
            News::Change(Change::Gone(gone)) => {
                let of = gone.of?;
                if let Some(its) = pods.get_mut(&of) {
                    its.remove(&gone.name);
                    if its.is_empty() {
                        pods.remove(&of);
                    }
                }
                Some(of)
            }
        }
    }

    /// Those of `signer`, ending ones among them.
    pub(super) fn of(&self, signer: &ObjectRef<Guarded>) -> Vec<Pod> {
        let pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(signer).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }
}
