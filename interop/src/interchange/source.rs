//! The interface of all import formats: a file's name and text in, watermarks out.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::json;
use tezos_signer_core::key::{ChainId, PublicKeyHash};
use tezos_signer_core::position::{ConsensusKind, Level, Position};
use tezos_signer_core::record::Row;

/// A file that is to be imported.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name without the directory. For octez-signer it determines the kind, for Signatory the chain.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl SourceFile {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ForeignError> {
        json::from_str(&self.text).map_err(|error| self.error(Cause::of(error)))
    }

    pub(super) fn error(&self, reason: impl Into<Cause>) -> ForeignError {
        ForeignError { name: self.name.clone(), reason: reason.into() }
    }
}

/// Why a file of another signer was not read. Nothing of it is used then. A retry does not help before the file, or its name, is the one that the
/// message asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct ForeignError {
    /// The name of the file.
    pub name: String,
    /// What is wrong, and where.
    #[source]
    pub reason: Cause,
}

/// That something was signed, as another signer has remembered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedMark {
    /// The chain that the mark is for.
    pub chain: ChainId,
    /// The key; `None` if the source does not distinguish keys.
    pub key: Option<PublicKeyHash>,
    /// The kinds. More than one if the source does not distinguish them.
    pub kinds: &'static [ConsensusKind],
    /// The position, and the digest where the source has one.
    pub row: Row,
}

impl ImportedMark {
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

/// A JSON object as a list, in which two names of the same key, such as `mainnet` and its id, are kept as two.
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
