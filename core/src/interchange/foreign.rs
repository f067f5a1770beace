//! What other signers have remembered, read from their files into rows like ours. Here is what all formats have in common: which
//! there are, how one is recognised, and how marks become the record of a key. How each is written: [`octez`](super::octez),
//! [`signatory`](super::signatory), [`python`](super::python), and [`dynamodb`](super::dynamodb) for tables.
//!
//! ◆ What another signer would have refused must be refused here too. So a mark is never lower than the source means it, and where
//! the source does not say a round, or may mean another one than the protocol does, nothing at that level is signed any more. What is
//! not understood is an error, and nothing is guessed.

use super::{ExportedRecord, ExportedRow, dynamodb, octez, python, signatory};
use crate::key::{ChainId, PublicKeyHash};
use crate::position::{ConsensusKind, Level, Position};
use crate::watermark::{Row, Stored};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// A format that watermarks are imported from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own, `tezos-signing-watermarks/v1`.
    V1,
    /// The files of octez-signer, one for each kind.
    Octez,
    /// The files of Signatory, one for each chain.
    Signatory,
    /// Signatory's table in DynamoDB, as it was exported.
    SignatoryDynamoDb,
    /// The Python signer's table in DynamoDB, as it was exported.
    PythonDynamoDb,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::V1, Self::Octez, Self::Signatory, Self::SignatoryDynamoDb, Self::PythonDynamoDb];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::Octez => "octez",
            Self::Signatory => "signatory",
            Self::SignatoryDynamoDb => "signatory-dynamodb",
            Self::PythonDynamoDb => "python-dynamodb",
        }
    }

    /// The format of a file, by its name and by what is in it.
    pub fn of(file: &SourceFile) -> Result<Self, ForeignError> {
        if octez::kind_of(&file.name).is_some() {
            return Ok(Self::Octez);
        }
        if let Some(item) = dynamodb::first_item(file)? {
            return python::is_item(&item)
                .then_some(Self::PythonDynamoDb)
                .or_else(|| signatory::is_item(&item).then_some(Self::SignatoryDynamoDb))
                .ok_or_else(|| file.error("its items are of another table than the Python signer's or Signatory's"));
        }
        if signatory::chain_of(&file.name).is_some() {
            return Ok(Self::Signatory);
        }
        let any: serde_json::Value = file.json()?;
        if any.get("metadata").is_some() {
            return Ok(Self::V1);
        }
        Err(file.error(&format!(
            "it is not known what this is. Known are: what `watermarks export` writes; octez-signer's {}, by their names; Signatory's \
             watermark_v2/CHAIN.json, by its name; and DynamoDB tables of Signatory and the Python signer, by what is in them",
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
            .ok_or_else(|| format!("no such format: there are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// A file that is to be imported.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name without its directory: octez-signer's says which kind it has, and Signatory's which chain.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl SourceFile {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ForeignError> {
        serde_json::from_str(&self.text).map_err(|error| self.error(&error.to_string()))
    }

    pub(super) fn error(&self, reason: &str) -> ForeignError {
        ForeignError { name: self.name.clone(), reason: reason.to_owned() }
    }
}

/// Why a file of another signer was not read. Nothing of it is used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct ForeignError {
    /// The file.
    pub name: String,
    /// What is wrong, and where.
    pub reason: String,
}

/// That something was signed, as another signer has remembered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// On which chain.
    pub chain: ChainId,
    /// With which key; `None` where the source does not tell keys apart.
    pub key: Option<PublicKeyHash>,
    /// Of what kinds. More than one where the source does not tell them apart.
    pub kinds: &'static [ConsensusKind],
    /// Where, and what.
    pub row: Row,
}

impl Mark {
    /// Nothing at or below `level`.
    pub(super) fn end_of(
        chain: ChainId,
        key: Option<PublicKeyHash>,
        kinds: &'static [ConsensusKind],
        level: Level,
    ) -> Self {
        Self { chain, key, kinds, row: Row::floor(Position::end_of(level)) }
    }
}

/// What files of other signers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(pub Vec<Mark>);

impl Marks {
    /// Adds what a file of `format` says.
    pub fn read(&mut self, format: Format, file: &SourceFile) -> Result<(), ForeignError> {
        self.0.extend(match format {
            Format::V1 => return Err(file.error("it is imported alone, without files of other signers")),
            Format::Octez => octez::read(file)?,
            Format::Signatory => signatory::read(file)?,
            Format::SignatoryDynamoDb => signatory::read_table(file)?,
            Format::PythonDynamoDb => python::read_table(file)?,
        });
        Ok(())
    }

    /// What they say of one key: of each kind the highest mark. `None` where they say nothing.
    pub fn of(&self, pkh: PublicKeyHash, chain_id: ChainId) -> Option<ExportedRecord> {
        let ours = |mark: &&Mark| mark.chain == chain_id && mark.key.is_none_or(|key| key == pkh);
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

/// The higher one of two rows. At one position: what is certain of both.
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

/// A JSON object as a list, in which a name that stands there twice is kept twice.
#[derive(Debug)]
pub(super) struct Entries<K, V>(pub(super) Vec<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Object<K, V> {
            type Value = Entries<K, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}
