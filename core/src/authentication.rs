//! Who may ask: Octez' request authentication. A client signs `0x04 0x01 ‖ key hash ‖ payload` with a key of its own, which
//! may be of any scheme, and sends the signature with the request.
//!
//! Source: `src/lib_signer_services/signer_messages.ml` of Octez; `reference/tezos.md` §3.2.

use crate::key::{Curve, PublicKey, PublicKeyHash, Signature};
use serde::{Deserialize, Serialize};

/// The clients that may ask for signatures. Empty: whoever reaches the port may.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorizedKeys(Vec<PublicKey>);

/// Why a request is not one of an authorized client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// It has no signature.
    #[error("missing authentication signature field: this key signs for authorized clients only (authorizedKeys)")]
    Missing,
    /// Its signature is no text of one.
    #[error("invalid authentication signature: it is not a signature (edsig…, spsig1…, p2sig…, BLsig…, sig…)")]
    Malformed,
    /// Its signature is of nobody who is authorized, or of another request.
    #[error("invalid authentication signature: no authorized key (authorizedKeys) made it for this key and payload")]
    Invalid,
}

impl AuthorizedKeys {
    /// These clients.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self(keys)
    }

    /// Whether nobody is named, and so nobody is asked who they are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The addresses of the clients.
    pub fn hashes(&self) -> impl Iterator<Item = PublicKeyHash> {
        self.0.iter().map(PublicKey::hash)
    }

    /// The client that signed the request for a signature of `key` over `payload`; `None` where nobody is asked who they are.
    pub fn authenticate(
        &self,
        key: &PublicKeyHash,
        payload: &[u8],
        signature: Option<&str>,
    ) -> Result<Option<PublicKeyHash>, Unauthenticated> {
        if self.is_empty() {
            return Ok(None);
        }
        let signature: Signature =
            signature.ok_or(Unauthenticated::Missing)?.parse().map_err(|_| Unauthenticated::Malformed)?;
        let message = signed_bytes(key, payload);
        let client = self.0.iter().find(|client| client.verify_message(&message, &signature));
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
