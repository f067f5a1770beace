//! The stage after apply: how the signers that run now are, and their records.

use crate::apply::{Applied, ApplyError, Cluster};
use crate::claim::ClaimedRecord;
use crate::image::Image;
use crate::observation::{self, Observation, Shape};
use crate::validate::{Baker, Workload};
use k8s_openapi::api::core::v1::Pod;
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
    /// Why the Deployment cannot make more pods, if it cannot.
    pub failure: Option<String>,
    /// Who is expected to attest with DAL. `None` without a DAL node, and where the spec in use is not known.
    pub dal: Option<DalVoters>,
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
    http: &reqwest::Client,
    pods: &[Pod],
) -> Result<(Observed, Image), ApplyError> {
    let (claimed, deployment) = applied.into_parts();
    let (built, records) = claimed.into_parts();
    let mut image = built.image;
    let deployment = deployment.known();
    // The pods that the watch has seen may be those of the image before.
    if !image.ran_well_last()
        && observation::runs_well(&deployment, pods)
        && observation::runs_well(&deployment, &cluster.pods().await?)
    {
        image.runs_well();
    }
    let failure = observation::replica_failure(&deployment);
    let shape = Shape::of_workload(&built.valid.workload);
    let mut observation = observation::observe_pods(http, shape, failure.clone(), pods).await;
    observation::observe_volumes(&cluster.api(), pods, &mut observation).await;
    let dal = DalVoters::of(&built.valid.workload);
    Ok((Observed { records, pods: observation::names_by_uid(pods), observation, failure, dal }, image))
}
