//! Many keys in a token that searches slowly: each search returns, so nothing hangs, however long it takes to find all keys.

use crate::faulty_module::FaultyModule;
use crate::payload::{attestation, block, preattestation};
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Rule};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// With the limit of 3 s for one call, which is the least that can be configured: so many that one session needs longer to find
/// them, also by one search a key.
const KEYS: usize = 56;

/// CloudHSM returns it where it throttles, too.
const CKR_FUNCTION_FAILED: u64 = 0x06;

/// How long one search takes.
const SEARCH: u64 = 60;

fn many_keys() -> (TestEnv, FaultyModule) {
    let labels: Vec<String> = (0..KEYS).map(|number| format!("key-{number}")).collect();
    let keys: Vec<_> = labels.iter().map(|label| (label.as_str(), "p256")).collect();
    let env = TestEnv::with_keys(&keys);
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    env.set_hsm("sessions", 4);
    env.set_hsm("exitAfterHangSeconds", 3);
    let module = FaultyModule::install(&env);
    (env, module)
}

fn slow_searches() -> Control {
    Control { rules: vec![Rule::slow("C_FindObjectsInit", SEARCH)], ..Control::default() }
}

fn replaced(signer: &Signer) -> u64 {
    signer.metric("tezos_signer_hsm_threads_replaced_total").unwrap()
}

/// The reasons of a probe that say how many keys are found.
fn progress(signer: &Signer, path: &str) -> Option<String> {
    let reasons = signer.admin(path).json()["reasons"].clone();
    let reasons: Vec<String> = serde_json::from_value(reasons).unwrap();
    reasons.into_iter().find(|reason| reason.starts_with("finding the keys: "))
}

#[test]
fn a_slow_token_with_many_keys_gets_ready_and_shows_how_far_it_is() {
    let (env, module) = many_keys();
    module.set(&slow_searches());
    let begin = Instant::now();
    let signer = module.start(&env);
    let (mut steps, mut signed_meanwhile) = (BTreeSet::new(), false);
    wait_for("/startupz", || {
        let step = progress(&signer, "/startupz");
        assert_eq!(replaced(&signer), 0, "{}", signer.log());
        // Also a key that was not found yet is found for a request.
        if step.is_some() && !signed_meanwhile && steps.len() > 1 {
            let key = env.config().keys.last().unwrap().clone();
            signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
            signed_meanwhile = progress(&signer, "/readyz").is_some();
        }
        steps.extend(step);
        (signer.admin("/startupz").status == 200).then_some(())
    });
    println!("{KEYS} keys were found after {:?}; seen: {steps:?}", begin.elapsed());
    assert!(signed_meanwhile && steps.len() > 3, "{steps:?}");
    assert!(signer.log().contains("\"finding the keys\""), "{}", signer.log());
    // Through the search of every session.
    let searches = || module.state().struck;
    let mut last = (searches(), Instant::now());
    while last.1.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(20));
        if searches() != last.0 {
            last = (searches(), Instant::now());
        }
    }
    assert_eq!(replaced(&signer), 0);
    assert!(!signer.log().contains("does not return"), "{}", signer.log());
    for key in env.config().keys {
        signer.signature(&key, &attestation(FLOOR + 2, 0, 1));
    }
}

#[test]
fn a_reload_that_adds_many_keys_replaces_no_thread_and_each_signs_at_once() {
    let (env, module) = many_keys();
    let all: Value = serde_json::from_str(&std::fs::read_to_string(env.config_file()).unwrap()).unwrap();
    let all = all["keys"].as_array().unwrap().clone();
    env.set_config(json!({"keys": all[..2]}));
    let signer = module.start(&env);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    module.set(&slow_searches());
    env.set_config(json!({"keys": all}));
    signer.send_sighup();
    let applied = || signer.metric("tezos_signer_config_reloads_total{result=\"applied\"}");
    wait_for("the reload", || (applied() == Some(1)).then_some(()));
    for key in env.config().keys {
        signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    }
    assert_eq!(replaced(&signer), 0, "{}", signer.log());
    assert_eq!(signer.admin("/readyz").status, 200);
}

/// A search that fails once is no reason to search for all keys again, nor to wait as long as that takes.
#[test]
fn a_key_whose_search_failed_once_is_found_by_one_search_more_on_the_same_session() {
    let (env, module) = many_keys();
    env.set_hsm("sessions", 1);
    let fails = Rule::new("C_FindObjects", CKR_FUNCTION_FAILED).of_key("key-7").times(1);
    module.set(&Control { rules: [vec![fails], slow_searches().rules].concat(), ..Control::default() });
    let signer = module.start(&env);
    wait_for("the keys", || (module.state().struck_by_rule.first() == Some(&1)).then_some(()));
    wait_for("the other keys", || progress(&signer, "/readyz").is_none().then_some(()));
    let (begin, key, open) = (Instant::now(), env.config().keys[7].clone(), module.state().open);
    wait_for("its signature", || (signer.sign(&key, &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(()));
    assert!(begin.elapsed() < Duration::from_secs(3), "after {:?}", begin.elapsed());
    assert_eq!(module.state().open, open, "{}", signer.log());
}

#[test]
fn requests_for_a_key_that_is_not_there_do_not_keep_a_session_from_finding_the_others() {
    let (env, module) = many_keys();
    env.set_hsm("sessions", 1);
    let missing = Rule::empty("C_FindObjects").of_key("key-7");
    module.set(&Control { rules: [vec![missing], slow_searches().rules].concat(), ..Control::default() });
    let signer = module.start(&env);
    wait_for("the first key", || progress(&signer, "/readyz"));
    let (key, begin) = (env.config().keys[7].clone(), Instant::now());
    let mut requests = 0;
    while progress(&signer, "/readyz").is_some() {
        assert_ne!(signer.sign(&key, &attestation(FLOOR + 1, 0, 1)).status, 200);
        requests += 1;
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?} after {requests}", progress(&signer, "/readyz"));
    }
    println!("{:?}, {requests} requests", begin.elapsed());
    assert!(requests > 5);
    // Once it is there it is found.
    module.set(&slow_searches());
    wait_for("its signature", || (signer.sign(&key, &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(()));
}

/// The search for one key does not return.
#[test]
fn a_search_that_hangs_is_noticed_as_soon_as_any_call_and_other_keys_sign_meanwhile() {
    let (env, module) = many_keys();
    let rules = vec![Rule::hang("C_FindObjects").of_key("key-7")];
    module.set(&Control { rules, ..Control::default() });
    let mut signer = module.start(&env);
    wait_for("the hang", || (module.state().hanging > 0).then_some(()));
    let begin = Instant::now();
    let other = env.config().keys[40].clone();
    wait_for("another key's signature", || {
        (signer.sign(&other, &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(())
    });
    wait_for("another thread", || (replaced(&signer) > 0).then_some(()));
    assert!(begin.elapsed() < Duration::from_secs(3 + 3), "noticed after {:?}", begin.elapsed());
    // Each new thread meets it too, until there are too many.
    let ends = Instant::now();
    while ends.elapsed() < Duration::from_mins(1) && !signer.has_ended() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(signer.ended().code(), Some(75), "{}", signer.log());
}

/// A token that makes 5 ms of each signature, as CloudHSM does, would be kept busy by trials of each key on each session.
#[test]
fn a_signer_that_nobody_asks_makes_a_signature_a_second_on_each_session_and_tries_each_key_in_turn() {
    let (env, module) = many_keys();
    let signer = module.start(&env);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    let count = Rule::new("C_Sign", 0);
    module.set(&Control { rules: vec![count.clone()], serial: 1, ..Control::default() });
    // What the sessions found last is tried by each of them.
    std::thread::sleep(Duration::from_secs(2));
    let before = module.state().struck;
    std::thread::sleep(Duration::from_secs(3));
    let made = module.state().struck - before;
    assert!((4..=4 * 4).contains(&made), "{made} signatures in 3 s, of 4 sessions and {KEYS} keys");

    // A key that stops signing is found when it is its turn on the first session; the others try it then.
    let fails = Rule::new("C_SignInit", CKR_FUNCTION_FAILED).of_key("key-33");
    module.set(&Control { rules: vec![fails], serial: 2, ..Control::default() });
    wait_for("the key's reason", || signer.status().keys.iter().find_map(|key| key.hsm.clone()));
    assert_eq!(signer.status().keys.iter().filter(|key| key.hsm.is_some()).count(), 1);
    module.set(&Control { serial: 3, ..Control::default() });
    wait_for("its recovery", || signer.status().keys.iter().all(|key| key.hsm.is_none()).then_some(()));
}

/// More requests at once than sessions, for as many keys: they wait for their turn, and none is sent away.
#[test]
fn many_requests_at_once_wait_for_a_session_and_are_all_signed() {
    let (env, module) = many_keys();
    env.set_config(json!({"maxConcurrentRequests": 256, "requestDeadlineMilliseconds": 30_000}));
    let signer = module.start(&env);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    module.set(&Control { rules: vec![Rule::slow("C_Sign", 5)], ..Control::default() });
    let keys = env.config().keys;
    std::thread::scope(|scope| {
        for key in &keys {
            for kind in [block, preattestation, attestation] {
                let signer = &signer;
                scope.spawn(move || signer.signature(key, &kind(FLOOR + 1, 0, 1)));
            }
        }
    });
}

/// Each of them is as quick as it has to be, all together are not.
#[test]
fn a_check_waits_for_a_library_whose_calls_all_return() {
    let env = TestEnv::new();
    env.set_hsm("exitAfterHangSeconds", 3);
    let module = FaultyModule::install(&env);
    let slow = ["C_GetTokenInfo", "C_OpenSession", "C_GetSessionInfo", "C_Login"].map(|name| Rule::slow(name, 1200));
    module.set(&Control { rules: slow.to_vec(), ..Control::default() });
    let output = module.run(&env, &["check"]).succeeded();
    assert!(!output.contains("does not return"), "{output}");
}
