//! Keys, key hashes, chain ids, digests and signatures of Tezos: types that cannot hold a wrong value, their base58check
//! text, and the verification of signatures. Nothing here signs.
//!
//! Prefixes and hash rules: `src/lib_crypto/base58.ml` and `src/lib_crypto/{secp256k1,p256}.ml` of Octez.

use crate::base58::{self, Base58Error};
use blake2::digest::consts::{U20, U32};
use blake2::{Blake2b, Digest as _};
use ed25519_dalek::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// Every signature scheme that a Tezos address can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Curve {
    /// tz1.
    Ed25519,
    /// tz2.
    Secp256k1,
    /// tz3.
    P256,
    /// tz4.
    Bls12381,
}

impl Curve {
    /// How an address of this scheme starts: `tz1` to `tz4`.
    pub fn address_prefix(self) -> &'static str {
        match self {
            Curve::Ed25519 => "tz1",
            Curve::Secp256k1 => "tz2",
            Curve::P256 => "tz3",
            Curve::Bls12381 => "tz4",
        }
    }

    fn hash_prefix(self) -> [u8; 3] {
        match self {
            Curve::Ed25519 => [0x06, 0xa1, 0x9f],
            Curve::Secp256k1 => [0x06, 0xa1, 0xa1],
            Curve::P256 => [0x06, 0xa1, 0xa4],
            Curve::Bls12381 => [0x06, 0xa1, 0xa6],
        }
    }
}

/// Why a text is not a key, hash, chain id or signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no base58check value of the kind expected.
    #[error("not {what}: {source}")]
    Text {
        /// What was expected, with its usual beginning.
        what: &'static str,
        /// What is wrong with the text.
        source: Base58Error,
    },
    /// A well-formed key that is no point of its curve.
    #[error("not a public key: its bytes are no point of the curve")]
    NotOnCurve,
    /// A key that no PKCS#11 token can sign for as Tezos wants it.
    #[error(
        "{0} keys cannot be used: this signer signs with tz2 (secp256k1) and tz3 (P-256) keys only, because CloudHSM has no \
         mechanism for tz4 (BLS) and only some clusters have one for tz1 (Ed25519)"
    )]
    CannotSign(&'static str),
}

const PKH: &str = "a public key hash (tz1…, tz2…, tz3…, tz4…)";
const PUBLIC_KEY: &str = "a public key (edpk…, sppk…, p2pk…, BLpk…)";
const CHAIN_ID: &str = "a chain id (Net…, or mainnet)";
const SIGNATURE: &str = "a signature (edsig…, spsig1…, p2sig…, BLsig…, sig…)";

fn text_error(what: &'static str) -> impl FnOnce(Base58Error) -> KeyError {
    move |source| KeyError::Text { what, source }
}

fn wrong_kind(what: &'static str) -> KeyError {
    KeyError::Text { what, source: Base58Error::Prefix(what) }
}

/// Parses inside the deserializer's call, and not after it, so that its error has the field and the line.
pub(crate) struct TextVisitor<T>(pub(crate) PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> serde::de::Visitor<'_> for TextVisitor<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Text form by `Display` and `FromStr` for JSON and YAML.
macro_rules! serde_as_text {
    ($($name:ty),+) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::key::TextVisitor(std::marker::PhantomData))
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    )+};
}
pub(crate) use serde_as_text;
serde_as_text!(PublicKeyHash, PublicKey, SigningPublicKey, ChainId, Digest, Signature);

/// The hash of a public key: an address, `tz1…` to `tz4…`. BLAKE2b-160 of the key's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKeyHash {
    curve: Curve,
    hash: [u8; 20],
}

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
        let bytes = base58::decode(text).map_err(text_error(PKH))?;
        [Curve::Ed25519, Curve::Secp256k1, Curve::P256, Curve::Bls12381]
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

const EDPK: [u8; 4] = [0x0d, 0x0f, 0x25, 0xd9];
const SPPK: [u8; 4] = [0x03, 0xfe, 0xe2, 0x56];
const P2PK: [u8; 4] = [0x03, 0xb2, 0x8b, 0x7f];
const BLPK: [u8; 4] = [0x06, 0x95, 0x87, 0xcc];

/// Proof of possession, `src/lib_crypto/bls.ml` of Octez since Seoul.
const BLS_CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A public key of any Tezos scheme. Keys on curves that are verified here are points of their curve.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// `edpk…`
    Ed25519(ed25519_dalek::VerifyingKey),
    /// `sppk…`
    Secp256k1(secp256k1::PublicKey),
    /// `p2pk…`
    P256(p256::ecdsa::VerifyingKey),
    /// `BLpk…`. Whether it is a point of its curve is looked at when it is to verify something: that takes a while, and
    /// operations may be full of such keys.
    Bls12381([u8; 48]),
}

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
            Curve::P256 => Ok(Self::P256(p256_point(bytes)?)),
            Curve::Bls12381 => bytes.try_into().map(Self::Bls12381).map_err(|_| KeyError::NotOnCurve),
        }
    }

    /// The bytes that are hashed and encoded: 32 (Ed25519), 33 (compressed point), 48 (BLS).
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.to_bytes().to_vec(),
            Self::Secp256k1(key) => key.serialize().to_vec(),
            Self::P256(key) => key.to_sec1_point(true).as_bytes().to_vec(),
            Self::Bls12381(bytes) => bytes.to_vec(),
        }
    }

    /// The address of this key.
    pub fn hash(&self) -> PublicKeyHash {
        PublicKeyHash { curve: self.curve(), hash: Blake2b::<U20>::digest(self.to_bytes()).into() }
    }

    /// Whether `signature` is this key's over `message`: over its digest, except that BLS signs the message itself.
    pub fn verify_message(&self, message: &[u8], signature: &Signature) -> bool {
        match (self, signature) {
            (Self::Bls12381(key), Signature::Bls12381(bytes)) => verify_bls(key, message, bytes).unwrap_or(false),
            _ => self.verify(&Digest::of(message), signature),
        }
    }

    /// Whether `signature` is this key's over `digest`. High-S secp256k1 signatures are not, as for Octez; a BLS signature
    /// never is, since it signs the message and not its digest.
    pub fn verify(&self, digest: &Digest, signature: &Signature) -> bool {
        match (self, signature) {
            (Self::Ed25519(key), Signature::Ed25519(bytes) | Signature::Generic(bytes)) => {
                key.verify(&digest.0, &ed25519_dalek::Signature::from_bytes(bytes)).is_ok()
            }
            (Self::Secp256k1(key), Signature::Secp256k1(bytes) | Signature::Generic(bytes)) => {
                secp256k1::ecdsa::Signature::from_compact(bytes)
                    .is_ok_and(|signature| signature.verify(secp256k1::Message::from_digest(digest.0), key).is_ok())
            }
            (Self::P256(key), Signature::P256(bytes) | Signature::Generic(bytes)) => {
                p256::ecdsa::Signature::from_slice(bytes)
                    .is_ok_and(|signature| key.verify_prehash(&digest.0, &signature).is_ok())
            }
            _ => false,
        }
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = base58::decode(text).map_err(text_error(PUBLIC_KEY))?;
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

fn verify_bls(key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, blst::BLST_ERROR> {
    let key = blst::min_pk::PublicKey::key_validate(key)?;
    let signature = blst::min_pk::Signature::sig_validate(signature, true)?;
    let verified = signature.verify(false, message, BLS_CIPHERSUITE, &[], &key, false);
    Ok(verified == blst::BLST_ERROR::BLST_SUCCESS)
}

fn secp256k1_point(sec1: &[u8]) -> Result<secp256k1::PublicKey, KeyError> {
    secp256k1::PublicKey::from_slice(sec1).map_err(|_| KeyError::NotOnCurve)
}

fn p256_point(sec1: &[u8]) -> Result<p256::ecdsa::VerifyingKey, KeyError> {
    p256::ecdsa::VerifyingKey::from_sec1_bytes(sec1).map_err(|_| KeyError::NotOnCurve)
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

/// The two curves that this signer signs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningCurve {
    /// tz2.
    Secp256k1,
    /// tz3, also called secp256r1 or prime256v1.
    P256,
}

impl fmt::Display for SigningCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SigningCurve::Secp256k1 => "secp256k1",
            SigningCurve::P256 => "p256",
        })
    }
}

/// A public key that this signer can sign for: tz2 or tz3.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningPublicKey(PublicKey);

/// What is wrong with the bytes that a token returned as a signature. They are never released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenSignatureError {
    /// Not r ‖ s of 32 bytes each.
    #[error("the token returned a signature of {0} bytes, not 64")]
    Length(usize),
    /// r or s is zero or not below the order of the curve.
    #[error("the token returned a signature whose r or s is out of range")]
    Range,
    /// Not a signature of this key over this digest.
    #[error("the token returned a signature that the configured public key does not verify")]
    Unverified,
}

impl SigningPublicKey {
    /// From an elliptic curve point in SEC1 form, compressed or not.
    pub fn from_sec1(curve: SigningCurve, sec1: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(match curve {
            SigningCurve::Secp256k1 => PublicKey::Secp256k1(secp256k1_point(sec1)?),
            SigningCurve::P256 => PublicKey::P256(p256_point(sec1)?),
        }))
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

    /// The signature that may be released for what the token returned: of the right length, brought to low-S (Octez
    /// rejects high-S for secp256k1; for P-256 it makes the bytes canonical), and verified against this key. The
    /// verification is what protects against a token that signs with another key than it was asked to.
    pub fn accept_token_signature(&self, digest: &Digest, raw: &[u8]) -> Result<Signature, TokenSignatureError> {
        let bytes: [u8; 64] = raw.try_into().map_err(|_| TokenSignatureError::Length(raw.len()))?;
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
        if self.verify(digest, &signature) { Ok(signature) } else { Err(TokenSignatureError::Unverified) }
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

/// The id of a chain: `NetXdQprcVkpaWU` is mainnet. Four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId([u8; 4]);

const NET: [u8; 3] = [0x57, 0x52, 0x00];

impl ChainId {
    /// Tezos mainnet, `NetXdQprcVkpaWU`.
    pub const MAINNET: ChainId = ChainId([0x7a, 0x06, 0xa7, 0x70]);

    /// From the four bytes that stand in payloads.
    pub fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes that stand in payloads.
    pub fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl FromStr for ChainId {
    type Err = KeyError;
    /// A base58check id, or the word `mainnet`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text == "mainnet" {
            return Ok(Self::MAINNET);
        }
        let bytes = base58::decode(text).map_err(text_error(CHAIN_ID))?;
        base58::strip(&bytes, &NET).map(Self).ok_or_else(|| wrong_kind(CHAIN_ID))
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58::encode(&NET, &self.0))
    }
}

/// BLAKE2b-256 of a whole payload, its magic byte included: what tz1, tz2 and tz3 keys sign. Text: 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

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

/// Not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected 64 hex digits, in lower case")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError)?;
        // One digest has one text.
        if text.bytes().any(|digit| digit.is_ascii_uppercase()) { Err(DigestError) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A signature as Octez writes it. ECDSA and Ed25519 signatures are 64 bytes (r ‖ s), BLS ones 96.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// `edsig…`
    Ed25519([u8; 64]),
    /// `spsig1…`
    Secp256k1([u8; 64]),
    /// `p2sig…`
    P256([u8; 64]),
    /// `BLsig…`
    Bls12381([u8; 96]),
    /// `sig…`: says nothing about the scheme.
    Generic([u8; 64]),
}

const EDSIG: [u8; 5] = [0x09, 0xf5, 0xcd, 0x86, 0x12];
const SPSIG: [u8; 5] = [0x0d, 0x73, 0x65, 0x13, 0x3f];
const P2SIG: [u8; 4] = [0x36, 0xf0, 0x2c, 0x34];
const BLSIG: [u8; 4] = [0x28, 0xab, 0x40, 0xcf];
const SIG: [u8; 3] = [0x04, 0x82, 0x2b];

impl FromStr for Signature {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = base58::decode(text).map_err(text_error(SIGNATURE))?;
        None.or_else(|| base58::strip(&bytes, &EDSIG).map(Self::Ed25519))
            .or_else(|| base58::strip(&bytes, &SPSIG).map(Self::Secp256k1))
            .or_else(|| base58::strip(&bytes, &P2SIG).map(Self::P256))
            .or_else(|| base58::strip(&bytes, &BLSIG).map(Self::Bls12381))
            .or_else(|| base58::strip(&bytes, &SIG).map(Self::Generic))
            .ok_or_else(|| wrong_kind(SIGNATURE))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Ed25519(bytes) => base58::encode(&EDSIG, bytes),
            Self::Secp256k1(bytes) => base58::encode(&SPSIG, bytes),
            Self::P256(bytes) => base58::encode(&P2SIG, bytes),
            Self::Bls12381(bytes) => base58::encode(&BLSIG, bytes),
            Self::Generic(bytes) => base58::encode(&SIG, bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;

    /// Octez `src/lib_crypto/test/key_encoding_vectors.ml`.
    #[test]
    fn public_keys_hash_to_the_addresses_that_octez_gives() {
        for (key, address) in [
            ("edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM", "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr"),
            ("sppk7aFpmJLm3ZxMd3F4osvGBq77R1NeSpiJVnof3Wiv4mt84EBE9aX", "tz2SSuN7FRcAurZPSAQS1swNWE8xxf71MTjt"),
            ("sppk7cNMvaoPostzGxnKFNkqx2QKUKs2YHjokroHEGq1S2hUvRJa89X", "tz2EoucBgYrBemSsLszAZP86cEfsz13idBaT"),
            ("p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24", "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t"),
            ("p2pk64ie1DPcsWgEazYYWkFWNVwqs7jCdKeVwF8NVZRu5yr757vWaTM", "tz3e8QcfwZce1z5YmgZjgAdd7aNr8yBnYbv8"),
        ] {
            let parsed: PublicKey = key.parse().unwrap();
            assert_eq!(parsed.to_string(), key);
            assert_eq!(parsed.hash().to_string(), address);
            assert_eq!(address.parse::<PublicKeyHash>().unwrap(), parsed.hash());
        }
    }

    /// `sdk/rust/crypto/src/public_key.rs` of Octez: right and wrong signatures over plain messages.
    #[test]
    fn signatures_verify_as_in_octez() {
        let check = |key: &str, message: &[u8], signature: &str| {
            key.parse::<PublicKey>().unwrap().verify(&Digest::of(message), &signature.parse().unwrap())
        };
        assert!(check(
            "p2pk65p7HKSGvkMdeK5yckM2nmi59oGNw4ksqdcvwxxF3AV3hopkfGS",
            b"hello, message",
            "sigfMaQ3pkpywf3q5ZqfNzJuKd6apUa1gRpoGb4hK25dBuiTY5u2vVCJcPGdpUqDT1RwfeGy6gvnHuhbTgfKhn2EZVYMatnN"
        ));
        assert!(check(
            "sppk7a2WEfU54QzcQZ2EMjihtcxLeRtNTVxHw4FW2e8W5kEJ8ZargSb",
            b"hello, test",
            "siggWynZ1jzFuv67FWSAvhX8948jgL5szpwT2fZAL5brmU9egqoXd3fDXCLQJ2EBcYVLBkev3HvkQ6xnFxSBjthdonajN8JX"
        ));
        assert!(check(
            "edpkurrsBe7UjF59ciHHmBRnS76WHx3YNL9m7owYta6ticPrdP9DG4",
            b"hello, world",
            "edsigtoeXp3xFtGugwCTDSDuifQ9Ka81X4gXFoxRQ6Xao2Ryc3yioptrKMfNy5c9pHhbA9Xn3sYZdx2SPiCGTFXjjXx9xKCPDoq"
        ));
        let message = hex::decode("5538e2cc90c9b053a12e2d2f3a985aff1809eac59501db4d644e4bb381b06b4b").unwrap();
        assert!(!check(
            "sppk7Zik17H7AxECMggqD1FyXUQdrGRFtz9X7aR8W2BhaJoWwSnPEGA",
            &message,
            "sigrJ2jqanLupARzKGvzWgL1Lv6NGUqDovHKQg9MX4PtNtHXgcvG6131MRVzujJEXfvgbuRtfdGbXTFaYJJjuUVLNNZTf5q1"
        ));
        assert!(!check(
            "p2pk67VpBjWwoPULwXCpayec6rFxaAKv8VjJ8cVMHmLDCYARu31zx5Z",
            &message,
            "sigNCaj9CnmD94eZH9C7aPPqBbVCJF72fYmCFAXqEbWfqE633WNFWYQJFnDUFgRUQXR8fQ5tKSfJeTe6UAi75eTzzQf7AEc1"
        ));
    }

    #[test]
    fn tz1_and_tz4_keys_cannot_sign() {
        for key in [
            "edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM",
            "BLpk1vvYoUeVyjsZhdhtzuEEsUAbigzgvZ3Ms3v4MZoeinnJKRa3MKksHZgH7nYXFxSREebWo619",
        ] {
            assert!(matches!(key.parse::<SigningPublicKey>(), Err(KeyError::CannotSign(_))), "{key}");
        }
    }

    #[test]
    fn wrong_texts_are_refused_with_what_was_expected() {
        let address = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
        assert!(address.parse::<PublicKey>().is_err(), "an address is not a key");
        assert!(address.replace("rY4t", "rY4u").parse::<PublicKeyHash>().is_err(), "a wrong checksum");
        assert!("".parse::<ChainId>().is_err());
        assert!("NetXdQprcVkpaW".parse::<ChainId>().is_err());
        assert!("1".repeat(5000).parse::<Signature>().is_err());
        // A point with x ≥ p: well-formed base58, no point.
        let no_point = base58::encode(&P2PK, &[&[2_u8][..], &[0xff; 32]].concat());
        assert_eq!(no_point.parse::<PublicKey>(), Err(KeyError::NotOnCurve));
    }

    #[test]
    fn mainnet_has_a_name() {
        assert_eq!(ChainId::MAINNET.to_string(), "NetXdQprcVkpaWU");
        assert_eq!("mainnet".parse::<ChainId>().unwrap(), "NetXdQprcVkpaWU".parse().unwrap());
    }

    /// Tokens return high-S half of the time; what is released is low-S, for both curves, and verifies.
    #[test]
    fn token_signatures_are_brought_to_low_s_and_verified() {
        let digest = Digest::of(b"a vote");
        let secret = secp256k1::SecretKey::from_secret_bytes([7; 32]).unwrap();
        let key = SigningPublicKey(PublicKey::Secp256k1(secret.public_key()));
        let low = secp256k1::ecdsa::sign(secp256k1::Message::from_digest(digest.0), &secret).serialize_compact();
        let high = negate_s(low, secp256k1::constants::CURVE_ORDER);
        let accepted = key.accept_token_signature(&digest, &high).unwrap();
        assert_eq!(accepted, Signature::Secp256k1(low));
        assert!(accepted.to_string().starts_with("spsig1"));

        let secret = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let key = SigningPublicKey(PublicKey::P256(*secret.verifying_key()));
        let signature: p256::ecdsa::Signature = secret.sign_prehash(&digest.0).unwrap();
        let low: [u8; 64] = signature.normalize_s().to_bytes().into();
        let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
        let high = negate_s(low, order.try_into().unwrap());
        assert_eq!(key.accept_token_signature(&digest, &high).unwrap(), Signature::P256(low));

        let mut wrong = low;
        wrong[40] ^= 1;
        assert_eq!(key.accept_token_signature(&digest, &wrong), Err(TokenSignatureError::Unverified));
        let other = Digest::of(b"another vote");
        assert_eq!(key.accept_token_signature(&other, &low), Err(TokenSignatureError::Unverified));
        assert_eq!(key.accept_token_signature(&digest, &low[..63]), Err(TokenSignatureError::Length(63)));
        assert_eq!(key.accept_token_signature(&digest, &[0; 64]), Err(TokenSignatureError::Range));
        assert_eq!(key.accept_token_signature(&digest, &[0xff; 64]), Err(TokenSignatureError::Range));
    }

    /// r ‖ (order − s): the other signature that anybody can make of one.
    fn negate_s(mut signature: [u8; 64], order: [u8; 32]) -> [u8; 64] {
        let mut borrow = 0_i16;
        for i in (0..32).rev() {
            let difference = i16::from(order[i]) - i16::from(signature[32 + i]) - borrow;
            borrow = i16::from(difference < 0);
            signature[32 + i] = u8::try_from(difference.rem_euclid(256)).unwrap();
        }
        signature
    }
}
