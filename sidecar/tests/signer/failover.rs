//! The holder of a key ends, is killed, stopped, or loses its token: another replica takes over, in the time that the design promises, and
//! no client loses a signature that could have been given.

use crate::faulty_module::FaultyModule;
use crate::forwarding::started;
use crate::payload::attestation;
use crate::process::wait_for;
use crate::raw_http::RawConnection;
use crate::replicas::{LEASE, Replica, Replicas};
use crate::test_env::FLOOR;
use pkcs11_faults::control::{Control, Rule};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;

/// The design's: until a client gets a signature again after its holder has vanished.
const FAILOVER: Duration = Duration::from_secs(LEASE.as_secs() + 1);

/// For how long one that ends goes on forwarding.
const LINGER: Duration = Duration::from_secs(10);

/// How many hand-overs in the long form, where this names a number.
const HAND_OVERS: &str = "HAND_OVERS";

const DEVICE_ERROR: u64 = 0x30;

#[test]
fn a_holder_that_is_asked_to_end_is_replaced_at_once_and_forwards_until_it_has_ended() {
    let replicas = Replicas::new();
    let (mut started, holder) = started(&replicas, ["a", "b", "c"]);
    let key = replicas.env.tz3();
    started[holder].signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    let asked = Instant::now();
    started[holder].signer.terminate();
    // Of each replica, the first request.
    for (replica, level) in started.iter().zip(FLOOR + 2..) {
        let begun = Instant::now();
        replica.signer.signature(&key, &attestation(level, 0, 1));
        assert!(begun.elapsed() < Duration::from_secs(1), "{}: {:?}", replica.name, begun.elapsed());
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_ne!(replicas.holder(&key), started[holder].name);

    let ending = &mut started[holder];
    let mut connection = RawConnection::tcp(ending.signer.signing_address());
    let vote = attestation(FLOOR + 9, 0, 1);
    let answer = connection.sign(&key, &vote);
    answer.signature(&key, &vote);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(ending.signer.admin("/readyz").status, 503);
    assert!(ending.forwarded("signed") >= 1);
    assert!(ending.signer.ended().success());
    assert!(asked.elapsed() > Duration::from_secs(9), "{:?}: clients need time to hear of it", asked.elapsed());
}

#[test]
fn over_many_hand_overs_a_client_with_octez_retry_rule_loses_no_signature() {
    let replicas = Replicas::new();
    let key = replicas.env.tz3();
    let rounds = std::env::var(HAND_OVERS).map_or(20, |text| text.parse().unwrap());
    // Who is in the Service: the two that are ready, and the one that is ending, which clients have not forgotten yet.
    let service = Mutex::new(vec![Arc::new(replicas.start("0")), Arc::new(replicas.start("1"))]);
    let (level, stop, slowest) = (AtomicU32::new(FLOOR), AtomicBool::new(false), Mutex::new(Duration::ZERO));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let next = level.load(Ordering::SeqCst) + 1;
                let replica = {
                    let service = service.lock().unwrap();
                    service[usize::try_from(next).unwrap() % service.len()].clone()
                };
                let (vote, asked) = (attestation(next, 0, 1), Instant::now());
                let answer = replica.ask_as_octez(&key, &vote);
                let answer = answer
                    .unwrap_or_else(|| panic!("{}: the connection broke: {}", replica.name, replica.signer.log()));
                answer.signature(&key, &vote);
                let mut slowest = slowest.lock().unwrap();
                *slowest = asked.elapsed().max(*slowest);
                level.store(next, Ordering::SeqCst);
            }
        });
        let mut ended = Vec::new();
        for round in 0..rounds {
            let new = Arc::new(replicas.start(&(round + 2).to_string()));
            service.lock().unwrap().push(new);
            let holder = replicas.holder(&key);
            let old = service.lock().unwrap().iter().find(|replica| replica.name == holder).cloned();
            let old = old.unwrap_or_else(|| panic!("{holder} is not in the service"));
            old.signer.terminate();
            let before = level.load(Ordering::SeqCst);
            wait_for("signatures of the next holder", || {
                assert!(!client.is_finished(), "a signature was lost");
                (replicas.holder(&key) != old.name && level.load(Ordering::SeqCst) >= before + 3).then_some(())
            });
            service.lock().unwrap().retain(|replica| replica.name != old.name);
            ended.push(old);
            // The newest of them still linger.
            if ended.len() > 8 {
                ended.remove(0);
            }
        }
        stop.store(true, Ordering::SeqCst);
        client.join().unwrap();
    });
    let (signed, slowest) = (level.into_inner() - FLOOR, slowest.into_inner().unwrap());
    println!("{rounds} hand-overs, {signed} signatures, the slowest took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

/// Asks `replica` for the votes after `level` until one is signed, and returns how long that took since `begun`.
fn until_signed(replica: &Replica, key: &KeyConfig, level: u32, begun: Instant) -> Duration {
    wait_for("a signature", || {
        let answer = replica.signer.sign(key, &attestation(level, 0, 1));
        assert!(matches!(answer.status, 200 | 502), "{answer:?}");
        (answer.status == 200).then_some(begun.elapsed())
    })
}

#[test]
fn a_killed_holder_is_replaced_after_the_lease() {
    let replicas = Replicas::new();
    let (mut started, holder) = started(&replicas, ["a", "b", "c"]);
    let key = replicas.env.tz3();
    for (replica, level) in started.iter().zip(FLOOR + 1..) {
        replica.signer.signature(&key, &attestation(level, 0, 1));
    }
    let begun = Instant::now();
    started[holder].signer.kill();
    started[holder].signer.ended();
    // Both others compete; whichever is asked, one of them has won.
    for (other, level) in [(holder + 1) % 3, (holder + 2) % 3].into_iter().zip(FLOOR + 4..) {
        let took = until_signed(&started[other], &key, level, begun);
        println!("killed: {took:?}");
        assert!(took < FAILOVER, "{took:?}");
    }
    assert!(started[(holder + 1) % 3].forwarded("unreachable") > 0);
}

#[test]
fn a_frozen_holder_is_replaced_after_the_lease_and_releases_nothing_when_it_goes_on() {
    let replicas = Replicas::new();
    replicas.env.open_one_session();
    let envs = ["a", "b"].map(|name| replicas.env_of(name));
    let modules = envs.each_ref().map(FaultyModule::install);
    let mut names = ["a", "b"].into_iter();
    let mut of_modules = modules.iter();
    let started = envs.map(|env| replicas.start_unready(env, names.next().unwrap(), of_modules.next()));
    for replica in &started {
        wait_for("/readyz", || (replica.signer.admin("/readyz").status == 200).then_some(()));
    }
    let key = replicas.env.tz3();
    let name = replicas.holder(&key);
    let holder = started.iter().position(|replica| replica.name == name).unwrap();
    let (old, new) = (&started[holder], &started[1 - holder]);
    new.signer.signature(&key, &attestation(FLOOR + 1, 0, 1));

    // Two requests in the holder's hands, its own and a forwarded one; the token takes its time with the first.
    let slow = Rule { delay_ms: 700, ..Rule::new("C_Sign", 0) };
    modules[holder].set(&Control { rules: vec![slow], ..Control::default() });
    let (direct, forwarded) = (attestation(FLOOR + 2, 0, 1), attestation(FLOOR + 3, 0, 1));
    std::thread::scope(|scope| {
        let direct = scope.spawn(|| old.signer.sign(&key, &direct));
        wait_for("the token", || (modules[holder].state().struck > 0).then_some(()));
        let forwarded = scope.spawn(|| new.signer.sign(&key, &forwarded));
        std::thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        old.signer.freeze();
        // Another vote for the same place.
        let rival = attestation(FLOOR + 4, 0, 2);
        let took = wait_for("a signature", || {
            let answer = new.signer.sign(&key, &rival);
            assert!(matches!(answer.status, 200 | 502), "{answer:?}");
            (answer.status == 200).then_some(begun.elapsed())
        });
        println!("frozen: {took:?}");
        assert!(took < FAILOVER, "{took:?}");
        modules[holder].set(&Control::default());
        old.signer.thaw();
        let direct = direct.join().unwrap();
        assert!(matches!(direct.status, 409 | 502), "{direct:?}");
        let forwarded = forwarded.join().unwrap();
        assert!(matches!(forwarded.status, 409 | 502), "{forwarded:?}");
    });
    assert_eq!(replicas.holder(&key), new.name);
    for place in [FLOOR + 2, FLOOR + 4] {
        old.signer.sign(&key, &attestation(place, 0, 1)).refused(409);
    }
    old.signer.signature(&key, &attestation(FLOOR + 5, 0, 1));
    assert!(old.forwarded("signed") >= 1);
}

#[test]
fn a_request_that_a_frozen_holder_does_not_answer_is_signed_by_the_next_one() {
    let replicas = Replicas::new();
    replicas.env.open_one_session();
    replicas.env.set_config(json!({"requestDeadlineMilliseconds": 20_000}));
    let (started, holder) = started(&replicas, ["a", "b"]);
    let (key, standby) = (replicas.env.tz3(), &started[1 - holder]);
    standby.signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    let begun = Instant::now();
    started[holder].signer.freeze();
    standby.signer.signature(&key, &attestation(FLOOR + 2, 0, 1));
    assert!(begun.elapsed() < FAILOVER, "{:?}", begun.elapsed());
    assert_eq!(standby.forwarded("displaced"), 1);
    // It was asked too, and answers nobody.
    started[holder].signer.thaw();
    started[holder].signer.signature(&key, &attestation(FLOOR + 3, 0, 1));
    assert!(replicas.row(&key, "attestation").starts_with(&format!("{} ", FLOOR + 3)));
}

fn token_dies(rule: Rule) {
    let replicas = Replicas::new();
    let env = replicas.env_of("a");
    let module = FaultyModule::install(&env);
    let old = replicas.start_unready(env, "a", Some(&module));
    let key = replicas.env.tz3();
    wait_for("/readyz", || (old.signer.admin("/readyz").status == 200).then_some(()));
    let new = replicas.start("b");
    new.signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    assert_eq!(replicas.holder(&key), "a");

    let begun = Instant::now();
    module.set(&Control { rules: vec![rule], ..Control::default() });
    let took = until_signed(&old, &key, FLOOR + 2, begun);
    println!("token dead: {took:?}");
    assert!(took < FAILOVER, "{took:?}");
    assert_eq!(replicas.holder(&key), "b");
    assert!(old.forwarded("signed") >= 1);
    // A client loses nothing by it, and it is no reason to take the replica out of the Service.
    assert_eq!(old.signer.admin("/readyz").status, 200);
    module.set(&Control::default());
}

#[test]
fn a_holder_whose_token_gives_errors_is_replaced_and_forwards() {
    token_dies(Rule::new("*", DEVICE_ERROR));
}

#[test]
fn a_holder_whose_token_hangs_is_replaced_and_forwards() {
    token_dies(Rule { hang: true, ..Rule::new("C_Sign", 0) });
}

#[test]
fn a_holder_that_gives_its_token_up_forwards_for_a_while_before_it_ends_with_75() {
    let replicas = Replicas::new();
    let env = replicas.env_of("a");
    env.set_hsm("exitAfterHangSeconds", 3);
    let module = FaultyModule::install(&env);
    let mut old = replicas.start_unready(env, "a", Some(&module));
    let key = replicas.env.tz3();
    wait_for("/readyz", || (old.signer.admin("/readyz").status == 200).then_some(()));
    let new = replicas.start("b");
    assert_eq!(replicas.holder(&key), "a");
    module.set(&Control { rules: vec![Rule { hang: true, ..Rule::new("C_Sign", 0) }], ..Control::default() });
    until_signed(&old, &key, FLOOR + 1, Instant::now());
    wait_for("the end to begin", || (old.signer.admin("/readyz").status == 503).then_some(()));

    // Clients still come: they are told to ask elsewhere the next time, and lose nothing until they do.
    let (ending, mut level) = (Instant::now(), FLOOR + 1);
    while ending.elapsed() + Duration::from_secs(1) < LINGER {
        level += 1;
        let vote = attestation(level, 0, 1);
        let answer = RawConnection::tcp(old.signer.signing_address()).sign(&key, &vote);
        answer.signature(&key, &vote);
        assert_eq!(answer.header("connection"), Some("close"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(old.signer.ended().code(), Some(75), "{}", old.signer.log());
    assert_eq!(replicas.holder(&key), "b");
    assert!(replicas.row(&key, "attestation").starts_with(&format!("{level} ")));
    new.signer.signature(&key, &attestation(level + 1, 0, 1));
}
