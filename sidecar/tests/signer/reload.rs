//! SIGHUP: what changes without a restart, that nothing is dropped meanwhile, and what is refused as a whole.

use crate::crash::Strace;
use crate::payload::{attestation, block, preattestation};
use crate::process::{Signer, wait_for};
use crate::record_store::{RecordStore, on_each_kind};
use crate::test_env::{FLOOR, TestEnv, permit};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tezos_signer_core::config::KeyConfig;

/// A payload of a level, a round, and a variant.
type Payload = fn(u32, u32, u8) -> Vec<u8>;

/// How often a configuration was read again, by what came of it.
fn reloads(signer: &Signer, result: &str) -> u64 {
    signer.metric(&format!("tezos_signer_config_reloads_total{{result=\"{result}\"}}")).unwrap()
}

/// Has the signer read its configuration, and waits for what comes of it.
fn reload(signer: &Signer, result: &str) {
    let before = reloads(signer, result);
    signer.send_sighup();
    wait_for(result, || (reloads(signer, result) == before + 1).then_some(()));
}

/// Three keys, the first two as usual.
fn three_keys() -> (TestEnv, [KeyConfig; 3], Vec<Value>) {
    let env = TestEnv::with_keys(&[("tz3", "p256"), ("tz2", "secp256k1"), ("third", "p256")]);
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    let config: Value = serde_json::from_str(&std::fs::read_to_string(env.config_file()).unwrap()).unwrap();
    let keys = env.config().keys;
    (env, [keys[0].clone(), keys[1].clone(), keys[2].clone()], config["keys"].as_array().unwrap().clone())
}

/// One client asks for attestations of a key that never changes, one for blocks that one configuration allows and the other does
/// not, one for those of a key that comes and goes. What a request may be answered depends on which configurations there were while
/// it was asked, and on nothing else.
#[test]
fn under_load_no_request_is_dropped_and_each_is_answered_by_what_is_configured() {
    const RELOADS: u64 = 40;
    let (env, [constant, changing, fleeting], keys) = three_keys();
    let with = |is_odd: bool| {
        let mut keys = keys.clone();
        if is_odd {
            keys[1]["allow"] = json!(["attestation"]);
            keys.pop();
        }
        env.set_config(json!({"keys": keys}));
    };
    let signer = Signer::start(&env);
    // Even: the configuration that has that number, divided by two, applies. Odd: one of the two around it.
    let phase = AtomicU64::new(0);
    let counts = [const { AtomicU32::new(0) }; 3];
    std::thread::scope(|scope| {
        let clients: [(&KeyConfig, Payload, u16); 3] =
            [(&constant, attestation, 200), (&changing, block, 403), (&fleeting, preattestation, 404)];
        for (i, (key, payload, otherwise)) in clients.into_iter().enumerate() {
            let (signer, phase, count) = (&signer, &phase, &counts[i]);
            scope.spawn(move || {
                for level in FLOOR + 1.. {
                    let before = phase.load(Ordering::SeqCst);
                    if before == u64::MAX {
                        break;
                    }
                    let answer = signer.sign(key, &payload(level, 0, 0));
                    let after = phase.load(Ordering::SeqCst);
                    let may_be: &[u16] = match (before == after && before % 2 == 0, before / 2 % 2) {
                        (true, 0) => &[200],
                        (true, _) => &[otherwise],
                        (false, _) => &[200, otherwise],
                    };
                    assert!(may_be.contains(&answer.status), "{i}: {answer:?} from {before} to {after}");
                    if answer.status == 200 {
                        answer.signature(key, &payload(level, 0, 0));
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for number in 1..=RELOADS {
            let asked: Vec<u32> = counts.iter().map(|count| count.load(Ordering::SeqCst)).collect();
            // At least one request of each client begins and ends under each configuration.
            wait_for("requests", || {
                counts.iter().zip(&asked).all(|(now, then)| now.load(Ordering::SeqCst) >= then + 2).then_some(())
            });
            phase.fetch_add(1, Ordering::SeqCst);
            with(number % 2 == 1);
            reload(&signer, "applied");
            phase.fetch_add(1, Ordering::SeqCst);
        }
        phase.store(u64::MAX, Ordering::SeqCst);
    });
    assert_eq!(reloads(&signer, "refused"), 0, "{}", signer.log());
    assert_eq!(signer.metric_sum("tezos_signer_requests_total", "outcome=\"unavailable\""), 0);
}

#[test]
fn a_configuration_that_cannot_be_used_changes_nothing() {
    let (env, [tz3, tz2, _], keys) = three_keys();
    env.set_config(json!({"keys": keys[..1]}));
    let signer = Signer::start(&env);
    let good = std::fs::read_to_string(env.config_file()).unwrap();
    let nobody = {
        let mut key = keys[1].clone();
        key["label"] = "nobody".into();
        key
    };
    let renamed = {
        let mut key = keys[0].clone();
        key["label"] = "nobody".into();
        key
    };
    std::fs::remove_file(env.record_file(&tz2)).unwrap();
    for (change, words) in [
        (json!({"listen": "127.0.0.1:1", "keys": keys}), "listen cannot change"),
        (
            json!({"watermarks": {"file": "/elsewhere"}, "requestDeadlineMilliseconds": 700}),
            "requestDeadlineMilliseconds, watermarks cannot change",
        ),
        (json!({"keys": []}), "keys is empty"),
        (json!({"kees": []}), "unknown field `kees`"),
        (json!({"keys": [keys[0], keys[1]]}), "no watermark record"),
        (json!({"keys": [keys[0], nobody]}), "no watermark record"),
        (json!({"keys": [renamed]}), "the trial signature failed"),
    ] {
        env.set_config(change);
        reload(&signer, "refused");
        assert!(signer.log().contains(words), "{words} in {}", signer.log());
        std::fs::write(env.config_file(), &good).unwrap();
    }
    env.set_hsm("sessions", 3);
    reload(&signer, "refused");
    assert!(signer.log().contains("hsm cannot change"));
    std::fs::remove_file(env.config_file()).unwrap();
    reload(&signer, "refused");
    std::fs::write(env.config_file(), &good).unwrap();
    reload(&signer, "unchanged");
    signer.signature(&tz3, &attestation(FLOOR + 1, 0, 0));
    signer.sign(&tz2, &attestation(FLOOR + 1, 0, 0)).refused(404);
    assert_eq!(reloads(&signer, "applied"), 0);

    // What was missing was made, so now it is taken in.
    std::fs::write(env.record_file(&tz2), std::fs::read(env.record_file(&env.config().keys[0])).unwrap()).unwrap();
    env.set_config(json!({"keys": [keys[0], keys[1]]}));
    reload(&signer, "applied");
    signer.signature(&tz2, &attestation(FLOOR + 2, 0, 0));
}

#[test]
fn clients_and_limits_change_with_the_configuration() {
    let env = TestEnv::new();
    let key = env.tz3();
    let signer = Signer::start(&env);
    assert_eq!(signer.get("/authorized_keys").json(), json!({}));
    signer.signature(&key, &attestation(FLOOR + 1, 0, 0));
    env.set_config(json!({"authorizedKeys": [key.public_key.to_string()]}));
    reload(&signer, "applied");
    assert_eq!(signer.get("/authorized_keys").json(), json!({"authorized_keys": [key.hash().to_string()]}));
    signer.sign(&key, &attestation(FLOOR + 2, 0, 0)).refused(401);
    env.set_config(json!({"authorizedKeys": []}));
    env.add_to_tz3("\"maxLevelJump\": 10");
    reload(&signer, "applied");
    signer.sign(&key, &attestation(FLOOR + 100, 0, 0)).refused(409);
    signer.signature(&key, &attestation(FLOOR + 2, 0, 0));
}

/// A slow disk holds the commit open while the key is taken out.
#[test]
fn what_is_in_flight_is_finished_though_its_key_is_taken_out() {
    let (env, [_, _, third], keys) = three_keys();
    // A whole file is written, and is to be seen meanwhile.
    env.make_plain(&third);
    let signer = Signer::start(&env);
    let slow_disk = Strace::attach(&signer, "fsync", "delay_enter=400000");
    let vote = attestation(FLOOR + 1, 0, 1);
    let signature = std::thread::scope(|scope| {
        let in_flight = scope.spawn(|| signer.signature(&third, &vote));
        let half_written = env.record_file(&third).with_extension("new");
        wait_for("the commit", || half_written.exists().then_some(()));
        env.set_config(json!({"keys": keys[..2]}));
        reload(&signer, "applied");
        signer.sign(&third, &attestation(FLOOR + 2, 0, 1)).refused(404);
        assert!(!in_flight.is_finished(), "it was in flight");
        in_flight.join().unwrap()
    });
    drop(slow_disk);
    let named = |name: &str| signer.metric(&format!("{name}{{key=\"{}\"}}", third.hash()));
    wait_for("the key to be forgotten", || named("tezos_signer_hsm_key_up").is_none().then_some(()));
    assert!(named("tezos_signer_lease_held").is_none());
    assert_eq!(signer.admin("/readyz").status, 200);

    // It comes back to what it has signed.
    env.set_config(json!({"keys": keys}));
    reload(&signer, "applied");
    assert_eq!(signer.signature(&third, &vote), signature);
    signer.sign(&third, &attestation(FLOOR + 1, 0, 2)).refused(409);
}

/// INVARIANT R6: A record that was seen to go back stays latched, also where its key was taken out meanwhile.
#[test]
fn what_was_seen_of_a_record_is_not_forgotten_with_its_key() {
    let (env, [_, _, third], keys) = three_keys();
    let signer = Signer::start(&env);
    let old = std::fs::read(env.record_file(&third)).unwrap();
    signer.signature(&third, &attestation(FLOOR + 1, 0, 1));
    env.set_config(json!({"keys": keys[..2]}));
    reload(&signer, "applied");
    std::fs::write(env.record_file(&third), old).unwrap();
    permit(&env.record_file(&third), 0o600);
    env.set_config(json!({"keys": keys}));
    reload(&signer, "applied");
    let refused = signer.sign(&third, &attestation(FLOOR + 1, 0, 2)).refused(409);
    assert!(refused.contains("is lower than this signer has seen it"), "{refused}");
}

#[test]
fn a_lease_goes_and_comes_with_its_key() {
    on_each_kind(|store_of| {
        let env = TestEnv::with_keys(&[("tz3", "p256"), ("tz2", "secp256k1")]);
        let store = store_of(&env);
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let (signer, tz2) = (Signer::start(&env), env.tz2());
        let holder = || {
            let shown: Value =
                serde_json::from_str(&env.run(&["watermarks", "show", "--output", "json"]).succeeded()).unwrap();
            shown[1]["lease"]["holderIdentity"].as_str().unwrap().to_owned()
        };
        let is_shared = matches!(store, RecordStore::Namespace(..));
        assert_eq!(holder().is_empty(), !is_shared);
        let both = std::fs::read_to_string(env.config_file()).unwrap();
        let config: Value = serde_json::from_str(&both).unwrap();
        env.set_config(json!({"keys": config["keys"].as_array().unwrap()[..1]}));
        reload(&signer, "applied");
        std::fs::write(env.config_file(), &both).unwrap();
        wait_for("the lease to be let go", || holder().is_empty().then_some(()));
        signer.signature(&env.tz3(), &attestation(FLOOR + 1, 0, 0));
        reload(&signer, "applied");
        wait_for("a signature", || (signer.sign(&tz2, &attestation(FLOOR + 1, 0, 0)).status == 200).then_some(()));
        assert_eq!(holder().is_empty(), !is_shared);
    });
}
