//! The Deployment: of one baker, which is replaced in place, or of signers behind a Service, of which none ends before its successor is
//! ready. Their pods are in [`baker`] and [`replica`].

use super::{baker, owned_metadata, replica};
use crate::names;
use crate::open_deployment::OpenDeployment;
use crate::validate::{Valid, Workload};
use serde_json::json;

pub(super) fn deployment(signer: &Valid, image: &str, config_map: &str) -> OpenDeployment {
    // maxSurge and maxUnavailable. Two bakers must not run at the same time.
    let (replicas, surge, unavailable, template) = match &signer.workload {
        Workload::Baker(baker) => (1, 0, 1, baker::pod(signer, baker, image, config_map)),
        Workload::Service(workload) => (workload.replicas, 1, 0, replica::pod(signer, image, config_map)),
        Workload::Inject(_) => (1, 0, 1, baker::trial_pod(signer, image, config_map)),
    };
    let name = match &signer.workload {
        // One of the user's may have the name of the TezosSigner.
        Workload::Inject(_) => names::trial(&signer.identity),
        Workload::Baker(_) | Workload::Service(_) => names::deployment(&signer.identity),
    };
    let spec = json!({
        "replicas": replicas,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": names::selector(&signer.identity)},
        // Not Recreate, which waits for ever for a pod on a lost node.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
        "template": template,
    });
    OpenDeployment::new(owned_metadata(&signer.identity, name), spec)
}
