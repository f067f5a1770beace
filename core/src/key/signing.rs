//! The keys that this signer signs with, and what a keystore returns as their signatures.

use super::curve::Curve;
use super::digest::Digest;
use super::ecdsa_der::raw_from_der;
use super::hash::PublicKeyHash;
use super::message::Message;
use super::public::PublicKey;
use super::signature::Signature;
use super::text::KeyError;
use crate::serde_as_text;
use std::fmt;
use std::str::FromStr;

/// A public key that this signer can sign for: of any scheme, and none for which a signature proves nothing
/// ([`PublicKey::check_strength`]).
#[derive(Clone, PartialEq, Eq)]
pub struct SigningPublicKey(PublicKey);

serde_as_text!(SigningPublicKey);

/// A signature that was verified, with the key and the message that it verifies for. Only [`SigningPublicKey::accept_signature`] makes
/// one, so whatever made the bytes, the signing path need not verify them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    signature: Signature,
    key: PublicKeyHash,
    digest: Digest,
}

impl VerifiedSignature {
    /// The verified signature; one of ECDSA has a low s.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The signature, if it is one of `key` over the message with `digest`.
    pub fn of(&self, key: &PublicKeyHash, digest: &Digest) -> Option<Signature> {
        (self.key == *key && self.digest == *digest).then_some(self.signature)
    }
}

/// What is wrong with the bytes that a keystore returned as a signature. They are never released. A retry helps where one call went wrong;
/// it does not where the token is of another make than expected, or has another key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReturnedSignatureError {
    /// It has not the length of a signature of the key's scheme, and for ECDSA it is no DER either.
    #[error("the keystore returned a signature of {length} bytes, not {expected}")]
    Length {
        /// The number of bytes that were returned.
        length: usize,
        /// What the scheme has.
        expected: &'static str,
    },
    /// r or s is zero, or not below the order of the curve: the token or what is between computes wrongly.
    #[error("the keystore returned a signature whose r or s is out of range")]
    Range,
    /// It is no signature of this key over this message: check that `publicKey` is that of the keystore's key.
    #[error("the keystore returned a signature that the configured public key does not verify")]
    Unverified,
}

impl SigningPublicKey {
    /// From 32 bytes (Ed25519), an elliptic curve point in SEC1 form, compressed or not (secp256k1, P-256), or 48 bytes (BLS).
    pub fn from_bytes(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        PublicKey::from_bytes(curve, bytes)?.try_into()
    }

    /// The bytes that are hashed and encoded: 32 (Ed25519), 33 (a compressed point), 48 (BLS).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// The scheme of this key.
    pub fn curve(&self) -> Curve {
        self.0.curve()
    }

    /// The address of this key: `tz1…` to `tz4…`.
    pub fn hash(&self) -> PublicKeyHash {
        self.0.hash()
    }

    /// Whether `signature` is this key's over `message`: over its bytes for BLS, over its digest for all others.
    pub fn verify(&self, message: &Message, signature: &Signature) -> bool {
        self.0.verify_message(message, signature)
    }

    /// Whether `proof` is this key's proof of possession of itself, as Octez has it since Seoul. Of a BLS key only.
    pub fn verify_proof_of_possession(&self, proof: &Signature) -> bool {
        self.0.verify_proof_of_possession(proof)
    }

    /// The signature that may be released for what a keystore returned: r ‖ s or the same in DER for ECDSA, 64 bytes for Ed25519, 96 for
    /// BLS. ECDSA is brought to low-S (Octez rejects high-S for secp256k1; for P-256 it makes the bytes canonical). It is verified against
    /// this key, which is what protects against a keystore that signs with another key than it was asked to.
    pub fn accept_signature(
        &self,
        message: &Message,
        returned: &[u8],
    ) -> Result<VerifiedSignature, ReturnedSignatureError> {
        let raw = |expected| {
            let length = returned.len();
            <[u8; 64]>::try_from(returned).map_err(|_| ReturnedSignatureError::Length { length, expected })
        };
        match self.curve() {
            Curve::Ed25519 => self.verified(message, Signature::Ed25519(raw("64")?)),
            Curve::Secp256k1 | Curve::P256 => {
                let of_raw = raw("64 or DER").and_then(|raw| self.verified(message, self.low_s(raw)?));
                match (of_raw, raw_from_der(returned)) {
                    (Err(_), Some(raw)) => self.verified(message, self.low_s(raw)?),
                    (accepted, _) => accepted,
                }
            }
            Curve::Bls12381 => {
                let length = returned.len();
                let bytes = returned.try_into();
                let bytes = bytes.map_err(|_| ReturnedSignatureError::Length { length, expected: "96" })?;
                self.verified(message, Signature::Bls12381(bytes))
            }
        }
    }

    fn low_s(&self, raw: [u8; 64]) -> Result<Signature, ReturnedSignatureError> {
        if self.curve() == Curve::Secp256k1 {
            let signature = secp256k1::ecdsa::Signature::from_compact(&raw);
            let mut signature = signature.map_err(|_| ReturnedSignatureError::Range)?;
            signature.normalize_s();
            Ok(Signature::Secp256k1(signature.serialize_compact()))
        } else {
            let signature = p256::ecdsa::Signature::from_slice(&raw).map_err(|_| ReturnedSignatureError::Range)?;
            Ok(Signature::P256(signature.normalize_s().to_bytes().into()))
        }
    }

    fn verified(&self, message: &Message, signature: Signature) -> Result<VerifiedSignature, ReturnedSignatureError> {
        if !self.verify(message, &signature) {
            return Err(ReturnedSignatureError::Unverified);
        }
        Ok(VerifiedSignature { signature, key: self.hash(), digest: *message.digest() })
    }
}

impl TryFrom<PublicKey> for SigningPublicKey {
    type Error = KeyError;
    /// [`KeyError::Weak`] for a key with which anybody could sign.
    fn try_from(key: PublicKey) -> Result<Self, KeyError> {
        key.check_strength()?;
        Ok(Self(key))
    }
}

impl FromStr for SigningPublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.parse::<PublicKey>()?.try_into()
    }
}

impl fmt::Display for SigningPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
