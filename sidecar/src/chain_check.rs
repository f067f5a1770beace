//! Asks an Octez node, once after the start, whether the chain has signatures of the configured keys above their watermark
//! records. If so, a record was restored from an old copy before this process started. A running process detects that by
//! itself.
//!
//! The check is not on the signing path. If the node does not answer, this is logged and retried, and signing continues.
//! `watermarks compare` makes the same check before a signer starts.

use crate::keyring::Key;
use crate::records::session::RecordSessionError;
use crate::signing::Signer;
use crate::user_agent::USER_AGENT;
use axum::body::{Body, to_bytes};
use axum::http::{self, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::audit::evidence::EvidenceSet;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::chain_evidence::{baked_by, votes_of};
use tezos_signer_core::config::NodeEndpoint;
use tezos_signer_core::key::{ChainId, PublicKeyHash};
use tezos_signer_core::position::Level;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The number of blocks above the record that are checked. The signatures that an old copy lacks are right above it, however old the copy
/// is, and a baker votes in most blocks.
const BLOCKS: u32 = 60;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// After how long a node that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(10);

/// How often it is checked whether the record was read.
const LOOK: Duration = Duration::from_millis(100);

/// How long the record may take to be read again, once there is proof.
const REMIND: Duration = Duration::from_mins(1);

/// The votes of a block are some 200 kB.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Why nothing is known from the node. A signer that runs asks again by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// There is no connection to the node: check `nodeEndpoint` and that the node runs. A retry helps then.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(NodeEndpoint, #[source] std::io::Error),
    /// The node's answer to this path cannot be used. A retry helps where the node is starting; else `nodeEndpoint` is that of something else.
    #[error("{0} gave no usable answer to {1}: {2}")]
    Broken(NodeEndpoint, String, #[source] Cause),
    /// The node has not answered this path in time. A retry may help.
    #[error("{0} has not answered {1} in time")]
    TimedOut(NodeEndpoint, String),
    /// The node follows another chain than the key signs for. A retry does not help.
    #[error("{0} is a node of the chain {1}, and the key signs for another: check nodeEndpoint")]
    OtherChain(NodeEndpoint, Value),
    /// The record could not be read again after the node had proven a signature. A retry may help.
    #[error("the record could not be read again: {0}")]
    Record(#[from] RecordSessionError),
}

/// Compares the records of `keys` with the chain.
pub(crate) async fn compare_all(signer: Arc<Signer>, keys: Vec<Arc<Key>>, node: NodeEndpoint) {
    futures::future::join_all(keys.iter().map(|key| compare(&signer, key, &node))).await;
}

async fn compare(signer: &Signer, key: &Key, node: &NodeEndpoint) {
    let record = loop {
        match key.record.view().record {
            Some(record) => break record,
            None if signer.is_closing() => return,
            None => tokio::time::sleep(LOOK).await,
        }
    };
    // Such a key has never signed anything; and the chain below is long.
    if record.is_fresh() {
        return;
    }
    let (name, above) = (key.record.name(), record.rows.highest_level());
    let mut logged = String::new();
    while !signer.is_closing() {
        match compare_once(key, node, above).await {
            Ok(found) => {
                tracing::info!(record = %name, %node, %above, found, "compared with the chain");
                return;
            }
            Err(error) if error.to_string() != logged => {
                logged = error.to_string();
                tracing::warn!(record = %name, reason = logged, "not compared with the chain yet, retrying; signing continues");
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Checks whether the blocks above `above` have a signature that the record lacks, and reports it to the record's session.
async fn compare_once(key: &Key, node: &NodeEndpoint, above: Level) -> Result<bool, NodeError> {
    let (hash, chain) = (key.config.hash(), key.config.policy.chain);
    let head = head(node, chain).await?;
    for level in blocks_above(above, head) {
        let proofs = proofs_in(node, &hash, level).await?;
        if !proofs.is_empty() {
            key.record.remind(proofs, Instant::now() + REMIND).await?;
            if key.record.view().went_back {
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
    /// The last block that was checked; `None` if the head is not above the record.
    pub looked_to: Option<Level>,
    /// What was found of the key.
    pub proofs: EvidenceSet,
}

/// Looks through the blocks above `above` for blocks and votes of `hash`.
pub async fn signed_above(
    node: &NodeEndpoint,
    hash: &PublicKeyHash,
    chain: ChainId,
    above: Level,
) -> Result<Seen, NodeError> {
    let mut seen = Seen { head: head(node, chain).await?, looked_to: None, proofs: EvidenceSet::default() };
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
    level.ok_or_else(|| NodeError::Broken(node.clone(), path.to_owned(), "it has no level".into()))
}

/// The first blocks above a level, up to the head.
fn blocks_above(above: Level, head: Level) -> impl Iterator<Item = Level> {
    let (first, last) = (i64::from(above.get()) + 1, i64::from(above.get()) + i64::from(BLOCKS));
    (first..=last.min(i64::from(head.get()))).map_while(|level| Level::try_from(level).ok())
}

async fn proofs_in(node: &NodeEndpoint, hash: &PublicKeyHash, level: Level) -> Result<EvidenceSet, NodeError> {
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
    let broken = |reason: Cause| NodeError::Broken(node.clone(), path.to_owned(), reason);
    let unreachable = |error| NodeError::Unreachable(node.clone(), error);
    let stream = TcpStream::connect(node.authority()).await.map_err(unreachable)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(Cause::of(error)))?;
    let request = http::Request::get(path)
        .header(header::HOST, node.authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "application/json");
    let request = request.body(Body::empty()).map_err(|error| broken(Cause::of(error)))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| broken(Cause::of(error)))?;
        if answer.status() != http::StatusCode::OK {
            return Err(broken(format!("status {}", answer.status()).into()));
        }
        let body = to_bytes(Body::new(answer.into_body()), LONGEST_ANSWER).await;
        serde_json::from_slice(&body.map_err(|error| broken(Cause::of(error)))?)
            .map_err(|error| broken(Cause::of(error)))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The response is complete.
        _ = connection => exchange.await,
    }
}
