//! The keys that this signer signs with, and what a token returns as their signatures.

use super::curve::SigningCurve;
use super::digest::Digest;
use super::ecdsa_der::raw_from_der;
use super::hash::PublicKeyHash;
use super::public::PublicKey;
use super::signature::Signature;
use super::text::KeyError;
use crate::serde_as_text;
use std::fmt;
use std::str::FromStr;

/// A public key that this signer can sign for: tz2 or tz3.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningPublicKey(PublicKey);

serde_as_text!(SigningPublicKey);

/// A signature that was verified, with the key and the digest that it verifies for. Only [`SigningPublicKey::accept_token_signature`] makes
/// one, so whatever made the bytes, the signing path need not verify them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    signature: Signature,
    key: PublicKeyHash,
    digest: Digest,
}

impl VerifiedSignature {
    /// The verified signature, with a low s.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The signature, if it is one of `key` over `digest`.
    pub fn of(&self, key: &PublicKeyHash, digest: &Digest) -> Option<Signature> {
        (self.key == *key && self.digest == *digest).then_some(self.signature)
    }
}

/// What is wrong with the bytes that a token returned as a signature. They are never released. A retry helps where one call of the token
/// went wrong; it does not where the token is of another make than expected, or has another key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenSignatureError {
    /// It is neither r ‖ s of 32 bytes each nor the same in DER: the token does not do ECDSA as PKCS#11 has it.
    #[error("the token returned a signature of {0} bytes, not 64, which is no DER either")]
    Length(usize),
    /// r or s is zero, or not below the order of the curve: the token or what is between computes wrongly.
    #[error("the token returned a signature whose r or s is out of range")]
    Range,
    /// It is no signature of this key over this digest: check that `publicKey` is that of the token's key.
    #[error("the token returned a signature that the configured public key does not verify")]
    Unverified,
}

impl SigningPublicKey {
    /// From an elliptic curve point in SEC1 form, compressed or not.
    pub fn from_sec1(curve: SigningCurve, sec1: &[u8]) -> Result<Self, KeyError> {
        PublicKey::from_bytes(curve.into(), sec1).map(Self)
    }

    /// The curve of this key.
    pub fn curve(&self) -> SigningCurve {
        match self.0 {
            PublicKey::Secp256k1(_) => SigningCurve::Secp256k1,
            _ => SigningCurve::P256,
        }
    }

    /// The address of this key: `tz2…` or `tz3…`.
    pub fn hash(&self) -> PublicKeyHash {
        self.0.hash()
    }

    /// Whether `signature` is this key's over `digest`.
    pub fn verify(&self, digest: &Digest, signature: &Signature) -> bool {
        self.0.verify(digest, signature)
    }

    /// The signature that may be released for what the token returned, r ‖ s or the same in DER: brought to low-S (Octez
    /// rejects high-S for secp256k1; for P-256 it makes the bytes canonical), and verified against this key. The
    /// verification is what protects against a token that signs with another key than it was asked to.
    pub fn accept_token_signature(
        &self,
        digest: &Digest,
        returned: &[u8],
    ) -> Result<VerifiedSignature, TokenSignatureError> {
        let raw = returned.try_into().map_err(|_| TokenSignatureError::Length(returned.len()));
        match (raw.and_then(|raw| self.accept_raw_signature(digest, raw)), raw_from_der(returned)) {
            (Err(_), Some(raw)) => self.accept_raw_signature(digest, raw),
            (accepted, _) => accepted,
        }
    }

    fn accept_raw_signature(&self, digest: &Digest, bytes: [u8; 64]) -> Result<VerifiedSignature, TokenSignatureError> {
        let signature = match self.curve() {
            SigningCurve::Secp256k1 => {
                let mut signature =
                    secp256k1::ecdsa::Signature::from_compact(&bytes).map_err(|_| TokenSignatureError::Range)?;
                signature.normalize_s();
                Signature::Secp256k1(signature.serialize_compact())
            }
            SigningCurve::P256 => {
                let signature = p256::ecdsa::Signature::from_slice(&bytes).map_err(|_| TokenSignatureError::Range)?;
                Signature::P256(signature.normalize_s().to_bytes().into())
            }
        };
        if !self.verify(digest, &signature) {
            return Err(TokenSignatureError::Unverified);
        }
        Ok(VerifiedSignature { signature, key: self.hash(), digest: *digest })
    }
}

impl TryFrom<PublicKey> for SigningPublicKey {
    type Error = KeyError;
    fn try_from(key: PublicKey) -> Result<Self, KeyError> {
        match key {
            PublicKey::Secp256k1(_) | PublicKey::P256(_) => Ok(Self(key)),
            PublicKey::Ed25519(_) => Err(KeyError::CannotSign("tz1 (edpk…)")),
            PublicKey::Bls12381(_) => Err(KeyError::CannotSign("tz4 (BLpk…)")),
        }
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
