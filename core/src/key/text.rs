//! The text form that keys, hashes, chain ids and signatures share: base58check, and its errors.

use crate::base58::{self, Base58Error};

/// Why a text or bytes are not a key, hash, chain id or signature, or one that cannot be used. A retry does not help: another one has to be
/// given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no base58check value of the kind expected: copy it again, or give the other kind.
    #[error("not {what}: {source}")]
    Text {
        /// What was expected, with its usual beginning.
        what: &'static str,
        /// What is wrong with the text.
        source: Base58Error,
    },
    /// A well-formed key that is no point of its curve: copy it again from where it was generated.
    #[error("not a public key: its bytes are not a point of the curve")]
    NotOnCurve,
    /// A key for which somebody without a secret key can make signatures, or that no key generation makes: see
    /// [`PublicKey::check_strength`](super::PublicKey::check_strength).
    #[error("a signature of this key proves nothing: {0}; use the public key of a key pair that was generated")]
    Weak(&'static str),
    /// A key, address or signature of the post-quantum scheme that Tezos has since Ushuaia.
    #[error(
        "{0} is of ML-DSA-44, the post-quantum scheme (tz5…, mdpk…, mdsig…), which this signer does not support: use Ed25519 \
         (edpk…), secp256k1 (sppk…), P-256 (p2pk…) or BLS (BLpk…)"
    )]
    MlDsa(&'static str),
}

/// The bytes of `text` with the prefix still in front, or the error that says that `what` was expected.
pub(super) fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, KeyError> {
    // An ML-DSA key has 1312 bytes and a signature 2420: more than is decoded here, so the first letters have to do.
    for (prefix, which) in [("tz5", "an address tz5…"), ("mdpk", "a key mdpk…"), ("mdsig", "a signature mdsig…")]
    {
        if text.starts_with(prefix) {
            return Err(KeyError::MlDsa(which));
        }
    }
    base58::decode(text).map_err(|source| KeyError::Text { what, source })
}

/// The error for base58check text of another kind of value than `what`.
pub(super) fn wrong_kind(what: &'static str) -> KeyError {
    KeyError::Text { what, source: Base58Error::Prefix(what) }
}
