//! The stage after apply: how the signers that run now are, and their records.

use crate::apply::{Applied, ApplyError, Cluster};
use crate::claim::ClaimedRecord;
use crate::image::Image;
use crate::observation::injection::{self, SidecarVersions};
use crate::observation::{self, Observation, Shape};
use crate::validate::{Baker, Workload};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use std::collections::BTreeMap;
use tezos_signer_core::key::PublicKeyHash;

/// How the signers of a TezosSigner are, and their records.
#[derive(Debug)]
pub struct Observed {
    /// The claimed records of the TezosSigner.
    pub records: Vec<ClaimedRecord>,
    /// The names of the pods, by UID.
    pub pods: BTreeMap<String, String>,
    /// What the pods and the signers in them report.
    pub observation: Observation,
    /// Why the Deployment cannot make more pods, if it cannot, or why no pod has the sidecar.
    pub failure: Option<String>,
    /// Who is expected to attest with DAL. `None` without a DAL node, and where the spec in use is not known.
    pub dal: Option<DalVoters>,
    /// Which sidecars the user's pods have; `None`: the pods are the operator's.
    pub sidecars: Option<SidecarVersions>,
}

/// The keys of an Octez baker with a DAL node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DalVoters {
    /// The keys that it bakes with.
    pub delegates: Vec<PublicKeyHash>,
    /// Whether it has a companion key, without which a tz4 key does not attest with DAL.
    pub has_companion: bool,
}

impl DalVoters {
    fn of(workload: &Workload) -> Option<Self> {
        let Workload::Baker(Baker::Octez(baker)) = workload else { return None };
        baker.dal_node.as_ref()?;
        Some(Self { delegates: baker.delegates.clone(), has_companion: !baker.companions.is_empty() })
    }
}

/// Asks the signers in `pods`, which a watch has seen, how they are. The image is the one that was built, with whether it was seen to
/// run well.
pub(crate) async fn observe(
    applied: Applied,
    cluster: &Cluster<'_>,
    client: &Client,
    http: &reqwest::Client,
    pods: &[Pod],
) -> Result<(Observed, Image), ApplyError> {
    let (claimed, deployment) = applied.into_parts();
    let (built, records) = claimed.into_parts();
    let mut image = built.image;
    let deployment = deployment.map(|deployment| deployment.known());
    let sidecar = built.objects.sidecar.map(|sidecar| sidecar.spec);
    let runs_well = |pods: &[Pod]| match (&deployment, &sidecar) {
        (Some(deployment), _) => observation::runs_well(deployment, pods),
        (None, Some(sidecar)) => pods
            .iter()
            .any(|pod| injection::has_sidecar(pod, &sidecar.sidecar.digest) && observation::has_ready_signer(pod)),
        (None, None) => false,
    };
    // The pods that the watch has seen may be those of the image before.
    if !image.ran_well_last() && runs_well(pods) && runs_well(&cluster.pods().await?) {
        image.runs_well();
    }
    let mut failure = deployment.as_ref().and_then(observation::replica_failure);
    let sidecars = sidecar
        .as_ref()
        .map(|sidecar| SidecarVersions::of(pods, &sidecar.sidecar.digest, &sidecar.service_account_name));
    if let Some(sidecar) = &sidecar
        && sidecars.as_ref().is_some_and(|versions| *versions == SidecarVersions::default())
    {
        failure = Some(injection::advice(client, &built.valid.identity.name, &sidecar.service_account_name).await);
    }
    let shape = Shape::of_workload(&built.valid.workload);
    let mut observation = observation::observe_pods(http, shape, failure.clone(), pods).await;
    observation::observe_volumes(&cluster.api(), pods, &mut observation).await;
    let dal = DalVoters::of(&built.valid.workload);
    Ok((Observed { records, pods: observation::names_by_uid(pods), observation, failure, dal, sidecars }, image))
}
