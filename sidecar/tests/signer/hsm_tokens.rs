//! Tokens that differ from SoftHSM2 and CloudHSM without being broken: other slots, fields that nobody needs, padding, and the
//! forms of calls that they want. The signer signs with each, and so does `check`.

use crate::faulty_module::FaultyModule;
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, PIN, TestEnv};
use pkcs11_faults::control::{Control, Habits, Padding, Rule, SizeQuery};
use serde_json::Value;
use std::io::Read as _;
use std::time::Duration;

const DEVICE_ERROR: u64 = 0x30;

/// What the slot of another token may answer.
const OTHERS: [(&str, u64); 4] = [
    ("CKR_TOKEN_NOT_RECOGNIZED", 0xe1),
    ("CKR_DEVICE_ERROR", 0x30),
    ("CKR_TOKEN_NOT_PRESENT", 0xe0),
    ("CKR_GENERAL_ERROR", 0x05),
];

/// A signer that is ready, on a token with these habits.
fn ready(env: &TestEnv, habits: Habits) -> (Signer, FaultyModule) {
    let module = FaultyModule::install(env);
    module.set(&Control { habits, ..Control::default() });
    let signer = module.start(env);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    (signer, module)
}

/// Both keys sign, in all sessions, also after the sessions were lost; and `check` says so.
fn signs_with(env: &TestEnv, habits: &Habits) -> (Signer, FaultyModule) {
    let (signer, module) = ready(env, habits.clone());
    let sessions = u64::from(env.config().keystore.hsm().unwrap().sessions);
    wait_for("the sessions", || (signer.metric("tezos_signer_hsm_sessions") == Some(sessions)).then_some(()));
    for key in [env.tz3(), env.tz2()] {
        for level in FLOOR + 1..FLOOR + 4 {
            signer.signature(&key, &attestation(level, 0, 1));
        }
    }
    let lost = module.state().open.into_iter().map(|session| Rule::new("C_SignInit", 0xb3).in_session(session));
    module.set(&Control { rules: lost.collect(), habits: habits.clone(), ..Control::default() });
    wait_for("a signature", || (signer.sign(&env.tz3(), &attestation(FLOOR + 5, 0, 1)).status == 200).then_some(()));
    module.set(&Control { habits: habits.clone(), ..Control::default() });
    module.run(env, &["check"]).succeeded();
    assert_eq!(module.state().violations, Vec::<String>::new(), "{habits:?}");
    (signer, module)
}

#[test]
fn a_slot_of_another_token_that_cannot_be_read_is_passed_over() {
    for (_, code) in OTHERS {
        let env = TestEnv::new();
        let (signer, module) = ready(&env, Habits { other_slot: Some(code), ..Habits::default() });
        // A fault of ours, which only a library that is initialised again recovers from, while the other slot is as it was.
        let habits = Habits { other_slot: Some(code), ..Habits::default() };
        let rules = vec![Rule::new("C_SignInit", DEVICE_ERROR).times(1)];
        let fault = Control { serial: 1, rules, needs_reinitialising: true, habits, ..Control::default() };
        module.set(&fault);
        wait_for("the fault", || (module.state().serial == 1 && module.state().struck > 0).then_some(()));
        wait_for("a signature", || {
            (signer.sign(&env.tz3(), &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(())
        });
        module.set(&Control { habits: fault.habits, ..Control::default() });
        module.run(&env, &["check"]).succeeded();
    }
}

#[test]
fn a_slot_that_cannot_be_read_is_named_where_the_token_is_not_found() {
    let env = TestEnv::new();
    env.edit_config("\"token\": \"test\"", "\"token\": \"nobody\"");
    let module = FaultyModule::install(&env);
    for (name, code) in OTHERS {
        module.set(&Control { habits: Habits { other_slot: Some(code), ..Habits::default() }, ..Control::default() });
        let said = module.run(&env, &["check"]).failed();
        assert!(said.contains("no token with label \"nobody\"") && said.contains("\"test\" (serial number"), "{said}");
        let slot = format!("which cannot be read (C_GetTokenInfo returned {name})");
        assert!(said.contains(&slot), "{said}");
    }
}

#[test]
fn a_token_whose_time_is_no_text_signs() {
    signs_with(&TestEnv::new(), &Habits { utc_time_is_no_text: true, ..Habits::default() });
}

#[test]
fn a_token_is_found_by_its_label_and_its_serial_number_however_they_are_padded() {
    for padding in [Padding::Nuls, Padding::NulAndRubbish] {
        let env = TestEnv::new();
        let habits = Habits { padding, ..Habits::default() };
        let (signer, module) = signs_with(&env, &habits);
        drop(signer);
        env.edit_config("\"token\": \"test\"", "\"token\": \"nobody\"");
        let said = module.run(&env, &["check"]).failed();
        let serial = said.split("\"test\" (serial number \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        env.edit_config("\"token\": \"nobody\"", &format!("\"serial\": \"{serial}\""));
        module.run(&env, &["check"]).succeeded();
    }
}

#[test]
fn a_write_protected_token_signs_in_read_only_sessions() {
    signs_with(&TestEnv::new(), &Habits { write_protected: true, ..Habits::default() });
}

#[test]
fn a_token_with_as_many_sessions_as_are_configured_signs_on_all_of_them() {
    for sessions in [1, 2] {
        let env = TestEnv::new();
        env.set_hsm("sessions", sessions);
        signs_with(&env, &Habits { max_sessions: Some(sessions), ..Habits::default() });
    }
}

#[test]
fn a_library_that_cannot_lock_is_called_by_one_thread_at_a_time() {
    let env = TestEnv::new();
    let (signer, module) = signs_with(&env, &Habits { cannot_lock: true, ..Habits::default() });
    std::thread::scope(|scope| {
        for key in [env.tz3(), env.tz2()] {
            let signer = &signer;
            scope.spawn(move || {
                for level in FLOOR + 10..FLOOR + 40 {
                    signer.signature(&key, &attestation(level, 0, 1));
                }
            });
        }
    });
    // Through some trial signatures.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(module.state().violations, Vec::<String>::new());
}

#[test]
fn a_pin_that_a_person_enters_at_the_token_is_no_pin_of_a_file() {
    let env = TestEnv::new();
    env.write_pin("");
    signs_with(&env, &Habits { keypad: Some(PIN.to_owned()), ..Habits::default() });
    // Some tokens say that they have a keypad, and take the PIN from the file only.
    let env = TestEnv::new();
    let has_keypad = 0x100;
    signs_with(&env, &Habits { token_flags: has_keypad, ..Habits::default() });
}

#[test]
fn a_key_that_wants_the_pin_with_each_signature_gets_it() {
    let env = TestEnv::new();
    let habits = Habits { always_authenticate: true, ..Habits::default() };
    let (signer, module) = signs_with(&env, &habits);
    // A PIN that was changed in the file only is wrong, and is sent once, not with each signature.
    env.write_pin("cu_user:another-PIN");
    let logins = || module.state().calls["C_Login"];
    wait_for("the refusal", || {
        signer.admin("/status").body.contains("C_Login returned CKR_PIN_INCORRECT").then_some(())
    });
    let before = logins();
    std::thread::sleep(Duration::from_secs(3));
    signer.sign(&env.tz3(), &attestation(FLOOR + 10, 0, 1)).refused(502);
    assert_eq!(logins(), before);
    env.write_pin(PIN);
    wait_for("a signature", || (signer.sign(&env.tz3(), &attestation(FLOOR + 10, 0, 1)).status == 200).then_some(()));
}

#[test]
fn a_token_that_cannot_be_asked_for_the_length_of_a_signature_signs() {
    let (arguments_bad, buffer_too_small) = (0x07, 0x150);
    for size_query in [SizeQuery::EndsTheOperation, SizeQuery::Fails(arguments_bad), SizeQuery::Fails(buffer_too_small)]
    {
        signs_with(&TestEnv::new(), &Habits { size_query, ..Habits::default() });
    }
}

#[test]
fn a_signature_is_one_call_of_c_sign() {
    let env = TestEnv::new();
    let (signer, module) = ready(&env, Habits::default());
    for level in FLOOR + 1..FLOOR + 21 {
        signer.signature(&env.tz3(), &attestation(level, 0, 1));
    }
    module.set(&Control { serial: 1, ..Control::default() });
    let state = wait_for("the counts", || Some(module.state()).filter(|state| state.serial == 1));
    let (begun, made) = (state.calls["C_SignInit"], state.calls["C_Sign"]);
    assert!(made > 20 && made <= begun, "{made} C_Sign, {begun} C_SignInit");
}

#[test]
fn a_signature_in_der_is_read() {
    signs_with(&TestEnv::new(), &Habits { der: true, ..Habits::default() });
}

#[test]
fn labels_of_keys_are_shown_so_that_they_can_be_typed() {
    let env = TestEnv::without_keys();
    let module = FaultyModule::install(&env);
    let label = "zero\u{200b}width \\ ";
    let typed = r#""zero\u200bwidth \\ ""#;
    let made = module.run(&env, &["keys", "generate", "--label", label, "--curve", "p256"]).succeeded();
    assert!(made.contains(&format!("    label: {typed}")), "{made}");
    assert!(module.run(&env, &["keys", "list"]).succeeded().contains(typed));
    let key = made.split_whitespace().find(|word| word.starts_with("p2pk")).unwrap();
    let keys =
        |label: &str| format!("[{{\"publicKey\": \"{key}\", \"label\": {label}, \"chain\": \"NetXdQprcVkpaWU\"}}]");
    let config = std::fs::read_to_string(env.config_file()).unwrap();
    std::fs::write(env.config_file(), config.replacen("\"keys\": []", &format!("\"keys\": {}", keys(typed)), 1))
        .unwrap();
    module.run(&env, &["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    module.run(&env, &["check"]).succeeded();
    env.edit_config(typed, "\"zero\u{200b}width\"");
    let said = module.run(&env, &["check"]).failed();
    assert!(said.contains(r#"label "zero\u200bwidth") is not in the token"#), "{said}");
}

/// CloudHSM's library prints with `log_type: term`. File descriptor 1 is shared with it.
#[test]
fn a_library_that_prints_spoils_neither_json_nor_the_audit_log() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    module.set(&Control { habits: Habits { prints: true, ..Habits::default() }, ..Control::default() });
    for command in [&["keys", "list"][..], &["check"], &["keys", "generate", "--label", "new", "--curve", "p256"]] {
        let printed = module.run(&env, &[command, &["--output", "json"]].concat());
        assert!(printed.stderr.contains("INFO C_Initialize"), "the library has printed nothing: {}", printed.stderr);
        let json = printed.succeeded();
        serde_json::from_str::<Value>(&json).unwrap_or_else(|error| panic!("{command:?}: {error}: {json}"));
    }
    let table = module.run(&env, &["keys", "list"]).succeeded();
    assert!(table.starts_with("LABEL") && !table.contains("INFO"), "{table}");

    let (name, value) = module.environment();
    let mut signer = Signer::start_with_piped_output(&env, &[(name, &value)]);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    signer.signature(&env.tz3(), &attestation(FLOOR + 1, 0, 1));
    signer.terminate();
    assert!(signer.ended().success());
    let mut lines = String::new();
    signer.output().read_to_string(&mut lines).unwrap();
    assert!(lines.contains("intent") && lines.contains("outcome"), "{lines}");
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["sequence"].is_u64(), "{line}");
    }
    assert!(signer.log().contains("INFO C_Sign"), "{}", signer.log());
}
