//! Asks an Octez node, once after the start, whether the chain has signatures of our keys that the watermark records do not know:
//! then they were set back to an old copy before this process began. One that runs sees for itself what becomes of a record.
//!
//! It is never on a signature's way. A node that does not answer is told in the log and asked again, and signing goes on.

use crate::custody::CustodyError;
use crate::signer::{Key, Signer};
use axum::body::{Body, to_bytes};
use axum::http::{self, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::audit::witness::Proofs;
use tezos_signer_core::chain::{baked_by, votes_of};
use tezos_signer_core::config::NodeEndpoint;
use tezos_signer_core::position::Level;
use tokio::net::TcpStream;

/// How many blocks above the record are looked at. What an old copy has forgotten was signed right above it, however long ago that
/// was; and who baked on votes in most blocks.
const BLOCKS: u32 = 60;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// After how long a node that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(10);

/// How often it is looked whether the record was read.
const LOOK: Duration = Duration::from_millis(100);

/// How long the record may take to be read again, once there is proof.
const REMIND: Duration = Duration::from_mins(1);

/// The votes of a block are some 200 kB.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Why nothing is known from the node.
#[derive(Debug, thiserror::Error)]
enum NodeError {
    #[error("{0} cannot be reached: {1}")]
    Unreachable(NodeEndpoint, std::io::Error),
    #[error("{0} gave no answer to {1}: {2}")]
    Broken(NodeEndpoint, String, String),
    #[error("{0} has not answered {1} in time")]
    TimedOut(NodeEndpoint, String),
    #[error("{0} is a node of the chain {1}, and the key signs for another: check nodeEndpoint")]
    OtherChain(NodeEndpoint, Value),
    #[error("the record could not be read again: {0}")]
    Record(#[from] CustodyError),
}

/// Compares each record with the chain.
pub(crate) async fn compare_all(signer: Arc<Signer>, node: NodeEndpoint) {
    let all = signer.keys().map(|key| compare(&signer, key, &node));
    futures::future::join_all(all).await;
}

async fn compare(signer: &Signer, key: &Key, node: &NodeEndpoint) {
    let record = loop {
        match key.custody.view().record {
            Some(record) => break record,
            None if signer.is_closing() => return,
            None => tokio::time::sleep(LOOK).await,
        }
    };
    // Such a key has never signed anything; and the chain below is long.
    if record.is_fresh() {
        return;
    }
    let (name, above) = (key.custody.name(), record.rows.highest_level());
    let mut told = String::new();
    while !signer.is_closing() {
        match look(key, node, above).await {
            Ok(found) => {
                tracing::info!(record = %name, %node, %above, found, "compared with the chain");
                return;
            }
            Err(error) if error.to_string() != told => {
                told = error.to_string();
                tracing::warn!(record = %name, reason = told, "not compared with the chain yet, trying again; signing goes on");
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether the blocks above `above` have a signature that the record does not know; the record's custody is told of it.
async fn look(key: &Key, node: &NodeEndpoint, above: Level) -> Result<bool, NodeError> {
    let head = get(node, "/chains/main/blocks/head/header").await?;
    let chain = key.config.policy.chain.to_string();
    if head["chain_id"] != *chain {
        return Err(NodeError::OtherChain(node.clone(), head["chain_id"].clone()));
    }
    let (first, head) = (i64::from(above.get()) + 1, head["level"].as_i64().unwrap_or_default());
    for number in first..=head.min(i64::from(above.get()) + i64::from(BLOCKS)) {
        // Beyond the last one that there can be.
        let Ok(level) = Level::try_from(number) else { break };
        let hash = key.config.hash();
        let votes = votes_of(&hash, level, &get(node, &format!("/chains/main/blocks/{level}/operations/0")).await?);
        let block = baked_by(&hash, level, &get(node, &format!("/chains/main/blocks/{level}/metadata")).await?);
        let proofs: Proofs = votes.into_iter().chain(block).collect();
        if !proofs.is_empty() {
            key.custody.remind(proofs, Instant::now() + REMIND).await?;
            if key.custody.view().went_back {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

async fn get(node: &NodeEndpoint, path: &str) -> Result<Value, NodeError> {
    let answer = tokio::time::timeout(PATIENCE, ask(node, path)).await;
    answer.unwrap_or_else(|_| Err(NodeError::TimedOut(node.clone(), path.to_owned())))
}

/// One connection for each: it is few, and seldom.
async fn ask(node: &NodeEndpoint, path: &str) -> Result<Value, NodeError> {
    let broken = |reason: String| NodeError::Broken(node.clone(), path.to_owned(), reason);
    let unreachable = |error| NodeError::Unreachable(node.clone(), error);
    let stream = TcpStream::connect(node.authority()).await.map_err(unreachable)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.to_string()))?;
    let request =
        http::Request::get(path).header(header::HOST, node.authority()).header(header::ACCEPT, "application/json");
    let request = request.body(Body::empty()).map_err(|error| broken(error.to_string()))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
        if answer.status() != http::StatusCode::OK {
            return Err(broken(format!("status {}", answer.status())));
        }
        let body = to_bytes(Body::new(answer.into_body()), LONGEST_ANSWER).await;
        serde_json::from_slice(&body.map_err(|error| broken(error.to_string()))?)
            .map_err(|error| broken(error.to_string()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection has brought all that it will.
        _ = connection => exchange.await,
    }
}
