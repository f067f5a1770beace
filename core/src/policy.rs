//! Whether a key may sign a payload at all, before any watermark is looked at.

use crate::key::ChainId;
use crate::payload::{Consensus, Payload};
use crate::position::ConsensusKind;

/// What one key may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The chain it signs for.
    pub chain: ChainId,
    /// The kinds it signs.
    pub allow: Vec<ConsensusKind>,
}

/// Why a key may not sign a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Of another chain.
    #[error("the payload is for chain {payload}, this key signs for {key} only")]
    Chain {
        /// The payload's.
        payload: ChainId,
        /// The key's.
        key: ChainId,
    },
    /// Of a kind that is not in `allow`.
    #[error("this key is not allowed to sign a {0} (allow, in its configuration)")]
    Kind(ConsensusKind),
    /// A generic operation. A consensus key can drain its baker's balance by one, so none is signed.
    #[error("this key is not allowed to sign generic operations (magic byte 0x03)")]
    Operation,
    /// Nothing that a baker signs.
    #[error("magic byte 0x{0:02x} not allowed")]
    Magic(u8),
}

impl Policy {
    /// The consensus payload that this key may sign, or why it may not.
    pub fn check(&self, payload: &Payload) -> Result<Consensus, Forbidden> {
        let consensus = match payload {
            Payload::Consensus(consensus) => *consensus,
            Payload::Operation(_) => return Err(Forbidden::Operation),
            Payload::Other { magic } => return Err(Forbidden::Magic(*magic)),
        };
        if consensus.chain != self.chain {
            return Err(Forbidden::Chain { payload: consensus.chain, key: self.chain });
        }
        if !self.allow.contains(&consensus.kind) {
            return Err(Forbidden::Kind(consensus.kind));
        }
        Ok(consensus)
    }
}
