//! Hashes of public keys: addresses.

use super::curve::Curve;
use super::text::{KeyError, decode, wrong_kind};
use crate::base58;
use crate::serde_as_text;
use std::fmt;
use std::str::FromStr;

const PKH: &str = "a public key hash (tz1…, tz2…, tz3…, tz4…)";

/// The hash of a public key: an address, `tz1…` to `tz4…`. BLAKE2b-160 of the key's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKeyHash {
    curve: Curve,
    hash: [u8; 20],
}

serde_as_text!(PublicKeyHash);

impl PublicKeyHash {
    /// From the bare 20 bytes.
    pub fn from_bytes(curve: Curve, hash: [u8; 20]) -> Self {
        Self { curve, hash }
    }

    /// The scheme of the key that this is the hash of.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The bare 20 bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.hash
    }
}

impl FromStr for PublicKeyHash {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text, PKH)?;
        Curve::ALL
            .into_iter()
            .find_map(|curve| Some(Self { curve, hash: base58::strip(&bytes, &curve.hash_prefix())? }))
            .ok_or_else(|| wrong_kind(PKH))
    }
}

impl fmt::Display for PublicKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58::encode(&self.curve.hash_prefix(), &self.hash))
    }
}
