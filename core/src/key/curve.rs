//! The signature schemes of Tezos.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A signature scheme of Tezos, by its curve. A key of each can sign here; which keystore has keys of which is the configuration's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// Ed25519, addresses tz1.
    Ed25519,
    /// ECDSA on secp256k1, addresses tz2.
    Secp256k1,
    /// ECDSA on NIST P-256, also called secp256r1 or prime256v1, addresses tz3.
    P256,
    /// BLS12-381 with public keys in G1 and signatures in G2, addresses tz4.
    #[serde(rename = "bls12-381")]
    Bls12381,
}

impl Curve {
    /// All four, in the order of their addresses.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::Secp256k1, Self::P256, Self::Bls12381];

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

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Curve::Ed25519 => "ed25519",
            Curve::Secp256k1 => "secp256k1",
            Curve::P256 => "p256",
            Curve::Bls12381 => "bls12-381",
        })
    }
}
