//! Moving a key from one signer to another, as docs/moving.md says: two signers with the same key and a store each, a client that asks both
//! the whole time, and a checker that knows only the promise. Two directories stand for two hosts, and two namespaces of one API
//! server for two clusters.

use crate::payload::{attestation, block, preattestation};
use crate::process::{Signer, wait_for};
use crate::record_store::on_each_kind;
use crate::test_env::{CommandResult, FLOOR, TestEnv};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A signature that left: what for, what of, and by whom.
struct SignedPayload {
    kind: &'static str,
    level: u32,
    payload: Vec<u8>,
    by: &'static str,
}

type Kind = (&'static str, fn(u32, u32, u8) -> Vec<u8>);
const KINDS: [Kind; 3] = [("block", block), ("preattestation", preattestation), ("attestation", attestation)];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn import(env: &TestEnv, arguments: &[&str], text: &str) -> CommandResult {
    let file = env.path.join("watermarks.json");
    std::fs::write(&file, text).unwrap();
    env.run(&[&["watermarks", "import", file.to_str().unwrap()], arguments].concat())
}

#[test]
fn a_key_moves_from_a_to_b_without_an_overlap_and_without_a_gap() {
    on_each_kind(|store_of| {
        let a = TestEnv::without_records();
        let b = a.with_same_token();
        let _stores = (store_of(&a), store_of(&b));
        a.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let key = a.tz3();
        let (signer_a, signer_b) = (Signer::start(&a), Signer::start_unready(&b));
        let (head, stop) = (AtomicU32::new(FLOOR), AtomicBool::new(false));
        let given: Mutex<Vec<SignedPayload>> = Mutex::default();

        let ceiling = std::thread::scope(|scope| {
            // The two bakers: at each level they ask for different things, so that two signatures would be two, and each asks again for
            // what it was refused as long as the level lasts.
            for (by, signer, salt) in [("A", &signer_a, 1), ("B", &signer_b, 2)] {
                let (head, stop, given, key) = (&head, &stop, &given, &key);
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        let level = head.load(Ordering::SeqCst);
                        for (kind, payload) in KINDS {
                            let payload = payload(level, 0, salt);
                            if signer.sign(key, &payload).status == 200 {
                                given.lock().unwrap().push(SignedPayload { kind, level, payload, by });
                            }
                        }
                    }
                });
            }
            let _stopped = Stop(&stop);
            // The chain: a level lasts until somebody has signed all of it, which must happen.
            let next_level = || {
                let level = head.fetch_add(1, Ordering::SeqCst) + 1;
                wait_for(&format!("signatures at level {level}"), || {
                    let given = given.lock().unwrap();
                    let has = |kind: &str| given.iter().any(|given| given.level == level && given.kind == kind);
                    KINDS.iter().all(|(kind, _)| has(kind)).then_some(())
                });
                level
            };
            for _ in 0..5 {
                next_level();
            }

            // The runbook. B is taken up while A still signs, which it does up to the ceiling.
            let ceiling = next_level() + 6;
            a.run(&["watermarks", "ceiling", "--level", &ceiling.to_string()]).succeeded();
            let export = a.run(&["watermarks", "export"]).succeeded();
            assert!(import(&b, &[], &export).failed().contains("--create creates it"));
            let table = import(&b, &["--create"], &export).succeeded();
            assert!(table.contains(&format!("level {ceiling} round 2147483647")), "{table}");
            while next_level() < ceiling + 5 {}
            let refusal = signer_a.sign(&key, &attestation(ceiling + 1, 0, 1)).refused(409);
            assert!(refusal.contains(&format!("above the ceiling {ceiling}")), "{refusal}");
            ceiling
        });

        check(&given.into_inner().unwrap(), ceiling, head.load(Ordering::SeqCst));
        let shown = json(&b.run(&["watermarks", "show", "--output", "json"]).succeeded());
        assert!(shown[0]["data"]["ceiling"].is_null(), "B may go on: {shown}");
    });
}

/// Also when a check of the test fails: else the threads would never end.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Of each position one payload was signed, by A up to the ceiling and by B above it, and none is missing.
fn check(all: &[SignedPayload], ceiling: u32, head: u32) {
    let mut signed: BTreeMap<(u32, &str), &SignedPayload> = BTreeMap::new();
    for given in all {
        let first = signed.entry((given.level, given.kind)).or_insert(given);
        assert_eq!(first.payload, given.payload, "{} at {} was signed twice", given.kind, given.level);
        assert_eq!(given.by, if given.level <= ceiling { "A" } else { "B" }, "{} at {}", given.kind, given.level);
    }
    assert_eq!(u32::try_from(signed.len()), Ok((head - FLOOR) * 3), "no level is missing");
    let first_of_b = signed.values().find(|given| given.by == "B").expect("B has signed");
    assert_eq!(first_of_b.level, ceiling + 1);
}

#[test]
fn an_import_raises_and_never_lowers_and_may_be_repeated() {
    on_each_kind(|store_of| {
        let a = TestEnv::without_records();
        let b = a.with_same_token();
        let _stores = (store_of(&a), store_of(&b));
        a.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        b.run(&["watermarks", "initialise", "--level", &(FLOOR + 3).to_string()]).succeeded();
        let key = a.tz3();
        let data =
            |env: &TestEnv| json(&env.run(&["watermarks", "show", "--output", "json"]).succeeded())[0]["data"].clone();

        let export = {
            let signer = Signer::start(&a);
            signer.signature(&key, &attestation(FLOOR + 7, 0, 1));
            signer.signature(&key, &block(FLOOR + 2, 0, 1));
            let file = a.path.join("export.json");
            let ended = a.run(&["watermarks", "export", "--output", file.to_str().unwrap()]);
            assert!(ended.stderr.contains("has no ceiling"), "{}", ended.stderr);
            assert_eq!(ended.succeeded(), "");
            std::fs::read_to_string(file).unwrap()
        };
        let before = data(&a);
        import(&a, &[], &export).succeeded();
        assert_eq!(data(&a), before, "an export of itself changes nothing");

        // B signs, and goes on signing: the higher row of each kind stays.
        let signer = Signer::start(&b);
        signer.signature(&key, &block(FLOOR + 5, 0, 2));
        let block_of_b = data(&b)["block"].clone();
        for _ in 0..2 {
            let table = import(&b, &[], &export).succeeded();
            assert!(table.contains("the same"), "{table}");
            assert_eq!((&data(&b)["block"], &data(&b)["attestation"]), (&block_of_b, &before["attestation"]));
        }
        let floor_of_b = format!("{} 2147483647 - -", FLOOR + 3);
        assert_eq!(data(&b)["preattestation"], floor_of_b);
        // What A has signed is answered by B as A has, and nothing else is signed there.
        let of_a = before["attestation"].as_str().unwrap().rsplit_once(' ').unwrap().1.to_owned();
        assert!(signer.sign(&key, &attestation(FLOOR + 7, 0, 2)).refused(409).contains("a different attestation"));
        assert_eq!(signer.signature(&key, &attestation(FLOOR + 7, 0, 1)), of_a);
        signer.signature(&key, &attestation(FLOOR + 8, 0, 1));
    });
}

#[test]
fn a_file_of_another_key_chain_or_format_is_refused_by_name_and_changes_nothing() {
    let env = TestEnv::new();
    let export = env.run(&["watermarks", "export", "--output", "json"]).succeeded();
    let shown = || env.run(&["watermarks", "show", "--output", "json"]).succeeded();
    let before = shown();
    let raised = export.replace(&format!("\"level\": {FLOOR}"), "\"level\": 5000");
    assert_ne!(raised, export);
    let (tz2, stranger) = (env.tz2().hash().to_string(), "tz2TSvNTh2epDMhZHrw73nV9piBX7kLZ9K9m");
    for (from, to, arguments, message) in [
        (
            "tezos-signing-watermarks/v1",
            "tezos-signing-watermarks/v2",
            &["--create"][..],
            "\"tezos-signing-watermarks/v2\"",
        ),
        (
            "\"NetXdQprcVkpaWU\"",
            "\"NetXz969SFaFn8k\"",
            &[],
            "on the chain NetXz969SFaFn8k, but the chain of that key in the configuration is NetXdQprcVkpaWU",
        ),
        (&tz2, stranger, &[], "tz2TSvNTh2epDMhZHrw73nV9piBX7kLZ9K9m"),
        (&tz2, stranger, &["--key", &tz2], "no record of the selected key"),
        ("\"round\": 2147483647", "\"round\": 2147483648", &[], "2147483648"),
    ] {
        assert!(raised.contains(from), "{from}: {raised}");
        let refused = import(&env, arguments, &raised.replace(from, to)).failed();
        assert!(refused.contains(message) && refused.contains("nothing was changed"), "{refused}");
        assert_eq!(shown(), before);
    }
    // Half of a file can be had by name, and the other half stays.
    import(&env, &["--key", &env.tz3().hash().to_string()], &raised.replace(&tz2, stranger)).succeeded();
    assert_eq!(env.row(&env.tz3(), "block"), "5000 2147483647 - -");
    assert_eq!(env.row(&env.tz2(), "block"), format!("{FLOOR} 2147483647 - -"));
}

#[test]
fn two_signatures_of_one_position_are_not_imported_over_each_other() {
    let a = TestEnv::without_records();
    let b = a.with_same_token();
    for (env, salt) in [(&a, 1), (&b, 2)] {
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        // The accident that all of this is there to prevent.
        Signer::start(env).signature(&env.tz3(), &block(FLOOR + 1, 0, salt));
    }
    let export = a.run(&["watermarks", "export"]).succeeded();
    let refused = import(&b, &[], &export).failed();
    assert!(refused.contains("two different block signatures") && refused.contains("watermarks raise"), "{refused}");
    b.run(&["watermarks", "raise", "--level", &(FLOOR + 1).to_string()]).succeeded();
    import(&b, &[], &export).succeeded();
}

/// A change while a signer writes: the signer's signatures and the change are both in the record at the end.
#[test]
fn changes_under_load_are_not_lost() {
    on_each_kind(|store_of| {
        let env = TestEnv::without_records();
        let _store = store_of(&env);
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let (signer, key, stop) = (Signer::start(&env), env.tz3(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let (mut level, mut last) = (FLOOR, FLOOR);
                while !stop.load(Ordering::SeqCst) {
                    level += 1;
                    if signer.sign(&key, &attestation(level, 0, 1)).status == 200 {
                        last = level;
                    }
                }
                last
            });
            let _stopped = Stop(&stop);
            for ceiling in [90_000, 80_000, 70_000, 60_000] {
                env.run(&["watermarks", "ceiling", "--level", &ceiling.to_string()]).succeeded();
                // Some signatures later it is still there.
                std::thread::sleep(Duration::from_millis(100));
                let shown = json(&env.run(&["watermarks", "show", "--output", "json"]).succeeded());
                assert_eq!(shown[0]["data"]["ceiling"], ceiling.to_string());
            }
            stop.store(true, Ordering::SeqCst);
            let last = load.join().unwrap();
            let shown = json(&env.run(&["watermarks", "show", "--output", "json"]).succeeded());
            let row = shown[0]["data"]["attestation"].as_str().unwrap().to_owned();
            assert!(row.starts_with(&format!("{last} 0 ")), "{last}: {row}");
        });
    });
}
