//! Chain ids.

use super::text::{KeyError, decode, wrong_kind};
use crate::base58;
use crate::serde_as_text;
use std::fmt;
use std::str::FromStr;

const CHAIN_ID: &str = "a chain id (Net…, or mainnet)";

/// The id of a chain: `NetXdQprcVkpaWU` is mainnet. Four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId([u8; 4]);

serde_as_text!(ChainId);

const NET: [u8; 3] = [0x57, 0x52, 0x00];

impl ChainId {
    /// Tezos mainnet, `NetXdQprcVkpaWU`.
    pub const MAINNET: ChainId = ChainId([0x7a, 0x06, 0xa7, 0x70]);

    /// From the four bytes that stand in payloads.
    pub fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes that stand in payloads.
    pub fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl FromStr for ChainId {
    type Err = KeyError;
    /// A base58check id, or the word `mainnet`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text == "mainnet" {
            return Ok(Self::MAINNET);
        }
        let bytes = decode(text, CHAIN_ID)?;
        base58::strip(&bytes, &NET).map(Self).ok_or_else(|| wrong_kind(CHAIN_ID))
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58::encode(&NET, &self.0))
    }
}
