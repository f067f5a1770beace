//! The evidence that blocks of the chain have about a key: votes that they include, and blocks that it signed. It is read
//! from an Octez node's answers and compared with a watermark record, like the evidence of an audit log.
//!
//! Only positive results are evidence. A vote that is not found may have come too late to be included in a block.

use crate::audit::evidence::{EvidenceSource, SigningEvidence};
use crate::key::PublicKeyHash;
use crate::position::{ConsensusKind, Level, Position, Round};
use serde_json::Value;

/// The votes of `key` in the block at `at`, of which the node says `operations`: its answer to `/blocks/…/operations/0`.
pub fn votes_of(key: &PublicKeyHash, at: Level, operations: &Value) -> Vec<SigningEvidence> {
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
        Some(SigningEvidence {
            kind,
            position: Position { level, round },
            digest: None,
            source: EvidenceSource::Block { level: at },
        })
    };
    ours.filter_map(proof).collect()
}

/// That `key` has signed the block at `at` itself, of which the node says `metadata`. It does not say in which round: in the first one
/// or a later one.
pub fn baked_by(key: &PublicKeyHash, at: Level, metadata: &Value) -> Option<SigningEvidence> {
    let position = Position { level: at, round: Round::default() };
    let proof = SigningEvidence {
        kind: ConsensusKind::Block,
        position,
        digest: None,
        source: EvidenceSource::Block { level: at },
    };
    (metadata["baker_consensus_key"] == *key.to_string()).then_some(proof)
}

#[cfg(test)]
mod tests;
