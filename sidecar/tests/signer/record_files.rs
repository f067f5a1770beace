//! Record files that are no records: what is in their place, who says so and how, and that putting it right is enough.

use crate::crash::Strace;
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use tezos_signer_core::config::KeyConfig;

type Spoil = fn(&Path, &str);

/// What stands in the place of a record's file with this text, and what is said of it.
const SPOILS_OF_SLOTS: [(&str, Spoil); 5] = [
    ("it has 4096 bytes, and a file of a record has 8192", |path, text| std::fs::write(path, &text[..4096]).unwrap()),
    ("its line 1 was edited or damaged", |path, text| {
        std::fs::write(path, &text.replacen("\"text\":\"", "\"text\":\"1", 1)[..8192]).unwrap();
    }),
    ("its line 9 was edited or damaged", |path, text| {
        std::fs::write(path, format!("{}{}", &text[..4096], "\0".repeat(4096))).unwrap();
    }),
    ("its two halves are not of two writes", |path, text| std::fs::write(path, text[..4096].repeat(2)).unwrap()),
    ("it is not UTF-8", |path, text| std::fs::write(path, [text.as_bytes(), b"\xff\xfe"].concat()).unwrap()),
];

/// The same of a plain record with this text.
const SPOILS: [(&str, Spoil); 11] = [
    ("it is not UTF-8", |path, text| std::fs::write(path, [text.as_bytes(), b"\xff\xfe"].concat()).unwrap()),
    ("it is a directory, not a file", |path, _| std::fs::create_dir(path).unwrap()),
    ("it is a FIFO or a device, not a file", |path, _| {
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    }),
    ("it is a socket or a device, not a file", |path, _| drop(UnixListener::bind(path).unwrap())),
    ("it is a symbolic link", |path, _| symlink(path, path).unwrap()),
    ("it is a symbolic link", |path, text| {
        let elsewhere = path.with_extension("elsewhere");
        std::fs::write(&elsewhere, text).unwrap();
        symlink(elsewhere, path).unwrap();
    }),
    ("it is not the JSON object of a record", |path, _| drop(File::create(path).unwrap())),
    ("it is longer than 65536 bytes", |path, _| File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ("the name \"block\" occurs twice in one object", |path, text| {
        std::fs::write(path, text.replacen('}', ", \"block\": \"1 0 - -\"}", 1)).unwrap();
    }),
    ("the name \"suspend\" occurs twice in one object", |path, text| {
        let twice = text.replacen('{', "{\"suspend\": \"true\", \"suspend\": \"false\", ", 1);
        std::fs::write(path, twice).unwrap();
    }),
    ("it is not the JSON object of a record", |path, text| {
        std::fs::write(path, &text[..text.len() / 2]).unwrap();
    }),
];

fn take_away(path: &Path) {
    let _ = std::fs::remove_dir(path);
    let _ = std::fs::remove_file(path);
}

/// One signer runs meanwhile, another one starts then; of its other key's record nothing is said.
#[test]
fn a_record_file_that_is_no_record_is_refused_with_the_reason_until_it_is_put_right() {
    let env = TestEnv::new();
    let (key, other) = (env.tz3(), env.tz2());
    let path = env.record_file(&key);
    let mut level = FLOOR;
    let spoils = SPOILS.map(|spoil| (true, spoil)).into_iter().chain(SPOILS_OF_SLOTS.map(|spoil| (false, spoil)));
    for (is_plain, (reason, spoil)) in spoils {
        level += 1;
        let running = Signer::start(&env);
        running.signature(&key, &attestation(level, 0, 1));
        if is_plain {
            env.make_plain(&key);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        take_away(&path);
        spoil(&path, &text);
        refuses(&running, &env, level, reason);
        drop(running);

        let starting = Signer::start_unready(&env);
        refuses(&starting, &env, level, reason);
        wait_for("the other key", || (starting.sign(&other, &attestation(level, 0, 1)).status == 200).then_some(()));
        for command in [&["check"][..], &["watermarks", "show"], &["watermarks", "raise", "--level", "5000"]] {
            let output = env.run(command).failed();
            assert!(output.contains(reason), "{command:?}: {output}");
        }
        let output = env.run(&["watermarks", "import", "--create", &export_of(&env, &text)]).failed();
        assert!(output.contains(reason), "{output}");

        take_away(&path);
        std::fs::write(&path, &text).unwrap();
        wait_for("a signature", || (starting.sign(&key, &attestation(level, 0, 1)).status == 200).then_some(()));
        starting.sign(&key, &attestation(level, 0, 2)).refused(409);
    }
}

fn refuses(signer: &Signer, env: &TestEnv, level: u32, reason: &str) {
    let (key, next) = (env.tz3(), attestation(level + 1, 0, 1));
    let answer = wait_for("another answer than 502", || {
        let answer = signer.sign(&key, &next);
        (answer.status != 502).then_some(answer)
    });
    let output = answer.refused(409);
    assert!(output.contains(reason) && output.contains("watermark record"), "{reason}: {output}");
    wait_for("the reason in /readyz", || {
        signer.admin("/readyz").json().to_string().contains(&key.hash().to_string()).then_some(())
    });
    let shown = |key: &KeyConfig| signer.reason(key).unwrap_or_default();
    assert!(shown(&key).contains(reason), "{reason}: {}", shown(&key));
    assert_eq!(signer.reason(&env.tz2()), None);
}

/// A file to import, of a record with this text.
fn export_of(env: &TestEnv, text: &str) -> String {
    let aside = env.with_same_token();
    std::fs::write(aside.record_file(&env.tz3()), text).unwrap();
    let export = env.path.join("export.json");
    let key = env.tz3().hash().to_string();
    let arguments = ["watermarks", "export", "--key", &key, "--output", export.to_str().unwrap()];
    aside.run(&arguments).succeeded();
    export.to_str().unwrap().to_owned()
}

/// As by `chmod`, which does not stop root, as whom this test runs.
#[test]
fn a_record_file_that_must_not_be_opened_is_refused_with_the_reason() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let path = env.record_file(&env.tz3());
    let arguments = ["-P", path.to_str().unwrap(), "-P", path.file_name().unwrap().to_str().unwrap()];
    let fault = ["-e", "trace=openat", "-e", "inject=openat:error=EACCES"];
    let strace = Strace::attach_with(&signer, &[&arguments[..], &fault].concat());
    refuses(&signer, &env, FLOOR, "it cannot be opened: Permission denied");
    drop(strace);
    wait_for("a signature", || (signer.sign(&env.tz3(), &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(()));
}

/// Whatever an earlier process, or somebody, has left in the place where the next state is written first.
#[test]
fn what_stands_where_the_next_state_is_written_is_replaced_or_named() {
    let env = TestEnv::new();
    let key = env.tz3();
    let (new, precious) = (env.record_file(&key).with_extension("new"), env.path.join("precious"));
    std::fs::write(&precious, "precious").unwrap();
    let signer = Signer::start(&env);
    let leave: [&dyn Fn(); 4] = [
        &|| std::fs::write(&new, "half a rec").unwrap(),
        &|| symlink(&precious, &new).unwrap(),
        &|| mknodat(CWD, &new, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
        &|| std::fs::hard_link(&precious, &new).unwrap(),
    ];
    let mut level = FLOOR;
    for leave in leave {
        level += 1;
        env.make_plain(&key);
        leave();
        signer.signature(&key, &attestation(level, 0, 1));
        assert!(!new.exists());
    }
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");

    env.make_plain(&key);
    std::fs::create_dir(&new).unwrap();
    let output = signer.sign(&key, &attestation(level + 1, 0, 1)).refused(409);
    assert!(output.contains(".new") && output.contains("cannot be written: Is a directory"), "{output}");
    std::fs::remove_dir(&new).unwrap();
    signer.signature(&key, &attestation(level + 1, 0, 1));
}

/// The file that the one signer of a directory locks.
#[test]
fn a_lock_that_is_no_file_ends_the_start_and_is_not_waited_for() {
    let spoils: [fn(&Path); 2] = [
        |path| mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
        |path| {
            let elsewhere = path.with_extension("elsewhere");
            File::create(&elsewhere).unwrap();
            symlink(elsewhere, path).unwrap();
        },
    ];
    for spoil in spoils {
        let env = TestEnv::new();
        let lock = env.records().join("lock");
        take_away(&lock);
        spoil(&lock);
        let output = Signer::start_failing(&env, &[]);
        assert!(output.contains("its file `lock`: "), "{output}");
    }
}

/// Blanks at its end are none of its rows.
#[test]
fn a_record_file_of_the_greatest_length_is_read_and_one_byte_more_is_not() {
    let env = TestEnv::new();
    let (key, path) = (env.tz3(), env.record_file(&env.tz3()));
    let padded = |text: &str, length: usize| text.to_owned() + &" ".repeat(length - text.len());
    let plain = || {
        env.make_plain(&key);
        std::fs::read_to_string(&path).unwrap()
    };
    std::fs::write(&path, padded(&plain(), 65536)).unwrap();
    let signer = Signer::start(&env);
    signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    drop(signer);
    std::fs::write(&path, padded(&plain(), 65537)).unwrap();
    let output = Signer::start_unready(&env).sign(&key, &attestation(FLOOR + 2, 0, 1)).refused(409);
    assert!(output.contains("it is longer than 65536 bytes"), "{output}");
}
