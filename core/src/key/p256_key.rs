//! Public keys of P-256. Their points are those of the crate `p256`. AWS-LC verifies their signatures, in a third of the time of that crate.

use super::digest::Digest;
use super::text::KeyError;
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use p256::ecdsa::VerifyingKey;

/// A point of the curve.
#[derive(Clone)]
pub struct P256PublicKey {
    point: VerifyingKey,
    verifier: ParsedPublicKey,
}

impl P256PublicKey {
    /// From the bytes of a point, compressed (33) or not (65). [`KeyError::NotOnCurve`] for any others.
    pub fn from_sec1(sec1: &[u8]) -> Result<Self, KeyError> {
        VerifyingKey::from_sec1_bytes(sec1).map_err(|_| KeyError::NotOnCurve)?.try_into()
    }

    /// The compressed point, 33 bytes.
    pub(super) fn to_compressed(&self) -> Vec<u8> {
        self.point.to_sec1_point(true).as_bytes().to_vec()
    }

    /// Whether `signature` (r and s, 32 bytes each, big-endian) is this key's over `digest`.
    pub(super) fn verify(&self, digest: &Digest, signature: &[u8; 64]) -> bool {
        // ECDSA takes a digest of 32 bytes as it is, whatever has made it.
        digest::Digest::import_less_safe(digest.as_bytes(), &SHA256)
            .is_ok_and(|digest| self.verifier.verify_digest_sig(&digest, signature).is_ok())
    }
}

impl TryFrom<VerifyingKey> for P256PublicKey {
    type Error = KeyError;
    fn try_from(point: VerifyingKey) -> Result<Self, KeyError> {
        let uncompressed = point.to_sec1_point(false);
        let verifier = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, uncompressed.as_bytes());
        Ok(Self { point, verifier: verifier.map_err(|_| KeyError::NotOnCurve)? })
    }
}

impl PartialEq for P256PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point
    }
}

impl Eq for P256PublicKey {}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
    use p256::ecdsa::{Signature, SigningKey};
    use proptest::prelude::*;

    /// The order of the curve's group, big-endian.
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

    fn key_of(secret: &SigningKey) -> P256PublicKey {
        (*secret.verifying_key()).try_into().unwrap()
    }

    /// What the crate `p256` says of the same.
    fn by_p256(key: &P256PublicKey, digest: &Digest, signature: &[u8; 64]) -> bool {
        Signature::from_slice(signature).is_ok_and(|it| key.point.verify_prehash(digest.as_bytes(), &it).is_ok())
    }

    fn edge(scalar: u8) -> [u8; 32] {
        let mut order: [u8; 32] = hex::decode(ORDER).unwrap().try_into().unwrap();
        match scalar {
            0 => [0; 32],
            1 => {
                let mut one = [0; 32];
                one[31] = 1;
                one
            }
            2 => [0xff; 32],
            scalar => {
                // One below the order, itself, one above.
                order[31] = order[31] - 1 + (scalar - 3);
                order
            }
        }
    }

    proptest! {
        /// Whatever the signature: as it was made, with a bit changed, with s negated, with r or s at an edge of its range.
        #[test]
        fn both_crates_agree(secret in prop::array::uniform32(1_u8..0xff), message: [u8; 8], bit in 0_usize..512, r in 0_u8..6, s in 0_u8..6) {
            let secret = SigningKey::from_slice(&secret).unwrap();
            let (key, digest) = (key_of(&secret), Digest::of(&message));
            let signature: Signature = secret.sign_prehash(digest.as_bytes()).unwrap();
            let made: [u8; 64] = signature.to_bytes().into();
            prop_assert!(key.verify(&digest, &made));
            let negated: [u8; 64] = Signature::from_scalars(*signature.r(), -*signature.s()).unwrap().to_bytes().into();
            prop_assert!(key.verify(&digest, &negated), "Octez verifies it too");
            prop_assert!(!key.verify(&Digest::of(b"another"), &made));

            let mut changed = made;
            changed[bit / 8] ^= 1 << (bit % 8);
            let (mut other_r, mut other_s, mut both) = (made, made, [0; 64]);
            other_r[..32].copy_from_slice(&edge(r));
            other_s[32..].copy_from_slice(&edge(s));
            both[..32].copy_from_slice(&edge(r));
            both[32..].copy_from_slice(&edge(s));
            for signature in [made, negated, changed, other_r, other_s, both] {
                prop_assert_eq!(key.verify(&digest, &signature), by_p256(&key, &digest, &signature), "{:02x?}", signature);
            }
        }
    }
}
