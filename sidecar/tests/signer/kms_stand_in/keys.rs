//! The keys of the stand-in, and what it answers for them.

use super::faults::Fault;
use super::{Outcome, error, ok};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use serde_json::{Value, json};
use tezos_signer_core::key::{Curve, SigningPublicKey};

/// Big-endian.
const ORDER_OF_SECP256K1: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const ORDER_OF_P256: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

fn negate_s(signature: [u8; 64], order: &str) -> [u8; 64] {
    crate::negate_s::negate_s(signature, hex::decode(order).unwrap().try_into().unwrap())
}

/// The key specs that it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spec {
    Ed25519,
    Secp256k1,
    P256,
    Symmetric,
}

impl Spec {
    pub(crate) const ALL: [Self; 3] = [Self::Ed25519, Self::Secp256k1, Self::P256];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ECC_NIST_EDWARDS25519",
            Self::Secp256k1 => "ECC_SECG_P256K1",
            Self::P256 => "ECC_NIST_P256",
            Self::Symmetric => "SYMMETRIC_DEFAULT",
        }
    }

    fn algorithm(self) -> &'static str {
        if self == Self::Ed25519 { "ED25519_SHA_512" } else { "ECDSA_SHA_256" }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyState {
    Enabled,
    Disabled,
    PendingDeletion,
    PendingImport,
}

enum Secret {
    Ed25519(ed25519_dalek::SigningKey),
    Secp256k1(secp256k1::SecretKey),
    P256(p256::ecdsa::SigningKey),
    None,
}

pub(super) struct StandInKey {
    pub(super) arn: String,
    pub(super) spec: Spec,
    pub(super) state: KeyState,
    secret: Secret,
}

impl StandInKey {
    pub(super) fn new(arn: &str, spec: Spec) -> Self {
        // Any bytes are a secret, but for a chance that is none.
        let bytes: [u8; 32] =
            [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat().try_into().unwrap();
        let secret = match spec {
            Spec::Ed25519 => Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&bytes)),
            Spec::Secp256k1 => Secret::Secp256k1(secp256k1::SecretKey::from_secret_bytes(bytes).unwrap()),
            Spec::P256 => Secret::P256(p256::ecdsa::SigningKey::from_slice(&bytes).unwrap()),
            Spec::Symmetric => Secret::None,
        };
        Self { arn: arn.to_owned(), spec, state: KeyState::Enabled, secret }
    }

    pub(super) fn symmetric(arn: &str) -> Self {
        Self::new(arn, Spec::Symmetric)
    }

    /// By its ARN, or by an alias with the same name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let own = self.arn.rsplit_once('/').unwrap().1;
        self.arn == name || name.rsplit_once("alias/").is_some_and(|(_, alias)| alias == own)
    }

    /// What a key that is not enabled answers to everything.
    pub(super) fn refusal(&self) -> Option<Outcome> {
        let arn = &self.arn;
        match self.state {
            KeyState::Enabled => None,
            KeyState::Disabled => Some(error("DisabledException", &format!("{arn} is disabled."))),
            KeyState::PendingDeletion => {
                Some(error("KMSInvalidStateException", &format!("{arn} is pending deletion.")))
            }
            KeyState::PendingImport => Some(error("KMSInvalidStateException", &format!("{arn} is pending import."))),
        }
    }

    fn point(&self) -> (Curve, Vec<u8>) {
        match &self.secret {
            Secret::Ed25519(secret) => (Curve::Ed25519, secret.verifying_key().to_bytes().to_vec()),
            Secret::Secp256k1(secret) => {
                (Curve::Secp256k1, secp256k1::PublicKey::from_secret_key(secret).serialize_uncompressed().to_vec())
            }
            Secret::P256(secret) => (Curve::P256, secret.verifying_key().to_sec1_point(false).as_bytes().to_vec()),
            Secret::None => panic!("a symmetric key has no public key"),
        }
    }

    pub(super) fn public_key(&self) -> SigningPublicKey {
        let (curve, bytes) = self.point();
        SigningPublicKey::from_bytes(curve, &bytes).unwrap()
    }

    /// `SubjectPublicKeyInfo`, written here by hand.
    fn spki(&self) -> Vec<u8> {
        let algorithm: &[u8] = match self.spec {
            Spec::Ed25519 => &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70],
            Spec::Secp256k1 => &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x0a],
            Spec::P256 => {
                &[0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]
            }
            Spec::Symmetric => panic!("a symmetric key has no public key"),
        };
        let point = self.point().1;
        let bits = [&[3, u8::try_from(point.len() + 1).unwrap(), 0][..], &point].concat();
        let length = u8::try_from(algorithm.len() + bits.len()).unwrap();
        [&[0x30, length][..], algorithm, &bits].concat()
    }

    pub(super) fn get_public_key(&self, fault: Option<&Fault>) -> Outcome {
        if self.spec == Spec::Symmetric {
            return error("UnsupportedOperationException", "");
        }
        let (mut spec, mut usage, mut der) = (self.spec.name(), "SIGN_VERIFY", self.spki());
        match fault {
            Some(Fault::WrongSpec) => spec = "ECC_NIST_P384",
            Some(Fault::WrongUsage) => usage = "KEY_AGREEMENT",
            Some(Fault::WrongPublicKey) => der = Self::new(&self.arn, self.spec).spki(),
            Some(Fault::BadPublicKey) => der.truncate(20),
            _ => {}
        }
        ok(&json!({
            "KeyId": self.arn, "PublicKey": STANDARD.encode(der), "KeySpec": spec, "KeyUsage": usage,
            "SigningAlgorithms": [self.spec.algorithm()],
        }))
    }

    pub(super) fn sign(&self, body: &Value, message: &[u8], fault: Option<&Fault>) -> Outcome {
        let algorithm = body["SigningAlgorithm"].as_str().unwrap_or_default();
        if algorithm != self.spec.algorithm() {
            let message = format!("Algorithm {algorithm} is incompatible with key spec {}.", self.spec.name());
            return error("InvalidKeyUsageException", &message);
        }
        let wanted = if self.spec == Spec::Ed25519 { "RAW" } else { "DIGEST" };
        if body["MessageType"] != wanted || message.len() != 32 {
            return error("ValidationException", "Digest is invalid length for algorithm.");
        }
        let signature = match fault {
            Some(Fault::WrongSignature) => self.signature(&[7; 32], false),
            Some(Fault::SignatureOfAnotherKey) => Self::new(&self.arn, self.spec).signature(message, false),
            Some(Fault::HighS) => self.signature(message, true),
            Some(Fault::BadDer) => self.signature(message, false)[..40].to_vec(),
            Some(Fault::NoSignature) => Vec::new(),
            _ => self.signature(message, false),
        };
        ok(&json!({"KeyId": self.arn, "Signature": STANDARD.encode(signature), "SigningAlgorithm": algorithm}))
    }

    /// Randomised, where ECDSA is: a second signature of the same bytes is another one.
    fn signature(&self, message: &[u8], is_high: bool) -> Vec<u8> {
        let raw: [u8; 64] = match &self.secret {
            Secret::Ed25519(secret) => return secret.sign(message).to_bytes().to_vec(),
            Secret::Secp256k1(secret) => {
                let digest = secp256k1::Message::from_digest(message.try_into().unwrap());
                let random =
                    [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat().try_into().unwrap();
                let low = secp256k1::ecdsa::sign_with_noncedata(digest, secret, &random).serialize_compact();
                if is_high { negate_s(low, ORDER_OF_SECP256K1) } else { low }
            }
            Secret::P256(secret) => {
                let signature: p256::ecdsa::Signature = secret.sign_prehash(message).unwrap();
                let low = signature.normalize_s().to_bytes().into();
                if is_high { negate_s(low, ORDER_OF_P256) } else { low }
            }
            Secret::None => panic!("a symmetric key does not sign"),
        };
        der(&raw)
    }
}

/// `SEQUENCE { r INTEGER, s INTEGER }`.
fn der(raw: &[u8; 64]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = usize::from(digits.first().is_none_or(|byte| *byte >= 0x80));
        let length = u8::try_from(digits.len() + sign).unwrap();
        [&[2, length][..], &vec![0; sign], &digits].concat()
    };
    let both = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, u8::try_from(both.len()).unwrap()][..], &both].concat()
}
