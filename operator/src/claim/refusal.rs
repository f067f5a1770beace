//! Why a TezosSigner cannot have a record, or why it is not created, and what to do.

use jiff::Timestamp;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::position::{FloorLevelError, Level};

/// Why a TezosSigner cannot have a record. Each is retried with back-off, but ends only when somebody acts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefusal {
    /// Another TezosSigner owns the record.
    #[error(
        "{key} on {chain} belongs to TezosSigner {owner}, and only one TezosSigner at a time can use a key: delete that one, or use \
         another key here"
    )]
    Taken {
        /// The address of the key.
        key: String,
        /// The chain of the key.
        chain: String,
        /// `namespace/name` of its owner.
        owner: String,
    },
    /// Another TezosSigner owns the record, or owned it: this operator may not read its namespace.
    #[error(
        "{key} on {chain} belongs to TezosSigner {owner} in a namespace that this operator may not read, so it counts as in use: \
         delete that one, or use another key here. If it does not exist any more, its operator did not release the record {record}: \
         remove the annotation signer.tezos.io/owner, as described in docs/record.md, break-glass"
    )]
    OutOfSight {
        /// The address of the key.
        key: String,
        /// The chain of the key.
        chain: String,
        /// `namespace/name` of its owner.
        owner: String,
        /// The name of the ConfigMap that is the record.
        record: String,
    },
    /// The record does not exist, and the spec has no initial watermark.
    #[error(
        "there is no watermark record for {key} on {chain}, and a missing one never means a fresh start: set \
         spec.initialWatermark, with the last level that this key has signed anywhere, or fresh: true if it never has"
    )]
    NoInitialWatermark {
        /// The address of the key.
        key: String,
        /// The chain of the key.
        chain: String,
    },
    /// The record does not exist, and the initial watermark has expired.
    #[error(
        "there is no watermark record for {key} on {chain}, and spec.initialWatermark was valid only until {not_after}: set level \
         to the last level that this key has signed anywhere, and notAfter to a time shortly from now"
    )]
    Expired {
        /// The address of the key.
        key: String,
        /// The chain of the key.
        chain: String,
        /// The notAfter of the spec.
        not_after: Timestamp,
    },
    /// The record does not exist, and the notAfter of the initial watermark is too far ahead.
    #[error(
        "there is no watermark record for {key} on {chain}, and spec.initialWatermark.notAfter, {not_after}, is more than a day \
         ahead: if the manifest is applied again before that time, the record would start at an outdated level. Set it to a time \
         shortly from now, at most 24 hours"
    )]
    GoodForTooLong {
        /// The address of the key.
        key: String,
        /// The chain of the key.
        chain: String,
        /// The notAfter of the spec.
        not_after: Timestamp,
    },
    /// The record does not exist, and the notAfter of the initial watermark was too far ahead when it was first seen.
    #[error(
        "there is no watermark record for {key} on {chain}, and spec.initialWatermark.notAfter, {not_after}, was more than a day \
         ahead when it was first observed (generation {generation}), so level may be a day old. Set both again, notAfter to at most \
         24 hours from now"
    )]
    WasGoodForTooLong {
        /// The address of the key.
        key: String,
        /// The chain of the key.
        chain: String,
        /// The notAfter of the spec.
        not_after: Timestamp,
        /// The generation of the spec that says so.
        generation: i64,
    },
    /// The record does not exist, and no chain is as high as the initial level.
    #[error(
        "there is no watermark record for {key} on {chain}, and spec.initialWatermark.level cannot be right: {error}"
    )]
    LevelTooHigh {
        /// The address of the key.
        key: String,
        /// The chain of the key.
        chain: String,
        /// Why the level is refused.
        #[source]
        error: FloorLevelError,
    },
    /// The record does not exist, and the chain is far below the initial level.
    #[error(
        "spec.initialWatermark.level is {level}, and the chain is at level {head} (according to {node}): nothing would be signed \
         until the chain reaches that level, and a record is never lowered. No record was created. Set level to the last level that \
         this key has signed anywhere, at most {margin} above the head of the chain"
    )]
    FarAboveHead {
        /// The level of `initialWatermark`.
        level: Level,
        /// The level of the node's head.
        head: Level,
        /// The node's RPC address.
        node: String,
        /// How many levels above the head are accepted.
        margin: u32,
    },
    /// The record existed, and does not any more.
    #[error(
        "the watermark record {record} of {key} was deleted. Nothing is signed with the key, and the record is not created again: \
         find out who deleted it, then restore it with rows at or above the last level that was signed"
    )]
    Vanished {
        /// The name of the ConfigMap that is the record.
        record: String,
        /// The address of the key.
        key: String,
    },
    /// The record cannot be parsed, or its owner cannot.
    #[error("the watermark record {record} cannot be used: {reason}")]
    Unreadable {
        /// The name of the ConfigMap that is the record.
        record: String,
        /// What is wrong with it.
        #[source]
        reason: Cause,
    },
}

/// The reason of [`ClaimRefusal::GoodForTooLong`]. Once a condition has it, the same generation of the spec is refused a day later too:
/// [`ClaimRefusal::WasGoodForTooLong`].
pub const GOOD_FOR_TOO_LONG: &str = "InitialWatermarkTooLong";

impl ClaimRefusal {
    /// The reason of the condition that reports it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Taken { .. } | Self::OutOfSight { .. } => "ClaimedByAnother",
            Self::NoInitialWatermark { .. } => "NoInitialWatermark",
            Self::Expired { .. } => "InitialWatermarkExpired",
            Self::GoodForTooLong { .. } | Self::WasGoodForTooLong { .. } => GOOD_FOR_TOO_LONG,
            Self::LevelTooHigh { .. } | Self::FarAboveHead { .. } => "InitialWatermarkTooHigh",
            Self::Vanished { .. } => "RecordVanished",
            Self::Unreadable { .. } => "RecordUnreadable",
        }
    }
}
