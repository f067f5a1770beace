//! Keys in local-kms, a stand-in for AWS KMS that nobody here wrote: `target/tools/local-kms`, of `e2e/cluster/install`.

use crate::kms_env::{env_of, initialise, key, start};
use crate::payload::{attestation, block};
use crate::process::wait_for;
use crate::test_env::{FLOOR, TestEnv};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tezos_signer_core::key::{Curve, SigningPublicKey};

const TZ3: &str = "22222222-2222-4222-8222-222222222222";
pub(crate) const SEALING: &str = "33333333-3333-4333-8333-333333333333";

/// Ended when dropped.
pub(crate) struct LocalKms {
    child: Child,
    pub(crate) endpoint: String,
    /// Made by its API, because a file seeds no keys of this curve.
    tz2: SigningPublicKey,
    tz2_arn: String,
    tz3: SigningPublicKey,
    _directory: tempfile::TempDir,
}

/// A private key in the form of SEC 1, with the object identifier of its curve.
fn pem(secret: &[u8], curve: &[u8]) -> String {
    let parameters = [&[0xa0, u8::try_from(curve.len()).unwrap()][..], curve].concat();
    let fields = [&[2, 1, 1, 4, 32][..], secret, &parameters].concat();
    let der = [&[0x30, u8::try_from(fields.len()).unwrap()][..], &fields].concat();
    format!("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n", STANDARD.encode(der))
}

impl LocalKms {
    pub(crate) fn start() -> Self {
        let secret = [0x22; 32];
        let tz3 = p256::ecdsa::SigningKey::from_slice(&secret).unwrap();
        let p256 = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let seed = json!({
            "Keys": {
                "Symmetric": {"Aes": [{"Metadata": {"KeyId": SEALING}, "BackingKeys": ["5c".repeat(32)]}]},
                "Asymmetric": {"Ecc": [{
                    "Metadata": {"KeyId": TZ3, "KeyUsage": "SIGN_VERIFY"}, "PrivateKeyPem": pem(&secret, &p256),
                }]},
            },
            "Aliases": [{"AliasName": "alias/baker", "TargetKeyId": TZ3}],
        });
        let directory = tempfile::tempdir().unwrap();
        // JSON is YAML.
        std::fs::write(directory.path().join("seed.yaml"), seed.to_string()).unwrap();
        let [port] = crate::ports::reserve();
        let program = Path::new(env!("CARGO_BIN_EXE_tezos-signer")).ancestors().nth(2).unwrap().join("tools/local-kms");
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(&program)
            .env("PORT", port.to_string())
            .env("KMS_REGION", "eu-west-1")
            .env("KMS_ACCOUNT_ID", "111122223333")
            .env("KMS_SEED_PATH", directory.path().join("seed.yaml"))
            .env("KMS_DATA_PATH", directory.path().join("data"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{error}: {}; `e2e/cluster/install check` builds it", program.display()));
        let endpoint = format!("http://127.0.0.1:{port}");
        wait_for("local-kms", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        let tz3 =
            SigningPublicKey::from_bytes(Curve::P256, tz3.verifying_key().to_sec1_point(true).as_bytes()).unwrap();
        let mut kms = Self { child, endpoint, tz2: tz3.clone(), tz2_arn: String::new(), tz3, _directory: directory };
        let made = kms.ask("CreateKey", &json!({"KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY"}));
        made["KeyMetadata"]["Arn"].as_str().unwrap().clone_into(&mut kms.tz2_arn);
        let shown = kms.ask("GetPublicKey", &json!({"KeyId": kms.tz2_arn}));
        let der = STANDARD.decode(shown["PublicKey"].as_str().unwrap()).unwrap();
        // The point is at the end.
        kms.tz2 = SigningPublicKey::from_bytes(Curve::Secp256k1, &der[der.len() - 65..]).unwrap();
        kms
    }

    /// Asks for something that the signer never asks for.
    pub(crate) fn ask(&self, operation: &str, body: &Value) -> Value {
        let request = Client::new().post(&self.endpoint).header("x-amz-target", format!("TrentService.{operation}"));
        let answer =
            request.header("content-type", "application/x-amz-json-1.1").body(body.to_string()).send().unwrap();
        let (status, text) = (answer.status(), answer.text().unwrap());
        assert!(status.is_success(), "{operation}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

impl Drop for LocalKms {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn arn(id: &str) -> String {
    format!("arn:aws:kms:eu-west-1:111122223333:key/{id}")
}

/// Its two signing keys: one by its ARN, one by its alias.
fn env(kms: &LocalKms) -> TestEnv {
    let env = env_of(&kms.endpoint, &[key(&kms.tz2, &kms.tz2_arn), key(&kms.tz3, "alias/baker")]);
    initialise(&env);
    env
}

#[test]
fn tz2_and_tz3_keys_of_local_kms_sign_end_to_end() {
    let kms = LocalKms::start();
    let env = env(&kms);
    let signer = start(&env);
    for key in &env.config().keys {
        for payload in [attestation(FLOOR + 1, 0, 1), block(FLOOR + 1, 0, 1), attestation(FLOOR + 2, 0, 1)] {
            let signature = signer.signature(key, &payload);
            assert_eq!(signer.signature(key, &payload), signature);
        }
        signer.sign(key, &attestation(FLOOR + 2, 0, 2)).refused(409);
    }
    let checked = env.run(&["check"]).succeeded();
    assert!(checked.contains(" ms"), "{checked}");
}

#[test]
fn the_states_of_a_key_are_told_apart_and_it_signs_again_by_itself() {
    let kms = LocalKms::start();
    let env = env(&kms);
    let signer = start(&env);
    let [tz2, tz3] = &env.config().keys[..] else { panic!() };
    let mut level = FLOOR;
    for (operation, body, sentence) in [
        ("DisableKey", json!({"KeyId": kms.tz2_arn}), "is disabled: enable it"),
        (
            "ScheduleKeyDeletion",
            json!({"KeyId": kms.tz2_arn, "PendingWindowInDays": 7}),
            "is pending deletion: keep it",
        ),
    ] {
        level += 1;
        kms.ask(operation, &body);
        assert!(signer.sign(tz2, &attestation(level, 0, 1)).refused(502).contains(sentence));
        signer.signature(tz3, &attestation(level, 0, 1));
        let checked = env.run(&["check"]).failed();
        assert!(checked.contains(sentence), "{checked}");
        if operation == "ScheduleKeyDeletion" {
            kms.ask("CancelKeyDeletion", &json!({"KeyId": kms.tz2_arn}));
        }
        kms.ask("EnableKey", &json!({"KeyId": kms.tz2_arn}));
        wait_for("the recovery", || signer.key_status(tz2).hsm.is_none().then_some(()));
        signer.signature(tz2, &attestation(level, 0, 1));
    }
}

#[test]
fn a_key_of_another_spec_or_another_key_is_told_from_the_right_one() {
    let kms = LocalKms::start();
    for (public_key, name, sentence) in [
        (
            &kms.tz2,
            arn(TZ3),
            "has the key spec ECC_NIST_P256 and the key usage SIGN_VERIFY, but publicKey is a key of secp256k1",
        ),
        (&kms.tz3, kms.tz2_arn.clone(), "has the key spec ECC_SECG_P256K1"),
        (&kms.tz3, arn("44444444-4444-4444-8444-444444444444"), "there is no KMS key"),
        (&kms.tz3, arn(SEALING), "cannot be used for kms:"),
    ] {
        let env = env_of(&kms.endpoint, &[key(public_key, &name)]);
        let checked = env.run(&["check"]).failed();
        assert!(checked.contains(sentence), "{checked}");
    }
}
