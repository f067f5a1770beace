//! The id of a request. It is the same in the audit lines, logs and responses of all signers that handled the request.

use crate::lower_hex;
use std::fmt;
use std::str::FromStr;

/// Eight bytes, random but for two bits. Text: 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 8]);

/// A text is no [`RequestId`]. A retry does not help; whoever reads one of another replica makes one of its own instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a request id has 16 hex digits in lower case")]
pub struct RequestIdError;

impl RequestId {
    /// An id from 8 random bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

impl FromStr for RequestId {
    type Err = RequestIdError;
    fn from_str(text: &str) -> Result<Self, RequestIdError> {
        lower_hex::decode(text).map(Self).ok_or(RequestIdError)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

crate::serde_as_text!(RequestId);
