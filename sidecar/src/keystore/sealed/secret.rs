//! The secret of one sealed key: 32 bytes in a page of their own, which is locked in memory, left out of core dumps and of child
//! processes, and overwritten in the end. A second copy, on the stack of the thread that signs, lives for the time of one signature and
//! is overwritten after it.

use blst::min_pk::SecretKey;
use memmap2::{Advice, MmapMut};
use tezos_signer_core::key::{BLS_CIPHERSUITE, BLS_PROOF_CIPHERSUITE, Curve, KeyError, SigningPublicKey};
use zeroize::{Zeroize as _, Zeroizing};

/// Length of a secret, in bytes.
pub(crate) const SECRET_BYTES: usize = 32;

/// More than what signing uses of the stack.
const STACK: usize = 64 * 1024;

/// Why bytes are no secret of a configured key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing that this program has sealed.
    #[error("the sealed text holds {0} bytes, not the 32 of a secret key: seal the key again")]
    Length(usize),
    /// Zero, or not below the order of the group.
    #[error("the sealed text holds no secret key of BLS12-381 (its scalar is out of range): seal the key again")]
    Range,
    /// It is that of another key than configured.
    #[error(
        "the sealed text holds the secret of {found}, and the configuration says {expected}: correct publicKey, or the text beside it"
    )]
    OtherKey {
        /// The configured key.
        expected: Box<SigningPublicKey>,
        /// The key that it belongs to.
        found: Box<SigningPublicKey>,
    },
    /// The system gives no memory.
    #[error("there is no memory for a secret key: {0}")]
    Memory(String),
}

/// Neither `Debug` nor `Clone`.
pub(crate) struct Secret {
    /// The scalar in big-endian order, as `blst` reads it, in the first 32 bytes.
    page: MmapMut,
    public_key: SigningPublicKey,
}

impl Secret {
    /// Takes the scalar in little-endian order, which the caller overwrites.
    pub(crate) fn from_little_endian(bytes: &[u8]) -> Result<Self, SecretError> {
        let taken = Self::take(bytes);
        overwrite_stack();
        taken
    }

    fn take(bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.len() != SECRET_BYTES {
            return Err(SecretError::Length(bytes.len()));
        }
        let mut page = page().map_err(|error| SecretError::Memory(error.to_string()))?;
        for (place, byte) in page.iter_mut().zip(bytes.iter().rev()) {
            *place = *byte;
        }
        let public_key = public_key(&page[..SECRET_BYTES]);
        match public_key {
            Ok(public_key) => Ok(Self { page, public_key }),
            Err(error) => {
                page.zeroize();
                Err(error)
            }
        }
    }

    /// From entropy of at least 32 bytes, by the key derivation of BLS keys (HKDF).
    pub(crate) fn generate(entropy: &[u8]) -> Result<Self, SecretError> {
        let made = || {
            let key = SecretKey::key_gen(entropy, b"tezos-signer").map_err(|_| SecretError::Range)?;
            let mut bytes = Zeroizing::new(key.to_bytes());
            bytes.reverse();
            Self::take(&bytes[..])
        };
        let made = made();
        overwrite_stack();
        made
    }

    /// The key that it belongs to.
    pub(crate) fn public_key(&self) -> &SigningPublicKey {
        &self.public_key
    }

    /// It, if it is that of `key`.
    pub(crate) fn of(self, key: &SigningPublicKey) -> Result<Self, SecretError> {
        if self.public_key == *key {
            return Ok(self);
        }
        Err(SecretError::OtherKey { expected: Box::new(key.clone()), found: Box::new(self.public_key.clone()) })
    }

    /// The scalar in little-endian order, to seal.
    pub(crate) fn to_little_endian(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        for (place, byte) in bytes.iter_mut().zip(self.page[..SECRET_BYTES].iter().rev()) {
            *place = *byte;
        }
        bytes
    }

    /// A signature over `message`, which takes about 0.4 ms.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; 96], SecretError> {
        self.sign_in(message, BLS_CIPHERSUITE)
    }

    /// A proof that somebody has this secret.
    pub(crate) fn prove_possession(&self) -> Result<[u8; 96], SecretError> {
        self.sign_in(&self.public_key.to_bytes(), BLS_PROOF_CIPHERSUITE)
    }

    fn sign_in(&self, message: &[u8], ciphersuite: &[u8]) -> Result<[u8; 96], SecretError> {
        let signed = sign(&self.page[..SECRET_BYTES], message, ciphersuite);
        overwrite_stack();
        signed
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.page.zeroize();
    }
}

/// A page of zeros that nothing else is in.
fn page() -> std::io::Result<MmapMut> {
    let page = MmapMut::map_anon(SECRET_BYTES)?;
    if let Err(error) = page.lock() {
        tracing::warn!(
            %error,
            "the memory of a secret key could not be locked, so it may be written to swap space: raise the limit of locked memory \
             (LimitMEMLOCK of systemd, the container runtime's memlock), or do without swap"
        );
    }
    for advice in [Advice::DontDump, Advice::DontFork] {
        if let Err(error) = page.advise(advice) {
            tracing::warn!(%error, ?advice, "the memory of a secret key could not be left out of core dumps, or of child processes");
        }
    }
    Ok(page)
}

#[inline(never)]
fn public_key(big_endian: &[u8]) -> Result<SigningPublicKey, SecretError> {
    let secret = SecretKey::from_bytes(big_endian).map_err(|_| SecretError::Range)?;
    let bytes = secret.sk_to_pk().to_bytes();
    SigningPublicKey::from_bytes(Curve::Bls12381, &bytes).map_err(|_: KeyError| SecretError::Range)
}

#[inline(never)]
fn sign(big_endian: &[u8], message: &[u8], ciphersuite: &[u8]) -> Result<[u8; 96], SecretError> {
    let secret = SecretKey::from_bytes(big_endian).map_err(|_| SecretError::Range)?;
    Ok(secret.sign(message, ciphersuite, &[]).to_bytes())
}

/// Overwrites what functions that have returned have left on this thread's stack: values that were moved are not overwritten where they
/// were.
#[inline(never)]
#[allow(clippy::large_stack_arrays, reason = "it is the stack that is overwritten")]
fn overwrite_stack() {
    let mut stack = [0_u8; STACK];
    stack.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tezos_signer_core::key::{Message, Signature};

    /// Made by Octez' signer, release 25.1: see the file.
    const VECTORS: &str = include_str!("../../../../core/tests/vectors/tz4.json");

    fn secret(text: &str) -> Secret {
        let bytes = bs58::decode(text).with_check(None).into_vec().unwrap();
        Secret::from_little_endian(&bytes[4..]).unwrap()
    }

    #[test]
    fn signatures_and_proofs_are_those_of_octez() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let keys: Vec<_> = vectors["keys"].as_array().unwrap().iter().filter(|key| key["name"] != "ed25519").collect();
        assert_eq!(keys.len(), 2);
        let mut signatures = 0;
        for key in keys {
            let secret = secret(key["secretKey"].as_str().unwrap());
            assert_eq!(secret.public_key().to_string(), key["publicKey"]);
            let proof = Signature::Bls12381(secret.prove_possession().unwrap());
            assert_eq!(proof.to_string(), text(&key["proofOfPossession"]));
            assert!(secret.public_key().verify_proof_of_possession(&proof));
            for signed in vectors["signatures"].as_array().unwrap().iter().filter(|signed| signed["key"] == key["name"])
            {
                let message = hex::decode(signed["payload"].as_str().unwrap()).unwrap();
                let bytes = secret.sign(&message).unwrap();
                let signature = Signature::Bls12381(bytes);
                assert_eq!(signature.to_string(), text(&signed["signatures"]["2"]));
                assert!(secret.public_key().accept_signature(&Message::new(&message), &bytes).is_ok());
                signatures += 1;
            }
        }
        assert!(signatures > 5);
    }

    #[test]
    fn what_is_no_secret_of_the_key_is_refused() {
        let order = hex::decode("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001").unwrap();
        let little: Vec<u8> = order.iter().rev().copied().collect();
        let error = |bytes: &[u8]| Secret::from_little_endian(bytes).err().unwrap();
        assert_eq!(error(&[0; 32]), SecretError::Range);
        assert_eq!(error(&little), SecretError::Range);
        assert_eq!(error(&[0xff; 32]), SecretError::Range);
        assert_eq!(error(&[1; 31]), SecretError::Length(31));
        let [one, two] = [1, 2].map(|byte| Secret::from_little_endian(&[byte; 32]).unwrap());
        let other = two.public_key().clone();
        let text = one.of(&other).err().unwrap().to_string();
        assert!(text.contains("BLpk") && text.contains(&other.to_string()), "{text}");
    }

    #[test]
    fn a_secret_that_was_taken_is_given_back_and_each_entropy_makes_another() {
        let bytes: Vec<u8> = (1..=32).collect();
        assert_eq!(Secret::from_little_endian(&bytes).unwrap().to_little_endian()[..], bytes[..]);
        let made = [[1; 64], [2; 64]].map(|entropy| Secret::generate(&entropy).unwrap().public_key().to_string());
        assert_ne!(made[0], made[1]);
    }
}
