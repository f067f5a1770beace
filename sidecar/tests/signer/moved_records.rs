//! A watermark directory that is moved, copied, replaced or taken away while a signer uses it, so that a second signer can lock what is in
//! its place: no signature leaves the first one any more, new or old.

use crate::crash::Strace;
use crate::own_process::in_own_process;
use crate::payload::{attestation, block, delegation, operation};
use crate::process::{Signer, wait_for};
use crate::small_disk::SmallDisk;
use crate::test_env::{FLOOR, TestEnv, permit};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tezos_signer::store::{FileStore, Store as _, StoreError};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::{Lease, Record};
use tokio::time::Instant;

fn moved(env: &TestEnv) -> PathBuf {
    env.path.join("records.moved")
}

/// As a person does who makes room on a disk: the records are where they were, and in another directory.
fn move_and_copy(env: &TestEnv) {
    std::fs::rename(env.records(), moved(env)).unwrap();
    let copied = Command::new("cp").arg("-a").args([moved(env), env.records()]).status().unwrap();
    assert!(copied.success());
}

/// The copy goes, and the first directory has its path again.
fn move_back(env: &TestEnv) {
    std::fs::remove_dir_all(env.records()).unwrap();
    std::fs::rename(moved(env), env.records()).unwrap();
}

/// Whether somebody has a lock to write: of the file of the record, or of the directory.
fn is_being_written(env: &TestEnv) -> bool {
    let is_locked = |path: &Path| flock(File::open(path).unwrap(), FlockOperation::NonBlockingLockExclusive).is_err();
    is_locked(&env.records()) || is_locked(&env.record_file(&env.tz3()))
}

/// Refused for good, with what to do.
fn refuses(signer: &Signer, env: &TestEnv, payload: &[u8]) {
    let output = signer.sign(&env.tz3(), payload).refused(409);
    assert!(output.contains("was moved or replaced while this process used it"), "{output}");
    assert!(output.contains("Stop all signers") && output.contains("docs/record.md"), "{output}");
}

/// The system calls of a commit, each with the call at which the process is stopped, after it was made, and whether the record is a plain one,
/// which a whole file comes into the place of.
const MOMENTS: [(&str, u8, bool); 17] = [
    ("newfstatat", 1, false),
    ("openat", 1, false),
    ("flock", 1, false),
    ("newfstatat", 3, false),
    ("read", 1, false),
    ("pwrite64", 1, false),
    ("fdatasync", 1, false),
    ("newfstatat", 4, false),
    ("close", 1, false),
    ("newfstatat", 5, false),
    ("newfstatat", 7, false),
    ("flock", 1, true),
    ("flock", 2, true),
    ("write", 1, true),
    ("fsync", 1, true),
    ("rename,renameat,renameat2", 1, true),
    ("fsync", 2, true),
];

#[test]
fn stopped_at_any_call_of_a_commit_while_its_directory_is_moved_and_copied_it_makes_no_second_signature() {
    let env = TestEnv::new();
    env.open_one_session();
    let key = env.tz3();
    let paths = ["", "/lock", &format!("/{}.json", key.record_name()), &format!("/{}.new", key.record_name())];
    let paths = paths.map(|name| format!("{}{name}", env.records().display()));
    let (mut level, mut second, mut in_commit) = (FLOOR, 0, 0);
    for (calls, when, is_plain) in MOMENTS {
        if is_plain {
            env.make_plain(&key);
        }
        let first = Signer::start(&env);
        level += 1;
        let (one, other) = (block(level, 0, 1), block(level, 0, 2));
        let trace = [format!("trace={calls}"), format!("inject={calls}:signal=SIGSTOP:when={when}")];
        let arguments = paths.iter().flat_map(|path| ["-P", path.as_str()]).chain(["-e", &trace[0], "-e", &trace[1]]);
        let strace = Strace::attach_with(&first, &arguments.collect::<Vec<_>>());
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| first.sign(&key, &one));
            let is_stopped = wait_for("the stop, or an answer", || {
                let stopped = strace.has_logged("stopped by SIGSTOP");
                (stopped || asked.is_finished()).then_some(stopped)
            });
            drop(strace);
            if is_stopped {
                wait_for("the process to be stopped", || first.is_frozen().then_some(()));
                in_commit += u8::from(is_being_written(&env));
            }
            move_and_copy(&env);
            let rival = Signer::start(&env);
            let of_rival = rival.sign(&key, &other);
            first.thaw();
            let of_first = asked.join().unwrap();
            assert!(is_stopped || of_first.status == 200, "{calls} {when}: {of_first:?}");
            assert!(
                !(of_first.status == 200 && of_rival.status == 200),
                "two signatures, stopped at {calls} {when}: {of_first:?} {of_rival:?}"
            );
            if of_rival.status == 200 {
                second += 1;
                rival.sign(&key, &one).refused(409);
            } else {
                // What was committed before the copy was made is in it.
                rival.signature(&key, &one);
            }
            // Neither what it has committed there, nor anything new; also when all looks as before.
            refuses(&first, &env, &one);
            move_back(&env);
            for payload in [&one, &block(level + 1, 0, 1), &attestation(level, 0, 1)] {
                refuses(&first, &env, payload);
            }
        });
    }
    // It was really stopped in the middle, and the other one really signed.
    assert!(in_commit >= 5 && second >= 6, "{in_commit} times in a commit, {second} signatures of the other one");
}

/// Away and back, by each way in which something else comes into its place.
#[test]
fn nothing_leaves_a_signer_whose_directory_or_lock_was_replaced() {
    type Replace = fn(&TestEnv);
    let ways: [(&str, Replace); 6] = [
        ("a copy", move_and_copy),
        ("a link to a copy", |env| {
            move_and_copy(env);
            let copy = env.path.join("copy");
            std::fs::rename(env.records(), &copy).unwrap();
            std::os::unix::fs::symlink(copy, env.records()).unwrap();
        }),
        ("nothing", |env| std::fs::rename(env.records(), moved(env)).unwrap()),
        ("an empty directory", |env| {
            std::fs::rename(env.records(), moved(env)).unwrap();
            std::fs::create_dir(env.records()).unwrap();
        }),
        ("no lock", |env| std::fs::remove_file(env.records().join("lock")).unwrap()),
        ("another lock", |env| {
            std::fs::write(env.records().join("mine"), "").unwrap();
            std::fs::rename(env.records().join("mine"), env.records().join("lock")).unwrap();
        }),
    ];
    for (what, replace) in ways {
        let env = TestEnv::new();
        env.add_to_tz3(r#""allow": ["block", "attestation", "delegation"]"#);
        let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
        let delegation = operation(&[delegation(&key, 7)]);
        let signer = Signer::start(&env);
        signer.signature(&key, &vote);
        signer.signature(&key, &delegation);
        replace(&env);
        // What it remembers is no exception, nor is what needs no row.
        for payload in [&vote, &delegation, &block(FLOOR + 2, 0, 1)] {
            refuses(&signer, &env, payload);
        }
        assert_eq!(signer.admin("/status").json()["ready"], false, "{what}");
        let reason = signer.reason(&key).unwrap_or_default();
        assert!(reason.contains("was moved or replaced"), "{what}: {reason}");
        let ready = signer.admin("/readyz").body;
        assert!(ready.contains("was moved or replaced"), "{what}: {ready}");
    }
}

/// A signer that nobody asks anything finds it out by itself, and says so.
#[test]
fn a_mount_over_the_directory_is_seen_without_a_request_and_also_when_it_is_gone_again() {
    let env = TestEnv::new();
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    let signer = Signer::start(&env);
    signer.signature(&key, &vote);
    let disk = SmallDisk::mount(&env.records());
    wait_for("the reason in /readyz", || signer.admin("/readyz").body.contains("was moved or replaced").then_some(()));
    refuses(&signer, &env, &vote);
    drop(disk);
    refuses(&signer, &env, &vote);
    drop(signer);
    // A new process has no doubt: what is there is what there was.
    assert_eq!(Signer::start(&env).sign(&key, &vote).status, 200);
}

/// Stopped between two requests, it sees its path, directory and lock as they were; between them another process signed by a copy.
#[test]
fn what_was_moved_away_and_back_while_it_was_stopped_makes_no_second_signature() {
    type Move = fn(&TestEnv);
    let ways: [(&str, Move, Move); 3] = [
        ("the directory", move_and_copy, move_back),
        (
            "a link to it",
            |env| {
                let (link, copy) = (env.records(), env.path.join("copy"));
                std::fs::rename(&link, env.path.join("link.moved")).unwrap();
                assert!(Command::new("cp").arg("-a").args([moved(env), copy.clone()]).status().unwrap().success());
                std::os::unix::fs::symlink(copy, link).unwrap();
            },
            |env| std::fs::rename(env.path.join("link.moved"), env.records()).unwrap(),
        ),
        (
            "the target of a link",
            |env| {
                let away = env.path.join("away");
                std::fs::rename(moved(env), &away).unwrap();
                assert!(Command::new("cp").arg("-a").args([away, moved(env)]).status().unwrap().success());
            },
            |env| {
                std::fs::remove_dir_all(moved(env)).unwrap();
                std::fs::rename(env.path.join("away"), moved(env)).unwrap();
            },
        ),
    ];
    for (what, away, back) in ways {
        let env = TestEnv::new();
        env.open_one_session();
        let key = env.tz3();
        if what.contains("link") {
            std::fs::rename(env.records(), moved(&env)).unwrap();
            std::os::unix::fs::symlink(moved(&env), env.records()).unwrap();
        }
        let first = Signer::start(&env);
        first.signature(&key, &block(FLOOR + 1, 0, 1));
        first.freeze();
        away(&env);
        let rival = Signer::start(&env);
        rival.signature(&key, &block(FLOOR + 2, 0, 2));
        drop(rival);
        back(&env);
        first.thaw();
        for payload in [block(FLOOR + 2, 0, 1), block(FLOOR + 1, 0, 1), attestation(FLOOR + 3, 0, 1)] {
            refuses(&first, &env, &payload);
        }
        println!("refused: {what}");
    }
}

#[test]
fn a_directory_above_that_was_moved_away_and_back_is_noticed() {
    in_own_process(async |env| {
        let above = env.path.join("above");
        std::fs::create_dir_all(above.join("records")).unwrap();
        permit(&above.join("records"), 0o700);
        let store = FileStore::open(&above.join("records")).unwrap();
        std::fs::write(env.path.join("other"), "").unwrap();
        store.check_place().unwrap();
        std::fs::rename(&above, env.path.join("away")).unwrap();
        std::fs::rename(env.path.join("away"), &above).unwrap();
        for _ in 0..2 {
            assert!(matches!(store.check_place(), Err(StoreError::Displaced { .. })));
        }
    });
}

/// Whatever came into its place meanwhile. A new process takes it as it is.
#[test]
fn a_directory_that_is_moved_and_linked_to_is_good_for_the_next_process() {
    let env = TestEnv::new();
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    let signer = Signer::start(&env);
    let signature = signer.signature(&key, &vote);
    std::fs::rename(env.records(), moved(&env)).unwrap();
    std::os::unix::fs::symlink(moved(&env), env.records()).unwrap();
    refuses(&signer, &env, &vote);
    assert!(Signer::start_failing(&env, &[]).contains("another process uses the watermark directory"));
    drop(signer);
    assert_eq!(Signer::start(&env).signature(&key, &vote), signature);
}

fn floor(level: u32) -> Record {
    Record::starting_above(Level::try_from(i64::from(level)).unwrap())
}

#[test]
fn an_edit_by_hand_has_no_effect_in_a_directory_that_was_moved_and_says_so() {
    in_own_process(async |env| {
        let name = env.tz3().record_name();
        let deadline = Instant::now() + Duration::from_secs(5);
        let editor = FileStore::open_to_edit(&env.records()).unwrap();
        let read = editor.read(&name, deadline).await.unwrap();
        move_and_copy(&env);
        let refused = editor.replace(&name, &read, &floor(FLOOR + 5), &Lease::default(), deadline).await;
        assert!(matches!(refused, Err(StoreError::Displaced { .. })), "{refused:?}");
        assert!(matches!(editor.read(&name, deadline).await, Err(StoreError::Displaced { .. })));
        for directory in [env.records(), moved(&env)] {
            let there = FileStore::open_to_read(&directory).unwrap().read(&name, deadline).await.unwrap();
            assert_eq!(there.record, read.record);
        }
    });
}

/// `suspend` promises that nothing is signed from the moment that it succeeds.
#[test]
fn a_suspend_that_was_stopped_while_the_directory_was_moved_does_not_succeed() {
    let env = TestEnv::new();
    // The first one is of what it reads, before it writes.
    let calls = "fsync";
    let mut traced = Command::new("strace");
    traced.args(["-f", "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:signal=SIGSTOP:when=1")]);
    traced.arg("-o").arg(env.path.join("trace")).arg(env!("CARGO_BIN_EXE_tezos-signer"));
    traced.args(["watermarks", "suspend", "--config"]).arg(env.config_file());
    let child = traced.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let trace = || std::fs::read_to_string(env.path.join("trace")).unwrap_or_default();
    wait_for("the stop", || trace().contains("stopped by SIGSTOP").then_some(()));
    move_and_copy(&env);
    let stopped: i32 = trace().split(' ').next().unwrap().parse().unwrap();
    let stopped = rustix::process::Pid::from_raw(stopped).unwrap();
    rustix::process::kill_process(stopped, rustix::process::Signal::CONT).unwrap();
    let ended = child.wait_with_output().unwrap();
    let output = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && output.contains("was moved or replaced"), "{output}");
    assert_eq!(env.row(&env.tz3(), "suspend"), "");
}

/// A relative path means the directory that it meant at the start, and not one below the working directory, wherever that is moved.
#[test]
fn a_directory_by_a_relative_path_is_replaced_with_the_one_above_it() {
    in_own_process(async |env| {
        let (above, name) = (env.path.join("above"), env.tz3().record_name());
        std::fs::create_dir_all(above.join("records")).unwrap();
        permit(&above.join("records"), 0o700);
        std::env::set_current_dir(&above).unwrap();
        let store = FileStore::open(Path::new("records")).unwrap();
        store.create(&name, &floor(FLOOR)).await.unwrap();
        store.check_place().unwrap();
        std::fs::rename(&above, env.path.join("above.moved")).unwrap();
        let copied = Command::new("cp").arg("-a").args([env.path.join("above.moved"), above]).status().unwrap();
        assert!(copied.success());
        assert!(matches!(store.check_place(), Err(StoreError::Displaced { .. })));
    });
}
