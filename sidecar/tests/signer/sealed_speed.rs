//! What a vote of a tz4 key costs beside its store: votes through the whole process, and bare writes of the same store, by turns in one run.

use crate::kms_speed::median;
use crate::sealed_env::SealedEnv;
use pkcs11_faults::control::Control;
use std::time::{Duration, Instant};
use tezos_signer::store::{FileStore, Store as _};
use tezos_signer_core::key::ChainId;
use tezos_signer_core::record::Record;

const VOTES: u32 = 200;

/// The level of the first vote: the records of the environment are below.
const LEVEL: u32 = 15_181_100;

fn vote(level: u32) -> Vec<u8> {
    let head = [&[0x13][..], ChainId::MAINNET.as_bytes(), &[0x11; 32], &[41]].concat();
    [&head[..], &level.to_be_bytes(), &[0; 4], &[0x22; 32]].concat()
}

#[test]
#[ignore = "measures times, and so needs the machine for itself: make bench-rust runs it alone"]
fn a_vote_adds_at_most_two_milliseconds_to_the_write_of_its_store() {
    let sealed = SealedEnv::new(&Control::default());
    let signer = sealed.start();
    let key = sealed.consensus();
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let store = FileStore::open(directory.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let deadline = || tokio::time::Instant::now() + Duration::from_secs(10);
    let record = |level: u32| Record::starting_above(i64::from(level).try_into().unwrap());
    runtime.block_on(store.create(&key.record_name(), &record(LEVEL))).unwrap();
    let mut written = runtime.block_on(store.read(&key.record_name(), deadline())).unwrap();
    let (mut votes, mut writes) = (Vec::new(), Vec::new());
    for level in LEVEL..LEVEL + VOTES {
        let (payload, begin) = (vote(level), Instant::now());
        let answer = signer.sign(&key, &payload);
        votes.push(begin.elapsed());
        answer.signature(&key, &payload);
        let begin = Instant::now();
        let (name, next) = (key.record_name(), record(level + 1));
        let write = store.replace(&name, &written, &next, &written.lease, deadline());
        written = runtime.block_on(write).unwrap();
        writes.push(begin.elapsed());
    }
    let (vote, write) = (median(votes), median(writes));
    let added = vote.saturating_sub(write);
    println!("a tz4 vote: {vote:?}, a bare write of its store: {write:?}, so {added:?} are added");
    // Our own code is not optimised otherwise.
    assert!(added <= Duration::from_millis(2) || cfg!(debug_assertions), "{added:?}");
}
