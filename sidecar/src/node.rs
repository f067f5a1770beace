//! Asks an Octez node, once after the start, whether the chain has signatures of our keys that the watermark records do not know:
//! then they were set back to an old copy before this process began. One that runs sees for itself what becomes of a record.
//!
//! It is never on a signature's way. A node that does not answer is told in the log and asked again, and signing goes on.
//! `watermarks compare` asks the same, before a signer starts.

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
use tezos_signer_core::key::{ChainId, PublicKeyHash};
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
#[allow(missing_docs, reason = "the messages say it")]
pub enum NodeError {
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

/// Compares the records of `keys` with the chain.
pub(crate) async fn compare_all(signer: Arc<Signer>, keys: Vec<Arc<Key>>, node: NodeEndpoint) {
    futures::future::join_all(keys.iter().map(|key| compare(&signer, key, &node))).await;
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
    let (hash, chain) = (key.config.hash(), key.config.policy.chain);
    let head = head(node, chain).await?;
    for level in blocks_above(above, head) {
        let proofs = proofs_in(node, &hash, level).await?;
        if !proofs.is_empty() {
            key.custody.remind(proofs, Instant::now() + REMIND).await?;
            if key.custody.view().went_back {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What a node shows of a key above its record.
#[derive(Debug)]
pub struct Seen {
    /// The level of the node's head.
    pub head: Level,
    /// The last block that was looked at; none where the head is not above the record.
    pub looked_to: Option<Level>,
    /// What was found of the key.
    pub proofs: Proofs,
}

/// Looks through the blocks above `above` for blocks and votes of `hash`.
pub async fn signed_above(
    node: &NodeEndpoint,
    hash: &PublicKeyHash,
    chain: ChainId,
    above: Level,
) -> Result<Seen, NodeError> {
    let mut seen = Seen { head: head(node, chain).await?, looked_to: None, proofs: Proofs::default() };
    for level in blocks_above(above, seen.head) {
        seen.proofs.extend(proofs_in(node, hash, level).await?);
        seen.looked_to = Some(level);
    }
    Ok(seen)
}

/// The level of the head of a node that must be one of `chain`.
async fn head(node: &NodeEndpoint, chain: ChainId) -> Result<Level, NodeError> {
    let path = "/chains/main/blocks/head/header";
    let head = get(node, path).await?;
    if head["chain_id"] != *chain.to_string() {
        return Err(NodeError::OtherChain(node.clone(), head["chain_id"].clone()));
    }
    let level = head["level"].as_i64().and_then(|level| Level::try_from(level).ok());
    level.ok_or_else(|| NodeError::Broken(node.clone(), path.to_owned(), "it has no level".to_owned()))
}

/// The first blocks above a level, up to the head.
fn blocks_above(above: Level, head: Level) -> impl Iterator<Item = Level> {
    let (first, last) = (i64::from(above.get()) + 1, i64::from(above.get()) + i64::from(BLOCKS));
    (first..=last.min(i64::from(head.get()))).map_while(|level| Level::try_from(level).ok())
}

async fn proofs_in(node: &NodeEndpoint, hash: &PublicKeyHash, level: Level) -> Result<Proofs, NodeError> {
    let votes = votes_of(hash, level, &get(node, &format!("/chains/main/blocks/{level}/operations/0")).await?);
    let block = baked_by(hash, level, &get(node, &format!("/chains/main/blocks/{level}/metadata")).await?);
    Ok(votes.into_iter().chain(block).collect())
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
