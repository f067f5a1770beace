//! `check` and `keys` on SoftHSM2, and on a module with CloudHSM's rules.

use crate::faulty_module::FaultyModule;
use crate::home::{Home, edit};
use pkcs11_faults::control::{Control, PointOn, Rule, WrongSignature};
use serde_json::Value;

#[test]
fn check_says_of_each_key_whether_it_signs_and_has_a_record() {
    let home = Home::new();
    let table = home.run(&["check"]).succeeded();
    assert!(table.contains(&home.tz3().hash().to_string()) && table.matches(" ms ").count() == 2, "{table}");
    let before = home.row(&home.tz3(), "block");
    let json: Value = serde_json::from_str(&home.run(&["check", "--output", "json"]).succeeded()).unwrap();
    assert_eq!(json["fit"], true);
    assert_eq!(home.row(&home.tz3(), "block"), before);

    std::fs::remove_file(home.record_file(&home.tz2())).unwrap();
    let said = home.run(&["check"]).failed();
    assert!(said.contains("no watermark record") && said.matches(" ms ").count() == 2, "{said}");
    edit(&home.config_file(), "\"label\": \"tz3\"", "\"label\": \"nobody\"");
    let said = home.run(&["check"]).failed();
    assert!(said.contains("is not in the token") && said.matches(" ms ").count() == 1, "{said}");
}

#[test]
fn keys_and_check_work_where_cloudhsms_rules_hold_and_the_point_is_shown_anywhere_or_nowhere() {
    let home = Home::new();
    let module = FaultyModule::install(&home);
    for (point, point_bare) in
        [(PointOn::Public, false), (PointOn::Public, true), (PointOn::Private, true), (PointOn::Nowhere, false)]
    {
        let cloud_hsm = Control { cloud_hsm: true, handles_per_session: true, point, point_bare, ..Control::default() };
        module.set(&cloud_hsm);
        module.run(&home, &["check"]).succeeded();
    }
    module.set(&Control { cloud_hsm: true, handles_per_session: true, ..Control::default() });
    let made = module.run(&home, &["keys", "generate", "--label", "made", "--curve", "p256"]).succeeded();
    assert!(made.contains("  - publicKey: p2pk") && made.contains("    label: \"made\""), "{made}");
    assert!(module.run(&home, &["keys", "list"]).succeeded().contains("made"));
    module.run(&home, &["keys", "generate", "--label", "made", "--curve", "p256"]).failed();
    assert_eq!(module.state().violations, Vec::<String>::new());

    module.set(&Control { signature: Some(WrongSignature::OtherKey), ..Control::default() });
    assert!(module.run(&home, &["check"]).failed().contains("it was not released"));
    module.set(&Control { rules: vec![Rule::new("C_Login", 0x30)], ..Control::default() });
    assert!(module.run(&home, &["check"]).failed().contains("C_Login returned CKR_DEVICE_ERROR"));
}
