//! The names of records.

use crate::key::{ChainId, PublicKeyHash};
use crate::serde_as_text;
use std::fmt;
use std::str::FromStr;

/// The namespace of every record of a cluster.
pub const RECORDS_NAMESPACE: &str = "tezos-signer-records";

/// The name of the record of a key on a chain, `watermark-<tz1…tz4>-<40 hex>-<8 hex>`: 63 characters, so that it is also
/// a DNS label. The name is the claim on the key: two records for one key cannot exist.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordName(String);

serde_as_text!(RecordName);

impl RecordName {
    /// For `key` on `chain`.
    pub fn new(key: &PublicKeyHash, chain: &ChainId) -> Self {
        let scheme = key.curve().address_prefix();
        Self(format!("watermark-{scheme}-{}-{}", hex::encode(key.as_bytes()), hex::encode(chain.as_bytes())))
    }

    /// The name of the ConfigMap, and of the file before `.json`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is not the name of a record. A retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a watermark record: expected watermark-<tz1…tz4>-<40 hex digits>-<8 hex digits>")]
pub struct RecordNameError;

impl FromStr for RecordName {
    type Err = RecordNameError;
    fn from_str(text: &str) -> Result<Self, RecordNameError> {
        let is_hex =
            |word: &str, length| word.len() == length && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match text.split('-').collect::<Vec<_>>()[..] {
            ["watermark", "tz1" | "tz2" | "tz3" | "tz4", key, chain] if is_hex(key, 40) && is_hex(chain, 8) => {
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
