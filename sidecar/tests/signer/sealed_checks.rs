//! The HSM keeps its say over sealed keys: a right that was withdrawn ends the use at once, an outage after the grace, and either heals by
//! itself. At the start, whatever fails, no wrong key signs and the signer waits.

use crate::process::{Signer, wait_for};
use crate::sealed_env::{SealedEnv, key_of, signed};
use crate::test_env::PIN;
use pkcs11_faults::control::{Control, Rule, State, WrongSignature};
use serde_json::json;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const OTHER_PIN: &str = "cu_user:another-PIN";

fn usable(signer: &Signer) -> Option<u64> {
    let key = key_of("consensus")["publicKeyHash"].as_str().unwrap().to_owned();
    signer.metric(&format!("tezos_signer_sealed_key_usable{{key=\"{key}\"}}"))
}

fn unreachable_seconds(signer: &Signer) -> u64 {
    let key = key_of("consensus")["publicKeyHash"].as_str().unwrap().to_owned();
    signer.metric(&format!("tezos_signer_sealed_key_unseal_unreachable_seconds{{key=\"{key}\"}}")).unwrap()
}

/// The status of a request for a vote that was not signed before: a stored signature is given also without the secret.
fn attests(sealed: &SealedEnv, signer: &Signer) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(15_181_991);
    let mut payload = signed("consensus", "attestation round 0").0;
    payload[38..42].copy_from_slice(&NEXT.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    let answer = signer.sign(&sealed.consensus(), &payload);
    if answer.status == 200 {
        answer.signature(&sealed.consensus(), &payload);
    }
    answer.status
}

fn wait_for_reason(sealed: &SealedEnv, signer: &Signer, reason: &str) {
    wait_for(reason, || {
        let hsm = signer.key_status(&sealed.consensus()).hsm?;
        hsm.contains(reason).then_some(())
    });
}

#[test]
fn a_pin_that_was_changed_stops_the_keys_within_the_period_and_is_sent_once() {
    let sealed = SealedEnv::new(&Control::default());
    let signer = sealed.start();
    assert_eq!((attests(&sealed, &signer), usable(&signer)), (200, Some(1)));
    sealed.change_pin(PIN, OTHER_PIN);
    wait_for_reason(&sealed, &signer, "the token refused the PIN (C_Login returned CKR_PIN_INCORRECT");
    let answer = signer.sign(&sealed.consensus(), &signed("consensus", "preattestation round 0").0);
    assert!(answer.refused(502).contains("the token refused the PIN"), "{answer:?}");
    assert_eq!((usable(&signer), signer.admin("/readyz").status), (Some(0), 200));
    let state = signer.key_status(&sealed.consensus()).sealed.unwrap();
    assert!(state.refused && state.opened.is_some(), "{state:?}");
    // No other process loads the library, so the PIN is not sent again.
    let control = sealed.env.path.join("faults.json");
    std::fs::remove_file(State::path(&control)).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert!(!State::path(&control).exists());

    sealed.env.write_pin(OTHER_PIN);
    wait_for("the keys", || (usable(&signer) == Some(1)).then_some(()));
    assert_eq!(attests(&sealed, &signer), 200);
    assert!(!signer.log().contains("another-PIN") && !signer.log().contains(PIN));
}

#[test]
fn a_sealing_key_that_is_gone_stops_the_keys_and_they_go_on_when_it_is_back() {
    let sealed = SealedEnv::new(&Control::default());
    let signer = sealed.start();
    sealed.module.set(&Control { rules: vec![Rule::empty("C_FindObjects")], ..Control::default() });
    wait_for_reason(&sealed, &signer, "the token has no AES key with label \"sealing\"");
    assert_eq!((attests(&sealed, &signer), usable(&signer)), (502, Some(0)));
    sealed.module.set(&Control::default());
    wait_for("the keys", || (usable(&signer) == Some(1)).then_some(()));
    assert_eq!(attests(&sealed, &signer), 200);
}

/// The shortest grace that there is takes a minute.
#[test]
fn an_outage_costs_nothing_before_the_grace_is_over_and_ends_the_use_then() {
    let sealed = SealedEnv::new(&Control::default());
    let signer = sealed.start();
    let begin = Instant::now();
    sealed.module.set(&Control { rules: vec![Rule::new("C_Initialize", 0x30)], ..Control::default() });
    wait_for("the outage", || signer.key_status(&sealed.consensus()).sealed?.unreachable_since);
    assert!(begin.elapsed() < Duration::from_secs(10));
    let status = signer.key_status(&sealed.consensus());
    let reason = status.sealed.unwrap().reason.unwrap();
    assert!(reason.contains("C_Initialize returned CKR_DEVICE_ERROR") && status.hsm.is_none(), "{reason}");
    assert_eq!((attests(&sealed, &signer), usable(&signer)), (200, Some(1)));
    while begin.elapsed() < Duration::from_secs(55) {
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(unreachable_seconds(&signer) > 40);
    assert_eq!(attests(&sealed, &signer), 200);
    wait_for_reason(&sealed, &signer, "for more than sealedGraceSeconds (60 s)");
    assert_eq!((attests(&sealed, &signer), usable(&signer)), (502, Some(0)));
    assert!(!signer.key_status(&sealed.consensus()).sealed.unwrap().refused);
    sealed.module.set(&Control::default());
    wait_for("the keys", || (usable(&signer) == Some(1)).then_some(()));
    assert_eq!((attests(&sealed, &signer), unreachable_seconds(&signer)), (200, 0));
}

/// At the start: what fails, and whether the token counts as one that was reached and refuses.
#[test]
fn whatever_fails_at_the_start_the_signer_waits_says_why_and_signs_when_it_is_over() {
    let device = |function: &str, code| vec![Rule::new(function, code)];
    let faults: Vec<(Vec<Rule>, Option<WrongSignature>, &str, bool)> = vec![
        (device("C_Initialize", 0x30), None, "C_Initialize returned CKR_DEVICE_ERROR", false),
        (device("C_OpenSession", 0x05), None, "C_OpenSession returned CKR_GENERAL_ERROR", false),
        (vec![Rule::empty("C_GetSlotList")], None, "no token with label \"test\"", false),
        (device("C_Login", 0x30), None, "C_Login returned CKR_DEVICE_ERROR", false),
        (device("C_FindObjectsInit", 0x06), None, "C_FindObjectsInit returned CKR_FUNCTION_FAILED", false),
        (device("C_FindObjects", 0x30), None, "C_FindObjects returned CKR_DEVICE_ERROR", false),
        (vec![Rule::empty("C_FindObjects")], None, "the token has no AES key", true),
        (device("C_DecryptInit", 0x05), None, "C_DecryptInit returned CKR_GENERAL_ERROR", false),
        (device("C_Decrypt", 0x05), None, "C_Decrypt returned CKR_GENERAL_ERROR", false),
        (device("C_Decrypt", 0x40), None, "C_Decrypt returned CKR_ENCRYPTED_DATA_INVALID", false),
        (device("C_Decrypt", 0x101), None, "C_Decrypt returned CKR_USER_NOT_LOGGED_IN", false),
        (vec![], Some(WrongSignature::BitFlip), "the sealed text holds the secret of BLpk", true),
        (vec![], Some(WrongSignature::Short), "the sealed text holds 31 bytes", true),
        (vec![], Some(WrongSignature::Zero), "its scalar is out of range", true),
    ];
    let sealed = SealedEnv::new(&Control::default());
    for (rules, plaintext, reason, refused) in faults {
        sealed.module.set(&Control { rules, plaintext, ..Control::default() });
        let signer = sealed.module.start(&sealed.env);
        wait_for_reason(&sealed, &signer, reason);
        assert_eq!((attests(&sealed, &signer), usable(&signer)), (502, Some(0)), "{reason}");
        assert_eq!(signer.key_status(&sealed.consensus()).sealed.unwrap().refused, refused, "{reason}");
        assert_eq!(signer.admin("/startupz").status, 503, "{reason}");
        sealed.module.set(&Control::default());
        wait_for(reason, || (attests(&sealed, &signer) == 200).then_some(()));
    }
}

/// A call that does not return, and a process that ends in the library, are outages: the child is ended and another one tried.
#[test]
fn a_child_that_hangs_or_is_killed_harms_nothing() {
    let sealed = SealedEnv::new(&Control::default());
    let signer = sealed.start();
    assert_eq!(attests(&sealed, &signer), 200);
    sealed.module.set(&Control { rules: vec![Rule::hang("C_Decrypt")], ..Control::default() });
    let child = wait_for("the child", || {
        let hangs = sealed.module.state().hanging > 0;
        hangs.then(|| children(&signer).first().copied()).flatten()
    });
    // It has no socket of the signer, and none of its files.
    let files = std::fs::read_dir(format!("/proc/{child}/fd")).unwrap().flatten();
    let files: Vec<_> = files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect();
    assert!(files.iter().all(|file| !file.to_string_lossy().starts_with("socket:")), "{files:?}");
    assert!(files.iter().all(|file| !file.starts_with(sealed.env.records())), "{files:?}");
    assert_eq!(attests(&sealed, &signer), 200);
    let pid = rustix::process::Pid::from_raw(i32::try_from(child).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let killed = wait_for("the outage", || signer.key_status(&sealed.consensus()).sealed?.reason);
    assert!(killed.contains("ended without an answer"), "{killed}");
    assert_eq!((attests(&sealed, &signer), usable(&signer)), (200, Some(1)));
    sealed.module.set(&Control::default());
    wait_for("a check", || signer.key_status(&sealed.consensus()).sealed?.reason.is_none().then_some(()));

    // A signer that ends does not leave it behind.
    sealed.module.set(&Control { serial: 2, rules: vec![Rule::hang("C_Decrypt")], ..Control::default() });
    let child = wait_for("the child", || children(&signer).first().copied());
    signer.kill();
    drop(signer);
    wait_for("the child's end", || (!std::path::Path::new(&format!("/proc/{child}")).exists()).then_some(()));
}

/// One that ended before its child could ask for a signal at that end: the child sees it by its parent.
#[test]
fn a_child_whose_signer_has_ended_asks_the_token_nothing() {
    let sealed = SealedEnv::without_keys(&Control::default());
    sealed.module.set(&Control { rules: vec![Rule::hang("C_Initialize")], ..Control::default() });
    let config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(sealed.env.config_file()).unwrap()).unwrap();
    let request = serde_json::json!({
        "signer": 1, "hsm": config["hsm"], "keys": [], "reveal": false, "logIn": true, "startPauseMilliseconds": 0,
    });
    let (name, value) = sealed.module.environment();
    let mut command = sealed.env.command();
    command.env(name, value).arg("unseal").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let output = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && output.contains("the signer has ended"), "{output}");
}

/// The processes that the signer has started.
fn children(signer: &Signer) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", signer.id())).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

#[test]
fn keys_in_the_token_and_sealed_ones_are_served_side_by_side_and_a_wrong_pin_is_sent_once() {
    let sealed = SealedEnv::new(&Control::default());
    let made = sealed.run(&["keys", "generate", "--label", "tz3", "--curve", "p256", "--output", "json"]).succeeded();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let mut config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(sealed.env.config_file()).unwrap()).unwrap();
    let sealed_only = config["keys"].clone();
    let keys = config["keys"].as_array_mut().unwrap();
    keys.push(json!({"publicKey": made["publicKey"], "label": "tz3", "chain": "NetXdQprcVkpaWU"}));
    let with_label = config["keys"].clone();

    sealed.env.set_config(json!({"keys": with_label}));
    sealed.run(&["watermarks", "initialise", "--level", crate::sealed_env::LEVEL]);
    sealed.env.set_config(json!({"keys": sealed_only}));

    // A reload takes the first key of the token in, with whose sessions nothing was started before.
    let signer = sealed.start();
    assert_eq!(signer.session_threads(), 0);
    sealed.env.set_config(json!({"keys": with_label}));
    signer.send_sighup();
    let tz3 = sealed.env.config().keys[2].clone();
    let payload = crate::payload::attestation(15_181_990, 0, 1);
    wait_for("the key", || (signer.sign(&tz3, &payload).status == 200).then_some(()));
    assert_eq!(attests(&sealed, &signer), 200);
    // And one that takes the sealed keys out and in again.
    let (consensus, payload_of_it) = (sealed.consensus(), signed("consensus", "preattestation round 0").0);
    sealed.env.set_config(json!({"keys": [with_label[2]]}));
    signer.send_sighup();
    wait_for("the reload", || (signer.sign(&consensus, &payload_of_it).status == 404).then_some(()));
    sealed.env.set_config(json!({"keys": sealed_only}));
    signer.send_sighup();
    wait_for("the reload", || (attests(&sealed, &signer) == 200).then_some(()));
    drop(signer);

    sealed.env.set_config(json!({"keys": with_label}));
    sealed.env.write_pin(OTHER_PIN);
    let signer = sealed.module.start(&sealed.env);
    wait_for_reason(&sealed, &signer, "the token refused the PIN");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(sealed.module.state().calls["C_Login"], 1);
    sealed.env.write_pin(PIN);
    wait_for("the keys", || (attests(&sealed, &signer) == 200).then_some(()));
    assert_eq!(signer.sign(&tz3, &payload).status, 200);
}

/// A hundred keys cost one login, and less than a second on SoftHSM2.
#[test]
fn a_hundred_keys_are_unsealed_within_a_second() {
    let sealed = SealedEnv::without_keys(&Control::default());
    // Without the module between, whose file each call reads.
    let module = std::env::current_exe().unwrap().with_file_name("libpkcs11_faults.so");
    sealed.env.edit_config(module.to_str().unwrap(), crate::test_env::SOFTHSM);
    let keys: Vec<_> = (0..100)
        .map(|_| {
            let made = ["keys", "generate", "--curve", "bls12-381", "--seal-with", crate::sealed_env::SEALING];
            let made = sealed.run(&[&made[..], &["--output", "json"]].concat()).succeeded();
            let made: serde_json::Value = serde_json::from_str(&made).unwrap();
            json!({"publicKey": made["publicKey"], "sealed": made["sealed"], "chain": "NetXdQprcVkpaWU"})
        })
        .collect();
    sealed.env.set_config(json!({"keys": keys}));
    sealed.run(&["watermarks", "initialise", "--level", "1000"]).succeeded();
    let signer = Signer::start(&sealed.env);
    let time = |message: &str| {
        let log = signer.log();
        let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let times: Vec<jiff::Timestamp> = lines
            .iter()
            .filter(|line| line["message"] == message)
            .map(|line| line["timestamp"].as_str().unwrap().parse().unwrap())
            .collect();
        (times.len(), times.into_iter().max().unwrap())
    };
    let ((_, begin), (opened, end)) = (time("the audit log of this process"), time("the sealed key is open"));
    let took = Duration::try_from(end.duration_since(begin)).unwrap();
    eprintln!("unsealing {opened} keys took {took:?}");
    assert_eq!(opened, 100);
    // The goal is a second on a machine that does nothing else.
    assert!(took < Duration::from_secs(10), "{took:?}");
}
