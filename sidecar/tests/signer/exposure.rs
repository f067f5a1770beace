//! Files that others on the host can read or change: what `serve` refuses to start with, and what `check` says.

use crate::process::{Signer, wait_for};
use crate::test_env::{TestEnv, permit};
use serde_json::{Value, json};
use std::time::Duration;
use tezos_signer::{config_file, file_permissions};

#[test]
fn serve_refuses_to_start_where_others_could_sign_past_the_watermarks() {
    let env = TestEnv::new();
    let pin = env.path.join("pin");
    for (path, good, bad) in [(pin, 0o600, 0o604), (env.records(), 0o700, 0o702), (env.config_file(), 0o644, 0o646)] {
        permit(&path, bad);
        let output = Signer::start_failing(&env, &[]);
        assert!(output.contains("other users"), "{output}");
        let checked = env.run(&["check"]).failed();
        assert!(checked.contains("by other users") && checked.contains("WRONG"), "{checked}");
        // Who is given the name of a holder is in no pod for that: a host that shares its records with another is.
        let output = Signer::start_failing(&env, &[("POD_UID", "host-a")]);
        assert!(output.contains("other users"), "{output}");
        let in_a_pod = Signer::start_with(&env, &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]);
        // Killed during its login it can leave half a token: SoftHSM2 writes the token's file at each login, in place.
        wait_for("/startupz", || (in_a_pod.admin("/startupz").status == 200).then_some(()));
        drop(in_a_pod);
        permit(&path, good);
        env.run(&["check"]).succeeded();
    }
    Signer::start(&env);
}

#[test]
fn a_group_reads_the_pin_only_if_it_is_roots() {
    let env = TestEnv::new();
    let pin = env.path.join("pin");
    permit(&pin, 0o640);
    Signer::start(&env);
    std::os::unix::fs::chown(&pin, None, Some(1)).unwrap();
    Signer::start_failing(&env, &[]);
    assert!(env.run(&["check"]).failed().contains("hsm.pinFile"));
}

#[test]
fn check_tells_of_all_files_and_that_watermarks_in_files_protect_this_host_only() {
    let env = TestEnv::new();
    env.set_config(json!({"audit": {"file": env.path.join("audit.log")}}));
    drop(Signer::start(&env));
    let table = env.run(&["check"]).succeeded();
    for word in [
        "this host only",
        "hsm.pinFile",
        "watermarks.file",
        "audit.file",
        "--config",
        "label \"test\"",
        "ATTESTATION",
        " 1000",
    ] {
        assert!(table.contains(word), "{word} in {table}");
    }
    permit(&env.path.join("audit.log"), 0o666);
    permit(&env.records(), 0o755);
    let checked = env.run(&["check", "--output", "json"]);
    assert_eq!(checked.code, Some(1), "{}", checked.stderr);
    let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(checked["fit"], false);
    let wrong: Vec<_> = checked["checks"].as_array().unwrap().iter().filter(|check| check["fit"] == false).collect();
    assert_eq!(
        wrong.iter().map(|check| check["what"].as_str().unwrap()).collect::<Vec<_>>(),
        ["audit.file", "watermarks.file"]
    );
    assert_eq!(checked["keys"][0]["rows"]["block"]["level"], 1000);
    // Nobody signs past a watermark by these: told, and no reason not to sign.
    let signer = Signer::start(&env);
    assert!(signer.log().contains("a file has unsafe permissions"), "{}", signer.log());
}

#[test]
fn watermarks_that_the_next_boot_forgets_are_told_of() {
    let env = TestEnv::new();
    let forgetful = tempfile::tempdir_in("/dev/shm").unwrap();
    permit(forgetful.path(), 0o700);
    env.set_config(json!({"watermarks": {"file": forgetful.path()}}));
    env.run(&["watermarks", "initialise", "--level", "5"]).succeeded();
    let checked = env.run(&["check"]).failed();
    assert!(checked.contains("is on tmpfs") && checked.contains("local disk"), "{checked}");
}

#[test]
fn a_credential_of_systemd_is_found_where_the_unit_has_it() {
    let env = TestEnv::new();
    let credentials = env.path.join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::rename(env.path.join("pin"), credentials.join("pin")).unwrap();
    env.set_hsm("pinFile", "$CREDENTIALS_DIRECTORY/pin");
    let checked = env.run(&["check"]).failed();
    assert!(checked.contains("LoadCredential"), "{checked}");
    let directory = credentials.to_str().unwrap();
    let environment = [("CREDENTIALS_DIRECTORY", directory)];
    let signer = Signer::start_with(&env, &environment);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    drop(signer);

    // The file that systemd has made it of, as the package has it.
    let source = env.config_file().with_file_name("pin");
    std::fs::copy(credentials.join("pin"), &source).unwrap();
    permit(&source, 0o600);
    drop(Signer::start_with(&env, &environment));
    permit(&source, 0o644);
    let output = Signer::start_failing(&env, &environment);
    assert!(output.contains("LoadCredential") && output.contains("other users"), "{output}");
}

/// Whether others can change the configuration is asked of the file that was read, and not of what its path names later.
#[test]
fn a_configuration_that_was_swapped_after_it_was_read_is_judged_as_the_file_that_was_read() {
    let env = TestEnv::new();
    let (path, other) = (env.config_file(), env.path.join("other.yaml"));
    std::fs::copy(&path, &other).unwrap();
    for (mode, mode_of_other, is_dangerous) in [(0o644, 0o646, false), (0o646, 0o644, true)] {
        permit(&path, mode);
        permit(&other, mode_of_other);
        let read = config_file::read(&path).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let examined = file_permissions::examine(&read.config, &read.file);
        let found = examined.iter().find(|file| file.field == "--config").unwrap();
        assert_eq!(found.exposure.as_ref().is_some_and(|exposure| exposure.is_dangerous), is_dangerous);
        std::fs::copy(&path, &other).unwrap();
    }
}

#[test]
fn a_configuration_that_others_can_change_is_not_read_again_either() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    env.add_to_tz3(r#""allow": ["block"]"#);
    permit(&env.config_file(), 0o646);
    signer.send_sighup();
    let refused = r#"tezos_signer_config_reloads_total{result="refused"}"#;
    wait_for("the refusal", || signer.metric(refused).filter(|count| *count == 1));
    assert!(signer.log().contains("can be changed by other users"), "{}", signer.log());
    permit(&env.config_file(), 0o644);
    signer.send_sighup();
    let applied = r#"tezos_signer_config_reloads_total{result="applied"}"#;
    wait_for("the change", || signer.metric(applied).filter(|count| *count == 1));
}

/// It would wait for ever for somebody who writes, or log in with no PIN at all, which costs one of the attempts that the token allows.
#[test]
fn a_pin_file_that_is_no_file_is_named_and_not_waited_for() {
    type Make = fn(&std::path::Path);
    let env = TestEnv::new();
    let pin = env.path.join("pin");
    let made: [(&str, Make); 2] = [
        ("FIFO", |pin| {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, pin, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
        ("directory", |pin| std::fs::create_dir(pin).unwrap()),
    ];
    let text = std::fs::read_to_string(&pin).unwrap();
    for (what, make) in made {
        std::fs::remove_file(&pin).unwrap();
        make(&pin);
        permit(&pin, 0o600);
        let signer = Signer::start_unready(&env);
        wait_for("the reason", || {
            let status = signer.admin("/status").json();
            status["hsm"]["reason"].as_str().filter(|reason| reason.contains("not a file")).map(str::to_owned)
        });
        let begin = std::time::Instant::now();
        assert!(env.run(&["check"]).failed().contains("not a file"), "{what}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{what}");
        let _ = std::fs::remove_file(&pin);
        let _ = std::fs::remove_dir(&pin);
        std::fs::write(&pin, &text).unwrap();
        permit(&pin, 0o600);
        wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    }
}
