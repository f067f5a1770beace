//! When leases are taken, renewed and released, on a clock that stands still while there is work to do: each time is exact and costs nothing.
//! The records are real files. The key is in memory, because a token's threads do not follow this clock; nothing is signed for the same
//! reason (the audit log has a thread too).

use crate::faulty_store::FaultyStore;
use crate::lease::{DURATION, held, held_by, set};
use crate::memory_keystore::InMemory;
use crate::signing_path::until;
use crate::test_env::TestEnv;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer::audit::AuditLog;
use tezos_signer::keyring::Key;
use tezos_signer::keystore::Keystore as _;
use tezos_signer::lease;
use tezos_signer::metrics::Metrics;
use tezos_signer::records::session::{LeaseTerms, RecordSession};
use tezos_signer::signing::Signer;
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::config::AuditConfig;
use tezos_signer_core::record::Lease;
use tokio::time::{Instant, sleep};

/// The deadline of requests, which a key's lease outlives its configuration by.
const REQUEST: Duration = Duration::from_millis(1500);

/// How often a standby reads without news.
const READ: Duration = Duration::from_millis(250);

/// A running signer of one key by the name of `identity`.
fn signer(env: &TestEnv, store: &Arc<FaultyStore>, identity: &str) -> Arc<Signer> {
    let key = env.tz3();
    let keystore = Arc::new(InMemory::new([7; 32]));
    keystore.configure(std::slice::from_ref(&key));
    let terms = LeaseTerms { identity: identity.to_owned(), address: None, duration: DURATION };
    let session = Arc::new(RecordSession::new(key.record_name(), store.clone(), Some(terms)));
    let keys = [Key::new(key, session, AuthorizedKeys::default())];
    let audit = AuditLog::start(&AuditConfig::default(), "a-test").unwrap();
    let signer = Arc::new(Signer::new(keys, keystore, audit, Metrics::new().unwrap(), REQUEST));
    tokio::spawn(lease::keep(signer.clone()));
    signer
}

/// The key with its record, to be configured again.
fn configured(env: &TestEnv, signer: &Signer) -> Key {
    let key = signer.key(&env.tz3().hash()).unwrap();
    Key::new(key.config.clone(), key.record.clone(), key.authorized_keys.clone())
}

/// Sees the holder live `times` times, 200 ms apart.
async fn renewed_by_holder(env: &TestEnv, store: &FaultyStore, times: u32) {
    for _ in 0..times {
        store.set_lease(&env.tz3().record_name(), |lease| assert_eq!(lease.holder_identity, "holder")).await;
        sleep(Duration::from_millis(200)).await;
    }
}

/// How many reads there are in `time`.
async fn reads_in(store: &FaultyStore, time: Duration) -> usize {
    let before = store.reads();
    sleep(time).await;
    store.reads() - before
}

#[tokio::test(start_paused = true)]
async fn a_silent_holder_is_replaced_after_the_lease_and_one_that_renews_never() {
    let env = TestEnv::new();
    let store = FaultyStore::leased(&env);
    set(&store, &env, held("holder", "")).await;
    signer(&env, &store, "standby");
    // For a hundred times as long as the lease.
    renewed_by_holder(&env, &store, 1000).await;
    let last_renewal = Instant::now() - Duration::from_millis(200);
    held_by(&store, "standby").await;
    let waited = last_renewal.elapsed();
    assert!(waited >= DURATION && waited <= DURATION + READ * 2, "took over after {waited:?}");
}

/// INVARIANT L3: Two tasks for one lease, of which one keeps it, would take back what the other lets go.
#[tokio::test(start_paused = true)]
async fn a_lease_that_was_let_go_with_its_key_stays_free() {
    let env = TestEnv::new();
    let store = FaultyStore::leased(&env);
    let signer = signer(&env, &store, "holder");
    held_by(&store, "holder").await;
    let key = configured(&env, &signer);
    signer.configure([]);
    held_by(&store, "").await;
    let (reads, writes) = (store.reads(), store.writes());
    sleep(DURATION * 100).await;
    assert_eq!(store.lease().await.holder_identity, "");
    assert_eq!((store.reads(), store.writes()), (reads, writes), "nobody looks at it any more");

    // It comes back with its key.
    signer.configure([key]);
    held_by(&store, "holder").await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_comes_back_before_its_lease_was_released_keeps_it() {
    let env = TestEnv::new();
    let store = FaultyStore::leased(&env);
    let signer = signer(&env, &store, "holder");
    held_by(&store, "holder").await;
    let key = configured(&env, &signer);
    signer.configure([]);
    sleep(REQUEST / 2).await;
    signer.configure([key]);
    // Much longer than the release waits for requests in flight.
    let end = Instant::now() + DURATION * 100;
    while Instant::now() < end {
        let lease = store.lease().await;
        assert_eq!((&*lease.holder_identity, lease.leader_transitions), ("holder", 1));
        sleep(Duration::from_millis(50)).await;
    }
}

/// INVARIANT L2: What a watch says may be old: it is a reason to read the record, and no reason to take it.
#[tokio::test(start_paused = true)]
async fn a_standby_that_is_told_of_a_free_lease_reads_the_record_and_takes_nothing_that_is_held() {
    let env = TestEnv::new();
    let store = FaultyStore::leased(&env);
    set(&store, &env, held("holder", "")).await;
    signer(&env, &store, "standby");
    let before = store.reads();
    let mut hints = 0;
    for _ in 0..20 {
        for lease in [Lease::default(), held("", "standby"), held("holder", "standby")] {
            store.hint(lease);
            hints += 1;
            sleep(Duration::from_millis(60)).await;
        }
        renewed_by_holder(&env, &store, 1).await;
    }
    assert_eq!(store.lease().await.leader_transitions, 0);
    let reads = store.reads() - before;
    assert!(reads >= hints, "{reads} reads after {hints} hints");
}

#[tokio::test(start_paused = true)]
async fn a_standby_reads_four_times_a_second_and_less_while_a_watch_tells_it_of_each_change() {
    let env = TestEnv::new();
    let store = FaultyStore::leased(&env);
    set(&store, &env, Lease { lease_duration_seconds: 60, ..held("holder", "") }).await;
    signer(&env, &store, "standby");
    until("it reads", async || store.reads() > 2).await;
    assert_eq!(reads_in(&store, READ * 20).await, 20, "without news");

    // After news, the next read is due when the holder's renewal is missing: a third of the lease later.
    store.hint(held("holder", ""));
    sleep(READ).await;
    assert_eq!(reads_in(&store, Duration::from_millis(600)).await, 0, "after news");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(reads_in(&store, READ * 20).await, 20, "after a renewal was missing");
}

#[tokio::test(start_paused = true)]
async fn an_idle_holder_renews_three_times_in_the_time_of_a_lease() {
    let env = TestEnv::new();
    let store = FaultyStore::leased(&env);
    let signer = signer(&env, &store, "holder");
    held_by(&store, "holder").await;
    let before = store.writes();
    sleep(DURATION * 100).await;
    let renewals = store.writes() - before;
    assert!((290..=300).contains(&renewals), "{renewals} renewals in {:?}", DURATION * 100);
    assert_eq!(store.lease().await.leader_transitions, 1, "nobody else could take it");
    drop(signer);
}

/// Turns go in the order of asking, so that the renewal comes however many requests wait.
#[tokio::test(start_paused = true)]
async fn a_holder_renews_while_its_record_is_never_free() {
    let env = TestEnv::new();
    let store = FaultyStore::leased(&env);
    let signer = signer(&env, &store, "holder");
    held_by(&store, "holder").await;
    let before = store.writes();
    let end = Instant::now() + DURATION * 10;
    // Each asks for the next turn before it gives its own back.
    let requests = (0..2).map(|_| {
        let session = signer.key(&env.tz3().hash()).unwrap().record.clone();
        tokio::spawn(async move {
            while Instant::now() < end {
                let turn = session.lock(end + DURATION).await.unwrap();
                sleep(Duration::from_millis(100)).await;
                drop(turn);
            }
        })
    });
    futures::future::join_all(requests).await;
    let renewals = store.writes() - before;
    assert!((20..=30).contains(&renewals), "{renewals} renewals; thirty are due");
    assert_eq!(store.lease().await.leader_transitions, 1);
}
