//! The actions of manager operations, and who pays for them.

use super::amount::{Counter, Gas, Mutez, Storage, Tickets, Ticks};
use super::bytes::Bytes;
use super::entrypoint::Entrypoint;
use super::hash::{Address, CommitmentHash, ContractHash, RollupStateHash, SlotCommitment, SmartRollupAddress};
use super::kind::OperationKind;
use crate::key::{PublicKey, PublicKeyHash, Signature};
use crate::position::Level;
use serde::Serialize;

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
    /// The operation, with its fields beside those above.
    #[serde(flatten)]
    pub action: Action,
}

/// What a manager operation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Action {
    /// Publishes the key of `source`.
    Reveal {
        /// The public key whose hash is `source`.
        public_key: PublicKey,
        /// The proof of possession of a BLS key.
        #[serde(skip_serializing_if = "Proof::is_not_there")]
        proof: Proof,
    },
    /// Sends tez, calls a contract; or a pseudo-operation.
    Transaction {
        /// The transferred amount.
        amount: Mutez,
        /// The account or contract that receives the transfer.
        destination: Address,
        /// The entrypoint of the contract that is called.
        entrypoint: Entrypoint,
        /// The argument of the call in Micheline. `None` is `Unit`.
        #[serde(rename = "value", skip_serializing_if = "Option::is_none")]
        parameters: Option<Bytes>,
    },
    /// Originates a contract.
    Origination {
        /// The amount that the contract starts with.
        balance: Mutez,
        /// The baker that the contract delegates to.
        #[serde(skip_serializing_if = "Option::is_none")]
        delegate: Option<PublicKeyHash>,
        /// The contract's code in Micheline.
        code: Bytes,
        /// The initial storage in Micheline.
        storage: Bytes,
    },
    /// Chooses the baker of `source`.
    Delegation {
        /// None takes it back.
        delegate: Option<PublicKeyHash>,
    },
    /// Registers a Michelson expression.
    RegisterGlobalConstant {
        /// The expression in Micheline.
        value: Bytes,
    },
    /// Limits what a baker puts at stake, before Paris.
    SetDepositsLimit {
        /// None takes the limit back.
        limit: Option<Mutez>,
    },
    /// Pays for storage of a contract.
    IncreasePaidStorage {
        /// The number of bytes to pay for.
        amount: Storage,
        /// The contract whose storage is paid for.
        destination: ContractHash,
    },
    /// Changes the key that bakes for `source`.
    UpdateConsensusKey {
        /// The new consensus key.
        #[serde(rename = "pk")]
        public_key: PublicKey,
        /// The proof of possession of a BLS key.
        #[serde(skip_serializing_if = "Proof::is_not_there")]
        proof: Proof,
    },
    /// Changes the key that signs the DAL part of a tz4 baker's votes.
    UpdateCompanionKey {
        /// The new companion key, always BLS.
        #[serde(rename = "pk")]
        public_key: PublicKey,
        /// The proof of possession of the key.
        #[serde(skip_serializing_if = "Proof::is_not_there")]
        proof: Proof,
    },
    /// Transfers tickets to a contract.
    TransferTicket {
        /// The tickets' contents in Micheline.
        ticket_contents: Bytes,
        /// The type of the contents in Micheline.
        ticket_ty: Bytes,
        /// The contract that issued the tickets.
        ticket_ticketer: Address,
        /// The number of tickets.
        ticket_amount: Tickets,
        /// The contract that receives them.
        destination: Address,
        /// The entrypoint that is called with the tickets.
        entrypoint: Entrypoint,
    },
    /// Makes a smart rollup.
    SmartRollupOriginate {
        /// The virtual machine that runs the kernel.
        pvm_kind: PvmKind,
        /// The kernel: the code of the rollup.
        kernel: Bytes,
        /// The type of its messages.
        parameters_ty: Bytes,
        /// Who may operate it.
        #[serde(skip_serializing_if = "Option::is_none")]
        whitelist: Option<Vec<PublicKeyHash>>,
    },
    /// Sends messages to all smart rollups.
    SmartRollupAddMessages {
        /// The messages, in the order of the inbox.
        message: Vec<Bytes>,
    },
    /// Makes a commitment final.
    SmartRollupCement {
        /// The address of the rollup.
        rollup: SmartRollupAddress,
        /// The commitment, before Oxford.
        #[serde(skip_serializing_if = "Option::is_none")]
        commitment: Option<CommitmentHash>,
    },
    /// Commits to what a rollup has done, with a bond of 10 000 tez.
    SmartRollupPublish {
        /// The address of the rollup.
        rollup: SmartRollupAddress,
        /// The hash of the rollup's state after the committed period.
        compressed_state: RollupStateHash,
        /// The level of the last inbox that the commitment covers.
        inbox_level: Level,
        /// The commitment that this one follows.
        predecessor: CommitmentHash,
        /// The number of steps that the virtual machine made.
        number_of_ticks: Ticks,
    },
    /// Starts or goes on with a dispute about a commitment.
    SmartRollupRefute {
        /// The address of the rollup.
        rollup: SmartRollupAddress,
        /// The operator whose commitment is disputed.
        opponent: PublicKeyHash,
        /// The move in the dispute.
        #[serde(flatten)]
        refutation: Refutation,
    },
    /// Ends a dispute whose other side does not answer.
    SmartRollupTimeout {
        /// The address of the rollup.
        rollup: SmartRollupAddress,
        /// One of the two disputing operators.
        alice: PublicKeyHash,
        /// The other disputing operator.
        bob: PublicKeyHash,
    },
    /// Does what a rollup has said on L1.
    SmartRollupExecuteOutboxMessage {
        /// The address of the rollup.
        rollup: SmartRollupAddress,
        /// The cemented commitment with the outbox message.
        cemented_commitment: CommitmentHash,
        /// The proof that the message is in the outbox of that commitment.
        output_proof: Bytes,
    },
    /// Takes the bond of a rollup operator back.
    SmartRollupRecoverBond {
        /// The address of the rollup.
        rollup: SmartRollupAddress,
        /// The operator whose bond is returned to it.
        staker: PublicKeyHash,
    },
    /// Publishes the commitment to a DAL slot.
    DalPublishCommitment {
        /// The index of the slot in the level's DAL data.
        slot_index: u8,
        /// The KZG commitment to the slot's data.
        commitment: SlotCommitment,
        /// The proof that the commitment is well-formed.
        commitment_proof: Bytes,
    },
}

/// What is said in a dispute about a smart rollup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "refutation_kind", rename_all = "lowercase")]
pub enum Refutation {
    /// The first move of a dispute.
    Start {
        /// The commitment of the operator that starts the dispute.
        player_commitment_hash: CommitmentHash,
        /// The commitment of the opponent, which is disputed.
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
    /// The arithmetic machine, for tests of the protocol.
    Arith,
    /// The WebAssembly machine.
    #[serde(rename = "wasm_2_0_0")]
    Wasm,
    /// The RISC-V machine.
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
    /// A BLS signature by the key over itself.
    Present(Signature),
}

impl Proof {
    fn is_not_there(&self) -> bool {
        !matches!(self, Self::Present(_))
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
