//! `check` and `keys` on SoftHSM2, and on a module with CloudHSM's rules.

use crate::faulty_module::FaultyModule;
use crate::test_env::{TestEnv, edit};
use pkcs11_faults::control::{Control, PointOn, Rule, WrongSignature};
use serde_json::Value;

#[test]
fn check_says_of_each_key_whether_it_signs_and_has_a_record() {
    let env = TestEnv::new();
    let table = env.run(&["check"]).succeeded();
    assert!(table.contains(&env.tz3().hash().to_string()) && table.matches(" ms ").count() == 2, "{table}");
    let before = env.row(&env.tz3(), "block");
    let json: Value = serde_json::from_str(&env.run(&["check", "--output", "json"]).succeeded()).unwrap();
    assert_eq!(json["fit"], true);
    assert_eq!(env.row(&env.tz3(), "block"), before);

    std::fs::remove_file(env.record_file(&env.tz2())).unwrap();
    let output = env.run(&["check"]).failed();
    assert!(output.contains("no watermark record") && output.matches(" ms ").count() == 2, "{output}");
    edit(&env.config_file(), "\"label\": \"tz3\"", "\"label\": \"nobody\"");
    let output = env.run(&["check"]).failed();
    assert!(output.contains("is not in the token") && output.matches(" ms ").count() == 1, "{output}");
}

#[test]
fn keys_and_check_work_where_cloudhsms_rules_hold_and_the_point_is_shown_anywhere_or_nowhere() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    for (point, point_bare) in
        [(PointOn::Public, false), (PointOn::Public, true), (PointOn::Private, true), (PointOn::Nowhere, false)]
    {
        let cloud_hsm = Control { cloud_hsm: true, handles_per_session: true, point, point_bare, ..Control::default() };
        module.set(&cloud_hsm);
        module.run(&env, &["check"]).succeeded();
    }
    // A point on the private object is enough to list a key. On neither, the public key is learned by trial signatures.
    let listed = |point| {
        module.set(&Control { point, ..Control::default() });
        let keys: Value =
            serde_json::from_str(&module.run(&env, &["keys", "list", "--output", "json"]).succeeded()).unwrap();
        keys.as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(PointOn::Public), ["tz2", "tz3"]);
    assert_eq!(listed(PointOn::Private), ["tz2", "tz3"]);
    assert_eq!(listed(PointOn::Nowhere), ["tz2", "tz3"]);

    module.set(&Control { cloud_hsm: true, handles_per_session: true, ..Control::default() });
    let made = module.run(&env, &["keys", "generate", "--label", "made", "--curve", "p256"]).succeeded();
    assert!(made.contains("  - publicKey: p2pk") && made.contains("    label: \"made\""), "{made}");
    assert!(module.run(&env, &["keys", "list"]).succeeded().contains("made"));
    module.run(&env, &["keys", "generate", "--label", "made", "--curve", "p256"]).failed();
    assert_eq!(module.state().violations, Vec::<String>::new());

    module.set(&Control { signature: Some(WrongSignature::OtherKey), ..Control::default() });
    assert!(module.run(&env, &["check"]).failed().contains("it was not released"));
    module.set(&Control { rules: vec![Rule::new("C_Login", 0x30)], ..Control::default() });
    assert!(module.run(&env, &["check"]).failed().contains("C_Login returned CKR_DEVICE_ERROR"));
    edit(&env.config_file(), "\"sessions\": 2", "\"sessions\": 2, \"exitAfterHangSeconds\": 3");
    module.set(&Control { rules: vec![Rule::hang("C_Login")], ..Control::default() });
    assert!(module.run(&env, &["check"]).failed().contains("the PKCS#11 library does not return"));
}

#[test]
fn check_leaves_the_library_before_it_ends() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    // A process that ends under a call of the library crashes.
    module.set(&Control { rules: vec![Rule::slow("C_CloseSession", 300)], ..Control::default() });
    module.run(&env, &["check"]).succeeded();
    assert_eq!(module.state().sessions, 0);
    edit(&env.config_file(), "\"sessions\": 2", "\"sessions\": 2, \"exitAfterHangSeconds\": 3");
    module.set(&Control { rules: vec![Rule::hang("C_CloseSession")], ..Control::default() });
    module.run(&env, &["check"]).succeeded();
}

#[test]
fn a_token_is_chosen_by_its_label_and_where_two_have_it_by_its_serial_number() {
    let env = TestEnv::new();
    let token = |seen: &str| seen.split("serial number \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    edit(&env.config_file(), "\"token\": \"test\"", "\"token\": \"nobody\"");
    let output = env.run(&["check"]).failed();
    assert!(output.contains("no token with label \"nobody\"; the library lists \"test\" (serial number"), "{output}");
    let serial = token(&output);
    edit(&env.config_file(), "\"token\": \"nobody\"", "\"token\": \"test\"");
    env.add_token("test");
    let output = env.run(&["check"]).failed();
    assert!(output.contains("more than one token has label \"test\": set hsm.serial"), "{output}");
    edit(&env.config_file(), "\"token\": \"test\"", &format!("\"serial\": \"{serial}\""));
    env.run(&["check"]).succeeded();
}
