//! What other signers have remembered, read from their files into rows like ours: which formats there are, how one is recognised, and how
//! marks become the record of a key. What all formats have in common: [`source`](super::source). How each is written:
//! [`octez`](super::octez), [`signatory`](super::signatory), [`python`](super::python), and `dynamodb` for tables.
//!
//! INVARIANT M3: What another signer would have refused must be refused here too. So a mark is never lower than the source means it, and where
//! the source does not say a round, or may mean another one than the protocol does, nothing at that level is signed any more. What is
//! not understood is an error, and nothing is guessed.

use super::source::{ForeignError, ImportedMark, SourceFile};
use super::{ExportedRecord, ExportedRow, dynamodb, octez, python, signatory};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use tezos_signer_core::key::{ChainId, PublicKeyHash};
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::record::{Row, Stored};

/// A format that watermarks are imported from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The format of this signer, `tezos-signing-watermarks/v1`.
    V1,
    /// The files of octez-signer, one for each kind.
    Octez,
    /// The files of Signatory, one for each chain.
    Signatory,
    /// Signatory's table in DynamoDB, as it was exported.
    SignatoryDynamoDb,
    /// The Python signer's table in DynamoDB, as it was exported.
    PythonDynamoDb,
    /// The Python signer's table in `SQLite`, as `sqlite3 -json` prints it.
    PythonSqlite,
}

impl Format {
    /// Every format that an import understands.
    pub const ALL: [Self; 6] =
        [Self::V1, Self::Octez, Self::Signatory, Self::SignatoryDynamoDb, Self::PythonDynamoDb, Self::PythonSqlite];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::Octez => "octez",
            Self::Signatory => "signatory",
            Self::SignatoryDynamoDb => "signatory-dynamodb",
            Self::PythonDynamoDb => "python-dynamodb",
            Self::PythonSqlite => "python-sqlite",
        }
    }

    /// The format of a file, by its name and its contents.
    pub fn of(file: &SourceFile) -> Result<Self, ForeignError> {
        if octez::kind_of(&file.name).is_some() {
            return Ok(Self::Octez);
        }
        if let Some(item) = dynamodb::first_item(file)? {
            return python::is_item(&item)
                .then_some(Self::PythonDynamoDb)
                .or_else(|| signatory::is_item(&item).then_some(Self::SignatoryDynamoDb))
                .ok_or_else(|| file.error("its items are neither of the Python signer's table nor of Signatory's"));
        }
        if signatory::chain_of(&file.name).is_some() {
            return Ok(Self::Signatory);
        }
        let any: serde_json::Value = file.json()?;
        if any.get("metadata").is_some() {
            return Ok(Self::V1);
        }
        if python::is_database_table(&any) {
            return Ok(Self::PythonSqlite);
        }
        Err(file.error(format!(
            "unknown format. Supported are: the output of `watermarks export`; octez-signer's {}, by their names; Signatory's \
             watermark_v2/CHAIN.json, by its name; and tables of Signatory and the Python signer, by their contents",
            octez::FILES.map(|(name, _)| name).join(", ")
        )))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| format!("unknown format: expected one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What files of other signers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(pub Vec<ImportedMark>);

impl Marks {
    /// Adds the watermarks of a file of `format`.
    pub fn read(&mut self, format: Format, file: &SourceFile) -> Result<(), ForeignError> {
        self.0.extend(match format {
            Format::V1 => return Err(file.error("it cannot be imported together with files of other signers")),
            Format::Octez => octez::read(file)?,
            Format::Signatory => signatory::read(file)?,
            Format::SignatoryDynamoDb => signatory::read_table(file)?,
            Format::PythonDynamoDb => python::read_table(file)?,
            Format::PythonSqlite => python::read_database_table(file)?,
        });
        Ok(())
    }

    /// What they say of one key: of each kind the highest mark. `None` where they say nothing.
    pub fn of(&self, pkh: PublicKeyHash, chain_id: ChainId) -> Option<ExportedRecord> {
        let ours = |mark: &&ImportedMark| mark.chain == chain_id && mark.key.is_none_or(|key| key == pkh);
        let marks: Vec<_> = self.0.iter().filter(ours).collect();
        let highest = |kind| {
            let rows = marks.iter().filter(|mark| mark.kinds.contains(&kind)).map(|mark| mark.row);
            rows.reduce(higher).map(ExportedRow)
        };
        (!marks.is_empty()).then(|| ExportedRecord {
            chain_id,
            pkh,
            block: highest(ConsensusKind::Block),
            preattestation: highest(ConsensusKind::Preattestation),
            attestation: highest(ConsensusKind::Attestation),
            ceiling: None,
            audit: None,
        })
    }

    /// The keys and chains in them for which `is_ours` is false.
    pub fn others(&self, is_ours: impl Fn(PublicKeyHash, ChainId) -> bool) -> BTreeSet<(PublicKeyHash, ChainId)> {
        let named = self.0.iter().filter_map(|mark| Some((mark.key?, mark.chain)));
        named.filter(|&(key, chain)| !is_ours(key, chain)).collect()
    }
}

/// The higher one of two rows. For equal positions: the digest and signature that are certain for both.
fn higher(a: Row, b: Row) -> Row {
    if a.position != b.position {
        return if a.position > b.position { a } else { b };
    }
    match (a.stored, b.stored) {
        (one, other) if one == other => a,
        (Stored::Signature { digest, .. }, Stored::Digest(other)) if digest == other => a,
        (Stored::Digest(other), Stored::Signature { digest, .. }) if digest == other => b,
        // Two different things, or something that is not said. Nothing is given again then.
        _ => Row::floor(a.position),
    }
}
