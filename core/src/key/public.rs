//! Public keys of any scheme, and the verification of signatures by them.

use super::curve::Curve;
use super::digest::Digest;
use super::hash::PublicKeyHash;
use super::message::Message;
use super::p256_key::P256PublicKey;
use super::signature::Signature;
use super::text::{KeyError, decode, wrong_kind};
use crate::base58;
use crate::serde_as_text;
use blake2::digest::consts::U20;
use blake2::{Blake2b, Digest as _};
use std::fmt;
use std::str::FromStr;

const PUBLIC_KEY: &str = "a public key (edpk…, sppk…, p2pk…, BLpk…)";
const EDPK: [u8; 4] = [0x0d, 0x0f, 0x25, 0xd9];
const SPPK: [u8; 4] = [0x03, 0xfe, 0xe2, 0x56];
pub(super) const P2PK: [u8; 4] = [0x03, 0xb2, 0x8b, 0x7f];
const BLPK: [u8; 4] = [0x06, 0x95, 0x87, 0xcc];

/// What BLS keys sign messages in: the proof of possession scheme, `src/lib_crypto/bls.ml` of Octez since Seoul.
pub const BLS_CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// What BLS keys sign their own public key in, to prove that they have the secret key.
pub const BLS_PROOF_CIPHERSUITE: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A public key of any Tezos scheme. Keys on curves that are verified here are points of their curve.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// 32 bytes, as text `edpk…`.
    Ed25519(ed25519_dalek::VerifyingKey),
    /// A curve point, as text `sppk…`.
    Secp256k1(secp256k1::PublicKey),
    /// A curve point, as text `p2pk…`.
    P256(P256PublicKey),
    /// `BLpk…`. Whether it is a point of its curve is looked at when it is to verify something: that takes a while, and
    /// operations may be full of such keys.
    Bls12381([u8; 48]),
}

serde_as_text!(PublicKey);

impl PublicKey {
    /// The scheme of this key.
    pub fn curve(&self) -> Curve {
        match self {
            Self::Ed25519(_) => Curve::Ed25519,
            Self::Secp256k1(_) => Curve::Secp256k1,
            Self::P256(_) => Curve::P256,
            Self::Bls12381(_) => Curve::Bls12381,
        }
    }

    /// From the bytes that stand in payloads: 32 (Ed25519), 33 (a compressed point), 48 (BLS).
    /// [`KeyError::NotOnCurve`] for any others.
    pub fn from_bytes(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        match curve {
            Curve::Ed25519 => {
                let bytes = bytes.try_into().map_err(|_| KeyError::NotOnCurve)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
                Ok(Self::Ed25519(key))
            }
            Curve::Secp256k1 => Ok(Self::Secp256k1(secp256k1_point(bytes)?)),
            Curve::P256 => Ok(Self::P256(P256PublicKey::from_sec1(bytes)?)),
            Curve::Bls12381 => bytes.try_into().map(Self::Bls12381).map_err(|_| KeyError::NotOnCurve),
        }
    }

    /// The bytes that are hashed and encoded: 32 (Ed25519), 33 (compressed point), 48 (BLS).
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.to_bytes().to_vec(),
            Self::Secp256k1(key) => key.serialize().to_vec(),
            Self::P256(key) => key.to_compressed(),
            Self::Bls12381(bytes) => bytes.to_vec(),
        }
    }

    /// The address of this key.
    pub fn hash(&self) -> PublicKeyHash {
        PublicKeyHash::from_bytes(self.curve(), Blake2b::<U20>::digest(self.to_bytes()).into())
    }

    /// Refuses keys for which a signature proves nothing, with [`KeyError::Weak`].
    ///
    /// Ed25519: points of small order, of which (R = identity, S = 0) signs every message; points with a part of small order,
    /// for which implementations disagree about what verifies; encodings that are not the one of their point. BLS: infinity,
    /// and points outside the group. Points of secp256k1 and P-256 have none of this: their groups have prime order, infinity
    /// has no 33 bytes, and a coordinate that is not reduced is [`KeyError::NotOnCurve`].
    pub fn check_strength(&self) -> Result<(), KeyError> {
        match self {
            Self::Ed25519(key) => {
                let point = key.to_edwards();
                if point.is_small_order() {
                    Err(KeyError::Weak("it is a point of small order, for which anybody can forge signatures"))
                } else if !point.is_torsion_free() {
                    Err(KeyError::Weak("it has a part of small order (torsion), which no generated key has"))
                } else if point.compress().as_bytes() != key.as_bytes() {
                    Err(KeyError::Weak("its bytes are not the canonical encoding of its point"))
                } else {
                    Ok(())
                }
            }
            Self::Bls12381(bytes) => {
                blst::min_pk::PublicKey::key_validate(bytes).map(|_| ()).map_err(|error| match error {
                    blst::BLST_ERROR::BLST_PK_IS_INFINITY => {
                        KeyError::Weak("it is the point at infinity, for which anybody can forge signatures")
                    }
                    blst::BLST_ERROR::BLST_POINT_NOT_IN_GROUP => {
                        KeyError::Weak("it is a point outside the group of BLS12-381 keys")
                    }
                    _ => KeyError::NotOnCurve,
                })
            }
            Self::Secp256k1(_) | Self::P256(_) => Ok(()),
        }
    }

    /// Whether `signature` is this key's over `message`: over its digest, except that BLS signs the bytes themselves.
    pub fn verify_message(&self, message: &Message, signature: &Signature) -> bool {
        match (self, signature) {
            (Self::Bls12381(key), Signature::Bls12381(signature)) => {
                verify_bls(key, message.bytes(), signature, BLS_CIPHERSUITE).unwrap_or(false)
            }
            _ => self.verify(message.digest(), signature),
        }
    }

    /// Whether `proof` is this BLS key's signature over its own bytes as a proof of possession. Never for other schemes.
    pub fn verify_proof_of_possession(&self, proof: &Signature) -> bool {
        match (self, proof) {
            (Self::Bls12381(key), Signature::Bls12381(proof)) => {
                verify_bls(key, key, proof, BLS_PROOF_CIPHERSUITE).unwrap_or(false)
            }
            _ => false,
        }
    }

    /// Whether `signature` is this key's over `digest`. High-S secp256k1 signatures are not, as for Octez, and high-S P-256
    /// signatures are, as for Octez; an Ed25519 signature is not if its R or the key is a point of small order, or if R or S
    /// is not in its canonical encoding; a BLS signature never is, since it signs the message and not its digest.
    pub fn verify(&self, digest: &Digest, signature: &Signature) -> bool {
        match (self, signature) {
            (Self::Ed25519(key), Signature::Ed25519(bytes) | Signature::Generic(bytes)) => {
                key.verify_strict(digest.as_bytes(), &ed25519_dalek::Signature::from_bytes(bytes)).is_ok()
            }
            (Self::Secp256k1(key), Signature::Secp256k1(bytes) | Signature::Generic(bytes)) => {
                secp256k1::ecdsa::Signature::from_compact(bytes).is_ok_and(|signature| {
                    signature.verify(secp256k1::Message::from_digest(*digest.as_bytes()), key).is_ok()
                })
            }
            (Self::P256(key), Signature::P256(bytes) | Signature::Generic(bytes)) => key.verify(digest, bytes),
            _ => false,
        }
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text, PUBLIC_KEY)?;
        if let Some(key) = base58::strip::<32>(&bytes, &EDPK) {
            Self::from_bytes(Curve::Ed25519, &key)
        } else if let Some(point) = base58::strip::<33>(&bytes, &SPPK) {
            Self::from_bytes(Curve::Secp256k1, &point)
        } else if let Some(point) = base58::strip::<33>(&bytes, &P2PK) {
            Self::from_bytes(Curve::P256, &point)
        } else if let Some(key) = base58::strip::<48>(&bytes, &BLPK) {
            Self::from_bytes(Curve::Bls12381, &key)
        } else {
            Err(wrong_kind(PUBLIC_KEY))
        }
    }
}

fn verify_bls(key: &[u8], message: &[u8], signature: &[u8], ciphersuite: &[u8]) -> Result<bool, blst::BLST_ERROR> {
    let key = blst::min_pk::PublicKey::key_validate(key)?;
    let signature = blst::min_pk::Signature::sig_validate(signature, true)?;
    let verified = signature.verify(false, message, ciphersuite, &[], &key, false);
    Ok(verified == blst::BLST_ERROR::BLST_SUCCESS)
}

fn secp256k1_point(sec1: &[u8]) -> Result<secp256k1::PublicKey, KeyError> {
    secp256k1::PublicKey::from_slice(sec1).map_err(|_| KeyError::NotOnCurve)
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.curve() {
            Curve::Ed25519 => EDPK,
            Curve::Secp256k1 => SPPK,
            Curve::P256 => P2PK,
            Curve::Bls12381 => BLPK,
        };
        f.write_str(&base58::encode(&prefix, &self.to_bytes()))
    }
}
