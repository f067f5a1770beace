//! Keys and signatures by which clients say who they are: what proves nothing is refused where it is configured, and does not
//! verify.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "ecdsa/negate_s.rs"]
mod negate_s;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use negate_s::negate_s;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use tezos_signer_core::authentication::{AuthorizedKeys, ClientKey, signed_bytes};
use tezos_signer_core::config::SignerConfig;
use tezos_signer_core::key::{Digest, KeyError, PublicKey, PublicKeyHash, Signature};

const EDPK: &[u8] = &[0x0d, 0x0f, 0x25, 0xd9];
const BLPK: &[u8] = &[0x06, 0x95, 0x87, 0xcc];

fn text(prefix: &[u8], bytes: &[u8]) -> String {
    bs58::encode([prefix, bytes].concat()).with_check().into_string()
}

fn bytes32(hex: &str) -> [u8; 32] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// All eight points of small order, and their encodings that are not canonical.
fn small_order() -> Vec<[u8; 32]> {
    let mut all: Vec<[u8; 32]> = [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ]
    .map(bytes32)
    .to_vec();
    let ff = |first: u8, last: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (first, last);
        bytes
    };
    let zero = |first: u8, last: u8| {
        let mut bytes = [0; 32];
        (bytes[0], bytes[31]) = (first, last);
        bytes
    };
    // y = 1, -1, 0; and p + 1, p, with either sign.
    for sign in [0x00, 0x80] {
        all.extend([zero(1, sign), zero(0, sign)]);
    }
    for last in [0x7f, 0xff] {
        all.extend([ff(0xec, last), ff(0xed, last), ff(0xee, last)]);
    }
    all
}

fn is_weak(text: &str) -> bool {
    matches!(text.parse::<ClientKey>(), Err(KeyError::Weak(_)))
}

#[test]
fn ed25519_keys_of_small_order_are_refused_and_verify_nothing() {
    // Identity and zero: it verifies for every message where no one looks for it.
    let mut forged = [0; 64];
    forged[0] = 1;
    let mut points = 0;
    for bytes in small_order() {
        // An octez client could not read every one of them either.
        let Ok(key) = text(EDPK, &bytes).parse::<PublicKey>() else { continue };
        points += 1;
        assert!(is_weak(&key.to_string()), "{}", hex::encode(bytes));
        for message in 0..40 {
            assert!(!key.verify(&Digest::of(&[message]), &Signature::Ed25519(forged)), "{}", hex::encode(bytes));
        }
    }
    assert!(points >= 8, "{points}");
}

#[test]
fn ed25519_keys_with_a_part_of_small_order_or_another_encoding_are_refused() {
    let honest = SigningKey::from_bytes(&[1; 32]).verifying_key();
    assert!(text(EDPK, honest.as_bytes()).parse::<ClientKey>().is_ok());
    let mut mixed = 0;
    for torsion in small_order().iter().filter_map(|bytes| VerifyingKey::from_bytes(bytes).ok()) {
        let sum = (honest.to_edwards() + torsion.to_edwards()).compress().to_bytes();
        if sum != honest.to_bytes() {
            mixed += 1;
            assert!(is_weak(&text(EDPK, &sum)), "{}", hex::encode(sum));
        }
    }
    assert!(mixed >= 7, "{mixed}");
    // y from p to p + 18, which are the y from 0 to 18 again.
    for first in 0xed..=0xff {
        for last in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (first, last);
            assert!(text(EDPK, &bytes).parse::<ClientKey>().is_err(), "{}", hex::encode(bytes));
        }
    }
}

#[test]
fn a_signature_with_an_r_of_small_order_does_not_verify() {
    let secret = SigningKey::from_bytes(&[1; 32]);
    let key = PublicKey::Ed25519(secret.verifying_key());
    let digest = Digest::of(b"a request");
    let right = secret.sign(digest.as_bytes()).to_bytes();
    assert!(key.verify(&digest, &Signature::Ed25519(right)));
    for r in small_order() {
        let mut wrong = right;
        wrong[..32].copy_from_slice(&r);
        assert!(!key.verify(&digest, &Signature::Ed25519(wrong)));
    }
    // S + the order: the same number, and another text.
    let order = bytes32("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let (mut other, mut carry) = (right, 0);
    for i in 0..32 {
        let sum = u16::from(right[32 + i]) + u16::from(order[i]) + carry;
        (other[32 + i], carry) = (u8::try_from(sum & 0xff).unwrap(), sum >> 8);
    }
    assert!(!key.verify(&digest, &Signature::Ed25519(other)));
}

#[test]
fn bls_keys_at_infinity_or_outside_the_group_are_refused() {
    let honest = blst::min_pk::SecretKey::key_gen(&[4; 32], &[]).unwrap().sk_to_pk().to_bytes();
    assert!(text(BLPK, &honest).parse::<ClientKey>().is_ok());
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    assert!(is_weak(&text(BLPK, &infinity)));
    let (mut outside, mut nowhere) = (0, 0);
    for x in 1..=20 {
        let mut bytes = [0; 48];
        (bytes[0], bytes[47]) = (0x80, x);
        let is_point = blst::min_pk::PublicKey::from_bytes(&bytes).is_ok();
        match text(BLPK, &bytes).parse::<ClientKey>() {
            Err(KeyError::Weak(_)) if is_point => outside += 1,
            Err(KeyError::NotOnCurve) if !is_point => nowhere += 1,
            other => panic!("{x}: {other:?}"),
        }
    }
    assert!(outside > 0 && nowhere > 0);
}

fn config_with(client: &str) -> String {
    format!(
        "listen: 127.0.0.1:6732\nhsm: {{module: /m, token: t, pinFile: /p}}\nauthorizedKeys: [{client}]\nkeys: []\n\
         watermarks: {{file: /w}}\n"
    )
}

#[test]
fn the_configuration_names_the_field_and_what_is_wrong_with_the_key() {
    SignerConfig::from_yaml(&config_with("edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM")).unwrap();
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    let ml_dsa = format!("mdpk{}", "a".repeat(1800));
    for (client, parts) in [
        (text(EDPK, &identity), ["authorizedKeys", "small order", "line"]),
        (text(BLPK, &infinity), ["authorizedKeys", "infinity", "line"]),
        (ml_dsa, ["authorizedKeys", "ML-DSA-44", "post-quantum"]),
        ("tz5MbTGGh3KaAsTL3gQsAeEdHEiKmmQ8YKgj".to_owned(), ["authorizedKeys", "ML-DSA-44", "post-quantum"]),
    ] {
        let error = SignerConfig::from_yaml(&config_with(&client)).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{client}: {error}");
        }
    }
}

#[test]
fn keys_and_signatures_of_ml_dsa_are_called_by_their_name() {
    let long = "a".repeat(3000);
    let told = |error: KeyError| assert!(matches!(error, KeyError::MlDsa(_)), "{error}");
    told(format!("mdpk{long}").parse::<PublicKey>().unwrap_err());
    told(format!("mdsig{long}").parse::<Signature>().unwrap_err());
    told("tz5MbTGGh3KaAsTL3gQsAeEdHEiKmmQ8YKgj".parse::<PublicKeyHash>().unwrap_err());
}

/// `../reference/tezos.md` §5.3: Octez' own P-256 signer does not normalise S, its secp256k1 signer does.
#[test]
fn s_in_the_upper_half_is_accepted_of_p256_as_octez_sends_it_and_of_secp256k1_not() {
    let tz3 = p256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap();
    let tz2 = secp256k1::SecretKey::from_secret_bytes([2; 32]).unwrap();
    let p256 = PublicKey::P256((*tz3.verifying_key()).try_into().unwrap());
    let secp256k1 = PublicKey::Secp256k1(tz2.public_key());
    let (key, payload) = (p256.hash(), b"\x13a vote");
    let digest = Digest::of(&signed_bytes(&key, payload));
    let asks = |client: &PublicKey, signature: [u8; 64]| {
        let clients = AuthorizedKeys::new(vec![client.clone().try_into().unwrap()]);
        clients.authenticate(&key, payload, Some(&Signature::Generic(signature))).is_ok()
    };
    let signature: p256::ecdsa::Signature = tz3.sign_prehash(digest.as_bytes()).unwrap();
    let signature: [u8; 64] = signature.to_bytes().into();
    let order = bytes32("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    assert!(asks(&p256, signature) && asks(&p256, negate_s(signature, order)));

    let message = secp256k1::Message::from_digest(*digest.as_bytes());
    let low = secp256k1::ecdsa::sign(message, &tz2).serialize_compact();
    assert!(asks(&secp256k1, low) && !asks(&secp256k1, negate_s(low, secp256k1::constants::CURVE_ORDER)));
}
