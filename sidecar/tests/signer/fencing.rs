//! What an operator does to a record takes effect before the next new signature, without a restart: in files, and in ConfigMaps where there
//! is an API server. By hand, and by the signer's own commands.

use crate::payload::{attestation, block, preattestation};
use crate::process::Signer;
use crate::record_store::on_each_kind;
use crate::test_env::{FLOOR, TestEnv};
use serde_json::{Value, json};

const NEXT: u32 = FLOOR + 1;

fn shown(env: &TestEnv) -> Value {
    serde_json::from_str(&env.run(&["watermarks", "show", "--output", "json"]).succeeded()).unwrap()
}

#[test]
fn suspend_takes_effect_before_the_next_signature_and_so_does_its_end() {
    on_each_kind(|store_of| {
        let env = TestEnv::without_records();
        let store = store_of(&env);
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let signer = Signer::start(&env);
        let (key, other) = (env.tz3(), env.tz2());
        for round in 0..5 {
            let level = NEXT + 10 * round;
            signer.signature(&key, &attestation(level, 0, 1));
            store.edit(&env, &key, json!({"suspend": "true"}));
            assert!(signer.sign(&key, &attestation(level + 1, 0, 1)).refused(403).contains("suspended"));
            assert!(signer.sign(&key, &block(level + 1, 0, 1)).refused(403).contains("suspended"));
            signer.signature(&other, &attestation(level, 0, 1));
            store.edit(&env, &key, json!({"suspend": null}));
            // It has not been signed meanwhile either.
            signer.signature(&key, &attestation(level + 2, 0, 2));
        }
        let all = env.run(&["watermarks", "suspend"]).succeeded();
        assert!(all.contains("suspend") && all.contains("true"), "{all}");
        for key in [&key, &other] {
            assert!(signer.sign(key, &attestation(NEXT + 100, 0, 1)).refused(403).contains("suspended"));
        }
        assert!(env.run(&["watermarks", "show"]).succeeded().contains("yes"));
    });
}

#[test]
fn a_raised_floor_takes_effect_before_the_next_signature() {
    on_each_kind(|store_of| {
        let env = TestEnv::without_records();
        let store = store_of(&env);
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let signer = Signer::start(&env);
        let key = env.tz3();
        for kind in [block, preattestation, attestation] {
            signer.signature(&key, &kind(NEXT, 0, 1));
        }
        let floor = format!("{} 2147483647 - -", NEXT + 10);
        store.edit(&env, &key, json!({"block": floor, "preattestation": floor, "attestation": floor}));
        for kind in [block, preattestation, attestation] {
            assert!(signer.sign(&key, &kind(NEXT + 10, 7, 1)).refused(409).contains("below the watermark"));
            signer.signature(&key, &kind(NEXT + 11, 0, 1));
        }

        // And by the command, which the running signer need not know of.
        let table = env.run(&["watermarks", "raise", "--level", &(NEXT + 20).to_string()]).succeeded();
        assert!(table.contains(&format!("level {} round 0, signature", NEXT + 11)), "{table}");
        assert!(table.contains(&format!("level {} round 2147483647, floor", NEXT + 20)), "{table}");
        for kind in [block, preattestation, attestation] {
            assert!(signer.sign(&key, &kind(NEXT + 20, 7, 1)).refused(409).contains("below the watermark"));
            signer.signature(&key, &kind(NEXT + 21, 0, 1));
        }
        // Never down, whatever is asked.
        let before = shown(&env)[0]["data"].clone();
        let key_name = key.hash().to_string();
        env.run(&["watermarks", "raise", "--level", "5", "--key", &key_name]).succeeded();
        assert_eq!(shown(&env)[0]["data"]["block"], before["block"]);
        signer.signature(&key, &block(NEXT + 21, 0, 1));
    });
}

#[test]
fn a_ceiling_is_set_and_lowered_freely_and_lifted_only_by_a_promise() {
    on_each_kind(|store_of| {
        let env = TestEnv::without_records();
        let _store = store_of(&env);
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let signer = Signer::start(&env);
        let key = env.tz3();
        let ceiling = |arguments: &[&str]| env.run(&[&["watermarks", "ceiling"], arguments].concat());
        signer.signature(&key, &attestation(NEXT, 0, 1));
        ceiling(&["--level", &(NEXT + 9).to_string()]).succeeded();
        assert!(signer.sign(&key, &attestation(NEXT + 10, 0, 1)).refused(409).contains("above the ceiling"));
        ceiling(&["--level", &(NEXT + 5).to_string()]).succeeded();
        assert!(signer.sign(&key, &attestation(NEXT + 6, 0, 1)).refused(409).contains("above the ceiling"));
        signer.signature(&key, &attestation(NEXT + 5, 0, 1));
        assert_eq!(shown(&env)[0]["data"]["ceiling"], (NEXT + 5).to_string());
        assert!(env.run(&["watermarks", "show"]).succeeded().contains(&format!("no          {}", NEXT + 5)));

        for lifting in [&["--level", &(NEXT + 6).to_string()][..], &["--remove"]] {
            assert!(ceiling(lifting).failed().contains("another signer may sign above it"));
            assert!(signer.sign(&key, &attestation(NEXT + 6, 0, 1)).refused(409).contains("above the ceiling"));
        }
        ceiling(&["--level", &(NEXT + 6).to_string(), "--no-other-signer"]).succeeded();
        signer.signature(&key, &attestation(NEXT + 6, 0, 1));
        ceiling(&["--remove", "--no-other-signer"]).succeeded();
        signer.signature(&key, &attestation(NEXT + 7, 0, 1));
        for nonsense in [&[][..], &["--remove", "--level", "5"], &["--level", "-1"]] {
            assert_eq!(ceiling(nonsense).code, Some(2), "{nonsense:?}");
        }
        let stranger = ["--level", "5", "--key", "tz3gESPNt663Tvy1Ped6bpsJh9xBemwjVqaG"];
        assert!(ceiling(&stranger).failed().contains("has no key tz3gESPNt663Tvy1Ped6bpsJh9xBemwjVqaG"));
    });
}

/// The order of upgrades stands on this: a signer that is older than a record refuses it, by its version or the row that is new.
#[test]
fn a_record_of_a_later_release_stops_a_running_signer_and_one_that_starts() {
    on_each_kind(|store_of| {
        let env = TestEnv::without_records();
        let store = store_of(&env);
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let key = env.tz3();
        let message = |row: &str| match row {
            "version" => "the record's version is \"2\", but this signer supports \"1\" only: upgrade the signer",
            _ => "unknown row \"dal\"",
        };
        let mut level = NEXT;
        for (row, text) in [("version", "2"), ("dal", "100 0 - -")] {
            let signer = Signer::start(&env);
            signer.signature(&key, &attestation(level, 0, 1));
            store.edit(&env, &key, json!({row: text}));
            let refused = signer.sign(&key, &attestation(level + 1, 0, 1)).refused(409);
            assert!(refused.contains(message(row)), "{refused}");
            drop(signer);
            let signer = Signer::start_unready(&env);
            // SoftHSM2 loses a token whose login is killed.
            crate::process::wait_for("the token", || (signer.metric("tezos_signer_hsm_up") == Some(1)).then_some(()));
            let refused = crate::process::wait_for("the refusal", || {
                let answer = signer.sign(&key, &attestation(level + 1, 0, 1));
                (answer.status != 502).then_some(answer)
            });
            assert!(refused.refused(409).contains(message(row)), "{refused:?}");
            // Nor does any command touch it.
            let refused = env.run(&["watermarks", "raise", "--level", "2000000"]).failed();
            assert!(refused.contains(message(row)), "{refused}");
            drop(signer);

            // The record of the release that is known is read, with all that was signed before.
            store.edit(&env, &key, json!({row: if row == "version" { json!("1") } else { Value::Null }}));
            let signer = Signer::start(&env);
            assert!(signer.sign(&key, &attestation(level, 0, 2)).refused(409).contains("a different attestation"));
            signer.signature(&key, &attestation(level + 1, 0, 1));
            level += 2;
        }
    });
}

#[test]
fn the_holder_is_shown() {
    on_each_kind(|store_of| {
        let env = TestEnv::without_records();
        let store = store_of(&env);
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        let identity = uuid::Uuid::new_v4().to_string();
        let signer = Signer::start_with(&env, &[("POD_UID", &identity)]);
        crate::process::wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
        let table = env.run(&["watermarks", "show"]).succeeded();
        assert!(table.contains("HOLDER") && table.contains("SINCE") && table.contains("TERM"), "{table}");
        if matches!(store, crate::record_store::RecordStore::Directory) {
            return;
        }
        let lease = &shown(&env)[0]["lease"];
        assert_eq!((&lease["holderIdentity"], &lease["leaderTransitions"]), (&json!(identity), &json!(1)));
        for time in ["acquireTime", "renewTime"] {
            let second = lease[time].as_str().unwrap().split('.').next().unwrap().to_owned();
            assert!(second.starts_with("20"), "{lease}");
        }
        let status = signer.key_status(&env.tz3());
        assert_eq!((status.holder, status.term, status.held), (identity.clone(), 1, true));
        assert_eq!(json!(status.since), lease["acquireTime"]);
        assert_eq!((status.went_back, status.suspended, status.ceiling), (false, false, None));
        let since = lease["acquireTime"].as_str().unwrap().split('.').next().unwrap();
        let line = table.lines().find(|line| line.contains(&identity)).expect(&table);
        assert!(line.contains(since) && line.contains("   1   "), "{since}: {table}");
    });
}
