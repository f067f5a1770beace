//! What the operator keeps of a signer's answer to `GET /status`: what a condition or a stage needs, and nothing that changes with each
//! signature, because a reconcile ends early if two observations are equal. A reason is cut short: what answers in a pod may be anything.
//! The document itself is [`tezos_signer_core::status`].

use crate::message::excerpt;
use jiff::Timestamp;
use tezos_signer_core::position::Level;
use tezos_signer_core::status::{HsmStatus, KeyStatus, SealedStatus, SignerStatus};

/// What is observed of a signer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignerObservation {
    /// Whether it signs.
    pub ready: bool,
    /// The state of the HSM.
    pub hsm: HsmStatus,
    /// The state of each key.
    pub keys: Vec<KeyObservation>,
    /// Why it does not sign.
    pub reasons: Vec<String>,
}

/// What is observed of a key and its record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyObservation {
    /// The record's name.
    pub record: String,
    /// Whether the signer holds it.
    pub held: bool,
    /// Whether the record is suspended, by the operator or by hand.
    pub suspended: bool,
    /// The level above which nothing is signed.
    pub ceiling: Option<Ceiling>,
    /// Whether the record is lower than the signer has seen it. The signer refuses to sign with it then.
    pub went_back: bool,
    /// Why it is not held, or why nothing is signed with it.
    pub reason: Option<String>,
    /// The address of the key.
    pub public_key_hash: String,
    /// What became of opening it, if it is sealed.
    pub sealed: Option<SealedObservation>,
    /// Whether it attests without DAL only, for an hour or longer.
    pub votes: Votes,
}

/// How a key attests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Votes {
    /// At least one attestation with DAL in that time, no attestation, or unknown.
    #[default]
    Any,
    /// For an hour or longer, without DAL only.
    WithoutDal,
}

/// What is observed of a sealed key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedObservation {
    /// Whether the HSM or AWS KMS refuses to open it.
    pub refused: bool,
    /// Since when they cannot be asked.
    pub unreachable_since: Option<Timestamp>,
    /// Why it was not opened by the last check.
    pub reason: Option<String>,
}

/// The ceiling of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// The level above which nothing is signed.
    pub level: Level,
    /// Whether a row of the record has reached it.
    pub is_reached: bool,
}

impl SignerObservation {
    /// What is kept of `status`, which was read at `now`.
    pub fn of(status: SignerStatus, now: Timestamp) -> Self {
        let SignerStatus { ready, hsm, keys, reasons, started: _, identity: _, tls: _, peer_tls: _ } = status;
        let hsm = HsmStatus { reason: hsm.reason.as_deref().map(excerpt), ..hsm };
        let reasons = reasons.iter().map(|reason| excerpt(reason)).collect();
        Self { ready, hsm, keys: keys.into_iter().map(|key| KeyObservation::of(key, now)).collect(), reasons }
    }
}

impl KeyObservation {
    /// What is kept of `key`, which was read at `now`.
    pub fn of(key: KeyStatus, now: Timestamp) -> Self {
        let is_reached = key.is_at_ceiling();
        Self {
            record: key.record.to_string(),
            held: key.held,
            suspended: key.suspended,
            ceiling: key.ceiling.map(|level| Ceiling { level, is_reached }),
            went_back: key.went_back,
            reason: key.reason.as_deref().map(excerpt),
            public_key_hash: key.public_key_hash.to_string(),
            sealed: key.sealed.map(SealedObservation::from),
            votes: match key.attestations {
                Some(times) if times.lack_dal(now) => Votes::WithoutDal,
                _ => Votes::Any,
            },
        }
    }
}

impl From<SealedStatus> for SealedObservation {
    fn from(sealed: SealedStatus) -> Self {
        // `opened` changes with each check.
        let SealedStatus { opened: _, unreachable_since, refused, reason } = sealed;
        Self { refused, unreachable_since, reason: reason.as_deref().map(excerpt) }
    }
}
