//! Digests of payloads.

use crate::{lower_hex, serde_as_text};
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use std::fmt;
use std::str::FromStr;

/// BLAKE2b-256 of a whole payload, its magic byte included: what tz1, tz2 and tz3 keys sign. Text: 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

serde_as_text!(Digest);

impl Digest {
    /// The digest of `payload`.
    pub fn of(payload: &[u8]) -> Self {
        Self(Blake2b::<U32>::digest(payload).into())
    }

    /// The 32 bytes that the token signs.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text is not a digest: it has not 64 hex digits. A retry with the same text does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected 64 hex digits, in lower case")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        lower_hex::decode(text).map(Self).ok_or(DigestError)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
