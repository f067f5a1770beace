//! The watermark record: what must be remembered between two signatures of one key on one chain, its text form, and the
//! lease that stands beside it.
//!
//! The text form is shared by both stores and by the operator, and it is words separated by single spaces, so that an
//! admission policy can read it. One state has exactly one text. Whatever is not understood is an error: a signer that
//! ignored it might sign past it.

use crate::audit::{AnchorError, AuditAnchor};
use crate::key::{ChainId, DigestError, KeyError, PublicKeyHash, Signature};
use crate::position::{ConsensusKind, Level, OutOfRange, Position};
use crate::watermark::{Advance, Row, Step, Stored};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// The namespace of every record of a cluster.
pub const RECORDS_NAMESPACE: &str = "tezos-signer-records";

/// The annotation that holds the [`Lease`]: the one that Kubernetes' own ConfigMap locks used.
pub const LEASE_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// The annotation that holds where the other replicas reach the holder, `10.0.3.7:6733` or `[fd00::7]:6733`. Part of the [`Lease`].
pub const HOLDER_ADDRESS_ANNOTATION: &str = "signer.tezos.io/holder-address";

/// The annotation that holds whose record it is: `<namespace>/<name>/<uid>` of the TezosSigner.
pub const OWNER_ANNOTATION: &str = "signer.tezos.io/owner";

/// The name of the record of a key on a chain, `watermark-<tz2|tz3>-<40 hex>-<8 hex>`: 63 characters, so that it is also
/// a DNS label. The name is the claim on the key: two records for one key cannot exist.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordName(String);
crate::key::serde_as_text!(RecordName);

impl RecordName {
    /// For `key` on `chain`.
    pub fn new(key: &PublicKeyHash, chain: &ChainId) -> Self {
        let scheme = key.curve().address_prefix();
        Self(format!("watermark-{scheme}-{}-{}", hex::encode(key.as_bytes()), hex::encode(chain.as_bytes())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not the name of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a watermark record: expected watermark-<tz2|tz3>-<40 hex digits>-<8 hex digits>")]
pub struct RecordNameError;

impl FromStr for RecordName {
    type Err = RecordNameError;
    fn from_str(text: &str) -> Result<Self, RecordNameError> {
        let is_hex =
            |word: &str, length| word.len() == length && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match text.split('-').collect::<Vec<_>>()[..] {
            ["watermark", "tz2" | "tz3", key, chain] if is_hex(key, 40) && is_hex(chain, 8) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(RecordNameError),
        }
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rows of a record, one for each kind. A kind without a row is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rows {
    block: Option<Row>,
    preattestation: Option<Row>,
    attestation: Option<Row>,
}

impl Rows {
    /// The row of `kind`.
    pub fn get(&self, kind: ConsensusKind) -> Option<&Row> {
        match kind {
            ConsensusKind::Block => self.block.as_ref(),
            ConsensusKind::Preattestation => self.preattestation.as_ref(),
            ConsensusKind::Attestation => self.attestation.as_ref(),
        }
    }

    pub(crate) fn slot(&mut self, kind: ConsensusKind) -> &mut Option<Row> {
        match kind {
            ConsensusKind::Block => &mut self.block,
            ConsensusKind::Preattestation => &mut self.preattestation,
            ConsensusKind::Attestation => &mut self.attestation,
        }
    }

    /// The highest level of any row; 0 where there is none.
    pub fn highest_level(&self) -> Level {
        ConsensusKind::ALL
            .into_iter()
            .filter_map(|kind| self.get(kind))
            .map(|row| row.position.level)
            .max()
            .unwrap_or_default()
    }
}

/// A watermark record. The default one has no rows, so that nothing can be signed with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// What was signed last, by kind.
    pub rows: Rows,
    /// The newest committed line of the audit log.
    pub audit: Option<AuditAnchor>,
    /// Nothing above this level is signed.
    pub ceiling: Option<Level>,
    /// Nothing is signed at all.
    pub suspend: bool,
}

/// Why a text is not a watermark record. Nothing is signed with such a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a later release, or by hand.
    #[error("the record's version is {0:?}, this signer understands \"1\": upgrade the signer")]
    Version(String),
    /// A key of `data` that this release does not know.
    #[error("the record has an unknown row {0:?}: upgrade the signer, or take it out if somebody put it there by hand")]
    UnknownRow(String),
    /// A row that is not the words it should be.
    #[error("the record's row {row} is {text:?}: {reason}")]
    Row {
        /// Its key in `data`.
        row: &'static str,
        /// Its text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The file is not the JSON that it should be.
    #[error("it is not the JSON object of a record: {0}")]
    Json(String),
    /// The lease annotation is not the JSON that it should be.
    #[error("the record's annotation {LEASE_ANNOTATION} cannot be read: {0}")]
    Lease(String),
}

const VERSION: &str = "1";

impl Record {
    /// Nothing at or below `level` is signed; the first thing signed is above it.
    pub fn starting_above(level: Level) -> Self {
        Self::with_floor(Position::end_of(level))
    }

    /// For a key that has never signed anything on this chain: whatever comes first is signed, whatever its level.
    pub fn fresh() -> Self {
        Self::with_floor(Position::GENESIS)
    }

    fn with_floor(position: Position) -> Self {
        let row = Some(Row::floor(position));
        let rows = Rows { block: row, preattestation: row, attestation: row };
        Self { rows, ..Self::default() }
    }

    /// Whether this is [`Record::fresh`] and nothing was signed since.
    pub fn is_fresh(&self) -> bool {
        let fresh = Row::floor(Position::GENESIS);
        ConsensusKind::ALL.into_iter().all(|kind| self.rows.get(kind) == Some(&fresh))
    }

    /// The record after the step that [`decide`](crate::watermark::decide) allowed on this one, anchored to the line of the
    /// audit log that announced it.
    #[must_use]
    pub fn advanced(&self, step: &Advance, signature: Signature, intent: AuditAnchor) -> Self {
        let mut next = self.clone();
        if let Step::Row { kind, position, digest } = step.0 {
            *next.rows.slot(kind) = Some(Row { position, stored: Stored::Signature { digest, signature } });
        }
        next.audit = Some(intent);
        next
    }

    /// The record with every row at least at the end of `level`. Never lowers, never makes a row that was missing.
    #[must_use]
    pub fn raised_to(&self, level: Level) -> Self {
        let mut next = self.clone();
        let floor = Position::end_of(level);
        for kind in ConsensusKind::ALL {
            if let Some(row) = next.rows.slot(kind)
                && row.position < floor
            {
                *row = Row::floor(floor);
            }
        }
        next
    }

    /// The first kind in which this record knows less than `seen` did: a row that is lower, gone, or changed at its
    /// position. That happens when somebody restores an old copy.
    pub fn forgets(&self, seen: &Record) -> Option<ConsensusKind> {
        ConsensusKind::ALL.into_iter().find(|&kind| match (self.rows.get(kind), seen.rows.get(kind)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(now), Some(before)) => {
                now.position < before.position || (now.position == before.position && now.stored != before.stored)
            }
        })
    }

    /// Reads `data` of a record.
    pub fn from_data(data: &BTreeMap<String, String>) -> Result<Self, RecordError> {
        let version = data.get("version").map_or("", String::as_str);
        if version != VERSION {
            return Err(RecordError::Version(version.to_owned()));
        }
        let mut record = Self::default();
        for (name, text) in data {
            let wrong = |row, reason: String| RecordError::Row { row, text: text.clone(), reason };
            match name.as_str() {
                "version" => {}
                "audit" => {
                    record.audit = Some(text.parse().map_err(|error: AnchorError| wrong("audit", error.to_string()))?);
                }
                "ceiling" => {
                    record.ceiling =
                        Some(text.parse().map_err(|error: OutOfRange| wrong("ceiling", error.to_string()))?);
                }
                "suspend" => {
                    record.suspend = match text.as_str() {
                        "true" => true,
                        "false" => false,
                        _ => return Err(wrong("suspend", "expected \"true\" or \"false\"".to_owned())),
                    }
                }
                name => {
                    let kind = ConsensusKind::ALL.into_iter().find(|kind| kind.as_str() == name);
                    let kind = kind.ok_or_else(|| RecordError::UnknownRow(name.to_owned()))?;
                    let row = text.parse().map_err(|error: RowError| wrong(kind.as_str(), error.to_string()))?;
                    *record.rows.slot(kind) = Some(row);
                }
            }
        }
        Ok(record)
    }

    /// The text form: `data` of a ConfigMap.
    pub fn to_data(&self) -> BTreeMap<String, String> {
        let mut data = BTreeMap::from([("version".to_owned(), VERSION.to_owned())]);
        for kind in ConsensusKind::ALL {
            if let Some(row) = self.rows.get(kind) {
                data.insert(kind.to_string(), row.to_string());
            }
        }
        if let Some(audit) = &self.audit {
            data.insert("audit".to_owned(), audit.to_string());
        }
        if let Some(ceiling) = &self.ceiling {
            data.insert("ceiling".to_owned(), ceiling.to_string());
        }
        if self.suspend {
            data.insert("suspend".to_owned(), "true".to_owned());
        }
        data
    }
}

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Not four words.
    #[error("expected four words with one space between them: level round digest signature")]
    Words,
    /// A level or round out of range.
    #[error(transparent)]
    Position(#[from] OutOfRange),
    /// Not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Not a signature.
    #[error("the signature is {0}")]
    Signature(#[from] KeyError),
    /// A signature of nothing.
    #[error("there is a signature, but no digest of what it signs")]
    SignatureWithoutDigest,
}

impl FromStr for Row {
    type Err = RowError;
    fn from_str(text: &str) -> Result<Self, RowError> {
        let words: Vec<&str> = text.split(' ').collect();
        let [level, round, digest, signature] = words[..] else {
            return Err(RowError::Words);
        };
        let position = Position { level: level.parse()?, round: round.parse()? };
        let stored = match (digest, signature) {
            ("-", "-") => Stored::Floor,
            ("-", _) => return Err(RowError::SignatureWithoutDigest),
            (digest, "-") => Stored::Digest(digest.parse()?),
            (digest, signature) => Stored::Signature { digest: digest.parse()?, signature: signature.parse()? },
        };
        Ok(Row { position, stored })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.position.level, self.position.round)?;
        match &self.stored {
            Stored::Floor => f.write_str("- -"),
            Stored::Digest(digest) => write!(f, "{digest} -"),
            Stored::Signature { digest, signature } => write!(f, "{digest} {signature}"),
        }
    }
}

/// Who serves a record, and until when nobody else should try. For liveness only: what keeps two signers apart is that
/// every write is conditional on the state it was decided on.
///
/// The field names are those of client-go's `LeaderElectionRecord`. Times are written for people; no signer decides by them.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The UID of the holding pod; empty when nobody holds it.
    pub holder_identity: String,
    /// After how many seconds without a change another may take over.
    pub lease_duration_seconds: u32,
    /// When the holder became the holder.
    pub acquire_time: Option<jiff::Timestamp>,
    /// When the holder last renewed or signed.
    pub renew_time: Option<jiff::Timestamp>,
    /// How often the holder changed.
    pub leader_transitions: u64,
    /// Who should hold it: the holder lets go when it is not itself. Set by the operator when a node is lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preferred_holder: String,
    /// Where the holder's peer port is, in [`HOLDER_ADDRESS_ANNOTATION`]; `None` where nobody can forward to it.
    #[serde(skip)]
    pub holder_address: Option<SocketAddr>,
}

impl Lease {
    /// Reads the annotations of a record; without any, nobody ever held it.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Result<Self, RecordError> {
        let Some(text) = annotations.get(LEASE_ANNOTATION) else { return Ok(Self::default()) };
        let lease: Self = serde_json::from_str(text).map_err(|error| RecordError::Lease(error.to_string()))?;
        // An address that cannot be read is none: nobody forwards there, and signing does not depend on it.
        let address = annotations.get(HOLDER_ADDRESS_ANNOTATION).and_then(|address| address.parse().ok());
        Ok(Self { holder_address: address.filter(|_| !lease.holder_identity.is_empty()), ..lease })
    }

    /// Puts it into the annotations of a record, and takes out what stood there of an earlier holder. The chart's admission
    /// policies know the text of the first and accept no other: who changes a field changes `records-policy.yaml` as well, and
    /// installs that chart first.
    pub fn write_to(&self, annotations: &mut BTreeMap<String, String>) {
        // A struct of strings and numbers always serialises.
        annotations.insert(LEASE_ANNOTATION.to_owned(), serde_json::to_string(self).unwrap_or_default());
        match self.holder_address.filter(|_| !self.holder_identity.is_empty()) {
            Some(address) => annotations.insert(HOLDER_ADDRESS_ANNOTATION.to_owned(), address.to_string()),
            None => annotations.remove(HOLDER_ADDRESS_ANNOTATION),
        };
    }

    /// The same with nobody as the holder.
    #[must_use]
    pub fn let_go(&self) -> Self {
        Self { holder_identity: String::new(), holder_address: None, ..self.clone() }
    }
}
