//! What the pods of a TezosSigner show, and what the signers in them report of themselves (`GET /status`).

mod container_state;
mod containers;
pub(crate) mod injection;
mod readiness;
mod signer;
mod volumes;

pub use readiness::{NotReady, Progress};
pub use signer::{Ceiling, KeyObservation, SealedObservation, SignerObservation, Votes};
pub use volumes::waits_for_volumes;

use crate::api::TezosSignerSpec;
use crate::http::{HttpError, get};
use crate::message::excerpt;
use crate::open_deployment::running_signer;
use crate::validate::{DEFAULT_REPLICAS, Workload};
use container_state::{is_pull_failure, waits_because};
use containers::waiting_for;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use tezos_signer_core::config::ADMIN_PORT;
use tezos_signer_core::status::{SignerStatus, StatusError};

impl PodObservation {
    /// The name of the pod; empty if there is none.
    pub fn pod(&self) -> &str {
        match self {
            Self::NoPod(_) | Self::NotInjected(_) => "",
            Self::Unreachable { pod, .. } | Self::Answer { pod, .. } => pod,
        }
    }
}

/// What the pods of a TezosSigner show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The newest pod of a baker, and why it is not Ready, if another container than the signer's is the reason.
    Baker(PodObservation, Option<NotReady>),
    /// Signers behind a Service.
    Service {
        /// The desired number of replicas.
        replicas: u8,
        /// The pods that exist.
        pods: Vec<Replica>,
        /// Why the Deployment cannot make more pods, if it cannot.
        failure: Option<String>,
    },
}

impl Observation {
    /// Whether a signer reports a record with a ceiling that its rows have not reached. No watch reports when they do.
    pub fn nears_ceiling(&self) -> bool {
        let nears = |key: &KeyObservation| key.ceiling.is_some_and(|ceiling| !ceiling.is_reached);
        self.answers().any(|(_, status)| status.keys.iter().any(nears))
    }

    /// Reports what the kubelet says about volumes of `pod`, which waits for them.
    pub(crate) fn misses_objects(&mut self, pod: &str, what: &str) {
        let of_pods = match self {
            Self::Baker(pod_observation, _) => vec![pod_observation],
            Self::Service { pods, .. } => pods.iter_mut().map(|replica| &mut replica.observation).collect(),
        };
        for pod_observation in of_pods {
            if let PodObservation::Unreachable { pod: name, reason, starting } = pod_observation
                && name == pod
            {
                (*reason, *starting) = (what.to_owned(), false);
            }
        }
    }

    /// The signers that answer, each with the name of its pod.
    pub fn answers(&self) -> impl Iterator<Item = (&str, &SignerObservation)> {
        let (one, several) = match self {
            Self::Baker(pod_observation, _) => (Some(pod_observation), &[][..]),
            Self::Service { pods, .. } => (None, pods.as_slice()),
        };
        one.into_iter().chain(several.iter().map(|replica| &replica.observation)).filter_map(|pod_observation| {
            match pod_observation {
                PodObservation::Answer { pod, status } => Some((pod.as_str(), status)),
                _ => None,
            }
        })
    }
}

/// One of several signers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Whether the Service sends requests to it, or why not.
    pub ready: Result<(), NotReady>,
    /// Whether it is terminating, so that another one takes its place.
    pub ending: bool,
    /// What its pod shows.
    pub observation: PodObservation,
}

/// What one pod shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodObservation {
    /// There is no pod. The reason, if it is known.
    NoPod(Option<String>),
    /// No pod has the sidecar, and what to do.
    NotInjected(String),
    /// The signer in the pod does not answer.
    Unreachable {
        /// The name of the pod.
        pod: String,
        /// The reason, as far as it is known.
        reason: String,
        /// Whether the pod is still starting.
        starting: bool,
    },
    /// The signer in the pod answers.
    Answer {
        /// The name of the pod.
        pod: String,
        /// What is kept of its answer.
        status: SignerObservation,
    },
}

/// Which pods a TezosSigner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One pod, of a baker.
    Baker,
    /// Signers behind a Service.
    Service {
        /// The desired number of replicas.
        replicas: u8,
    },
    /// Pods of the user's, of which one signs.
    Inject,
}

impl Shape {
    /// The pods of `workload`.
    pub fn of_workload(workload: &Workload) -> Self {
        match workload {
            Workload::Baker(_) => Self::Baker,
            Workload::Service(workload) => Self::Service { replicas: workload.replicas },
            Workload::Inject(_) => Self::Inject,
        }
    }

    /// The pods that `spec` asks for, whether it is valid or not.
    pub fn of_spec(spec: &TezosSignerSpec) -> Self {
        match &spec.service {
            Some(service) => {
                let replicas = service.replicas.and_then(|replicas| replicas.try_into().ok());
                Self::Service { replicas: replicas.unwrap_or(DEFAULT_REPLICAS) }
            }
            None if spec.inject.is_some() => Self::Inject,
            None => Self::Baker,
        }
    }

    /// The pods that `live` makes.
    pub fn of_deployment(live: &Deployment) -> Self {
        let replicas = live.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        match running_signer(live) {
            Some((false, _)) => Self::Service { replicas: replicas.try_into().unwrap_or_default() },
            _ => Self::Baker,
        }
    }
}

/// Observes the pods of the Deployment: all of them, or a baker's newest that is not terminating, else its newest. `failure` is why the
/// Deployment cannot make more pods, if it cannot.
pub async fn observe_pods(http: &reqwest::Client, shape: Shape, failure: Option<String>, pods: &[Pod]) -> Observation {
    // Pods of a Deployment of the user's may still have the sidecar of `spec.inject` that was there before.
    let made = pods.iter().filter(|pod| is_made_by_deployment(pod) && !injection::is_injected(pod));
    match shape {
        Shape::Baker => {
            let newest = made.max_by_key(|pod| (pod.metadata.deletion_timestamp.is_none(), pod.creation_timestamp()));
            observe_baker(http, newest, PodObservation::NoPod(failure)).await
        }
        Shape::Inject => {
            // Of several replicas, one signs, and the others wait for the record.
            let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none() && !is_over(pod);
            let injected = pods.iter().filter(|pod| injection::is_injected(pod));
            let one = injected
                .max_by_key(|pod| (stays(pod), readiness::has_ready_signer(pod), Reverse(pod.creation_timestamp())));
            observe_baker(http, one, PodObservation::NotInjected(failure.unwrap_or_default())).await
        }
        Shape::Service { replicas: wanted } => {
            let replicas = made.filter(|pod| !is_over(pod)).map(async |pod| Replica {
                ready: readiness::readiness(pod, Timestamp::now()),
                ending: pod.metadata.deletion_timestamp.is_some(),
                observation: observe_pod(http, pod).await,
            });
            let mut pods = join_all(replicas).await;
            // An order that does not change from one reconcile to the next.
            pods.sort_by(|a, b| a.observation.pod().cmp(b.observation.pod()));
            Observation::Service { replicas: wanted, pods, failure }
        }
    }
}

/// What `pod` of a baker shows, or that there is `none`.
async fn observe_baker(http: &reqwest::Client, pod: Option<&Pod>, none: PodObservation) -> Observation {
    match pod {
        Some(pod) => {
            Observation::Baker(observe_pod(http, pod).await, readiness::beside_the_signer(pod, Timestamp::now()))
        }
        None => Observation::Baker(none, None),
    }
}

/// Adds to `observation` what the kubelet says about the volumes of those of `pods` that wait for them. `events` are those of their
/// namespace. It costs a request only while a pod waits; without the right to list events, the reason comes later and is less precise.
pub(crate) async fn observe_volumes(events: &Api<Event>, pods: &[Pod], observation: &mut Observation) {
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && waits_for_volumes(pod)) {
        let of_pod = format!("involvedObject.uid={}", pod.uid().unwrap_or_default());
        match events.list(&ListParams::default().fields(&of_pod)).await {
            Ok(events) => {
                if let Some(missing) = volumes::missing_objects(pod, &events.items, Timestamp::now()) {
                    observation.misses_objects(&pod.name_any(), &missing);
                }
            }
            Err(error) => tracing::debug!(pod = pod.name_any(), %error, "its events cannot be listed"),
        }
    }
}

fn is_made_by_deployment(pod: &Pod) -> bool {
    pod.owner_references().iter().any(|owner| owner.kind == "ReplicaSet")
}

/// Whether the signer that `deployment` describes runs well: its rollout is complete, and the signer's container of a pod is ready,
/// whatever the state of the other containers. The image in the pod's status is no evidence: webhooks may have it pulled from elsewhere.
pub fn runs_well(deployment: &Deployment, pods: &[Pod]) -> bool {
    let Some(status) = &deployment.status else { return false };
    let is_complete = status.observed_generation == deployment.metadata.generation
        && status.updated_replicas.is_some_and(|updated| updated > 0)
        && status.updated_replicas == status.replicas;
    is_complete && pods.iter().any(has_ready_signer)
}

/// Whether the signer's container of `pod` is ready, in a pod that the Deployment has made, or that has the sidecar, and that is not
/// terminating.
pub fn has_ready_signer(pod: &Pod) -> bool {
    (is_made_by_deployment(pod) || injection::is_injected(pod)) && readiness::has_ready_signer(pod)
}

/// Whether the signer's container of `pod` has never run, because of its image.
pub fn cannot_start_signer(pod: &Pod) -> bool {
    let Some(signer) = readiness::signer(pod) else { return false };
    let never_ran =
        signer.restart_count == 0 && signer.last_state.as_ref().is_none_or(|state| state.terminated.is_none());
    let fails = |reason| is_pull_failure(reason) || ["CreateContainerError", "RunContainerError"].contains(&reason);
    never_ran && waits_because(signer).is_some_and(fails)
}

/// Observes all pods that still run, of whatever workload and generation.
pub async fn observe_running_pods(http: &reqwest::Client, pods: &[Pod]) -> Vec<PodObservation> {
    join_all(pods.iter().filter(|pod| !is_over(pod)).map(|pod| observe_pod(http, pod))).await
}

async fn observe_pod(http: &reqwest::Client, pod: &Pod) -> PodObservation {
    let name = pod.name_any();
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse().ok());
    let Some(address) = address else { return unreachable(pod) };
    match ask(http, address).await {
        Ok(status) => {
            let mut status = SignerObservation::of(status, Timestamp::now());
            // Signers up to release 0.2.1 say nothing of it.
            if !status.ready && status.reasons.is_empty() && pod.metadata.deletion_timestamp.is_some() {
                status.reasons.push(BEING_DELETED.to_owned());
            }
            PodObservation::Answer { pod: name, status }
        }
        Err(error) => {
            tracing::debug!(pod = name, %error, "the signer's status cannot be read");
            match error {
                AskError::Http(_) => unreachable(pod),
                AskError::Status(error) => {
                    PodObservation::Unreachable { pod: name, reason: unreadable(&error), starting: false }
                }
            }
        }
    }
}

/// The error may repeat what a pod has sent.
fn unreadable(error: &StatusError) -> String {
    let error = excerpt(&error.to_string());
    format!("its answer to GET /status cannot be read, is the signer's image of another release? {error}")
}

/// The names of `pods`, by UID.
pub(crate) fn names_by_uid(pods: &[Pod]) -> BTreeMap<String, String> {
    pods.iter().filter_map(|pod| Some((pod.uid()?, pod.name_any()))).collect()
}

/// Whether all containers of `pod` have ended for good.
pub fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Why a pod that is ending is not Ready, or does not sign.
const BEING_DELETED: &str = "it is being deleted";

fn unreachable(pod: &Pod) -> PodObservation {
    let (starting, reason) = if pod.metadata.deletion_timestamp.is_some() {
        (false, BEING_DELETED.to_owned())
    } else {
        waiting_for(pod, Timestamp::now())
    };
    PodObservation::Unreachable { pod: pod.name_any(), reason, starting }
}

/// Why the status of a signer is not known.
#[derive(Debug, thiserror::Error)]
enum AskError {
    /// There is no answer of a usable length. It may come later.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer is not the status of a signer. It stays so as long as this program answers.
    #[error(transparent)]
    Status(#[from] StatusError),
}

async fn ask(http: &reqwest::Client, address: IpAddr) -> Result<SignerStatus, AskError> {
    let body = get(http, &format!("http://{}/status", SocketAddr::new(address, ADMIN_PORT))).await?;
    Ok(SignerStatus::from_json(&body)?)
}

/// Why the Deployment could not make a pod, such as a quota or Pod Security.
pub fn replica_failure(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure =
        conditions.iter().find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    failure.message.as_deref().map(excerpt)
}

#[cfg(test)]
mod tests;
