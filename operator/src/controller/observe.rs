//! What can be seen of a TezosSigner's pods, and what the signers in them say of themselves (`GET /status`).

mod volumes;

pub use volumes::waits_for_volumes;

use crate::controller::build::names;
use crate::controller::validate::Form;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt as _;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tezos_signer_core::config::ADMIN_PORT;

/// The signer answers from memory.
const TIMEOUT: Duration = Duration::from_secs(2);

/// 16 keys need a tenth of this. What answers is in somebody's pod, and may be anything.
const LONGEST_ANSWER: usize = 128 * 1024;

/// For how long a container that was started for the third time or more must run until it is believed that it does not end again.
const CRASH_LOOP: SignedDuration = SignedDuration::from_mins(1);

/// A client for pods: they are asked directly, and lead nowhere else.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

impl Sight {
    /// The pod.
    pub fn pod(&self) -> &str {
        match self {
            Self::NoPod(_) => "",
            Self::Silent { pod, .. } | Self::Answer { pod, .. } => pod,
        }
    }
}

/// What the signer says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerStatus {
    /// Whether it signs.
    pub ready: bool,
    /// Whether it has ever been able to.
    #[serde(default)]
    pub started: bool,
    /// The token.
    pub hsm: HsmStatus,
    /// The keys.
    pub keys: Vec<SignerKeyStatus>,
    /// Why it does not sign.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// How the token is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HsmStatus {
    /// Whether it can be used.
    pub ready: bool,
    /// Why not.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How a key's record is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerKeyStatus {
    /// The record's name.
    pub record: String,
    /// Whether the signer holds it.
    pub held: bool,
    /// Whether the record says that nothing may be signed, or nothing above a level: somebody may have written it there by hand.
    #[serde(default)]
    pub suspended: bool,
    /// That level.
    #[serde(default)]
    pub ceiling: Option<i64>,
    /// Whether the record knows less than the signer, which signs nothing with it then.
    #[serde(default)]
    pub went_back: bool,
    /// Why it is not held, or nothing is signed with it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What there is to see of all pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The baker's pod, its newest, and why what runs beside the signer in it does not, if that is so.
    Baker(Sight, Option<String>),
    /// Signers behind a Service.
    Service {
        /// How many there should be.
        replicas: u8,
        /// Those that there are.
        pods: Vec<Replica>,
        /// Why no more can be made, if they cannot.
        failure: Option<String>,
    },
}

impl Seen {
    /// The signers that answer, each with its pod's name.
    pub fn answers(&self) -> impl Iterator<Item = (&str, &SignerStatus)> {
        let (one, several) = match self {
            Self::Baker(sight, _) => (Some(sight), &[][..]),
            Self::Service { pods, .. } => (None, pods.as_slice()),
        };
        one.into_iter().chain(several.iter().map(|replica| &replica.sight)).filter_map(|sight| match sight {
            Sight::Answer { pod, status } => Some((pod.as_str(), status)),
            _ => None,
        })
    }
}

/// One of several signers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Whether the Service sends requests to it.
    pub ready: bool,
    /// Whether it is on its way out, and another one has its place.
    pub ending: bool,
    /// What there is to see of it.
    pub sight: Sight,
}

/// What there is to see of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// No pod, and why if that is known.
    NoPod(Option<String>),
    /// A pod whose signer does not answer, and why as far as it is known.
    Silent {
        /// The pod.
        pod: String,
        /// Why.
        reason: String,
        /// Whether it is only a matter of time.
        starting: bool,
    },
    /// A pod whose signer answers.
    Answer {
        /// The pod.
        pod: String,
        /// What it says.
        status: SignerStatus,
    },
}

/// Looks at the Deployment's pods: at all of them, or of a baker's at the newest that is not ending, else at the newest.
/// `failure` is why no more pods can be made, if they cannot.
pub async fn look(http: &reqwest::Client, form: &Form, failure: Option<String>, pods: &[Pod]) -> Seen {
    let made = pods.iter().filter(|pod| pod.owner_references().iter().any(|owner| owner.kind == "ReplicaSet"));
    match form {
        Form::Baker(_) => {
            let newest = made.max_by_key(|pod| (pod.metadata.deletion_timestamp.is_none(), pod.creation_timestamp()));
            match newest {
                Some(pod) => Seen::Baker(look_at(http, pod).await, beside_the_signer(pod, Timestamp::now())),
                None => Seen::Baker(Sight::NoPod(failure), None),
            }
        }
        Form::Service(form) => {
            let replicas = made.filter(|pod| !is_over(pod)).map(async |pod| Replica {
                ready: is_ready(pod),
                ending: pod.metadata.deletion_timestamp.is_some(),
                sight: look_at(http, pod).await,
            });
            let mut pods = join_all(replicas).await;
            // In an order that does not change from one look to the next.
            pods.sort_by(|a, b| a.sight.pod().cmp(b.sight.pod()));
            Seen::Service { replicas: form.replicas, pods, failure }
        }
    }
}

/// Looks at all that still run, of whatever form and spec they are.
pub async fn look_at_all(http: &reqwest::Client, pods: &[Pod]) -> Vec<Sight> {
    join_all(pods.iter().filter(|pod| !is_over(pod)).map(|pod| look_at(http, pod))).await
}

async fn look_at(http: &reqwest::Client, pod: &Pod) -> Sight {
    let name = pod.name_any();
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse().ok());
    let Some(address) = address else { return silent(pod) };
    match ask(http, address).await {
        Ok(status) => Sight::Answer { pod: name, status },
        Err(error) => {
            tracing::debug!(pod = name, %error, "the signer's status cannot be read");
            silent(pod)
        }
    }
}

/// Whether none of its containers runs any more, and none will.
pub fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Whether the Service sends requests to it.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn silent(pod: &Pod) -> Sight {
    let (starting, reason) = waiting_for(pod, Timestamp::now());
    Sight::Silent { pod: pod.name_any(), reason, starting }
}

/// Why a signer's status is not known.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("longer than {LONGEST_ANSWER} bytes")]
    TooLong,
    #[error("not the JSON that was expected: {0}")]
    Json(#[from] serde_json::Error),
}

async fn ask(http: &reqwest::Client, address: IpAddr) -> Result<SignerStatus, AskError> {
    let url = format!("http://{}/status", SocketAddr::new(address, ADMIN_PORT));
    // Not ready is an answer too, whatever its HTTP status.
    let mut response = http.get(url).timeout(TIMEOUT).send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Err(AskError::TooLong);
        }
    }
    Ok(serde_json::from_slice(&body)?)
}

/// Why the Deployment could not make a pod: a quota, or Pod Security.
pub fn replica_failure(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure =
        conditions.iter().find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    failure.message.clone()
}

/// What a pod waits for whose signer does not answer, and whether that is only a matter of time.
fn waiting_for(pod: &Pod, now: Timestamp) -> (bool, String) {
    let Some(status) = &pod.status else { return (true, "it was just made".to_owned()) };
    let unscheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return (false, format!("no node takes it: {}", condition.message.as_deref().unwrap_or("no reason given")));
    }
    if let Some(reason) = status.init_container_statuses.iter().flatten().find_map(|c| client_failure(pod, c)) {
        return (false, reason);
    }
    if waits_for_volumes(pod) {
        return volumes::waiting_for(pod, now);
    }
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let Some(signer) = containers.find(|container| container.name == names::SIGNER_CONTAINER) else {
        return (true, "no node has started it yet".to_owned());
    };
    if let Some(code) = ended(signer.state.as_ref()).or_else(|| ended(signer.last_state.as_ref())) {
        let logs =
            format!("kubectl logs {} -c signer says why (--previous, if it has been started again)", pod.name_any());
        return (false, format!("its signer ended with exit code {code}; {logs}"));
    }
    let Some(waiting) = signer.state.as_ref().and_then(|state| state.waiting.as_ref()) else {
        return (false, "its signer runs, but does not answer on the admin port".to_owned());
    };
    match (waiting.reason.as_deref().unwrap_or_default(), waiting.message.as_deref()) {
        ("PodInitializing" | "ContainerCreating", _) => {
            (true, "its images are being pulled, or what comes before the signer runs".to_owned())
        }
        // These come in turn, with messages that differ: one sentence for them.
        (reason, _) if is_pull_failure(reason) => {
            let image = &signer.image;
            (
                false,
                format!(
                    "the signer's image {image} cannot be pulled; kubectl describe pod {} says why",
                    pod.name_any()
                ),
            )
        }
        (reason, message) => (false, format!("its signer is not started: {reason} {}", message.unwrap_or_default())),
    }
}

/// Why a container of the user's does not run: what is a matter of time is no reason.
fn beside_the_signer(pod: &Pod, now: Timestamp) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let mut theirs = containers.filter(|container| !names::OWN_CONTAINERS.contains(&container.name.as_str()));
    theirs.find_map(|container| {
        let (pod, name, image) = (pod.name_any(), &container.name, &container.image);
        if ends_again_and_again(container, now) {
            let code = ended(container.last_state.as_ref()).map_or_else(String::new, |code| format!(" with exit code {code}"));
            return Some(format!(
                "container {name} ends{code} again and again; kubectl logs {pod} -c {name} --previous says why"
            ));
        }
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let message = waiting.message.as_deref().unwrap_or_default();
        match waiting.reason.as_deref()? {
            reason if is_pull_failure(reason) => {
                Some(format!("the image {image} of container {name} cannot be pulled; kubectl describe pod {pod} says why"))
            }
            "CreateContainerConfigError" if message.contains("non-numeric user") => Some(format!(
                "the image {image} of container {name} names its user, and runAsNonRoot cannot judge a name: set \
                 securityContext.runAsUser of the container to that user's number"
            )),
            "CreateContainerConfigError" if message.contains("will run as root") => Some(format!(
                "the image {image} of container {name} runs as root, which runAsNonRoot forbids: set securityContext.runAsUser \
                 of the container to the number of another user"
            )),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                Some(format!("container {name} cannot be started: {message}"))
            }
            _ => None,
        }
    })
}

/// Whether the kubelet starts it anew and anew. Between two ends it looks well for a moment, and is not.
fn ends_again_and_again(container: &ContainerStatus, now: Timestamp) -> bool {
    let waits = waits_because(container) == Some("CrashLoopBackOff");
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.finished_at.as_ref());
    let has_just_ended = last.is_some_and(|at| now.duration_since(at.0) < CRASH_LOOP);
    let is_done = ended(container.state.as_ref()) == Some(0);
    waits || container.restart_count >= 2 && has_just_ended && !is_done
}

/// The kubelet's word for what it waits for before it starts the container.
fn waits_because(container: &ContainerStatus) -> Option<&str> {
    container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn ended(state: Option<&ContainerState>) -> Option<i32> {
    Some(state?.terminated.as_ref()?.exit_code)
}

fn is_pull_failure(reason: &str) -> bool {
    ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"].contains(&reason)
}

/// Why the CloudHSM client does not come into the pod, where that is one of its containers' doing.
fn client_failure(pod: &Pod, container: &ContainerStatus) -> Option<String> {
    if ![names::CLIENT_CONTAINER, names::CONFIGURE_CONTAINER].contains(&container.name.as_str()) {
        return None;
    }
    let (pod, name, image) = (pod.name_any(), &container.name, &container.image);
    if waits_because(container).is_some_and(is_pull_failure) {
        return Some(format!(
            "the image {image} of the CloudHSM client cannot be pulled; kubectl describe pod {pod} says why"
        ));
    }
    match ended(container.state.as_ref()).or_else(|| ended(container.last_state.as_ref())) {
        None | Some(0) => None,
        Some(code) => Some(format!(
            "{name}, which brings the CloudHSM client into the pod, ended with exit code {code}; kubectl logs {pod} -c {name} \
             says why"
        )),
    }
}

#[cfg(test)]
mod tests;
