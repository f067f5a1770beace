//! `migrate` as a command: what it reads, where it writes, and in which order it reports. How configurations are read is tested in
//! `interop/tests/migrate`.

use crate::test_env::{CommandResult, TestEnv};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn migrate_writes_a_new_file_only() {
    let env = TestEnv::without_keys();
    let (from, to) = (env.path.join("keys.json"), env.path.join("new.yaml"));
    std::fs::write(&from, r#"{"keys": {}, "bind_port": 5000}"#).unwrap();
    let migrate = |arguments: &[&str]| {
        let ended = env.command().args(["migrate", "--from", "python", text(&from)]).args(arguments).output().unwrap();
        CommandResult::from(ended)
    };
    let json: Value = serde_json::from_str(&migrate(&["--output", "json"]).succeeded()).unwrap();
    assert!(json["config"].as_str().unwrap().starts_with("listen: \"127.0.0.1:5000\"\n"), "{json}");
    assert!(!json["fill_in"].as_array().unwrap().is_empty() && json["lost"].is_array(), "{json}");
    let printed = migrate(&[]);
    assert!(printed.stderr.contains("To fill in"), "{}", printed.stderr);
    let printed = printed.succeeded();
    assert_eq!(migrate(&["--output-file", text(&to)]).succeeded(), "");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), printed);
    let again = migrate(&["--output-file", text(&to)]).failed();
    assert!(again.contains("cannot be written"), "{again}");
    std::fs::write(&from, "{").unwrap();
    assert!(migrate(&[]).failed().contains("cannot be parsed"));
}

/// Runs `migrate --from octez`.
fn migrate_octez(env: &TestEnv, arguments: &[&str], stdin: &str) -> CommandResult {
    let mut command = env.command();
    command.args(["migrate", "--from", "octez"]).args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    CommandResult::from(child.wait_with_output().unwrap())
}

#[test]
fn migrate_reads_all_of_a_unit_or_says_what_it_has_not_read() {
    let env = TestEnv::without_keys();
    let (unit, variables) = (env.path.join("octez-signer.service"), env.path.join("octez-signer.default"));
    let text_of = |command: &str| {
        format!(
            "[Service]\nEnvironmentFile=-{}\nExecStart=/usr/bin/octez-signer launch http signer {command}\n",
            text(&variables)
        )
    };
    let whole = text_of("--address ${ADDRESS} \\\n  # of all bakers\n  --port 6740 -M 0x11,0x12 -W");
    std::fs::write(&unit, &whole).unwrap();
    // Without the file of the environment the address is open, and the rest is there.
    let open = migrate_octez(&env, &[text(&unit)], "");
    assert_eq!(open.code, Some(0), "{}", open.stderr);
    assert!(
        open.stdout.starts_with("listen: \"ADDRESS:6740\"   # FILL IN: the IP address; there ${ADDRESS}\n"),
        "{}",
        open.stdout
    );
    let sections: Vec<_> = open.stderr.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(sections.len(), 3, "{}", open.stderr);
    assert!(sections[0].starts_with("What is signed") && sections[1].starts_with("To fill in"), "{}", open.stderr);
    assert!(
        open.stderr
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("  a key: attestation: the policy has block and preattestation"),
        "{}",
        open.stderr
    );
    // With it, it is known.
    std::fs::write(&variables, "ADDRESS=10.0.0.7\n").unwrap();
    let known = migrate_octez(&env, &[text(&unit)], "");
    assert!(known.stdout.starts_with("listen: \"10.0.0.7:6740\"\n"), "{}", known.stdout);
    // A drop-in beside it is not in the file; in the output of `systemctl cat` it is.
    let drop_in = env.path.join("octez-signer.service.d");
    std::fs::create_dir(&drop_in).unwrap();
    let override_text = "[Service]\nExecStart=\nExecStart=/usr/bin/octez-signer launch http signer --port 6750\n";
    std::fs::write(drop_in.join("override.conf"), override_text).unwrap();
    let refused = migrate_octez(&env, &[text(&unit)], "").failed();
    assert!(
        refused.contains("has drop-ins in") && refused.contains("`systemctl cat octez-signer.service`"),
        "{refused}"
    );
    let cat = format!("# {}\n{whole}\n# {}/override.conf\n{override_text}", text(&unit), text(&drop_in));
    let all = migrate_octez(&env, &["-"], &cat);
    assert!(all.stdout.starts_with("listen: \"127.0.0.1:6750\"\n"), "{}", all.stdout);
    assert!(all.stderr.contains("no --check-high-watermark"), "{}", all.stderr);
    // Written to the unit's own name, it is still the output of `systemctl cat`.
    std::fs::write(&unit, &cat).unwrap();
    migrate_octez(&env, &[text(&unit)], "").succeeded();
    let utf16: Vec<u8> = whole.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&variables, [&[0xff, 0xfe][..], &utf16].concat()).unwrap();
    assert!(migrate_octez(&env, &[text(&variables)], "").failed().contains("it is UTF-16"));
}
