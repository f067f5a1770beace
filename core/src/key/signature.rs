//! Signatures, as Octez writes them.

use super::text::{KeyError, decode, wrong_kind};
use crate::base58;
use crate::serde_as_text;
use std::fmt;
use std::str::FromStr;

const SIGNATURE: &str = "a signature (edsig…, spsig1…, p2sig…, BLsig…, sig…)";

/// A signature as Octez writes it. ECDSA and Ed25519 signatures are 64 bytes (r ‖ s), BLS ones 96.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// R and s, as text `edsig…`.
    Ed25519([u8; 64]),
    /// R and s, 32 bytes each, big-endian, as text `spsig1…`.
    Secp256k1([u8; 64]),
    /// R and s, 32 bytes each, big-endian, as text `p2sig…`.
    P256([u8; 64]),
    /// A compressed point of G2, as text `BLsig…`.
    Bls12381([u8; 96]),
    /// `sig…`: says nothing about the scheme.
    Generic([u8; 64]),
}

serde_as_text!(Signature);

const EDSIG: [u8; 5] = [0x09, 0xf5, 0xcd, 0x86, 0x12];
const SPSIG: [u8; 5] = [0x0d, 0x73, 0x65, 0x13, 0x3f];
const P2SIG: [u8; 4] = [0x36, 0xf0, 0x2c, 0x34];
const BLSIG: [u8; 4] = [0x28, 0xab, 0x40, 0xcf];
const SIG: [u8; 3] = [0x04, 0x82, 0x2b];

impl FromStr for Signature {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text, SIGNATURE)?;
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
