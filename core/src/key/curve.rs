//! The signature schemes of Tezos, and the two that this signer supports.

use std::fmt;

/// Every signature scheme that a Tezos address can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Curve {
    /// Ed25519, addresses tz1. Not signed with.
    Ed25519,
    /// ECDSA on secp256k1, addresses tz2.
    Secp256k1,
    /// ECDSA on NIST P-256, addresses tz3.
    P256,
    /// BLS12-381, addresses tz4. Not signed with.
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

    /// The base58check prefix of an address of this scheme.
    pub(super) fn hash_prefix(self) -> [u8; 3] {
        match self {
            Curve::Ed25519 => [0x06, 0xa1, 0x9f],
            Curve::Secp256k1 => [0x06, 0xa1, 0xa1],
            Curve::P256 => [0x06, 0xa1, 0xa4],
            Curve::Bls12381 => [0x06, 0xa1, 0xa6],
        }
    }
}

/// The two curves that this signer signs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningCurve {
    /// ECDSA on secp256k1, addresses tz2.
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

impl From<SigningCurve> for Curve {
    fn from(curve: SigningCurve) -> Self {
        match curve {
            SigningCurve::Secp256k1 => Self::Secp256k1,
            SigningCurve::P256 => Self::P256,
        }
    }
}
