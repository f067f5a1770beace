//! The names of operations, as in Octez and Signatory.

use std::fmt;
use std::str::FromStr;

/// A text that is no operation kind. A retry does not help: the message lists the kinds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an operation kind: expected one of {all}", all = all_names())]
pub struct UnknownOperationKind(String);

fn all_names() -> String {
    OperationKind::ALL.map(OperationKind::as_str).join(", ")
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $text:literal,)+) => {
        /// What one content of a generic operation does.
        ///
        /// The last four are pseudo-operations: transactions from an account to itself that Octez tells apart by their
        /// entrypoint.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum OperationKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl OperationKind {
            /// Every kind, in the order of the enum.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$name),+];

            /// Its name in configurations, metrics and messages.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// Tag 107: publishes the key of an account.
    Reveal "reveal",
    /// Tag 108: sends tez, calls a contract.
    Transaction "transaction",
    /// Tag 109: makes a contract.
    Origination "origination",
    /// Tag 110: chooses a baker; with itself, registers as one.
    Delegation "delegation",
    /// Tag 111: registers a Micheline expression as a constant.
    RegisterGlobalConstant "register_global_constant",
    /// Tag 112, before Paris.
    SetDepositsLimit "set_deposits_limit",
    /// Tag 113: pays for storage of a contract.
    IncreasePaidStorage "increase_paid_storage",
    /// Tag 114: changes the key that bakes for an account.
    UpdateConsensusKey "update_consensus_key",
    /// Tag 115, from Seoul on.
    UpdateCompanionKey "update_companion_key",
    /// Tag 158: transfers tickets to a contract.
    TransferTicket "transfer_ticket",
    /// Tag 200: originates a smart rollup.
    SmartRollupOriginate "smart_rollup_originate",
    /// Tag 201: sends messages to all smart rollups.
    SmartRollupAddMessages "smart_rollup_add_messages",
    /// Tag 202: cements a commitment of a rollup.
    SmartRollupCement "smart_rollup_cement",
    /// Tag 203: publishes a commitment of a rollup.
    SmartRollupPublish "smart_rollup_publish",
    /// Tag 204: a move in a dispute about a commitment.
    SmartRollupRefute "smart_rollup_refute",
    /// Tag 205: ends a dispute whose other side does not answer.
    SmartRollupTimeout "smart_rollup_timeout",
    /// Tag 206: executes an outbox message of a rollup.
    SmartRollupExecuteOutboxMessage "smart_rollup_execute_outbox_message",
    /// Tag 207: returns the bond of a rollup operator.
    SmartRollupRecoverBond "smart_rollup_recover_bond",
    /// Tag 230: publishes the commitment to a DAL slot.
    DalPublishCommitment "dal_publish_commitment",
    /// Tag 250, never active on mainnet.
    ZkRollupOrigination "zk_rollup_origination",
    /// Tag 251, never active on mainnet.
    ZkRollupPublish "zk_rollup_publish",
    /// Tag 252, never active on mainnet.
    ZkRollupUpdate "zk_rollup_update",
    /// Tag 5: proposes protocols.
    Proposals "proposals",
    /// Tag 6: votes on a protocol.
    Ballot "ballot",
    /// Tag 9: a consensus key sends the spendable balance of its baker elsewhere.
    DrainDelegate "drain_delegate",
    /// Tag 1: reveals the nonce of a block.
    SeedNonceRevelation "seed_nonce_revelation",
    /// Tag 8: the solution of a verifiable delay function.
    VdfRevelation "vdf_revelation",
    /// Tag 4: activates an account of the fundraiser.
    ActivateAccount "activate_account",
    /// Tag 2 before Seoul.
    DoubleAttestationEvidence "double_attestation_evidence",
    /// Tag 7, before Seoul.
    DoublePreattestationEvidence "double_preattestation_evidence",
    /// Tag 2 from Seoul on.
    DoubleConsensusOperationEvidence "double_consensus_operation_evidence",
    /// Tag 3: denounces two blocks for one position.
    DoubleBakingEvidence "double_baking_evidence",
    /// Tag 24: denounces an attestation of a DAL shard with a trap.
    DalEntrapmentEvidence "dal_entrapment_evidence",
    /// Tag 17: never valid, carries a text that is signed (`octez-client sign message`).
    FailingNoop "failing_noop",
    /// Puts tez at stake.
    Stake "stake",
    /// Asks for staked tez back.
    Unstake "unstake",
    /// Takes unstaked tez that are free by now.
    FinalizeUnstake "finalize_unstake",
    /// Sets what a baker takes from others' stake.
    SetDelegateParameters "set_delegate_parameters",
}

impl FromStr for OperationKind {
    type Err = UnknownOperationKind;
    fn from_str(text: &str) -> Result<Self, UnknownOperationKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownOperationKind(text.to_owned()))
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
