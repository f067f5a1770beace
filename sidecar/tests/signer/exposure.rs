//! Files that others on the host can read or change: what `serve` refuses to start with, and what `check` says.

use crate::home::{Home, permit};
use crate::process::Signer;
use serde_json::{Value, json};

#[test]
fn serve_refuses_to_start_where_others_could_sign_past_the_watermarks() {
    let home = Home::new();
    let pin = home.path.join("pin");
    for (path, good, bad) in [(pin, 0o600, 0o604), (home.records(), 0o700, 0o702), (home.config_file(), 0o644, 0o646)] {
        permit(&path, bad);
        let said = Signer::start_in_vain(&home, &[]);
        assert!(said.contains("other users"), "{said}");
        let checked = home.run(&["check"]).failed();
        assert!(checked.contains("by other users") && checked.contains("WRONG"), "{checked}");
        // Who is given the name of a holder is in no pod for that: a host that shares its records with another is.
        let said = Signer::start_in_vain(&home, &[("POD_UID", "host-a")]);
        assert!(said.contains("other users"), "{said}");
        drop(Signer::start_with(&home, &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]));
        permit(&path, good);
        home.run(&["check"]).succeeded();
    }
    Signer::start(&home);
}

#[test]
fn a_group_reads_the_pin_only_if_it_is_roots() {
    let home = Home::new();
    let pin = home.path.join("pin");
    permit(&pin, 0o640);
    Signer::start(&home);
    std::os::unix::fs::chown(&pin, None, Some(1)).unwrap();
    Signer::start_in_vain(&home, &[]);
    assert!(home.run(&["check"]).failed().contains("hsm.pinFile"));
}

#[test]
fn check_tells_of_all_files_and_that_watermarks_in_files_protect_this_host_only() {
    let home = Home::new();
    home.set_config(json!({"audit": {"file": home.path.join("audit.log")}}));
    drop(Signer::start(&home));
    let table = home.run(&["check"]).succeeded();
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
    permit(&home.path.join("audit.log"), 0o666);
    permit(&home.records(), 0o755);
    let checked = home.run(&["check", "--output", "json"]);
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
    let signer = Signer::start(&home);
    assert!(signer.log().contains("a file is not as it should be"), "{}", signer.log());
}

#[test]
fn watermarks_that_the_next_boot_forgets_are_told_of() {
    let home = Home::new();
    let forgetful = tempfile::tempdir_in("/dev/shm").unwrap();
    permit(forgetful.path(), 0o700);
    home.set_config(json!({"watermarks": {"file": forgetful.path()}}));
    home.run(&["watermarks", "initialise", "--level", "5"]).succeeded();
    let checked = home.run(&["check"]).failed();
    assert!(checked.contains("is on tmpfs") && checked.contains("local disk"), "{checked}");
}

#[test]
fn a_credential_of_systemd_is_found_where_the_unit_has_it() {
    let home = Home::new();
    let credentials = home.path.join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::rename(home.path.join("pin"), credentials.join("pin")).unwrap();
    home.set_hsm("pinFile", "$CREDENTIALS_DIRECTORY/pin");
    let checked = home.run(&["check"]).failed();
    assert!(checked.contains("LoadCredential"), "{checked}");
    let directory = credentials.to_str().unwrap();
    let environment = [("CREDENTIALS_DIRECTORY", directory)];
    let signer = Signer::start_with(&home, &environment);
    crate::process::wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    drop(signer);

    // The file that systemd has made it of, as the package has it.
    let source = home.config_file().with_file_name("pin");
    std::fs::copy(credentials.join("pin"), &source).unwrap();
    permit(&source, 0o600);
    drop(Signer::start_with(&home, &environment));
    permit(&source, 0o644);
    let said = Signer::start_in_vain(&home, &environment);
    assert!(said.contains("LoadCredential") && said.contains("other users"), "{said}");
}
