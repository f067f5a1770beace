//! The right to write the records, where another process has it: who waits for it gives up at its deadline, and whoever has it for a
//! moment only costs that moment.

use crate::test_env::{FLOOR, TestEnv};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;
use tezos_signer::store::{FileStore, Snapshot, Store, StoreError};
use tezos_signer_core::record::{Lease, RecordFile, RecordName};
use tokio::runtime::Builder;
use tokio::time::Instant;

/// Much more than any write of these may wait: one that never gives up is found out, and waited for no longer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// For how long another process has the right to write, where it gives it back.
const MOMENT: Duration = Duration::from_millis(300);

/// The lock that whoever writes to a file has: of the record's, or of the directory while a file comes into its place.
fn locked(path: &Path) -> File {
    let file = File::open(path).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

/// Gives it back after [`MOMENT`].
fn unlocked_soon(lock: File) -> JoinHandle<()> {
    std::thread::spawn(move || {
        std::thread::sleep(MOMENT);
        drop(lock);
    })
}

/// What a write of `store` ends with, and after how long.
fn end_of<T: Send + 'static>(
    env: &TestEnv,
    write: impl AsyncFnOnce(FileStore, RecordName) -> Result<T, StoreError> + Send + 'static,
) -> (Result<T, StoreError>, Duration) {
    let (store, name) = (FileStore::open(&env.records()).unwrap(), env.tz3().record_name());
    let (sender, result) = channel();
    let started = Instant::now();
    // Ends with the test's process, where nothing else ends it.
    std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        // Nobody listens any more once it took too long.
        let _ = sender.send(runtime.block_on(write(store, name)));
    });
    (result.recv_timeout(TIME_LIMIT).expect("it never gives up"), started.elapsed())
}

/// Replaces the record by a higher one, within `time`.
fn replaced_within(env: &TestEnv, time: Duration) -> (Result<Snapshot, StoreError>, Duration) {
    end_of(env, async move |store, name| {
        let deadline = Instant::now() + time;
        let basis = store.read(&name, deadline).await?;
        let higher = basis.record.raised_to((i64::from(FLOOR) + 1).try_into().unwrap());
        store.replace(&name, &basis, &higher, &Lease::default(), deadline).await
    })
}

/// Makes a record where there is none.
fn created(env: &TestEnv) -> (Result<(), StoreError>, Duration) {
    let file = env.record_file(&env.tz3());
    let record = RecordFile::parse(std::fs::read_to_string(&file).unwrap()).unwrap().record().clone();
    std::fs::remove_file(file).unwrap();
    end_of(env, async move |store, name| store.create(&name, &record).await)
}

#[test]
fn a_commit_ends_at_its_deadline_while_another_process_has_the_right_to_write() {
    let env = TestEnv::new();
    let key = env.tz3();
    let before = env.row(&key, "attestation");
    for is_plain in [false, true] {
        if is_plain {
            env.make_plain(&key);
        }
        let _lock = locked(&if is_plain { env.records() } else { env.record_file(&key) });
        let time = Duration::from_millis(400);
        let (ended, took) = replaced_within(&env, time);
        assert!(matches!(ended, Err(StoreError::FileLocked(_))), "{:?}", ended.err());
        assert!(took >= time, "it gave up early: {took:?}");
        assert_eq!(env.row(&key, "attestation"), before);
    }
}

#[test]
fn a_commit_waits_for_whoever_has_the_right_to_write_for_a_moment() {
    let env = TestEnv::new();
    let _other = unlocked_soon(locked(&env.record_file(&env.tz3())));
    let (ended, took) = replaced_within(&env, TIME_LIMIT / 2);
    ended.unwrap();
    assert!(took >= MOMENT / 2, "it did not wait: {took:?}");
}

#[test]
fn a_record_is_made_after_a_moments_wait_and_not_waited_for_for_ever() {
    let env = TestEnv::new();
    let _other = unlocked_soon(locked(&env.records()));
    created(&env).0.unwrap();

    let _lock = locked(&env.records());
    let (ended, took) = created(&env);
    assert!(matches!(ended, Err(StoreError::FileLocked(_))), "{ended:?}");
    assert!(took < TIME_LIMIT / 2, "{took:?}");
}
