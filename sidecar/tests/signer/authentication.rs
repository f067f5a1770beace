//! Who may ask, where clients are named: Octez' request authentication with client keys of every scheme.

use crate::payload::attestation;
use crate::process::{Answer, Signer};
use crate::test_env::{FLOOR, TestEnv};
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use serde_json::json;
use tezos_signer_core::authentication::signed_bytes;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Curve, Digest, PublicKey, Signature};

type Sign = dyn Fn(&[u8]) -> Signature;

/// A client with a key of its own.
pub(crate) struct Client {
    pub(crate) key: PublicKey,
    pub(crate) sign: Box<Sign>,
}

pub(crate) fn clients() -> [Client; 4] {
    let tz1 = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let tz2 = secp256k1::SecretKey::from_secret_bytes([2; 32]).unwrap();
    let tz3 = p256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap();
    let tz4 = blst::min_pk::SecretKey::key_gen(&[4; 32], &[]).unwrap();
    let digest = |message: &[u8]| *Digest::of(message).as_bytes();
    [
        Client {
            key: PublicKey::Ed25519(tz1.verifying_key()),
            sign: Box::new(move |message| Signature::Ed25519(tz1.sign(&digest(message)).to_bytes())),
        },
        Client {
            key: PublicKey::Secp256k1(tz2.public_key()),
            sign: Box::new(move |message| {
                let message = secp256k1::Message::from_digest(digest(message));
                Signature::Secp256k1(secp256k1::ecdsa::sign(message, &tz2).serialize_compact())
            }),
        },
        Client {
            key: PublicKey::P256((*tz3.verifying_key()).try_into().unwrap()),
            sign: Box::new(move |message| {
                let signature: p256::ecdsa::Signature = tz3.sign_prehash(&digest(message)).unwrap();
                Signature::P256(signature.to_bytes().into())
            }),
        },
        Client {
            key: PublicKey::Bls12381(tz4.sk_to_pk().to_bytes()),
            sign: Box::new(move |message| {
                let ciphersuite = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
                Signature::Bls12381(tz4.sign(message, ciphersuite, &[]).to_bytes())
            }),
        },
    ]
}

/// Asks for a signature of `key` over `payload`, with `authentication`.
fn ask(signer: &Signer, key: &KeyConfig, payload: &[u8], authentication: &str) -> Answer {
    let path = format!("/keys/{}?version=3&authentication={authentication}", key.hash());
    signer.post(&path, format!("\"{}\"", hex::encode(payload)))
}

#[test]
fn clients_of_every_scheme_are_known_by_their_signature_and_nobody_else_is() {
    let env = TestEnv::new();
    let clients = clients();
    let keys: Vec<String> = clients.iter().map(|client| client.key.to_string()).collect();
    env.set_config(json!({"authorizedKeys": keys}));
    let signer = Signer::start(&env);
    let (key, other_key) = (env.tz3(), env.tz2());

    let listed = signer.get("/authorized_keys").json();
    let mut listed: Vec<_> =
        listed["authorized_keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    listed.sort_unstable();
    let mut hashes: Vec<String> = clients.iter().map(|client| client.key.hash().to_string()).collect();
    hashes.sort_unstable();
    assert_eq!(listed, hashes);

    for (level, client) in (FLOOR + 1..).zip(&clients) {
        let vote = attestation(level, 0, 1);
        let asked = (client.sign)(&signed_bytes(&key.hash(), &vote)).to_string();
        assert!(signer.sign(&key, &vote).refused(401).contains("missing authentication signature"));
        for unreadable in ["", "sigNonsense", "mdsig1", &asked[..asked.len() - 1], &client.key.to_string()] {
            let answer = ask(&signer, &key, &vote, unreadable);
            assert_eq!(answer.status, 400, "{unreadable}: {answer:?}");
            assert!(answer.body.contains("authentication: "), "{unreadable}: {answer:?}");
        }
        for (what, wrong) in [
            ("for another payload", (client.sign)(&signed_bytes(&key.hash(), &attestation(level, 0, 2))).to_string()),
            ("for another key", (client.sign)(&signed_bytes(&other_key.hash(), &vote)).to_string()),
            ("of the payload alone", (client.sign)(&vote).to_string()),
        ] {
            let message = ask(&signer, &key, &vote, &wrong).refused(401);
            assert!(message.contains("invalid authentication signature"), "{what}: {message}");
        }
        ask(&signer, &key, &vote, &asked).signature(&key, &vote);
    }
    assert_eq!(signer.get(&format!("/keys/{}", key.hash())).status, 200, "the public key is nobody's secret");
}

#[test]
fn a_stranger_with_a_key_of_his_own_is_refused_before_his_payload_is_looked_at() {
    let env = TestEnv::new();
    let [friend, stranger, ..] = clients();
    env.set_config(json!({"authorizedKeys": [friend.key]}));
    let signer = Signer::start(&env);
    let key = env.tz3();
    for payload in [attestation(FLOOR + 1, 0, 1), vec![0x13, 1, 2, 3]] {
        let signature = (stranger.sign)(&signed_bytes(&key.hash(), &payload)).to_string();
        ask(&signer, &key, &payload, &signature).refused(401);
    }
}

#[test]
fn a_key_may_name_clients_of_its_own() {
    let env = TestEnv::new();
    let [of_all, of_one, ..] = clients();
    env.set_config(json!({"authorizedKeys": [of_all.key]}));
    env.add_to_tz3(&format!("\"authorizedKeys\": [\"{}\"]", of_one.key));
    let signer = Signer::start(&env);
    let vote = attestation(FLOOR + 1, 0, 1);
    for (key, may, may_not) in [(env.tz3(), &of_one, &of_all), (env.tz2(), &of_all, &of_one)] {
        let by = |client: &Client| (client.sign)(&signed_bytes(&key.hash(), &vote)).to_string();
        ask(&signer, &key, &vote, &by(may_not)).refused(401);
        ask(&signer, &key, &vote, &by(may)).signature(&key, &vote);
    }
}

/// For an Ed25519 key of small order, (R = identity, S = 0) signs everything.
#[test]
fn a_client_key_for_which_anybody_can_sign_keeps_the_signer_from_starting() {
    let env = TestEnv::new();
    // The identity, and the point of order two.
    let bytes = [[&[1][..], &[0; 31]].concat(), [&[0xec][..], &[0xff; 30], &[0x7f]].concat()];
    for bytes in bytes {
        let weak = PublicKey::from_bytes(Curve::Ed25519, &bytes).unwrap();
        env.set_config(json!({"authorizedKeys": [weak]}));
        let output = Signer::start_failing(&env, &[]);
        assert!(output.contains("authorizedKeys") && output.contains("small order"), "{output}");
    }
}
