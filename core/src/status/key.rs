//! The part of `/status` about one key: its record, who holds it, and how far it has come.

use crate::key::{ChainId, PublicKeyHash};
use crate::position::{ConsensusKind, Level, Position};
use crate::record::{RecordName, Rows};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The state of a configured key and of its watermark record, as this signer last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// The hash of the key, `tz…`.
    pub public_key_hash: PublicKeyHash,
    /// The chain that it signs for, `Net…`.
    pub chain: ChainId,
    /// The name of its record.
    pub record: RecordName,
    /// The identity of the signer that holds the record's lease. Empty while nobody holds it, before the record was read, and where the
    /// record is a file of this signer alone.
    pub holder: String,
    /// When the holder took the lease: RFC 3339, in UTC, by the clock of the holder. `null` if nobody ever took it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub since: Option<Timestamp>,
    /// How often the lease was taken, by whomever.
    pub term: u64,
    /// Whether this signer holds the record. One that does not forwards requests, or waits until it does.
    pub held: bool,
    /// Where the holder can be asked by other replicas: `address:port`. `null` where it cannot be.
    #[serde(deserialize_with = "Option::deserialize")]
    pub holder_address: Option<SocketAddr>,
    /// Whether the record knows less than this signer has seen, or than its audit log or the chain prove: an old copy was restored.
    /// Nothing is signed with the key until somebody has raised the record.
    pub went_back: bool,
    /// Whether the record says that nothing is signed, by the operator or by hand.
    pub suspended: bool,
    /// The level above which nothing is signed, by the record. `null` without one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub ceiling: Option<Level>,
    /// Why the record cannot be used, or which stage makes answers late, for people. Else `null`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
    /// Why the keystore (HSM, AWS KMS, sealed key) does not sign with the key, for people. `null` if it does.
    #[serde(deserialize_with = "Option::deserialize")]
    pub hsm: Option<String>,
    /// The state of a sealed key. Missing for other keys, and from signers before 0.3, which have no sealed keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealedStatus>,
    /// When this process has attested with the key, with DAL and without. Missing for companion keys, and from signers before 0.3: nothing
    /// is known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestations: Option<AttestationTimes>,
    /// How far the record has come.
    pub rows: SignedRows,
}

/// When a signer's process last gave out attestations of a key. Nothing is known from before its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationTimes {
    /// Since when it is known: RFC 3339, in UTC, as the others.
    pub since: Timestamp,
    /// The last one without a DAL part; of a tz4 key, the last one at all. `null` if there was none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub without_dal: Option<Timestamp>,
    /// The last one with a DAL part; for a tz4 key, the last one that a companion key has signed. `null` if there was none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub with_dal: Option<Timestamp>,
}

/// How long a key must have attested without DAL, and never with it, before it is reported.
const DAL_PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// After how long without any attestation it is no longer reported. A key with few rights may attest only now and then.
const STOPPED: SignedDuration = SignedDuration::from_hours(24);

impl AttestationTimes {
    /// Whether the key attests, and for an hour or longer has done so without DAL only. False for a process that is younger, and for a key
    /// whose last attestation is more than a day before `now`: the old key after a change of the consensus key is not used any more.
    pub fn lack_dal(&self, now: Timestamp) -> bool {
        let with_dal = self.with_dal.map_or(self.since, |last| last.max(self.since));
        self.without_dal
            .is_some_and(|last| last.duration_since(with_dal) >= DAL_PATIENCE && now.duration_since(last) < STOPPED)
    }
}

/// Whether the HSM, or AWS KMS, still lets a sealed key be opened. It is asked again and again; a key that it refuses is no longer signed with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedStatus {
    /// When it was last opened, at the start or by a check: RFC 3339, in UTC. `null` if never.
    #[serde(deserialize_with = "Option::deserialize")]
    pub opened: Option<Timestamp>,
    /// Since when checks get no answer: RFC 3339, in UTC. The key is signed with until the grace is over. `null` while they do.
    #[serde(deserialize_with = "Option::deserialize")]
    pub unreachable_since: Option<Timestamp>,
    /// Whether the last answer was a refusal: the PIN or the right was withdrawn, or the text is not authentic. Nothing is signed then.
    pub refused: bool,
    /// Why the last check did not open it, for people. `null` if it did.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
}

impl KeyStatus {
    /// Whether a row has reached the ceiling: nothing more is signed with the key.
    pub fn is_at_ceiling(&self) -> bool {
        self.ceiling.is_some_and(|ceiling| self.rows.highest_level() >= Some(ceiling))
    }
}

/// The positions at or below which nothing new is signed, by kind. A kind is missing if the record has no such row, or was not read yet:
/// nothing of that kind is signed then. A kind that this release does not know is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedRows {
    /// Of blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Position>,
    /// Of preattestations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preattestation: Option<Position>,
    /// Of attestations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Position>,
}

impl SignedRows {
    /// The highest level of any row; `None` without rows.
    pub fn highest_level(&self) -> Option<Level> {
        [self.block, self.preattestation, self.attestation].into_iter().flatten().map(|position| position.level).max()
    }
}

impl From<&Rows> for SignedRows {
    fn from(rows: &Rows) -> Self {
        let position = |kind| rows.get(kind).map(|row| row.position);
        Self {
            block: position(ConsensusKind::Block),
            preattestation: position(ConsensusKind::Preattestation),
            attestation: position(ConsensusKind::Attestation),
        }
    }
}
