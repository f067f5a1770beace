//! Real keys of every scheme, and what a keystore returns as their signatures.

use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use p256::ecdsa::signature::rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;
use tezos_signer_core::key::{BLS_CIPHERSUITE, Curve, Message, PublicKey, Signature, SigningPublicKey};

/// A secret key.
pub(crate) enum Secret {
    Ed25519(ed25519_dalek::SigningKey),
    Secp256k1(secp256k1::SecretKey),
    P256(p256::ecdsa::SigningKey),
    Bls12381(blst::min_pk::SecretKey),
}

impl Secret {
    pub(crate) fn new(scheme: Curve, seed: u8) -> Self {
        let seed = [seed; 32];
        match scheme {
            Curve::Ed25519 => Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed)),
            Curve::Secp256k1 => Self::Secp256k1(secp256k1::SecretKey::from_secret_bytes(seed).unwrap()),
            Curve::P256 => Self::P256(p256::ecdsa::SigningKey::from_slice(&seed).unwrap()),
            Curve::Bls12381 => Self::Bls12381(blst::min_pk::SecretKey::key_gen(&seed, &[]).unwrap()),
        }
    }

    pub(crate) fn public_key(&self) -> SigningPublicKey {
        let key = match self {
            Self::Ed25519(secret) => PublicKey::Ed25519(secret.verifying_key()),
            Self::Secp256k1(secret) => PublicKey::Secp256k1(secret.public_key()),
            Self::P256(secret) => PublicKey::P256((*secret.verifying_key()).try_into().unwrap()),
            Self::Bls12381(secret) => PublicKey::Bls12381(secret.sk_to_pk().to_bytes()),
        };
        key.try_into().unwrap()
    }

    /// Whether the payload alone decides what its signature is. ECDSA takes a random number besides.
    pub(crate) fn is_deterministic(&self) -> bool {
        matches!(self, Self::Ed25519(_) | Self::Bls12381(_))
    }

    /// A signature of `message`. Where the scheme takes a random number, `random` stands for it.
    pub(crate) fn sign(&self, message: &Message, random: u8) -> Signature {
        use ed25519_dalek::Signer as _;
        let digest = *message.digest().as_bytes();
        match self {
            Self::Ed25519(secret) => Signature::Ed25519(secret.sign(&digest).to_bytes()),
            Self::Secp256k1(secret) => {
                let message = secp256k1::Message::from_digest(digest);
                let signature = secp256k1::ecdsa::sign_with_noncedata(message, secret, &[random; 32]);
                Signature::Secp256k1(signature.serialize_compact())
            }
            Self::P256(secret) => {
                let signature: p256::ecdsa::Signature =
                    secret.sign_prehash_with_rng(&mut Random(random), &digest).unwrap();
                Signature::P256(signature.normalize_s().to_bytes().into())
            }
            Self::Bls12381(secret) => {
                Signature::Bls12381(secret.sign(message.bytes(), BLS_CIPHERSUITE, &[]).to_bytes())
            }
        }
    }
}

/// The bytes that a keystore returns for `signature`.
pub(crate) fn returned(signature: &Signature) -> Vec<u8> {
    match signature {
        Signature::Ed25519(raw) | Signature::Secp256k1(raw) | Signature::P256(raw) | Signature::Generic(raw) => {
            raw.to_vec()
        }
        Signature::Bls12381(raw) => raw.to_vec(),
    }
}

/// Always the same byte.
struct Random(u8);

impl TryRng for Random {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }
    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        into.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Random {}
