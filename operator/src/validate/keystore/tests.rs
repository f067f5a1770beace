//! What can be wrong with a keystore and with where a key is, and the field that the answer names. The API server refuses most of it first.

use crate::api::TezosSigner;
use crate::validate::tests::{example, kms_example, octez_example, tz4_example, with_field_of};
use crate::validate::{Baker, Workload, validate};
use serde_json::{Value, json};
use std::time::Duration;
use tezos_signer_core::config::{KeySource, SignerConfig};

const TZ1: &str = "edpkuBknW28nW72KG6RoHtYW7p12T6GKc7nAbwYX5m8Wd9sDVC9yav";
const TZ2: &str = "sppk7cXzUGMoqqa3MNc5zUZrwuqCAtmxQYcQA82f1xRyZFnzyzYUS5Z";
const TZ3: &str = "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk";
const TZ4: &str = "BLpk1vGHLpusxfNbqgvNyaTYv77eSbyooVBgM2jbhFgKMm5tNfAuRDbwJ2EbVHQFi6NNBAFvMDB9";
/// Made by `alias/sealing`, and by a key in eu-west-1. Nobody opens them here.
const BY_KMS: &str = "v1.awskms.YWxpYXMvc2VhbGluZw.pKvURIxJVi2CgRXROh_M6pJ_UrTVRZKX-LQ-QtqJI4vBNibkPcs43bCCSIkn7JBPtCBXRDmD6IWFF51QVRr-Yg.722526a9";
const BY_KMS_ELSEWHERE: &str = "v1.awskms.YXJuOmF3czprbXM6ZXUtd2VzdC0xOjEyMzQ1Njc4OTAxMjprZXkvMTIzNGFiY2QtMTJhYi0zNGNkLTU2ZWYtMTIzNDU2Nzg5MGFi.EhtHdKdZkkopKcSkEvtuMbmqp0ZGaEDvzEp21pqUFJ4jZOOYPWRv6vqhtRF4XlyekK7cMNpqa-rVUg7MmcZiag.6e4e0e67";

fn sealed(signer: &TezosSigner) -> String {
    signer.spec.keys[0].sealed.clone().unwrap()
}

fn refused(signer: &TezosSigner, cases: &[(&str, Value, &str)]) {
    for (pointer, value, expected) in cases {
        let result = with_field_of(signer, pointer, value.clone());
        let error = result.expect_err(&format!("{pointer} = {value} is accepted")).to_string();
        assert!(error.starts_with(expected), "{pointer} = {value}\n  expected {expected}\n  got      {error}");
    }
}

#[test]
fn a_token_has_keys_of_three_schemes_and_opens_those_of_the_fourth() {
    for key in [TZ1, TZ2, TZ3].map(|key| json!({"publicKey": key, "label": "a"})) {
        let valid = with_field_of(&example(), "/spec/keys/0", key).unwrap();
        assert!(matches!(valid.keys[0].source, KeySource::Pkcs11(_)));
    }
    let signer = tz4_example();
    let valid = validate(&signer).unwrap();
    assert_eq!(valid.keys[0].record_name().to_string()[..14], *"watermark-tz4-");
    let KeySource::Sealed(text) = &valid.keys[0].source else { panic!("{:?}", valid.keys[0].source) };
    assert_eq!(text.to_string(), sealed(&signer));
    let config = SignerConfig::from_yaml(&valid.config).unwrap();
    assert_eq!(config.keys, valid.keys);
    let signs = |i: usize| serde_json::to_value(&config.keys[i]).unwrap()["allow"].clone();
    assert_eq!(signs(0), json!(["block", "preattestation", "attestation"]));
    assert_eq!(signs(1), json!(["attestation"]), "the companion key");
    assert!(config.keys[1].companion && !config.keys[0].allow_proof_of_possession);
    let proven = with_field_of(&signer, "/spec/keys/0/allowProofOfPossession", json!(true)).unwrap();
    assert!(SignerConfig::from_yaml(&proven.config).unwrap().keys[0].allow_proof_of_possession);
}

#[test]
fn what_is_wrong_with_a_sealed_key_is_said_without_repeating_it() {
    let signer = tz4_example();
    let text = sealed(&signer);
    let secret = "BLsk39cUjtfFXrG1fWPGdkdPZFCgKfrsnswowy61QFbHrKKzXC7WSw";
    let at = "/spec/keys/0/sealed";
    let altered = format!("{}A{}", &text[..40], &text[41..]);
    assert_ne!(altered, text);
    let companions = signer.spec.keys[1].sealed.clone().unwrap();
    refused(
        &signer,
        &[
            (at, json!(altered), "spec.keys[0].sealed: the sealed key was altered or is incomplete"),
            (at, json!(text[..text.len() - 1]), "spec.keys[0].sealed: the sealed key was altered or is incomplete"),
            (at, json!(format!("{text}\n")), "spec.keys[0].sealed: "),
            (at, json!("text"), "spec.keys[0].sealed: not a sealed key"),
            (at, json!(""), "spec.keys[0].sealed: not a sealed key"),
            (at, json!(text.replace("v1.", "v2.")), "spec.keys[0].sealed: the sealed key has version \"v2\""),
            (at, json!(secret), "spec.keys[0].sealed: this is a secret key"),
            (at, json!(BY_KMS), "spec.keys[0].sealed: needs awsKms, which sealed it"),
            (at, Value::Null, "spec.keys[0].sealed: required for a tz4 key"),
            (at, json!(companions), "spec.keys[1].sealed: the text of spec.keys[0]"),
            ("/spec/keys/0/label", json!("a"), "spec.keys[0]: exactly one of label"),
            ("/spec/keys/0", json!({"publicKey": TZ4, "label": "a"}), "spec.keys[0].sealed: required for a tz4 key"),
            (
                "/spec/keys/0",
                json!({"publicKey": TZ4, "kmsKey": "alias/a"}),
                "spec.keys[0].sealed: required for a tz4 key",
            ),
            ("/spec/keys/0/publicKey", json!(TZ1), "spec.keys[0].sealed: only for a tz4 key"),
            ("/spec/keys/0/publicKey", json!(TZ2), "spec.keys[0].sealed: only for a tz4 key"),
            ("/spec/keys/0/publicKey", json!(TZ3), "spec.keys[0].sealed: only for a tz4 key"),
            (
                "/spec/keys/1/publicKey",
                json!(TZ4),
                "spec.keys[1].publicKey: tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy is listed twice",
            ),
            ("/spec/sealedGraceSeconds", json!(59), "spec.sealedGraceSeconds: 59 is not from 60 to 604800"),
            ("/spec/sealedGraceSeconds", json!(-1), "spec.sealedGraceSeconds: negative"),
            ("/spec/sealedCheckSeconds", json!(601), "spec.sealedCheckSeconds: 601 is not from 1 to 600"),
        ],
    );
    let error = with_field_of(&signer, at, json!(secret)).unwrap_err().to_string();
    assert!(!error.contains(&secret[5..15]), "{error}");
}

#[test]
fn only_tz4_has_companions_and_proofs() {
    let companion = "/spec/keys/1";
    refused(
        &tz4_example(),
        &[
            (
                &format!("{companion}/allow"),
                json!(["block", "attestation"]),
                "spec.keys[1].allow: a companion key signs",
            ),
            (&format!("{companion}/drainDelegate"), json!(true), "spec.keys[1].drainDelegate: a companion key signs"),
            ("/spec/keys/0/companion", json!(true), "spec.baker.octez.delegate: spec.keys has only companion keys"),
            (
                companion,
                json!({"publicKey": TZ3, "label": "a", "companion": true}),
                "spec.keys[1].companion: only for a tz4",
            ),
            (
                companion,
                json!({"publicKey": TZ1, "label": "a", "allowProofOfPossession": true}),
                "spec.keys[1].allowProofOfPossession: only for a tz4",
            ),
            (
                "/spec/baker/octez/delegate",
                json!("tz4VnwAwMUpNfMgzc7dvqF951CteFHBKowv4"),
                "spec.baker.octez.delegate: tz4VnwAwMUpNfMgzc7dvqF951CteFHBKowv4 is a companion key",
            ),
        ],
    );
    refused(
        &tz4_example(),
        &[(
            "/spec/baker/octez/delegates",
            json!(["tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy", "tz4VnwAwMUpNfMgzc7dvqF951CteFHBKowv4"]),
            "spec.baker.octez.delegates[1]: tz4VnwAwMUpNfMgzc7dvqF951CteFHBKowv4 is a companion key",
        )],
    );
    assert!(with_field_of(&tz4_example(), "/spec/keys/1/allow", json!(["attestation"])).is_ok());
}

#[test]
fn the_consensus_key_bakes_and_the_baker_knows_the_companion() {
    for delegate in [Value::Null, json!("tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy")] {
        let valid = with_field_of(&tz4_example(), "/spec/baker/octez/delegate", delegate).unwrap();
        let Workload::Baker(Baker::Octez(baker)) = valid.workload else { panic!("{:?}", valid.workload) };
        assert_eq!(baker.delegates.len(), 1);
        assert_eq!(baker.delegates[0].to_string(), "tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy");
        assert_eq!(baker.companions.len(), 1);
        assert_eq!(baker.companions[0].to_string(), "tz4VnwAwMUpNfMgzc7dvqF951CteFHBKowv4");
    }
}

#[test]
fn the_times_of_sealed_keys_come_into_the_configuration() {
    let of = |signer: &TezosSigner, field: &str, value: Value| {
        SignerConfig::from_yaml(&with_field_of(signer, field, value).unwrap().config).unwrap().sealed
    };
    let signer = tz4_example();
    assert_eq!(of(&signer, "/spec/sealedGraceSeconds", json!(3600)).grace, Duration::from_hours(1));
    assert_eq!(of(&signer, "/spec/sealedCheckSeconds", json!(5)).check_period, Duration::from_secs(5));
    assert!(!validate(&octez_example()).unwrap().config.contains("sealed"), "an upgrade must restart no baker");
}

#[test]
fn kms_has_keys_of_three_schemes_and_opens_those_of_the_fourth() {
    let signer = kms_example();
    for key in [TZ1, TZ2, TZ3].map(|key| json!({"publicKey": key, "kmsKey": "alias/a"})) {
        let valid = with_field_of(&signer, "/spec/keys/0", key).unwrap();
        assert!(matches!(valid.keys[0].source, KeySource::AwsKms(_)));
    }
    let valid = with_field_of(&signer, "/spec/keys/0", json!({"publicKey": TZ4, "sealed": BY_KMS})).unwrap();
    assert!(matches!(valid.keys[0].source, KeySource::Sealed(_)));
}

#[test]
fn what_is_wrong_with_kms_names_its_field() {
    let hsm = serde_json::to_value(example().spec.hsm).unwrap();
    let arn = "arn:aws:kms:eu-west-1:123456789012:key/1";
    refused(
        &kms_example(),
        &[
            ("/spec/hsm", hsm, "spec: exactly one of hsm"),
            ("/spec/awsKms", Value::Null, "spec: exactly one of hsm"),
            ("/spec/awsKms/region", json!("eu-central-1a"), "spec.awsKms.region: "),
            ("/spec/awsKms/region", json!(""), "spec.awsKms.region: "),
            ("/spec/awsKms/endpoint", json!("http://kms.example.org"), "spec.awsKms.endpoint: "),
            ("/spec/awsKms/endpoint", json!("https://kms.example.org/path"), "spec.awsKms.endpoint: "),
            (
                "/spec/awsKms/credentials",
                json!({"secret": "AWS", "key": "a"}),
                "spec.awsKms.credentials.secret: \"AWS\" is not",
            ),
            ("/spec/awsKms/credentials", json!({"secret": "a", "key": ""}), "spec.awsKms.credentials.key: \"\" is not"),
            ("/spec/keys/0/kmsKey", json!("1234abcd-12ab-34cd-56ef-1234567890ab"), "spec.keys[0].kmsKey: "),
            ("/spec/keys/0/kmsKey", json!(arn), "spec.keys[0].kmsKey: the key is in eu-west-1, and awsKms.region is"),
            ("/spec/keys/0", json!({"publicKey": TZ3, "label": "a"}), "spec.keys[0].label: needs hsm"),
            ("/spec/keys/0", json!({"publicKey": TZ3, "id": "a1"}), "spec.keys[0].id: needs hsm"),
            ("/spec/keys/0", json!({"publicKey": TZ3}), "spec.keys[0]: exactly one of label"),
            ("/spec/keys/0/id", json!("a1"), "spec.keys[0]: exactly one of label"),
            (
                "/spec/keys/0",
                json!({"publicKey": TZ4, "sealed": BY_KMS_ELSEWHERE}),
                "spec.keys[0].sealed: the key is in eu-west-1, and awsKms.region is",
            ),
            (
                "/spec/keys/0",
                json!({"publicKey": TZ4, "sealed": sealed(&tz4_example())}),
                "spec.keys[0].sealed: needs the hsm that sealed it",
            ),
        ],
    );
    refused(
        &example(),
        &[("/spec/keys/0", json!({"publicKey": TZ3, "kmsKey": "alias/a"}), "spec.keys[0].kmsKey: needs awsKms")],
    );
}

#[test]
fn the_mechanism_for_ed25519_comes_into_the_configuration() {
    for (given, number) in
        [(json!("0x80001057"), "0x80001057"), (json!(2_147_487_831_i64), "0x80001057"), (json!(4183), "0x00001057")]
    {
        let valid = with_field_of(&example(), "/spec/hsm/pkcs11/eddsaMechanism", given).unwrap();
        let config = SignerConfig::from_yaml(&valid.config).unwrap();
        assert_eq!(config.keystore.hsm().unwrap().eddsa_mechanism.unwrap().to_string(), number);
    }
    refused(
        &example(),
        &[
            ("/spec/hsm/pkcs11/eddsaMechanism", json!("CKM_EDDSA"), "spec.hsm.pkcs11.eddsaMechanism: "),
            ("/spec/hsm/pkcs11/eddsaMechanism", json!(-1), "spec.hsm.pkcs11.eddsaMechanism: "),
        ],
    );
}

/// As for the PIN of a token.
#[test]
fn the_baker_may_not_have_the_credentials() {
    let mut signer = kms_example();
    signer.spec.aws_kms.as_mut().unwrap().credentials =
        Some(crate::api::AwsCredentialsSource { secret: "aws".to_owned(), key: "file".to_owned() });
    signer.spec.baker = example().spec.baker;
    let volume = json!([{"name": "x", "secret": {"secretName": "aws"}}]);
    let error = with_field_of(&signer, "/spec/baker/template/spec/volumes", volume).unwrap_err().to_string();
    assert!(error.starts_with("spec.baker.template.spec.volumes[0]: not allowed"), "{error}");
    assert!(error.contains("spec.awsKms.credentials"), "{error}");
}
