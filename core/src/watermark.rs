//! The signing decision: whether a block or vote is signed, repeated or refused.
//!
//! Pure functions over the rows of a [`Record`](crate::record::Record). The caller holds the record's lock, and commits the
//! result before a signature leaves the process.

use crate::admit::Admitted;
use crate::anchor::AuditAnchor;
use crate::key::{Digest, Signature};
use crate::payload::Consensus;
use crate::policy::Permitted;
use crate::position::{ConsensusKind, Level, Position};
use crate::record::{Record, Row, Stored};

/// The answer of [`decide`] where something may leave the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Higher than all that was signed: sign, commit, then answer.
    Advance(Advance),
    /// Signed before: answer with this signature, which the caller verifies first. Never sign it again: ECDSA in an HSM is
    /// randomised, and two signatures of one header are two block hashes, which is slashable.
    Replay(Signature),
}

/// A step that [`decide`] allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance(Step);

/// What an [`Advance`] does to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The row of `kind` rises to `position`.
    Row { kind: ConsensusKind, position: Position, digest: Digest },
    /// INVARIANT S8: A generic operation has no position, and no row changes. Its commit moves the audit anchor all the same: it is a
    /// write like any other, so a holder that was displaced or suspended cannot make it.
    Operation,
}

impl Advance {
    /// The record after this step, which was allowed on `record`. It is anchored to `intent`, the line of the audit log that announced
    /// it.
    #[must_use]
    pub fn apply_to(&self, record: &Record, signature: Signature, intent: AuditAnchor) -> Record {
        let mut next = record.clone();
        if let Step::Row { kind, position, digest } = self.0 {
            *next.rows.slot(kind) = Some(Row { position, stored: Stored::Signature { digest, signature } });
        }
        next.audit = Some(intent);
        next
    }

    /// Whether the record will be able to replay the signature. It is for consensus payloads; that of a generic operation is
    /// in no row, and asking again yields another one, which harms nobody.
    pub fn is_replayable(&self) -> bool {
        matches!(self.0, Step::Row { .. })
    }
}

/// Why nothing may be signed. A retry of the same request helps only where somebody changes the record: suspension, ceiling, a missing row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Signing is suspended in the record: take `suspend` out of the TezosSigner, or `tezos-signer watermarks suspend --lift`.
    #[error("signing is suspended for this key (suspend in its watermark record)")]
    Suspended,
    /// The record has no row of this kind: restore the row, at least at the last level that was signed.
    #[error(
        "the watermark record has no {0} row, and a missing watermark never means a fresh start: restore the row with the level \
         of the last {0} that was signed"
    )]
    NoRow(ConsensusKind),
    /// The position is below what was signed. Expected after a reorganisation of the chain; else another baker uses the key.
    #[error("{kind} at {requested} is below the watermark, {watermark}")]
    Below {
        /// The kind of the payload.
        kind: ConsensusKind,
        /// The position of the payload.
        requested: Position,
        /// The position of the record's row.
        watermark: Position,
    },
    /// Something else was signed at this position: this signature would be slashed. Another baker uses the key, or the chain was
    /// reorganised.
    #[error("a different {kind} was already signed at {position}")]
    Conflict {
        /// The kind of the payload.
        kind: ConsensusKind,
        /// The position of the payload and of the row.
        position: Position,
    },
    /// The position is that of the watermark, whose signature is not known here: wait for the next one.
    #[error(
        "{kind} at {position} is not above the watermark, and there is no stored signature to repeat (the row was set by hand or \
         imported)"
    )]
    NoStoredSignature {
        /// The kind of the payload.
        kind: ConsensusKind,
        /// The position of the payload and of the row.
        position: Position,
    },
    /// The position is so far ahead that it must be a mistake; committing it would make every real block too low. Raise the record if it is
    /// none.
    #[error(
        "{requested} is {jump} levels above the highest level of the record, {highest}, more than maxLevelJump ({limit}): if the \
         chain has reached that level, raise the watermark by hand first"
    )]
    Jump {
        /// The level of the payload.
        requested: Level,
        /// The highest level of all rows.
        highest: Level,
        /// `requested` minus `highest`.
        jump: u32,
        /// The value of `maxLevelJump`.
        limit: u32,
    },
    /// The level is above the ceiling of a hand-over: another signer has the key from there on.
    #[error(
        "level {requested} is above the ceiling {ceiling}: above that level, this key was handed over to another cluster"
    )]
    Ceiling {
        /// The level of the payload.
        requested: Level,
        /// The ceiling of the record.
        ceiling: Level,
    },
}

impl Refusal {
    /// Whether people can lift the reason by a change of the record.
    pub fn may_be_lifted(&self) -> bool {
        matches!(self, Self::Suspended | Self::NoRow(_) | Self::Jump { .. } | Self::Ceiling { .. })
    }

    /// In one word, of [`REFUSALS`].
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::NoRow(_) => "no_row",
            Self::Below { .. } => "below",
            Self::Conflict { .. } => "conflict",
            Self::NoStoredSignature { .. } => "no_stored_signature",
            Self::Jump { .. } => "jump",
            Self::Ceiling { .. } => "ceiling",
        }
    }
}

/// Every [`Refusal::reason`], for metrics.
pub const REFUSALS: [&str; 7] = ["suspended", "no_row", "below", "conflict", "no_stored_signature", "jump", "ceiling"];

/// How far above the record's highest row a request may be, in levels: about a week of 6-second blocks.
pub const DEFAULT_MAX_LEVEL_JUMP: u32 = 100_000;

/// Decides on `request` by what `record` remembers.
///
/// ```
/// use tezos_signer_core::admit::{AdmissionRules, RequestFacts, SigningRequest, admit};
/// use tezos_signer_core::anchor::{AuditAnchor, LogId};
/// use tezos_signer_core::authentication::AuthorizedKeys;
/// use tezos_signer_core::key::{ChainId, Digest, Signature};
/// use tezos_signer_core::payload::UnknownSuffix;
/// use tezos_signer_core::policy::Policy;
/// use tezos_signer_core::record::Record;
/// use tezos_signer_core::watermark::{Decision, Refusal, decide};
///
/// // An attestation at a level, in round 0: magic byte, chain, branch, tag, slot, level, round, block payload hash.
/// let attestation = |level: u32, block: u8| {
///     let head = [&[0x13][..], ChainId::MAINNET.as_bytes(), &[0; 32], &[21, 0, 7]].concat();
///     [&head[..], &level.to_be_bytes(), &[0; 4], &[block; 32]].concat()
/// };
/// let (policy, anybody) = (Policy::baking(ChainId::MAINNET), AuthorizedKeys::default());
/// let rules = AdmissionRules { authorized_keys: &anybody, policy: &policy, unknown_suffix: UnknownSuffix::Refuse };
/// let admitted = |payload: &[u8]| {
///     let key = "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r".parse().unwrap();
///     admit(&rules, &SigningRequest { key, payload, authentication: None, version: None }, &mut RequestFacts::default()).unwrap()
/// };
///
/// // Nothing at or below level 100 is signed.
/// let record = Record::starting_above(100.try_into().unwrap());
/// assert!(matches!(decide(&record, &admitted(&attestation(99, 1)), 1000), Err(Refusal::Below { .. })));
///
/// // Above it, the token signs, and the next state of the record is committed before the signature leaves.
/// let request = admitted(&attestation(101, 1));
/// let Ok(Decision::Advance(step)) = decide(&record, &request, 1000) else { panic!() };
/// let signature = Signature::P256([7; 64]); // from the token
/// let intent = AuditAnchor { log: LogId::from_bytes([0; 16]), sequence: 1, hash: Digest::of(b"a line") };
/// let record = step.apply_to(&record, signature, intent);
///
/// // The same request gets the same signature again; another one at the same position gets none.
/// assert_eq!(decide(&record, &request, 1000), Ok(Decision::Replay(signature)));
/// assert!(matches!(decide(&record, &admitted(&attestation(101, 2)), 1000), Err(Refusal::Conflict { .. })));
/// ```
pub fn decide(record: &Record, request: &Admitted, max_level_jump: u32) -> Result<Decision, Refusal> {
    if record.suspend {
        return Err(Refusal::Suspended);
    }
    let digest = request.digest();
    let Consensus { kind, position: requested, .. } = match request.permitted() {
        Permitted::Consensus(consensus) => consensus,
        Permitted::Operation => return Ok(Decision::Advance(Advance(Step::Operation))),
    };
    let Some(row) = record.rows.get(kind) else {
        return Err(Refusal::NoRow(kind));
    };
    if requested < row.position {
        return Err(Refusal::Below { kind, requested, watermark: row.position });
    }
    if requested == row.position {
        return match &row.stored {
            Stored::Signature { digest: signed, signature } if *signed == digest => Ok(Decision::Replay(*signature)),
            Stored::Digest(signed) if *signed == digest => {
                Err(Refusal::NoStoredSignature { kind, position: requested })
            }
            Stored::Floor => Err(Refusal::NoStoredSignature { kind, position: requested }),
            Stored::Signature { .. } | Stored::Digest(_) => Err(Refusal::Conflict { kind, position: requested }),
        };
    }
    if let Some(ceiling) = record.ceiling
        && requested.level > ceiling
    {
        return Err(Refusal::Ceiling { requested: requested.level, ceiling });
    }
    if !record.is_fresh() {
        let highest = record.rows.highest_level();
        let jump = requested.level.get().saturating_sub(highest.get());
        if jump > max_level_jump {
            return Err(Refusal::Jump { requested: requested.level, highest, jump, limit: max_level_jump });
        }
    }
    Ok(Decision::Advance(Advance(Step::Row { kind, position: requested, digest })))
}
