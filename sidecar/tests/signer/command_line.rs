//! The commands beside `serve`, what their output looks like to programs, and where the PIN goes: nowhere.

use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, PIN, TestEnv, edit};
use serde_json::{Value, json};

/// The tool of the Debian package opensc that writes down every PKCS#11 call.
const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn fields(value: &Value) -> Vec<&str> {
    let mut fields: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    fields
}

#[test]
fn keys_are_generated_and_listed_and_no_label_is_given_twice() {
    let env = TestEnv::without_keys();
    assert_eq!(json(&env.run(&["keys", "list", "--output", "json"]).succeeded()), json("[]"));
    let mut made = Vec::new();
    for (label, curve, address, key) in [("one", "p256", "tz3", "p2pk"), ("two", "secp256k1", "tz2", "sppk")] {
        let entry =
            json(&env.run(&["keys", "generate", "--label", label, "--curve", curve, "--output", "json"]).succeeded());
        assert_eq!(fields(&entry), ["curve", "id", "label", "publicKey", "publicKeyHash"]);
        assert_eq!((&entry["label"], &entry["curve"]), (&label.into(), &curve.into()));
        assert!(entry["publicKeyHash"].as_str().unwrap().starts_with(address));
        assert!(entry["publicKey"].as_str().unwrap().starts_with(key));
        made.push(entry);
    }
    let again = env.run(&["keys", "generate", "--label", "one", "--curve", "secp256k1"]).failed();
    assert!(again.contains("already has a key with label \"one\""), "{again}");
    assert_eq!(json(&env.run(&["keys", "list", "--output", "json"]).succeeded()), Value::Array(made));
    let table = env.run(&["keys", "list"]).succeeded();
    assert!(table.contains("tz2") && table.contains("tz3"), "{table}");
}

#[test]
fn watermarks_are_shown_and_initialised_once() {
    let env = TestEnv::without_records();
    let show = ["watermarks", "show", "--output", "json"];
    let none = env.run(&show);
    assert_eq!(none.code, Some(1));
    assert!(json(&none.stdout).as_array().unwrap().iter().all(|record| record["data"].is_null()), "{}", none.stdout);
    assert!(none.stderr.contains("never means a fresh start"), "{}", none.stderr);

    env.run(&["watermarks", "initialise", "--level", "1000"]).succeeded();
    let shown = env.run(&show).succeeded();
    for (record, key) in json(&shown).as_array().unwrap().iter().zip([env.tz3(), env.tz2()]) {
        assert_eq!(fields(record), ["chain", "data", "lease", "publicKeyHash", "record"]);
        assert_eq!(record["publicKeyHash"], key.hash().to_string());
        assert_eq!(record["record"], key.record_name().as_str());
        assert_eq!(record["chain"], "NetXdQprcVkpaWU");
        assert_eq!(fields(&record["data"]), ["attestation", "block", "preattestation", "version"]);
        assert_eq!(record["data"]["block"], "1000 2147483647 - -");
    }
    for start in [&["--level", "5"][..], &["--level", "2000"], &["--fresh"]] {
        let refused = env.run(&[&["watermarks", "initialise"], start].concat()).failed();
        assert!(refused.contains("refused") && refused.contains("already exists"), "{refused}");
        assert_eq!(env.run(&show).succeeded(), shown, "nothing changed");
    }

    // What is missing is made, what is there is not touched, and the status says that not all was as asked.
    std::fs::remove_file(env.record_file(&env.tz2())).unwrap();
    env.run(&["watermarks", "initialise", "--level", "3000"]).failed();
    assert_eq!(env.row(&env.tz3(), "block"), "1000 2147483647 - -");
    assert_eq!(env.row(&env.tz2(), "block"), "3000 2147483647 - -");
}

#[test]
fn initialise_wants_to_be_told_where_to_start() {
    let env = TestEnv::without_records();
    for start in [
        &[][..],
        &["--level", "1", "--fresh"],
        &["--level", "-1"],
        &["--level", "2147483648"],
        &["--level", "2147483647"],
        &["--level", "100000001"],
    ] {
        let ended = env.run(&[&["watermarks", "initialise"], start].concat());
        assert_eq!(ended.code, Some(2), "{start:?}: {}", ended.stderr);
    }
    assert!(env.run(&["watermarks", "show"]).failed().contains("no watermark record"), "none was made");
}

#[test]
fn a_manifest_is_of_the_records_that_would_be_made_and_makes_none() {
    let env = TestEnv::without_records();
    let manifest = ["watermarks", "initialise", "--level", "77", "--manifest"];
    assert!(env.run(&manifest).failed().contains("the records of this configuration are files"));
    env.set_config(json!({"watermarks": {"configMap": {"namespace": "elsewhere"}}}));
    let list: Value = serde_json::from_str(&env.run(&manifest).succeeded()).unwrap();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let names: Vec<String> = list["items"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(names, [env.tz3(), env.tz2()].map(|key| key.record_name().to_string()));
    let object = &list["items"][0];
    assert_eq!((&object["kind"], &object["metadata"]["namespace"]), (&json!("ConfigMap"), &json!("elsewhere")));
    assert_eq!(object["data"]["block"], "77 2147483647 - -");
}

/// systemd makes the directory of logs at the first start of the service, and `check` comes before that.
#[test]
fn check_needs_no_directory_of_the_audit_log_before_the_first_start() {
    let env = TestEnv::new();
    env.set_config(json!({"audit": {"file": env.path.join("not-there-yet/audit.log")}}));
    env.run(&["check"]).succeeded();
}

#[test]
fn a_mistake_in_the_configuration_is_named_with_field_and_line() {
    for (from, to, field, line) in [
        ("\"listen\"", "\"lisen\"", "`lisen`", 14),
        ("\"token\"", "\"tokn\"", "`tokn`", 7),
        ("\"sessions\"", "\"session\"", "`session`", 6),
        ("\"chain\"", "\"chian\"", "`chian`", 11),
        ("\"file\"", "\"files\"", "`files`", 23),
    ] {
        let env = TestEnv::without_records();
        edit(&env.config_file(), from, to);
        let text = std::fs::read_to_string(env.config_file()).unwrap();
        let line_of_field = text.lines().position(|line| line.contains(to)).unwrap() + 1;
        let message = env.run(&["watermarks", "show"]).failed();
        assert!(message.contains(&format!("unknown field {field}")), "{message}");
        assert!(message.contains(&format!("line {line_of_field}")), "{line}: {message}\n{text}");
    }
}

#[test]
fn the_pin_is_seen_nowhere() {
    let env = TestEnv::new();
    let mut seen = String::new();
    for arguments in [&["keys", "list"][..], &["watermarks", "show"]] {
        let ended = env.run(arguments);
        seen += &(ended.stdout + &ended.stderr);
    }
    let signer = Signer::start_with(&env, &[("RUST_LOG", "trace")]);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    seen += &signer.signature(&env.tz3(), &attestation(FLOOR + 1, 0, 0));
    seen += &signer.admin("/status").body;
    seen += &signer.admin("/metrics").body;
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", signer.id())).unwrap();
        seen += &String::from_utf8_lossy(&bytes);
    }
    seen += &signer.log();
    drop(signer);

    let wrong = PIN.replace("a-PIN", "another-PIN");
    env.write_pin(&wrong);
    seen += &env.run(&["keys", "list"]).failed();
    let signer = Signer::start_unready(&env);
    wait_for("the refusal", || signer.log().contains("refused the PIN").then_some(()));
    seen += &(signer.log() + &signer.admin("/startupz").body + &signer.admin("/status").body);

    assert!(seen.len() > 5000, "something was looked through");
    for secret in [PIN, &wrong, "that-nobody-may-see"] {
        assert!(!seen.contains(secret), "{seen}");
    }
}

#[test]
fn a_refused_pin_is_not_tried_again_until_its_file_changes() {
    let env = TestEnv::new();
    env.edit_config("/usr/lib/softhsm/libsofthsm2.so", SPY);
    env.write_pin("cu_user:wrong");
    let calls = env.path.join("calls");
    let spy = [("PKCS11SPY", "/usr/lib/softhsm/libsofthsm2.so"), ("PKCS11SPY_OUTPUT", calls.to_str().unwrap())];
    let signer = Signer::start_with(&env, &spy);
    let count = |call: &str| {
        let text = std::fs::read(&calls).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| line.ends_with(call)).count()
    };
    // Each of the two threads goes on trying once a second: six openings are three rounds.
    wait_for("several attempts to open a session", || (count(": C_OpenSession") >= 6).then_some(()));
    assert_eq!(count(": C_Login"), 1, "{}", signer.log());
    signer.sign(&env.tz3(), &attestation(FLOOR + 1, 0, 0)).refused(502);
    wait_for("the reason", || signer.admin("/startupz").body.contains("refused the PIN").then_some(()));
    assert_eq!(count(": C_Login"), 1);

    env.write_pin(PIN);
    wait_for("the new PIN", || (signer.admin("/startupz").status == 200).then_some(()));
    signer.signature(&env.tz3(), &attestation(FLOOR + 1, 0, 0));
}
