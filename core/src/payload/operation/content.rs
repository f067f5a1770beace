//! One content of a generic operation, and its JSON: a flat object with its `kind`, and the field names and values of Octez.
//! The decoding is in the other modules of this folder.

use super::action::Manager;
use super::amount::Mutez;
use super::ballot::Vote;
use super::bytes::Bytes;
use super::hash::ProtocolHash;
use super::kind::OperationKind;
use crate::key::PublicKeyHash;
use crate::position::Level;
use serde::Serialize;

/// One content of a generic operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(remote = "Self", untagged)]
pub enum Content {
    /// Paid by an account; several can stand in one operation.
    Manager(Box<Manager>),
    /// Proposes protocols for the next amendment.
    Proposals {
        /// The baker that proposes.
        source: PublicKeyHash,
        /// The index of the voting period.
        period: Level,
        /// 1 to 20 protocols.
        proposals: Vec<ProtocolHash>,
    },
    /// Votes on a protocol.
    Ballot {
        /// The baker that votes.
        source: PublicKeyHash,
        /// The index of the voting period.
        period: Level,
        /// The protocol that is voted on.
        proposal: ProtocolHash,
        /// The vote: for, against, or to abstain.
        ballot: Vote,
    },
    /// A consensus key sends the spendable balance of its baker to another account.
    DrainDelegate {
        /// Whose key signs this.
        consensus_key: PublicKeyHash,
        /// Whose balance it is.
        delegate: PublicKeyHash,
        /// The account that receives the balance.
        destination: PublicKeyHash,
    },
    /// Reveals the nonce whose hash stood in a block.
    SeedNonceRevelation {
        /// The level of the block with the nonce's hash.
        level: Level,
        /// The revealed nonce, 32 bytes.
        nonce: Bytes,
    },
    /// The solution of a delay function.
    VdfRevelation {
        /// Result and proof, 100 bytes each.
        solution: Bytes,
    },
    /// Claims an account of the fundraiser.
    ActivateAccount {
        /// The hash of the account, tz1.
        pkh: PublicKeyHash,
        /// The account's activation secret, 20 bytes.
        secret: Bytes,
    },
    /// Denounces two votes for one position.
    DoubleVoteEvidence {
        /// Which of the layouts it has.
        #[serde(skip)]
        denounced: Denounced,
        /// The slot of the delegate, from Seoul on.
        #[serde(skip_serializing_if = "Option::is_none")]
        slot: Option<u16>,
        /// A signed vote, not looked into.
        op1: Bytes,
        /// A signed vote, not looked into.
        op2: Bytes,
    },
    /// Denounces two blocks for one position.
    DoubleBakingEvidence {
        /// A signed header, not looked into.
        bh1: Bytes,
        /// A signed header, not looked into.
        bh2: Bytes,
    },
    /// Is never valid: carries bytes that somebody wants signed.
    FailingNoop {
        /// The bytes that are to be signed.
        arbitrary: Bytes,
    },
}

/// Which votes a denunciation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denounced {
    /// Two attestations, before Seoul.
    Attestations,
    /// Two preattestations, before Seoul.
    Preattestations,
    /// Two votes of either kind, from Seoul on.
    Votes,
}

impl Content {
    /// The kind of this content, as the policy of a key names it.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Manager(manager) => manager.kind(),
            Self::Proposals { .. } => OperationKind::Proposals,
            Self::Ballot { .. } => OperationKind::Ballot,
            Self::DrainDelegate { .. } => OperationKind::DrainDelegate,
            Self::SeedNonceRevelation { .. } => OperationKind::SeedNonceRevelation,
            Self::VdfRevelation { .. } => OperationKind::VdfRevelation,
            Self::ActivateAccount { .. } => OperationKind::ActivateAccount,
            Self::DoubleVoteEvidence { denounced, .. } => match denounced {
                Denounced::Attestations => OperationKind::DoubleAttestationEvidence,
                Denounced::Preattestations => OperationKind::DoublePreattestationEvidence,
                Denounced::Votes => OperationKind::DoubleConsensusOperationEvidence,
            },
            Self::DoubleBakingEvidence { .. } => OperationKind::DoubleBakingEvidence,
            Self::FailingNoop { .. } => OperationKind::FailingNoop,
        }
    }

    /// The account it is from, whose key signs it: `source`, or the consensus key of a drain. None where Octez wants no
    /// signature, or of nobody in particular.
    pub fn source(&self) -> Option<&PublicKeyHash> {
        match self {
            Self::Manager(manager) => Some(&manager.source),
            Self::Proposals { source, .. } | Self::Ballot { source, .. } => Some(source),
            Self::DrainDelegate { consensus_key, .. } => Some(consensus_key),
            _ => None,
        }
    }

    /// What its baker gets; only manager operations say so.
    pub fn fee(&self) -> Option<Mutez> {
        match self {
            Self::Manager(manager) => Some(manager.fee),
            _ => None,
        }
    }
}

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Fields<'a>(&'a Content);
        impl Serialize for Fields<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Content::serialize(self.0, serializer)
            }
        }
        #[derive(Serialize)]
        struct WithKind<'a> {
            kind: OperationKind,
            #[serde(flatten)]
            fields: Fields<'a>,
        }
        WithKind { kind: self.kind(), fields: Fields(self) }.serialize(serializer)
    }
}
