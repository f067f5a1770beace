//! What a key signs.

use super::digest::Digest;
use std::sync::Arc;

/// The bytes of a payload, its magic byte included, and their digest. Keys of tz1, tz2 and tz3 sign the digest, keys of tz4 the bytes: see
/// [`SigningPublicKey::verify`](super::SigningPublicKey::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    bytes: Arc<[u8]>,
    digest: Digest,
}

impl Message {
    /// `bytes`, with their digest.
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), digest: Digest::of(bytes) }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// BLAKE2b-256 of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}
