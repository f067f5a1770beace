//! Octez' request authentication. A client signs `0x04 0x01 ‖ key hash ‖ payload` with a key of its own, which may be of any
//! scheme, and sends the signature with the request.
//!
//! Source: `src/lib_signer_services/signer_messages.ml` of Octez; `reference/tezos.md` §3.2.

use crate::key::{Curve, KeyError, Message, PublicKey, PublicKeyHash, Signature};
use crate::serde_as_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The public key of a client: one with which only the owner of the secret key can make signatures.
///
/// Octez accepts every 32 bytes as an `edpk…` and every 48 bytes as a `BLpk…`. For some of them anybody can make a signature
/// that verifies, so they are an error here: see [`PublicKey::check_strength`].
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKey(PublicKey);

serde_as_text!(ClientKey);

impl ClientKey {
    /// The address of the client.
    pub fn hash(&self) -> PublicKeyHash {
        self.0.hash()
    }
}

impl TryFrom<PublicKey> for ClientKey {
    type Error = KeyError;
    /// [`KeyError::Weak`] for a key that identifies nobody.
    fn try_from(key: PublicKey) -> Result<Self, KeyError> {
        key.check_strength()?;
        Ok(Self(key))
    }
}

impl FromStr for ClientKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.parse::<PublicKey>()?.try_into()
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The clients that may ask for signatures. Empty: whoever reaches the port may.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorizedKeys(Vec<ClientKey>);

/// Why a request is not one of an authorized client. A retry of the same request does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// It has no signature: give the client a key that is in `authorizedKeys` (Octez signs requests with the keys of its wallet).
    #[error("missing authentication signature field: this key signs for authorized clients only (authorizedKeys)")]
    Missing,
    /// Its signature is of nobody who is authorized, or of another request: add the client's public key to `authorizedKeys`.
    #[error("invalid authentication signature: no authorized key (authorizedKeys) made it for this key and payload")]
    Invalid,
}

impl AuthorizedKeys {
    /// Requests may be signed by any of these keys. An empty list means that requests are not authenticated.
    pub fn new(keys: Vec<ClientKey>) -> Self {
        Self(keys)
    }

    /// Whether no client is named, so that requests are not authenticated.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The addresses of the clients.
    pub fn hashes(&self) -> impl Iterator<Item = PublicKeyHash> {
        self.0.iter().map(ClientKey::hash)
    }

    /// The client that signed the request for a signature of `key` over `payload`; `None` where nobody is asked who they are.
    ///
    /// A P-256 signature may have S in the upper half: Octez' client does not normalise its own, so half of what it sends has,
    /// and who has seen a request can repeat it anyway. A secp256k1 one may not, as for Octez.
    pub fn authenticate(
        &self,
        key: &PublicKeyHash,
        payload: &[u8],
        signature: Option<&Signature>,
    ) -> Result<Option<PublicKeyHash>, Unauthenticated> {
        if self.is_empty() {
            return Ok(None);
        }
        let signature = signature.ok_or(Unauthenticated::Missing)?;
        let message = Message::new(&signed_bytes(key, payload));
        let client = self.0.iter().find(|client| client.0.verify_message(&message, signature));
        client.map(|client| Some(client.hash())).ok_or(Unauthenticated::Invalid)
    }
}

/// What a client signs to ask for a signature of `key` over `payload`.
pub fn signed_bytes(key: &PublicKeyHash, payload: &[u8]) -> Vec<u8> {
    let scheme = match key.curve() {
        Curve::Ed25519 => 0,
        Curve::Secp256k1 => 1,
        Curve::P256 => 2,
        Curve::Bls12381 => 3,
    };
    [&[0x04, 0x01, scheme][..], key.as_bytes(), payload].concat()
}
