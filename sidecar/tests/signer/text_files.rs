//! Files that are no UTF-8 text, begin with a byte order mark, or have a name twice: each command names it.

use crate::test_env::{CommandResult, TestEnv};
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn files_in_another_encoding_or_with_a_name_twice_are_named() {
    let env = TestEnv::new();
    let config = std::fs::read_to_string(env.config_file()).unwrap();
    let check = |bytes: &[u8]| {
        std::fs::write(env.config_file(), bytes).unwrap();
        env.run(&["check"]).failed()
    };
    assert!(check(format!("\u{feff}{config}").as_bytes()).contains("byte order mark"));
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(config.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(check(&utf16).contains("it is UTF-16"));
    assert!(check(b"\x80").contains("byte 1 is part of no character"));
    std::fs::write(env.config_file(), &config).unwrap();

    let file = env.path.join("export.json");
    let export = env.run(&["watermarks", "export"]).succeeded();
    let import = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        env.run(&["watermarks", "import", text(&file)]).failed()
    };
    assert!(import(format!("\u{feff}{export}").as_bytes()).contains("byte order mark"));
    let twice = export.replacen("\"metadata\"", "\"data\": [],\n  \"metadata\"", 1);
    assert!(import(twice.as_bytes()).contains("\"data\" occurs twice"), "{}", import(twice.as_bytes()));
    assert!(import(b"SQLite format 3\0\x10\0\x01\x01").contains("sqlite3 -json FILE"));

    // A record as kubectl prints it, in which a parser would use one or the other.
    let (record, log) = (env.path.join("records.json"), env.path.join("log"));
    std::fs::write(&log, "").unwrap();
    let name = env.tz3().record_name();
    let object =
        format!(r#"{{"metadata": {{"name": "{name}"}}, "data": {{"version": "1", "audit": "a", "audit": "b"}}}}"#);
    std::fs::write(&record, object).unwrap();
    let ended = env.command().args(["audit", "verify", "--record", text(&record), text(&log)]).output().unwrap();
    let refused = CommandResult::from(ended).failed();
    assert!(refused.contains("\"audit\" occurs twice in one object"), "{refused}");
}
