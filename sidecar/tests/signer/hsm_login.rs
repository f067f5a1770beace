//! `C_Login`: a PIN that may be wrong is not sent again and again, so that nobody is locked; and the signer logs in by itself
//! when the HSM was the reason. What the PIN file holds that no PIN has.

use crate::faulty_module::FaultyModule;
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, PIN, TestEnv, permit};
use pkcs11_faults::control::{Control, Habits, Rule};
use std::time::{Duration, Instant};

const DEVICE_ERROR: u64 = 0x30;
const GENERAL_ERROR: u64 = 0x05;
const USER_NOT_LOGGED_IN: u64 = 0x101;

const COUNT_LOW: u64 = 0x0001_0000;
const FINAL_TRY: u64 = 0x0002_0000;
const LOCKED: u64 = 0x0004_0000;

/// In which a login that is wrong would have been repeated several times.
const WATCH: Duration = Duration::from_secs(3);

fn with(habits: Habits) -> Control {
    Control { habits, ..Control::default() }
}

fn logins(module: &FaultyModule) -> u64 {
    module.state().calls.get("C_Login").copied().unwrap_or_default()
}

fn wait_for_reason(signer: &Signer, reason: &str) {
    wait_for(reason, || signer.admin("/startupz").body.contains(reason).then_some(()));
}

fn wait_until_ready(signer: &Signer) {
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
}

/// Whatever a card with three tries answers to a wrong PIN, it is asked once; the right PIN in the file is tried at once.
#[test]
fn a_wrong_pin_is_sent_once_whatever_the_token_answers() {
    let codes = [
        ("CKR_PIN_INCORRECT", 0xa0),
        ("CKR_PIN_INVALID", 0xa1),
        ("CKR_PIN_LEN_RANGE", 0xa2),
        ("CKR_PIN_EXPIRED", 0xa3),
        ("CKR_GENERAL_ERROR", 0x05),
        ("CKR_FUNCTION_FAILED", 0x06),
        ("CKR_ARGUMENTS_BAD", 0x07),
        ("CKR_USER_TYPE_INVALID", 0x103),
        ("CKR_VENDOR_DEFINED (0x80000001)", 0x8000_0001),
        ("an unknown code (0x7fff)", 0x7fff),
    ];
    std::thread::scope(|scope| {
        for (name, code) in codes {
            scope.spawn(move || {
                let env = TestEnv::new();
                env.write_pin("cu_user:another-PIN");
                let module = FaultyModule::install(&env);
                let card = Habits { wrong_pin: Some(code), tries: Some(3), hides_tries: true, ..Habits::default() };
                module.set(&with(card));
                let signer = module.start(&env);
                wait_for_reason(&signer, &format!("C_Login returned {name}"));
                let begin = Instant::now();
                while begin.elapsed() < WATCH {
                    signer.sign(&env.tz3(), &attestation(FLOOR + 1, 0, 1)).refused(502);
                }
                assert_eq!(logins(&module), 1, "{name}: {}", signer.log());
                assert!(!signer.log().contains("another-PIN"));
                env.write_pin(PIN);
                wait_until_ready(&signer);
                signer.signature(&env.tz3(), &attestation(FLOOR + 1, 0, 1));
                assert_eq!(logins(&module), 2, "{name}");
                assert_eq!(module.state().violations, Vec::<String>::new());
            });
        }
    });
}

/// The same error of an HSM that is away, which the PIN has nothing to do with.
#[test]
fn after_an_absence_the_signer_logs_in_by_itself() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    module.set(&Control { rules: vec![Rule::new("C_Login", GENERAL_ERROR)], ..Control::default() });
    let signer = module.start(&env);
    wait_for_reason(&signer, "C_Login returned CKR_GENERAL_ERROR");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(logins(&module), 1);
    module.set(&Control { serial: 1, rules: vec![Rule::new("C_OpenSession", DEVICE_ERROR)], ..Control::default() });
    wait_for("the absence", || (module.state().serial == 1 && module.state().struck > 0).then_some(()));
    module.set(&Control::default());
    wait_until_ready(&signer);
    assert_eq!(logins(&module), 2);
}

/// A code that cannot mean the PIN, and a PIN that was accepted before: a few tries, and no end before it is well.
#[test]
fn logins_that_fail_for_the_hsm_are_repeated_with_growing_pauses_until_it_is_back() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let fails = |code| Rule::new("C_Login", code);
    module.set(&Control { rules: vec![fails(DEVICE_ERROR)], ..Control::default() });
    let signer = module.start(&env);
    wait_for("the first login", || (logins(&module) > 0).then_some(()));
    std::thread::sleep(Duration::from_secs(5));
    // After 0, 0.5, 1.5 and 3.5 s.
    assert!((2..=4).contains(&logins(&module)), "{} logins", logins(&module));
    module.set(&Control::default());
    wait_until_ready(&signer);

    let before = logins(&module);
    let lost = Rule::new("C_SignInit", USER_NOT_LOGGED_IN);
    module.set(&Control { rules: vec![fails(GENERAL_ERROR), lost], ..Control::default() });
    wait_for("a login", || (logins(&module) > before).then_some(()));
    std::thread::sleep(Duration::from_secs(5));
    let repeated = logins(&module) - before;
    assert!((4..=21).contains(&repeated), "{repeated} logins");
    module.set(&Control::default());
    let end = Instant::now();
    wait_for("a signature", || (signer.sign(&env.tz3(), &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(()));
    assert!(end.elapsed() < Duration::from_secs(5), "after {:?}", end.elapsed());
}

#[test]
fn no_pin_is_sent_while_the_tokens_flags_say_that_a_wrong_one_locks_the_user() {
    for (flag, name) in [(FINAL_TRY, "CKF_USER_PIN_FINAL_TRY"), (LOCKED, "CKF_USER_PIN_LOCKED")] {
        let env = TestEnv::new();
        let module = FaultyModule::install(&env);
        module.set(&with(Habits { token_flags: COUNT_LOW | flag, ..Habits::default() }));
        assert!(module.run(&env, &["check"]).failed().contains(name));
        let signer = module.start(&env);
        wait_for_reason(&signer, name);
        std::thread::sleep(WATCH);
        assert_eq!(logins(&module), 0, "{name}");
        // Somebody has logged in, or unlocked the user.
        module.set(&Control::default());
        wait_until_ready(&signer);
    }
}

/// Another process has sent a wrong PIN before: the one thing that a process knows of it.
#[test]
fn where_the_token_counts_a_wrong_pin_a_service_waits_before_its_one_login_and_a_command_does_not() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    env.write_pin("cu_user:another-PIN");
    module.run(&env, &["check"]).failed();
    let signer = module.start(&env);
    wait_for_reason(&signer, "CKF_USER_PIN_COUNT_LOW");
    std::thread::sleep(WATCH);
    assert_eq!(logins(&module), 0);
    wait_for("the one login", || (logins(&module) == 1).then_some(()));
    std::thread::sleep(WATCH);
    assert_eq!(logins(&module), 1);
    // The right PIN is tried at once, by a command and by the signer.
    env.write_pin(PIN);
    wait_until_ready(&signer);
    module.set(&with(Habits { token_flags: COUNT_LOW, ..Habits::default() }));
    module.run(&env, &["check"]).succeeded();
}

/// The token says nothing of the PIN, and then that it has counted a wrong one.
#[test]
fn after_a_login_that_failed_none_is_tried_once_the_token_counts_a_wrong_pin() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let control = |token_flags| Control {
        rules: vec![Rule::new("C_Login", DEVICE_ERROR)],
        habits: Habits { token_flags, ..Habits::default() },
        ..Control::default()
    };
    module.set(&control(0));
    let signer = module.start(&env);
    // It is over, and the next one has not begun.
    wait_for_reason(&signer, "C_Login returned CKR_DEVICE_ERROR");
    module.set(&control(COUNT_LOW));
    wait_for_reason(&signer, "CKF_USER_PIN_COUNT_LOW");
    let before = logins(&module);
    std::thread::sleep(WATCH);
    assert_eq!(logins(&module), before);
    module.set(&Control::default());
    wait_until_ready(&signer);
}

#[test]
fn a_pin_file_with_what_no_pin_has_is_named_and_never_sent() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let secret = "wrong-secret";
    let file = env.config().keystore.hsm().unwrap().pin_file.clone();
    let write = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        permit(&file, 0o600);
    };
    let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    write(b"");
    let signer = module.start(&env);
    for (bytes, named) in [
        (&b""[..], "is empty"),
        (b"\r\n", "is empty"),
        (b"  \n", "has only blanks"),
        (&[b"\xef\xbb\xbf", secret.as_bytes()].concat(), "begins with a byte order mark"),
        (&[b"\xff\xfe", &utf16[..]].concat(), "begins with a byte order mark"),
        (&utf16, "has a NUL byte"),
        (&[secret.as_bytes(), b"\0"].concat(), "has a NUL byte"),
        (&[secret.as_bytes(), b"\nuser\n"].concat(), "has more than one line"),
        (&[secret.as_bytes(), b"\xe9"].concat(), "is not UTF-8"),
    ] {
        write(bytes);
        wait_for_reason(&signer, named);
        assert!(module.run(&env, &["check"]).failed().contains(named));
    }
    assert_eq!(logins(&module), 0);
    // A password may end with a blank, so it is sent.
    write(format!("{secret} \n").as_bytes());
    wait_for_reason(&signer, "the PIN file ends with a blank, which is sent as a part of the PIN");
    assert_eq!(logins(&module), 1);
    env.write_pin(PIN);
    wait_until_ready(&signer);
    assert!(!(signer.log() + &signer.admin("/status").body).contains(secret));
    assert_eq!(module.state().violations, Vec::<String>::new());
}
