//! tz4 keys sealed by a symmetric key of AWS KMS: made, configured and signed with, under the least privileges of `deploy/iam`, at local-kms
//! and at a stand-in; and that KMS keeps its say.

use crate::kms_env::{NO_AWS, env_of, initialise, start, start_unready};
use crate::kms_local::{LocalKms, SEALING};
use crate::kms_stand_in::{Fault, KeyState, KmsStandIn};
use crate::process::{Signer, wait_for};
use crate::test_env::{CommandResult, FLOOR, TestEnv};
use serde_json::{Value, json};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::ChainId;

/// An attestation as a tz4 baker asks for it: without a slot.
fn attestation(level: u32, salt: u8) -> Vec<u8> {
    let (level, round) = (level.to_be_bytes(), [0; 4]);
    [&[0x13][..], ChainId::MAINNET.as_bytes(), &[0x11; 32], &[41], &level, &round, &[salt; 32]].concat()
}

fn run(env: &TestEnv, arguments: &[&str]) -> CommandResult {
    env.command().envs(NO_AWS).args(arguments).arg("--config").arg(env.config_file()).output().unwrap().into()
}

/// Makes a key, sealed by `sealing_key`.
fn make(env: &TestEnv, sealing_key: &str) -> Value {
    let made = run(env, &["keys", "generate", "--curve", "bls12-381", "--seal-with", sealing_key, "--output", "json"])
        .succeeded();
    serde_json::from_str(&made).unwrap()
}

/// Configures keys that were made, and makes their records.
fn configure(env: &TestEnv, made: &[Value]) {
    let keys = made
        .iter()
        .map(|key| json!({"publicKey": key["publicKey"], "sealed": key["sealed"], "chain": "NetXdQprcVkpaWU"}));
    env.set_config(json!({"keys": keys.collect::<Vec<_>>(), "sealedCheckSeconds": 1}));
    initialise(env);
}

fn policy(name: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/iam");
    std::fs::read_to_string(root.join(name)).unwrap()
}

fn why_not(signer: &Signer, key: &KeyConfig, sentence: &str) -> String {
    wait_for(sentence, || signer.key_status(key).hsm.filter(|reason| reason.contains(sentence)))
}

#[test]
fn a_tz4_key_sealed_by_local_kms_signs_end_to_end() {
    let kms = LocalKms::start();
    let env = env_of(&kms.endpoint, &[]);
    let sealing = format!("arn:aws:kms:eu-west-1:111122223333:key/{SEALING}");
    configure(&env, &[make(&env, &sealing), make(&env, &sealing)]);
    let signer = start(&env);
    for key in &env.config().keys {
        let signature = signer.signature(key, &attestation(FLOOR + 1, 1));
        assert!(signature.starts_with("BLsig"));
        assert_eq!(signer.signature(key, &attestation(FLOOR + 1, 1)), signature);
        signer.sign(key, &attestation(FLOOR + 1, 2)).refused(409);
    }
    run(&env, &["check"]).succeeded();
    let [one, two] = &env.config().keys[..] else { panic!() };
    kms.ask("DisableKey", &json!({"KeyId": SEALING}));
    why_not(&signer, one, "is disabled");
    signer.sign(one, &attestation(FLOOR + 2, 1)).refused(502);
    kms.ask("EnableKey", &json!({"KeyId": SEALING}));
    wait_for("the recovery", || signer.key_status(two).hsm.is_none().then_some(()));
    signer.signature(two, &attestation(FLOOR + 2, 1));
}

/// The policy of who seals, and that of who signs: each does, and no more than, its own part.
#[test]
fn the_policies_of_sealing_and_unsealing_are_enough_and_needed() {
    let kms = KmsStandIn::start();
    let sealing = kms.add_sealing_key("SEALING-KEY-ID");
    let env = env_of(&kms.endpoint(), &[]);
    kms.set_policy(serde_json::from_str(&policy("seal.json")).unwrap());
    let made = [make(&env, &sealing), make(&env, &sealing)];
    let text = policy("unseal.json");
    let unseal = text.replace("BLpk-OF-THE-CONSENSUS-KEY", made[0]["publicKey"].as_str().unwrap());
    kms.set_policy(serde_json::from_str(&unseal).unwrap());
    let refused = run(&env, &["keys", "generate", "--curve", "bls12-381", "--seal-with", &sealing]).failed();
    assert!(refused.contains("AWS denies kms:"), "{refused}");
    configure(&env, &made);
    let signer = start_unready(&env);
    let [allowed, other] = &env.config().keys[..] else { panic!() };
    why_not(&signer, other, "AWS denies kms:Decrypt on");
    wait_for("a signature", || (signer.sign(allowed, &attestation(FLOOR + 1, 1)).status == 200).then_some(()));
    let checked = run(&env, &["check"]).failed();
    assert!(
        checked.contains(&format!("AWS denies kms:Decrypt on {sealing}: allow kms:Decrypt on this key")),
        "{checked}"
    );
}

#[test]
fn kms_keeps_its_say_over_sealed_keys_and_an_outage_of_it_costs_nothing() {
    let kms = KmsStandIn::start();
    let sealing = kms.add_sealing_key("sealing");
    let env = env_of(&kms.endpoint(), &[]);
    configure(&env, &[make(&env, &sealing)]);
    let signer = start(&env);
    let key = &env.config().keys[0];
    let mut level = FLOOR;
    for fault in [Fault::Throttled, Fault::Unavailable, Fault::Cut, Fault::Internal, Fault::InvalidSignature] {
        kms.set_fault(Some(fault.clone()));
        let met = kms.met();
        wait_for("a check", || (kms.met() > met).then_some(()));
        level += 1;
        signer.signature(key, &attestation(level, 1));
    }
    for fault in [Fault::Denied("Decrypt"), Fault::NotFound, Fault::UnknownClient] {
        kms.set_fault(Some(fault.clone()));
        let reason = wait_for("the refusal", || signer.key_status(key).hsm);
        level += 1;
        assert!(reason.contains("AWS"), "{reason}");
        signer.sign(key, &attestation(level, 1)).refused(502);
        kms.set_fault(None);
        wait_for("the recovery", || signer.key_status(key).hsm.is_none().then_some(()));
        signer.signature(key, &attestation(level, 1));
    }
    kms.set_state(&sealing, KeyState::PendingDeletion);
    why_not(&signer, key, "is pending deletion");
    kms.set_state(&sealing, KeyState::Enabled);
    wait_for("the recovery", || signer.key_status(key).hsm.is_none().then_some(()));
}

#[test]
fn a_text_sealed_for_another_key_is_not_opened() {
    let kms = KmsStandIn::start();
    let sealing = kms.add_sealing_key("sealing");
    let env = env_of(&kms.endpoint(), &[]);
    let (mut one, two) = (make(&env, &sealing), make(&env, &sealing));
    one["sealed"] = two["sealed"].clone();
    configure(&env, &[one]);
    let signer = start_unready(&env);
    let key = &env.config().keys[0];
    let reason = why_not(&signer, key, "does not open this text");
    assert!(reason.contains("for another public key, or was altered"), "{reason}");
    let refused = run(&env, &["keys", "generate-sealing-key", "--label", "sealing"]).failed();
    assert!(refused.contains("--key-spec SYMMETRIC_DEFAULT --key-usage ENCRYPT_DECRYPT"), "{refused}");
    let refused = run(&env, &["keys", "generate", "--curve", "bls12-381", "--seal-with", "sealing"]).failed();
    assert!(refused.contains("is not the name of a KMS key"), "{refused}");
}
