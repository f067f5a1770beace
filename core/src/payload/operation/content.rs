//! What one content of a generic operation holds, and its JSON: one flat object with its `kind`, the other fields named and
//! written as Octez does. How it is read from bytes stands beside this file.

use super::amount::{Counter, Gas, Mutez, Storage, Tickets, Ticks};
use super::entrypoint::Entrypoint;
use super::hash::{
    Address, CommitmentHash, ContractHash, ProtocolHash, RollupStateHash, SlotCommitment, SmartRollupAddress,
};
use super::kind::OperationKind;
use crate::key::{PublicKey, PublicKeyHash, Signature};
use crate::position::Level;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// One content of a generic operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(remote = "Self", untagged)]
pub enum Content {
    /// Paid by an account; several can stand in one operation.
    Manager(Box<Manager>),
    /// Proposes protocols.
    Proposals {
        /// The baker.
        source: PublicKeyHash,
        /// The voting period.
        period: Level,
        /// 1 to 20 protocols.
        proposals: Vec<ProtocolHash>,
    },
    /// Votes on a protocol.
    Ballot {
        /// The baker.
        source: PublicKeyHash,
        /// The voting period.
        period: Level,
        /// The protocol that is voted on.
        proposal: ProtocolHash,
        /// How.
        ballot: Vote,
    },
    /// A consensus key sends the spendable balance of its baker to another account.
    DrainDelegate {
        /// Whose key signs this.
        consensus_key: PublicKeyHash,
        /// Whose balance it is.
        delegate: PublicKeyHash,
        /// Where it goes.
        destination: PublicKeyHash,
    },
    /// Reveals the nonce whose hash stood in a block.
    SeedNonceRevelation {
        /// Of that block.
        level: Level,
        /// The nonce.
        nonce: Bytes,
    },
    /// The solution of a delay function.
    VdfRevelation {
        /// Result and proof, 100 bytes each.
        solution: Bytes,
    },
    /// Claims an account of the fundraiser.
    ActivateAccount {
        /// The account, tz1.
        pkh: PublicKeyHash,
        /// Its 20-byte secret.
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
        /// Those bytes.
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

/// A content that an account pays for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manager {
    /// The account that pays, and whose key signs.
    pub source: PublicKeyHash,
    /// What its baker gets.
    pub fee: Mutez,
    /// The running number of `source`.
    pub counter: Counter,
    /// The most gas it may use.
    pub gas_limit: Gas,
    /// The most storage it may add, which `source` pays for.
    pub storage_limit: Storage,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
}

/// What a manager operation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Action {
    /// Publishes the key of `source`.
    Reveal {
        /// That key.
        public_key: PublicKey,
        /// That a BLS key is possessed.
        #[serde(skip_serializing_if = "Proof::is_not_there")]
        proof: Proof,
    },
    /// Sends tez, calls a contract; or a pseudo-operation.
    Transaction {
        /// What is sent.
        amount: Mutez,
        /// To where.
        destination: Address,
        /// What is called.
        entrypoint: Entrypoint,
        /// With what; none is Unit.
        #[serde(rename = "value", skip_serializing_if = "Option::is_none")]
        parameters: Option<Bytes>,
    },
    /// Makes a contract.
    Origination {
        /// What it gets.
        balance: Mutez,
        /// Its baker.
        #[serde(skip_serializing_if = "Option::is_none")]
        delegate: Option<PublicKeyHash>,
        /// Its Michelson.
        code: Bytes,
        /// Its first storage.
        storage: Bytes,
    },
    /// Chooses the baker of `source`.
    Delegation {
        /// None takes it back.
        delegate: Option<PublicKeyHash>,
    },
    /// Registers a Michelson expression.
    RegisterGlobalConstant {
        /// It.
        value: Bytes,
    },
    /// Limits what a baker puts at stake, before Paris.
    SetDepositsLimit {
        /// None takes the limit back.
        limit: Option<Mutez>,
    },
    /// Pays for storage of a contract.
    IncreasePaidStorage {
        /// How much.
        amount: Storage,
        /// Of which contract.
        destination: ContractHash,
    },
    /// Changes the key that bakes for `source`.
    UpdateConsensusKey {
        /// The new one.
        #[serde(rename = "pk")]
        public_key: PublicKey,
        /// That a BLS key is possessed.
        #[serde(skip_serializing_if = "Proof::is_not_there")]
        proof: Proof,
    },
    /// Changes the key that signs the DAL part of a tz4 baker's votes.
    UpdateCompanionKey {
        /// The new one, always BLS.
        #[serde(rename = "pk")]
        public_key: PublicKey,
        /// That it is possessed.
        #[serde(skip_serializing_if = "Proof::is_not_there")]
        proof: Proof,
    },
    /// Sends tickets.
    TransferTicket {
        /// What they say.
        ticket_contents: Bytes,
        /// Its type.
        ticket_ty: Bytes,
        /// Who made them.
        ticket_ticketer: Address,
        /// How many.
        ticket_amount: Tickets,
        /// To where.
        destination: Address,
        /// What is called there.
        entrypoint: Entrypoint,
    },
    /// Makes a smart rollup.
    SmartRollupOriginate {
        /// Its machine.
        pvm_kind: PvmKind,
        /// Its program.
        kernel: Bytes,
        /// The type of its messages.
        parameters_ty: Bytes,
        /// Who may operate it.
        #[serde(skip_serializing_if = "Option::is_none")]
        whitelist: Option<Vec<PublicKeyHash>>,
    },
    /// Sends messages to all smart rollups.
    SmartRollupAddMessages {
        /// They.
        message: Vec<Bytes>,
    },
    /// Makes a commitment final.
    SmartRollupCement {
        /// The rollup.
        rollup: SmartRollupAddress,
        /// The commitment, before Oxford.
        #[serde(skip_serializing_if = "Option::is_none")]
        commitment: Option<CommitmentHash>,
    },
    /// Commits to what a rollup has done, with a bond of 10 000 tez.
    SmartRollupPublish {
        /// The rollup.
        rollup: SmartRollupAddress,
        /// The state after it.
        compressed_state: RollupStateHash,
        /// Up to which level.
        inbox_level: Level,
        /// The commitment before.
        predecessor: CommitmentHash,
        /// How many steps it took.
        number_of_ticks: Ticks,
    },
    /// Starts or goes on with a dispute about a commitment.
    SmartRollupRefute {
        /// The rollup.
        rollup: SmartRollupAddress,
        /// Against whom.
        opponent: PublicKeyHash,
        /// What is said.
        #[serde(flatten)]
        refutation: Refutation,
    },
    /// Ends a dispute whose other side does not answer.
    SmartRollupTimeout {
        /// The rollup.
        rollup: SmartRollupAddress,
        /// One side.
        alice: PublicKeyHash,
        /// The other.
        bob: PublicKeyHash,
    },
    /// Does what a rollup has said on L1.
    SmartRollupExecuteOutboxMessage {
        /// The rollup.
        rollup: SmartRollupAddress,
        /// The commitment that says it.
        cemented_commitment: CommitmentHash,
        /// That it does.
        output_proof: Bytes,
    },
    /// Takes the bond of a rollup operator back.
    SmartRollupRecoverBond {
        /// The rollup.
        rollup: SmartRollupAddress,
        /// Whose bond.
        staker: PublicKeyHash,
    },
    /// Publishes the commitment to a DAL slot.
    DalPublishCommitment {
        /// The slot.
        slot_index: u8,
        /// The commitment.
        commitment: SlotCommitment,
        /// That it is well-formed.
        commitment_proof: Bytes,
    },
}

/// What is said in a dispute about a smart rollup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "refutation_kind", rename_all = "lowercase")]
pub enum Refutation {
    /// The first move.
    Start {
        /// Of who starts.
        player_commitment_hash: CommitmentHash,
        /// Of the other.
        opponent_commitment_hash: CommitmentHash,
    },
    /// A further one, which splits a section of the steps.
    Move {
        /// The step at which the section starts.
        choice: Ticks,
        /// The states in it, as they are encoded.
        dissection: Bytes,
    },
}

/// The machine of a smart rollup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PvmKind {
    /// For tests.
    Arith,
    /// WebAssembly.
    #[serde(rename = "wasm_2_0_0")]
    Wasm,
    /// RISC-V.
    Riscv,
}

/// The proof that a BLS key is possessed, in operations that publish a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Proof {
    /// The layout has no such field: before Rio and Seoul.
    NoField,
    /// The field says that there is none.
    Absent,
    /// A BLS signature.
    Present(Signature),
}

impl Proof {
    fn is_not_there(&self) -> bool {
        !matches!(self, Self::Present(_))
    }
}

/// A vote on a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    /// For it.
    Yay,
    /// Against it.
    Nay,
    /// Neither.
    Pass,
}

impl Vote {
    /// `yay`, `nay` or `pass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yay => "yay",
            Self::Nay => "nay",
            Self::Pass => "pass",
        }
    }
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no vote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no vote: expected yay, nay or pass")]
pub struct UnknownVote(String);

impl FromStr for Vote {
    type Err = UnknownVote;
    fn from_str(text: &str) -> Result<Self, UnknownVote> {
        let all = [Self::Yay, Self::Nay, Self::Pass];
        all.into_iter().find(|vote| vote.as_str() == text).ok_or_else(|| UnknownVote(text.to_owned()))
    }
}

/// Bytes that are not looked into: Michelson, programs, proofs. Text: hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// They.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Content {
    /// What it does.
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

impl Manager {
    /// What it does. A transaction of an account to itself is a pseudo-operation where its entrypoint says so.
    pub fn kind(&self) -> OperationKind {
        match &self.action {
            Action::Transaction { destination, entrypoint, .. } => {
                let to_itself = *destination == Address::Implicit(self.source);
                entrypoint.pseudo_operation().filter(|_| to_itself).unwrap_or(OperationKind::Transaction)
            }
            Action::Reveal { .. } => OperationKind::Reveal,
            Action::Origination { .. } => OperationKind::Origination,
            Action::Delegation { .. } => OperationKind::Delegation,
            Action::RegisterGlobalConstant { .. } => OperationKind::RegisterGlobalConstant,
            Action::SetDepositsLimit { .. } => OperationKind::SetDepositsLimit,
            Action::IncreasePaidStorage { .. } => OperationKind::IncreasePaidStorage,
            Action::UpdateConsensusKey { .. } => OperationKind::UpdateConsensusKey,
            Action::UpdateCompanionKey { .. } => OperationKind::UpdateCompanionKey,
            Action::TransferTicket { .. } => OperationKind::TransferTicket,
            Action::SmartRollupOriginate { .. } => OperationKind::SmartRollupOriginate,
            Action::SmartRollupAddMessages { .. } => OperationKind::SmartRollupAddMessages,
            Action::SmartRollupCement { .. } => OperationKind::SmartRollupCement,
            Action::SmartRollupPublish { .. } => OperationKind::SmartRollupPublish,
            Action::SmartRollupRefute { .. } => OperationKind::SmartRollupRefute,
            Action::SmartRollupTimeout { .. } => OperationKind::SmartRollupTimeout,
            Action::SmartRollupExecuteOutboxMessage { .. } => OperationKind::SmartRollupExecuteOutboxMessage,
            Action::SmartRollupRecoverBond { .. } => OperationKind::SmartRollupRecoverBond,
            Action::DalPublishCommitment { .. } => OperationKind::DalPublishCommitment,
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
