//! What blocks of the chain prove: that a key has signed a vote that is in one, or one itself. Read from what an Octez node says of a
//! block, and held against a watermark record as the lines of an audit log are.
//!
//! Only what is found is proof. That nothing is found proves nothing: a vote may have come too late for a block.

use crate::audit::witness::{Proof, Source};
use crate::key::PublicKeyHash;
use crate::position::{ConsensusKind, Level, Position, Round};
use serde_json::Value;

/// The votes of `key` in the block at `at`, of which the node says `operations`: its answer to `/blocks/…/operations/0`.
pub fn votes_of(key: &PublicKeyHash, at: Level, operations: &Value) -> Vec<Proof> {
    let key = key.to_string();
    let contents = operations.as_array().into_iter().flatten().filter_map(|one| one["contents"].as_array()).flatten();
    let ours = contents.filter(|content| content["metadata"]["consensus_key"] == *key);
    let proof = |content: &Value| {
        let kind = match content["kind"].as_str()? {
            "attestation" | "attestation_with_dal" => ConsensusKind::Attestation,
            "preattestation" => ConsensusKind::Preattestation,
            _ => return None,
        };
        let level = Level::try_from(content["level"].as_i64()?).ok()?;
        let round = Round::try_from(content["round"].as_i64()?).ok()?;
        Some(Proof { kind, position: Position { level, round }, digest: None, source: Source::Block { level: at } })
    };
    ours.filter_map(proof).collect()
}

/// That `key` has signed the block at `at` itself, of which the node says `metadata`. It does not say in which round: in the first one
/// or a later one.
pub fn baked_by(key: &PublicKeyHash, at: Level, metadata: &Value) -> Option<Proof> {
    let position = Position { level: at, round: Round::default() };
    let proof = Proof { kind: ConsensusKind::Block, position, digest: None, source: Source::Block { level: at } };
    (metadata["baker_consensus_key"] == *key.to_string()).then_some(proof)
}

#[cfg(test)]
mod tests;
