//! The stage after apply: how the signers that run now are, and their records.

use crate::apply::{Applied, ApplyError, Cluster};
use crate::claim::ClaimedRecord;
use crate::image::Image;
use crate::observation::{self, Observation, Shape};
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;

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
    Ok((Observed { records, pods: observation::names_by_uid(pods), observation, failure }, image))
}
