//! The commands where the keys are in KMS: they name what is there and what is missing, and neither list nor create keys.

use crate::kms_env::{NO_AWS, env_of, key, three_keys};
use crate::kms_stand_in::{Fault, KmsStandIn, Spec};
use crate::test_env::{CommandResult, TestEnv};
use serde_json::Value;

/// Runs a command without AWS in its environment.
fn run(env: &TestEnv, arguments: &[&str]) -> CommandResult {
    env.command().envs(NO_AWS).args(arguments).arg("--config").arg(env.config_file()).output().unwrap().into()
}

#[test]
fn keys_list_shows_configured_and_named_keys_and_asks_for_no_others() {
    let (kms, env) = three_keys();
    let (fourth, public_key) = kms.add_key("fourth", Spec::P256);
    kms.add_key("somebody-elses", Spec::P256);
    let shown: Value = serde_json::from_str(
        &run(&env, &["keys", "list", "--output", "json", "--kms-key", "alias/fourth", "--kms-key", &fourth])
            .succeeded(),
    )
    .unwrap();
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), 5);
    assert!(shown[..3].iter().zip(&env.config().keys).all(|(shown, key)| {
        shown["publicKey"] == key.public_key.to_string() && shown["curve"] == key.public_key.curve().to_string()
    }));
    assert_eq!(shown[3]["publicKey"], public_key.to_string());
    assert_eq!((&shown[3]["kmsKey"], &shown[4]["kmsKey"]), (&"alias/fourth".into(), &fourth.into()));
    assert!(kms.take_asked().iter().all(|asked| asked.operation == "GetPublicKey"));
    kms.set_fault_of("alias/fourth", Fault::Denied("GetPublicKey"));
    let table = run(&env, &["keys", "list", "--kms-key", "alias/fourth"]).succeeded();
    assert!(table.contains("AWS denies kms:GetPublicKey on alias/fourth"), "{table}");
    assert!(table.contains("The signer never lists the keys of an AWS account"), "{table}");
}

#[test]
fn keys_list_tells_a_key_of_another_public_key_and_one_that_does_not_sign() {
    let kms = KmsStandIn::start();
    let (one, _) = kms.add_key("one", Spec::P256);
    let (_, other) = kms.add_key("other", Spec::P256);
    let sealing = kms.add_sealing_key("sealing");
    let env = env_of(&kms.endpoint(), &[key(&other, &one)]);
    let table = run(&env, &["keys", "list"]).succeeded();
    assert!(table.contains("the configuration has the public key"), "{table}");
    let failed = run(&env_of(&kms.endpoint(), &[key(&other, &sealing)]), &["keys", "list"]).failed();
    assert!(failed.contains("cannot be used for kms:GetPublicKey"), "{failed}");
    kms.set_fault(Some(Fault::WrongUsage));
    let failed = run(&env, &["keys", "list"]).failed();
    assert!(failed.contains("its key usage is KEY_AGREEMENT, not SIGN_VERIFY"), "{failed}");
}

#[test]
fn keys_generate_says_how_a_key_is_created() {
    let (kms, env) = three_keys();
    for (curve, spec) in
        [("p256", "ECC_NIST_P256"), ("secp256k1", "ECC_SECG_P256K1"), ("ed25519", "ECC_NIST_EDWARDS25519")]
    {
        let refused = run(&env, &["keys", "generate", "--label", "baker-one", "--curve", curve]).failed();
        let create = format!("aws kms create-key --region eu-west-1 --key-spec {spec} --key-usage SIGN_VERIFY");
        assert!(refused.contains(&create) && refused.contains("--alias-name alias/baker-one"), "{refused}");
    }
    let refused = run(&env, &["keys", "generate", "--label", "no alias!", "--curve", "p256"]).failed();
    assert!(refused.contains("alias/NAME"), "{refused}");
    assert!(kms.take_asked().is_empty());
    let token = TestEnv::with_keys(&[("tz3", "p256")]);
    let refused = token.run(&["keys", "list", "--kms-key", "alias/fourth"]).failed();
    assert!(refused.contains("--kms-key names a key of AWS KMS"), "{refused}");
}

#[test]
fn check_says_every_right_that_is_missing_and_what_is_wrong_with_all_keys_once() {
    let (kms, env) = three_keys();
    let well = run(&env, &["check"]).succeeded();
    assert!(well.contains("only the keys of the configuration were asked about"), "{well}");
    let arn = env.config().keys[1].source.to_string();
    kms.set_policy(serde_json::json!({"Statement": []}));
    let checked = run(&env, &["check"]).failed();
    for right in ["kms:GetPublicKey", "kms:Sign"] {
        let sentence = format!("AWS denies {right} on {arn}: allow {right} on this key");
        assert!(checked.contains(&sentence), "{checked}");
    }
    kms.set_fault(Some(Fault::InvalidSignature));
    let checked: Value = serde_json::from_str(&run(&env, &["check", "--output", "json"]).stdout).unwrap();
    let problem = checked["problems"][0].as_str().unwrap();
    assert!(
        problem.contains("AWS does not accept the credentials") && problem.contains("set the clock of this host"),
        "{problem}"
    );
}
