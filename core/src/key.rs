//! Keys, key hashes, chain ids, digests and signatures of Tezos: types that cannot hold a wrong value, their base58check
//! text, and the verification of signatures. Nothing here signs.
//!
//! Prefixes and hash rules: `src/lib_crypto/base58.ml` and `src/lib_crypto/{secp256k1,p256}.ml` of Octez.

mod chain_id;
mod curve;
mod digest;
mod ecdsa_der;
mod hash;
mod message;
mod p256_key;
mod public;
mod recovery;
mod signature;
mod signing;
mod text;

pub use chain_id::ChainId;
pub use curve::Curve;
pub use digest::{Digest, DigestError};
pub use hash::PublicKeyHash;
pub use message::Message;
pub use p256_key::P256PublicKey;
pub use public::{BLS_CIPHERSUITE, BLS_PROOF_CIPHERSUITE, PublicKey};
pub use signature::Signature;
pub use signing::{ReturnedSignatureError, SigningPublicKey, VerifiedSignature};
pub use text::KeyError;

#[cfg(test)]
mod tests;
