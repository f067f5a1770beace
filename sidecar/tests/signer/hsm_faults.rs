//! A token that fails: what is answered meanwhile, what is never answered, and that it signs again afterwards by itself.

use crate::faulty_module::FaultyModule;
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, PointOn, Rule, State, WrongSignature};

const DEVICE_ERROR: u64 = 0x30;

fn ready(env: &TestEnv, module: &FaultyModule) -> Signer {
    let signer = module.start(env);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    signer
}

#[test]
fn a_wrong_signature_is_never_released_and_a_right_one_with_high_s_is() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let signer = ready(&env, &module);
    for key in [env.tz3(), env.tz2()] {
        let mut level = FLOOR;
        for wrong in [WrongSignature::BitFlip, WrongSignature::OtherKey, WrongSignature::Short, WrongSignature::Zero] {
            level += 1;
            let vote = attestation(level, 0, 1);
            module.set(&Control { signature: Some(wrong), ..Control::default() });
            signer.sign(&key, &vote).refused(502);
            assert!(!env.row(&key, "attestation").starts_with(&level.to_string()), "{wrong:?} came into the record");
            module.set(&Control::default());
            signer.signature(&key, &vote);
        }
        module.set(&Control { signature: Some(WrongSignature::HighS), ..Control::default() });
        signer.signature(&key, &attestation(level + 1, 0, 1));
        module.set(&Control::default());
    }
    assert_eq!(module.state().violations, Vec::<String>::new());
}

#[test]
fn after_a_token_that_failed_until_it_was_well_again_the_next_request_is_signed() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let signer = ready(&env, &module);
    let key = env.tz3();
    module.set(&Control { rules: vec![Rule::new("*", DEVICE_ERROR)], ..Control::default() });
    let message = signer.sign(&key, &attestation(FLOOR + 1, 0, 1)).refused(502);
    assert!(message.contains("CKR_DEVICE_ERROR"), "{message}");
    assert!(module.state().struck > 0);
    module.set(&Control::default());
    wait_for("a signature", || (signer.sign(&key, &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(()));
    assert_eq!(module.state().violations, Vec::<String>::new());
}

/// Sessions open and keys are read all the time; without a request, only a trial signature can tell.
#[test]
fn a_token_that_opens_sessions_but_does_not_sign_is_not_well() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let signer = ready(&env, &module);
    let hsm = || signer.status().hsm;
    module.set(&Control { rules: vec![Rule::new("C_Sign", DEVICE_ERROR)], ..Control::default() });
    wait_for("the failure", || (!hsm().ready).then_some(()));
    // Through several rounds of sessions that open.
    let opened = |state: &State| state.calls["C_OpenSession"];
    let begin = opened(&module.state());
    wait_for("new sessions", || {
        assert!(!hsm().ready);
        (opened(&module.state()) >= begin + 6).then_some(())
    });
    assert!(hsm().reason.unwrap().contains("C_Sign returned CKR_DEVICE_ERROR"), "{:?}", hsm());
    module.set(&Control::default());
    wait_for("the recovery", || hsm().ready.then_some(()));
    signer.signature(&env.tz3(), &attestation(FLOOR + 1, 0, 1));
    assert_eq!(module.state().violations, Vec::<String>::new());
}

#[test]
fn one_login_serves_all_sessions_and_a_refused_pin_is_not_tried_again_until_its_file_changes() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let logins = || module.state().calls.get("C_Login").copied().unwrap_or_default();
    let signer = ready(&env, &module);
    let sessions = || signer.metric("tezos_signer_hsm_sessions");
    wait_for("both sessions", || (sessions() == Some(2)).then_some(()));
    assert_eq!(logins(), 1);

    env.write_pin("cu_user:another-PIN");
    let dead = Rule::new("C_SignInit", DEVICE_ERROR).times(1);
    module.set(&Control { rules: vec![dead], needs_reinitialising: true, ..Control::default() });
    let reason = || signer.admin("/status").json()["hsm"]["reason"].as_str().unwrap_or_default().to_owned();
    wait_for("the refusal", || reason().contains("C_Login returned CKR_PIN_INCORRECT").then_some(()));
    // Both threads want a session meanwhile, more than once.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(logins(), 2);
    assert!(!signer.log().contains("another-PIN"));

    env.write_pin(crate::test_env::PIN);
    signer.signature(&env.tz3(), &attestation(FLOOR + 1, 0, 1));
    assert_eq!(module.state().violations, Vec::<String>::new());
}

#[test]
fn a_key_that_is_missing_stops_that_key_only_and_is_found_when_it_comes() {
    let env = TestEnv::new();
    env.edit_config("\"label\": \"tz2\"", "\"label\": \"later\"");
    let signer = Signer::start_unready(&env);
    wait_for("a signature", || (signer.sign(&env.tz3(), &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(()));
    let message = signer.sign(&env.tz2(), &attestation(FLOOR + 1, 0, 1)).refused(502);
    assert!(message.contains("\"later\"") && message.contains("is not in the token"), "{message}");
    assert_eq!(signer.admin("/startupz").status, 503);
    assert_eq!(signer.metric(&format!("tezos_signer_hsm_key_up{{key=\"{}\"}}", env.tz3().hash())), Some(1));
    assert_eq!(signer.metric(&format!("tezos_signer_hsm_key_up{{key=\"{}\"}}", env.tz2().hash())), Some(0));
}

/// A key is searched for by its name only; that it is another one shows its trial signature, and its attributes say which.
#[test]
fn another_key_under_the_configured_label_is_named_and_signs_nothing_also_where_its_attributes_cannot_be_read() {
    let env = TestEnv::with_keys(&[("tz3", "p256"), ("tz2", "secp256k1"), ("third", "p256")]);
    let third = env.config().keys[2].hash().to_string();
    let config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(env.config_file()).unwrap()).unwrap();
    env.set_config(serde_json::json!({"keys": config["keys"].as_array().unwrap()[..2]}));
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    env.edit_config("\"label\": \"tz3\"", "\"label\": \"third\"");
    let module = FaultyModule::install(&env);
    let no_attributes = vec![Rule::new("C_GetAttributeValue", DEVICE_ERROR)];
    let controls = [
        Control { point: PointOn::Public, ..Control::default() },
        Control { point: PointOn::Private, ..Control::default() },
        Control { point: PointOn::Nowhere, ..Control::default() },
        Control { rules: no_attributes, ..Control::default() },
    ];
    for (level, (control, is_shown)) in (FLOOR + 1..).zip(controls.into_iter().zip([true, true, false, false])) {
        module.set(&control);
        let signer = module.start(&env);
        wait_for("the other key", || (signer.sign(&env.tz2(), &attestation(level, 0, 1)).status == 200).then_some(()));
        let message = signer.sign(&env.tz3(), &attestation(level, 0, 1)).refused(502);
        assert_eq!(message.contains(&third) && message.contains("the configuration says"), is_shown, "{message}");
        assert!(is_shown || message.contains("does not verify"), "{message}");
        assert_eq!(signer.admin("/startupz").status, 503);
        let checked = module.run(&env, &["check"]).failed();
        assert_eq!(checked.contains(&third), is_shown, "{checked}");
    }
    assert_eq!(module.state().violations, Vec::<String>::new());
}
