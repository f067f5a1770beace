//! `tezos-signing-watermarks/v1`: watermark records as JSON, to carry them from one signer to another. What other signers write is
//! read in [`foreign`].
//!
//! An import takes the higher row of the two and lowers nothing, so that it does no harm to import a file again, or an old
//! one. Whatever is not understood is an error, as in a [`Record`]: who ignored it might sign past it.

mod dynamodb;
pub mod foreign;
pub mod octez;
pub mod python;
pub mod signatory;
pub mod source;

use tezos_signer_core::anchor::AuditAnchor;
use tezos_signer_core::json;
use tezos_signer_core::key::{ChainId, Digest, PublicKeyHash, Signature};
use tezos_signer_core::position::{ConsensusKind, Level, Position, Round};
use tezos_signer_core::record::{Record, Row, Rows, Stored};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The value of `metadata.format` in a file of this version.
pub const FORMAT: &str = "tezos-signing-watermarks/v1";

/// A file of exported records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Of the file as a whole.
    pub metadata: Metadata,
    /// The records, at most one for each key and chain.
    pub data: Vec<ExportedRecord>,
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The format's name and version: [`FORMAT`].
    pub format: String,
    /// When the records were read. For people; nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported_at: Option<Timestamp>,
    /// The program that wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// What was signed with one key on one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedRecord {
    /// The chain that the record is for.
    pub chain_id: ChainId,
    /// The hash of the key that the record is for.
    pub pkh: PublicKeyHash,
    /// The last block; absent where the record has no such row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<ExportedRow>,
    /// The last preattestation; absent where the record has no such row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preattestation: Option<ExportedRow>,
    /// The last attestation; absent where the record has no such row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<ExportedRow>,
    /// The exporting signer signs nothing above this level, and may sign up to it after the export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Level>,
    /// The newest line of the exporting signer's audit log, to verify that log by. An import leaves it: the importing signer
    /// has a log of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditAnchor>,
}

/// A [`Row`] in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RowFields", into = "RowFields")]
pub struct ExportedRow(pub Row);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowFields {
    level: Level,
    round: Round,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
}

impl TryFrom<RowFields> for ExportedRow {
    type Error = &'static str;
    fn try_from(fields: RowFields) -> Result<Self, &'static str> {
        let stored = match (fields.payload_digest, fields.signature) {
            (None, None) => Stored::Floor,
            (Some(digest), None) => Stored::Digest(digest),
            (Some(digest), Some(signature)) => Stored::Signature { digest, signature },
            (None, Some(_)) => return Err("there is a signature, but no payload_digest of the signed payload"),
        };
        Ok(Self(Row { position: Position { level: fields.level, round: fields.round }, stored }))
    }
}

impl From<ExportedRow> for RowFields {
    fn from(ExportedRow(row): ExportedRow) -> Self {
        let (payload_digest, signature) = match row.stored {
            Stored::Floor => (None, None),
            Stored::Digest(digest) => (Some(digest), None),
            Stored::Signature { digest, signature } => (Some(digest), Some(signature)),
        };
        Self { level: row.position.level, round: row.position.round, payload_digest, signature }
    }
}

/// Why a text is no file of exported records. A retry does not help before the file is another one.
#[derive(Debug, thiserror::Error)]
pub enum InterchangeError {
    /// It is not the JSON that it should be: export again.
    #[error("it is not a JSON export of watermarks: {0}")]
    Json(#[from] serde_json::Error),
    /// A later release has written it, or it is something else.
    #[error(
        "its metadata.format is {0:?}, but this signer supports {FORMAT:?} only: use the release that wrote the file, or a later one"
    )]
    Format(String),
    /// It has two records of one key on one chain, and which of the two counts is not known.
    #[error("it has two records of {pkh} on {chain}: remove the lower one")]
    Twice {
        /// The hash of the key that both records are for.
        pkh: PublicKeyHash,
        /// The chain that both records are for.
        chain: ChainId,
    },
}

/// A record and an export that cannot both be right. A retry helps once somebody has found out which, and has raised the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record and the file know two different {kind} signatures at {position}: either one of them was edited, or this key has \
     signed twice there. Find out which. To continue anyway, raise the record to level {} first (tezos-signer watermarks raise)",
    position.level
)]
pub struct Contradiction {
    /// The kind of the two payloads.
    pub kind: ConsensusKind,
    /// The position that both were signed at.
    pub position: Position,
}

impl Export {
    /// Parses a file and checks its format and that no record stands in it twice.
    pub fn from_json(text: &str) -> Result<Self, InterchangeError> {
        /// The format alone, so that a later one is called by its name and not by the first field that is new in it.
        #[derive(Deserialize)]
        struct Any {
            metadata: AnyMetadata,
        }
        #[derive(Deserialize)]
        struct AnyMetadata {
            format: String,
        }
        let format = json::from_str::<Any>(text)?.metadata.format;
        if format != FORMAT {
            return Err(InterchangeError::Format(format));
        }
        let export: Self = serde_json::from_str(text)?;
        for (index, record) in export.data.iter().enumerate() {
            if export.data[..index].iter().any(|other| (other.pkh, other.chain_id) == (record.pkh, record.chain_id)) {
                return Err(InterchangeError::Twice { pkh: record.pkh, chain: record.chain_id });
            }
        }
        Ok(export)
    }
}

impl ExportedRecord {
    /// What `record` of `pkh` on `chain_id` says. `suspend` is not in it: it is no knowledge of what was signed.
    pub fn of(pkh: PublicKeyHash, chain_id: ChainId, record: &Record) -> Self {
        let row = |kind| record.rows.get(kind).copied().map(ExportedRow);
        Self {
            chain_id,
            pkh,
            block: row(ConsensusKind::Block),
            preattestation: row(ConsensusKind::Preattestation),
            attestation: row(ConsensusKind::Attestation),
            ceiling: record.ceiling,
            audit: record.audit,
        }
    }

    fn row(&self, kind: ConsensusKind) -> Option<Row> {
        let row = match kind {
            ConsensusKind::Block => self.block,
            ConsensusKind::Preattestation => self.preattestation,
            ConsensusKind::Attestation => self.attestation,
        };
        row.map(|ExportedRow(row)| row)
    }

    /// The same, with nothing at or below `level` in any kind. A kind without a row gets one.
    #[must_use]
    pub fn with_floor(self, level: Level) -> Self {
        let floor = Row::floor(Position::end_of(level));
        let raised = |row: Option<ExportedRow>| {
            Some(row.filter(|ExportedRow(row)| row.position >= floor.position).unwrap_or(ExportedRow(floor)))
        };
        Self {
            block: raised(self.block),
            preattestation: raised(self.preattestation),
            attestation: raised(self.attestation),
            ..self
        }
    }

    /// The kinds without a row, which will not be signed.
    pub fn missing(&self) -> Vec<ConsensusKind> {
        ConsensusKind::ALL.into_iter().filter(|&kind| self.row(kind).is_none()).collect()
    }

    /// The record to make of it where there is none.
    pub fn to_record(&self) -> Record {
        let rows = Rows::from_fn(|kind| self.row(kind));
        self.above_the_ceiling(&Record { rows, ..Record::default() })
    }

    /// `record` with each row the higher one of the two. A row that `record` does not have is not made.
    ///
    /// At one position the record's own row stays, because a row never changes there; it only may not contradict the other.
    pub fn imported_into(&self, record: &Record) -> Result<Record, Contradiction> {
        for kind in ConsensusKind::ALL {
            if let (Some(row), Some(exported)) = (record.rows.get(kind), self.row(kind))
                && row.position == exported.position
                && contradict(&row.stored, &exported.stored)
            {
                return Err(Contradiction { kind, position: row.position });
            }
        }
        let higher = |kind| {
            let row = *record.rows.get(kind)?;
            Some(self.row(kind).filter(|exported| exported.position > row.position).unwrap_or(row))
        };
        Ok(self.above_the_ceiling(&Record { rows: Rows::from_fn(higher), ..record.clone() }))
    }

    /// INVARIANT R11: The exporting signer goes on up to its ceiling, so what it has signed by now is not what it will have signed.
    fn above_the_ceiling(&self, record: &Record) -> Record {
        self.ceiling.map_or_else(|| record.clone(), |ceiling| record.raised_to(ceiling))
    }
}

/// Whether two different things were signed.
fn contradict(ours: &Stored, theirs: &Stored) -> bool {
    match (ours, theirs) {
        (Stored::Floor, _) | (_, Stored::Floor) => false,
        (Stored::Signature { .. }, Stored::Signature { .. }) => ours != theirs,
        (
            Stored::Digest(a) | Stored::Signature { digest: a, .. },
            Stored::Digest(b) | Stored::Signature { digest: b, .. },
        ) => a != b,
    }
}
