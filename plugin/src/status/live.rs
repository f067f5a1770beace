//! What the signers of a TezosSigner, their logs and its node say now. Each part may be missing, with the reason.

use crate::cluster::Cluster;
use crate::error::PluginError;
use crate::node::Node;
use futures::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;
use tezos_signer_core::audit::Line;
use tezos_signer_core::key::ChainId;
use tezos_signer_core::position::Level;
use tezos_signer_core::status::SignerStatus;
use tezos_signer_operator::api::TezosSigner;
use tezos_signer_operator::identity::Identity;
use tezos_signer_operator::names::SIGNER_CONTAINER;

/// How many lines of a signer's log are read for the time of its last signature: two lines a signature, so some minutes of a baker.
const LOG_LINES: i64 = 300;

/// The age up to which the head of a node is taken for the level of the chain, as the operator does.
const OLDEST_HEAD: SignedDuration = SignedDuration::from_mins(10);

/// The chain id of mainnet.
const MAINNET: &str = "NetXdQprcVkpaWU";

/// What is known now of a TezosSigner, besides its own object.
pub(crate) struct Live {
    /// Its pods that have a signer, or why they are not known.
    pub(crate) pods: Result<Vec<LivePod>, PluginError>,
    /// The level of the node's head, where a node is named.
    pub(crate) head: Option<Result<Level, PluginError>>,
}

/// What one pod says now.
pub(crate) struct LivePod {
    /// The name of the pod.
    pub(crate) name: String,
    /// The answer to `GET /status`.
    pub(crate) status: Result<SignerStatus, PluginError>,
    /// The last audit lines in its log.
    pub(crate) audit: Result<Vec<Line>, PluginError>,
}

/// Asks all of them at the same time. `node`: the node to ask in place of the one that the TezosSigner names.
pub(crate) async fn look(cluster: &Cluster, signer: &TezosSigner, node: Option<&str>) -> Live {
    // Boxed, because there may be a hundred of them at once.
    let (pods, head) = join(Box::pin(pods(cluster, signer)), Box::pin(head(cluster, signer, node))).await;
    Live { pods, head }
}

/// Asks the signers only.
pub(crate) async fn look_without_node(cluster: &Cluster, signer: &TezosSigner) -> Live {
    Live { pods: pods(cluster, signer).await, head: None }
}

async fn pods(cluster: &Cluster, signer: &TezosSigner) -> Result<Vec<LivePod>, PluginError> {
    let identity = identity(signer)?;
    let pods = cluster.pods(&identity).await?;
    let asked = pods.iter().filter(|pod| runs_signer(pod)).map(async |pod| {
        let name = pod.name_any();
        let status = async {
            let body = cluster.ask_signer(&identity.namespace, &name, "/status").await?;
            SignerStatus::from_json(&body).map_err(|error| PluginError::Request {
                what: format!("reading the status of the pod {name}"),
                reason: format!("{error}. Is it of a later release? Update the plugin"),
            })
        };
        let audit = async {
            let log = cluster.log(&identity.namespace, &name, SIGNER_CONTAINER, LOG_LINES, false).await?;
            Ok(audit_lines(&log))
        };
        let (status, audit) = join(status, audit).await;
        LivePod { name, status, audit }
    });
    Ok(join_all(asked).await)
}

/// The identity of `signer`, which the API server always sets.
pub(crate) fn identity(signer: &TezosSigner) -> Result<Identity, PluginError> {
    Identity::of(&signer.metadata)
        .map_err(|error| PluginError::Request { what: "reading the TezosSigner".to_owned(), reason: error.to_string() })
}

/// The lines of the audit log in the log of a container. The others are the process's own.
pub(crate) fn audit_lines(log: &str) -> Vec<Line> {
    log.lines().filter(|line| line.starts_with('{')).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Whether the container of the signer in `pod` runs.
pub(crate) fn runs_signer(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let mut signers = containers.filter(|container| container.name == SIGNER_CONTAINER);
    signers.any(|signer| signer.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// The node that `signer` names: its own, else the baker's, which is the first if there are several.
fn named_node(signer: &TezosSigner) -> Option<&str> {
    let octez = signer.spec.baker.as_ref().and_then(|baker| baker.octez.as_ref());
    let of_baker = octez.and_then(|octez| octez.node_endpoint.as_ref().or(octez.node_endpoints.first()));
    signer.spec.node_endpoint.as_ref().or(of_baker).map(String::as_str)
}

/// The node to ask about `signer`; `given` is that of the command line.
pub(crate) async fn node(
    cluster: &Cluster,
    signer: &TezosSigner,
    given: Option<&str>,
) -> Option<Result<Node, PluginError>> {
    match (given, named_node(signer)) {
        (Some(given), _) => Some(Node::direct(given)),
        (None, Some(named)) => Some(Node::of_cluster(cluster, named, &signer.namespace().unwrap_or_default()).await),
        (None, None) => None,
    }
}

async fn head(cluster: &Cluster, signer: &TezosSigner, given: Option<&str>) -> Option<Result<Level, PluginError>> {
    let level = async |node: Result<Node, PluginError>| {
        let node = node?;
        let header = node.head().await?;
        level_of(&header, chain_id(signer)?, Timestamp::now()).map_err(|reason| PluginError::Request {
            what: format!("asking the node {} for its head", node.endpoint()),
            reason,
        })
    };
    Some(level(node(cluster, signer, given).await?).await)
}

/// The level in `header`, if that is a recent head of `chain`.
fn level_of(header: &Value, chain: ChainId, now: Timestamp) -> Result<Level, String> {
    if header["chain_id"] != *chain.to_string() {
        return Err(format!("it follows the chain {}, and the keys sign for {chain}", header["chain_id"]));
    }
    let time = header["timestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    if time.is_none_or(|time| now.duration_since(time) > OLDEST_HEAD) {
        return Err(format!("its head is of {}, so it is not synchronised", header["timestamp"]));
    }
    let level = header["level"].as_i64().and_then(|level| Level::try_from(level).ok());
    level.ok_or_else(|| "its head has no level".to_owned())
}

/// The chain that `signer` signs for.
pub(crate) fn chain_id(signer: &TezosSigner) -> Result<ChainId, PluginError> {
    let text = signer.spec.chain.as_str();
    let id = if text == "mainnet" { MAINNET } else { text };
    id.parse().map_err(|error| PluginError::Argument(format!("spec.chain of the TezosSigner is {text:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_new_head_of_the_same_chain_is_compared_with() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let chain: ChainId = MAINNET.parse().unwrap();
        let header = json!({"chain_id": MAINNET, "level": 15_181_990, "timestamp": "2026-11-29T11:59:54Z"});
        assert_eq!(level_of(&header, chain, now).map(Level::get), Ok(15_181_990));
        for (field, value, said) in [
            ("chain_id", json!("NetXnHfVqm9iesp"), "follows the chain \"NetXnHfVqm9iesp\""),
            ("timestamp", json!("2026-11-29T11:49:59Z"), "is not synchronised"),
            ("timestamp", json!(null), "is not synchronised"),
            ("level", json!("15181990"), "no level"),
        ] {
            let mut other = header.clone();
            other[field] = value;
            let reason = level_of(&other, chain, now).unwrap_err();
            assert!(reason.contains(said), "{reason}");
        }
    }
}
