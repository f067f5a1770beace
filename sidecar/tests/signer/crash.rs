//! What remains of the promises when the process dies: killed, asked to end, or unable to bring a watermark to disk.

use crate::payload::{attestation, block, preattestation};
use crate::process::{Answer, Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::Digest;

/// Where something was signed: key, kind, level and round.
type Place = (String, usize, u32, u32);
/// A digest, and its signature.
type Signed = (String, String);

type Payload = fn(u32, u32, u8) -> Vec<u8>;

const KINDS: [(&str, Payload); 3] =
    [("block", block), ("preattestation", preattestation), ("attestation", attestation)];

#[test]
fn killed_at_any_moment_there_is_one_signature_for_a_position_and_it_is_replayed() {
    const ROUNDS: usize = 20;
    const CLIENTS: u8 = 4;
    let env = TestEnv::new();
    let keys = [env.tz3(), env.tz2()];
    let asked = Mutex::new(HashMap::<String, Vec<u8>>::new());
    let answered = Mutex::new(HashMap::<Place, Signed>::new());
    let level = AtomicU32::new(FLOOR + 1);
    let mut replayed = 0;
    for _ in 0..ROUNDS {
        let mut signer = Signer::start(&env);
        // What the last one left stored is given out again, and only that.
        for key in &keys {
            for (row, _) in KINDS {
                let text = env.row(key, row);
                let words: Vec<&str> = text.split(' ').collect();
                if let Some(payload) = asked.lock().unwrap().get(words[2]) {
                    assert_eq!(signer.signature(key, payload), words[3]);
                    note(&answered, key, row, (words[0], words[1]), (words[2], words[3]));
                    replayed += 1;
                }
            }
        }
        let stop = AtomicBool::new(false);
        let signatures = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (signer, keys, stop, asked, answered) = (&signer, &keys, &stop, &asked, &answered);
                let (level, signatures) = (&level, &signatures);
                scope.spawn(move || {
                    // All clients want another payload of the same position.
                    while !stop.load(Ordering::SeqCst) {
                        let now = level.load(Ordering::SeqCst);
                        for key in keys {
                            for (row, kind) in KINDS {
                                let payload = kind(now, 0, client);
                                let digest = Digest::of(&payload).to_string();
                                asked.lock().unwrap().insert(digest.clone(), payload.clone());
                                if let Some(answer @ Answer { status: 200, .. }) = signer.try_sign(key, &payload) {
                                    let signature = answer.signature(key, &payload);
                                    note(answered, key, row, (&now.to_string(), "0"), (&digest, &signature));
                                    signatures.fetch_add(1, Ordering::SeqCst);
                                }
                            }
                        }
                        let _ = level.compare_exchange(now, now + 1, Ordering::SeqCst, Ordering::SeqCst);
                    }
                });
            }
            wait_for("a signature", || (signatures.load(Ordering::SeqCst) > 0).then_some(()));
            // Any moment of the next 50 ms: not to wait for something, but to hit everything.
            std::thread::sleep(Duration::from_micros(RandomState::new().hash_one(0) % 50_000));
            signer.kill();
            stop.store(true, Ordering::SeqCst);
        });
        signer.ended();
    }
    assert!(replayed >= ROUNDS, "{replayed} replays");
    assert!(answered.lock().unwrap().len() >= ROUNDS);
}

/// Writes an answer down; another one for that place must not exist.
fn note(answered: &Mutex<HashMap<Place, Signed>>, key: &KeyConfig, row: &str, at: (&str, &str), signed: (&str, &str)) {
    let kind = KINDS.iter().position(|(name, _)| *name == row).unwrap();
    let place = (key.hash().to_string(), kind, at.0.parse().unwrap(), at.1.parse().unwrap());
    let signed = (signed.0.to_owned(), signed.1.to_owned());
    let mut answered = answered.lock().unwrap();
    let first = answered.entry(place.clone()).or_insert_with(|| signed.clone());
    assert_eq!(*first, signed, "two signatures at {place:?}");
}

/// A tracer that makes a system call fail or dawdle. The process goes on as before when it is dropped.
pub(crate) struct Strace {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Strace {
    /// `None`, and a word about it, where tracing is not permitted.
    pub(crate) fn attach(signer: &Signer, calls: &str, fault: &str) -> Self {
        Self::attach_with(signer, &["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{fault}")])
    }

    /// One that does what `arguments` say.
    pub(crate) fn attach_with(signer: &Signer, arguments: &[&str]) -> Self {
        let mut child = Command::new("strace")
            .args(["-f", "-p", &signer.id().to_string()])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace of the Debian package strace");
        // Read to its end, or strace would stop at a full pipe.
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let strace = Self { child, lines };
        let mut output = Vec::new();
        while let Ok(line) = strace.lines.recv() {
            if line.contains("attached") {
                return strace;
            }
            output.push(line);
        }
        panic!("strace cannot trace here, which this test needs (ptrace): {output:?}");
    }
}

impl Strace {
    /// Whether it has written such a line since this was asked last.
    pub(crate) fn has_logged(&self, words: &str) -> bool {
        self.lines.try_iter().any(|line| line.contains(words))
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_failed_fsync_ends_the_process_before_any_answer() {
    // Of a plain record, the first is of the whole new file, and the second of the directory after the rename. Later on, a write is of
    // a slot.
    for (call, nth) in [("fsync", 1), ("fsync", 2), ("fdatasync", 1)] {
        let env = TestEnv::new();
        let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
        if call == "fsync" {
            env.make_plain(&key);
        }
        let mut signer = Signer::start(&env);
        let strace = Strace::attach(&signer, call, &format!("error=EIO:when={nth}"));
        assert!(signer.try_sign(&key, &vote).is_none(), "{call} {nth} failed, and there was an answer");
        assert_eq!(signer.ended().code(), Some(74), "{call} {nth}: {}", signer.log());
        assert!(signer.log().contains("could not be written to disk"));
        drop(strace);

        let signer = Signer::start(&env);
        let signature = signer.signature(&key, &vote);
        assert_eq!(signer.signature(&key, &vote), signature);
        signer.sign(&key, &attestation(FLOOR + 1, 0, 2)).refused(409);
    }
}

/// INVARIANT R8: It may have happened all the same, and be taken back by a power loss after its text was believed.
#[test]
fn a_failed_rename_ends_the_process_before_any_answer() {
    let env = TestEnv::new();
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    env.make_plain(&key);
    let mut signer = Signer::start(&env);
    let strace = Strace::attach(&signer, "rename,renameat,renameat2", "error=EIO:when=1");
    assert!(signer.try_sign(&key, &vote).is_none(), "the rename failed, and there was an answer");
    assert_eq!(signer.ended().code(), Some(74), "{}", signer.log());
    drop(strace);
    let signer = Signer::start(&env);
    signer.signature(&key, &vote);
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_ends_well() {
    let env = TestEnv::new();
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    env.make_plain(&key);
    let mut signer = Signer::start(&env);
    let _slow_disk = Strace::attach(&signer, "fsync", "delay_enter=300000");
    let signature = std::thread::scope(|scope| {
        let in_flight = scope.spawn(|| signer.signature(&key, &vote));
        let half_written = env.record_file(&key).with_extension("new");
        wait_for("the commit", || half_written.exists().then_some(()));
        signer.terminate();
        // New ones are sent away, with the one status that a baker tries again.
        wait_for("the end to begin", || signer.log().contains("refusing new signatures").then_some(()));
        signer.sign(&env.tz2(), &vote).refused(502);
        assert_eq!(signer.admin("/readyz").status, 503);
        in_flight.join().unwrap()
    });
    assert_eq!(signer.ended().code(), Some(0), "{}", signer.log());
    assert!(env.row(&key, "attestation").ends_with(&signature));
    assert_eq!(env.row(&env.tz2(), "attestation"), format!("{FLOOR} 2147483647 - -"));
}
