//! Who serves a record, and when another takes over. The times are the signer's own; what is waited for is polled.

use crate::faulty_store::{Fault, FaultyStore};
use crate::own_process::in_own_process;
use crate::payload::attestation;
use crate::signing_path::{InProcessSigner, until};
use crate::test_env::{FLOOR, TestEnv};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer::keyring::Key;
use tezos_signer::lease;
use tezos_signer::records::session::LeaseTerms;
use tezos_signer_core::record::Lease;

const DURATION: Duration = Duration::from_secs(2);

/// A running signer by the name of `identity`, which does not wait for the lease here.
async fn signer(env: &TestEnv, store: &Arc<FaultyStore>, identity: &str) -> InProcessSigner {
    let terms = LeaseTerms { identity: identity.to_owned(), address: None, duration: DURATION };
    let in_process = InProcessSigner::new(env, store, Some(terms)).await;
    tokio::spawn(lease::keep(in_process.signer.clone()));
    in_process
}

async fn held_by(store: &FaultyStore, identity: &str) {
    until(&format!("held by {identity:?}"), async || store.lease().await.holder_identity == identity).await;
}

async fn set(store: &FaultyStore, env: &TestEnv, lease: Lease) {
    store.set_lease(&env.tz3().record_name(), |current| *current = lease).await;
}

fn held(holder: &str, preferred: &str) -> Lease {
    Lease {
        holder_identity: holder.to_owned(),
        preferred_holder: preferred.to_owned(),
        lease_duration_seconds: 2,
        ..Lease::default()
    }
}

/// The key with its record, to be configured again.
fn configured(in_process: &InProcessSigner) -> Key {
    let key = in_process.signer.key(&in_process.key.hash()).unwrap();
    Key::new(key.config.clone(), key.record.clone(), key.authorized_keys.clone())
}

#[test]
fn a_free_lease_is_taken_at_once_renewed_while_idle_and_let_go_at_the_end() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        let started = Instant::now();
        let first = signer(&env, &store, "first").await;
        held_by(&store, "first").await;
        assert!(started.elapsed() < DURATION, "{:?}", started.elapsed());
        assert_eq!(store.lease().await.lease_duration_seconds, 2);
        let taken = store.lease().await.renew_time;
        until("a renewal", async || store.lease().await.renew_time > taken).await;
        first.sign(&attestation(FLOOR + 1, 0, 1)).await.unwrap();

        let second = signer(&env, &store, "second").await;
        let refused = second.sign(&attestation(FLOOR + 2, 0, 1)).await.unwrap_err();
        assert_eq!(refused.status(), 502, "{refused}");
        first.signer.close();
        // The API server is busy: it is asked again.
        store.fail_next([Fault::RequestLost, Fault::AnswerLost]);
        assert!(lease::release(&first.signer, DURATION).await);
        let released = Instant::now();
        held_by(&store, "second").await;
        assert!(released.elapsed() < DURATION, "{:?}: it need not wait for the lease to run out", released.elapsed());
        second.sign(&attestation(FLOOR + 2, 0, 1)).await.unwrap();
        first.sign(&attestation(FLOOR + 3, 0, 1)).await.unwrap_err();
    });
}

#[test]
fn a_silent_holder_is_replaced_after_the_lease_and_one_that_renews_never() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        set(&store, &env, held("holder", "")).await;
        signer(&env, &store, "standby").await;
        // Signs of life, for longer than the lease.
        let started = Instant::now();
        while started.elapsed() < DURATION * 3 / 2 {
            store.set_lease(&env.tz3().record_name(), |lease| assert_eq!(lease.holder_identity, "holder")).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let silent = Instant::now();
        held_by(&store, "standby").await;
        let waited = silent.elapsed();
        assert!(waited + Duration::from_millis(300) >= DURATION, "took over after {waited:?}");
        assert!(waited < DURATION * 2, "took over after {waited:?}");
    });
}

#[test]
fn who_takes_over_after_the_named_one_did_not_come_keeps_the_lease() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        set(&store, &env, held("unreachable", "gone as well")).await;
        let survivor = signer(&env, &store, "survivor").await;
        held_by(&store, "survivor").await;
        assert_eq!(store.lease().await.preferred_holder, "");
        for level in 1..8 {
            survivor.sign(&attestation(FLOOR + level, 0, 1)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
}

#[test]
fn a_preferred_holder_takes_over_at_once_and_the_other_lets_go() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        set(&store, &env, held("unreachable", "replacement")).await;
        let started = Instant::now();
        let replacement = signer(&env, &store, "replacement").await;
        held_by(&store, "replacement").await;
        assert!(started.elapsed() < DURATION, "{:?}", started.elapsed());
        assert_eq!(store.lease().await.preferred_holder, "replacement", "what the operator wrote stays");
        replacement.sign(&attestation(FLOOR + 1, 0, 1)).await.unwrap();

        // Now the operator names another one.
        store.set_lease(&env.tz3().record_name(), |lease| lease.preferred_holder = "another".to_owned()).await;
        held_by(&store, "").await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(store.lease().await.holder_identity, "", "it does not take what another one shall have");
        replacement.sign(&attestation(FLOOR + 2, 0, 1)).await.unwrap_err();
    });
}

#[test]
fn a_holder_whose_token_is_gone_lets_go_and_competes_again_only_when_it_is_back() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        let in_process = signer(&env, &store, "holder").await;
        held_by(&store, "holder").await;

        let away = env.path.join("tokens-away");
        std::fs::rename(env.tokens(), &away).unwrap();
        let broken = Instant::now();
        let mut level = FLOOR;
        until("the lease is let go", async || {
            level += 1;
            let error = in_process.sign(&attestation(level, 0, 1)).await.unwrap_err();
            assert_eq!(error.status(), 502, "{error}");
            store.lease().await.holder_identity.is_empty()
        })
        .await;
        assert!(broken.elapsed() >= Duration::from_secs(2), "after {:?}: too soon", broken.elapsed());
        assert!(broken.elapsed() < Duration::from_secs(5), "after {:?}: too late", broken.elapsed());
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(store.lease().await.holder_identity, "");

        std::fs::rename(&away, env.tokens()).unwrap();
        held_by(&store, "holder").await;
        until("signing again", async || {
            level += 1;
            in_process.sign(&attestation(level, 0, 1)).await.is_ok()
        })
        .await;
    });
}

#[test]
fn a_holder_that_is_not_asked_for_anything_notices_too_that_its_token_is_gone() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        let in_process = signer(&env, &store, "holder").await;
        held_by(&store, "holder").await;
        let away = env.path.join("tokens-away");
        std::fs::rename(env.tokens(), &away).unwrap();
        held_by(&store, "").await;
        std::fs::rename(&away, env.tokens()).unwrap();
        held_by(&store, "holder").await;
        in_process.sign(&attestation(FLOOR + 1, 0, 1)).await.unwrap();
    });
}

#[test]
fn a_lease_that_is_its_own_already_needs_no_taking() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        set(&store, &env, held("pod", "")).await;
        let in_process = signer(&env, &store, "pod").await;
        let vote = attestation(FLOOR + 1, 0, 1);
        in_process.sign(&vote).await.unwrap();
        assert_eq!(store.lease().await.leader_transitions, 0);
    });
}

/// INVARIANT L3: Two tasks for one lease, of which one keeps it, would take back what the other lets go.
#[test]
fn a_lease_that_was_let_go_with_its_key_stays_free() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        let in_process = signer(&env, &store, "holder").await;
        held_by(&store, "holder").await;
        let key = configured(&in_process);
        in_process.signer.configure([]);
        held_by(&store, "").await;
        let (reads, writes) = (store.reads(), store.writes());
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(store.lease().await.holder_identity, "");
        assert_eq!((store.reads(), store.writes()), (reads, writes), "nobody looks at it any more");

        // It comes back with its key.
        in_process.signer.configure([key]);
        held_by(&store, "holder").await;
        in_process.sign(&attestation(FLOOR + 1, 0, 1)).await.unwrap();
    });
}

#[test]
fn a_key_that_comes_back_before_its_lease_was_released_keeps_it() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        let in_process = signer(&env, &store, "holder").await;
        held_by(&store, "holder").await;
        let key = configured(&in_process);
        in_process.signer.configure([]);
        tokio::time::sleep(Duration::from_millis(200)).await;
        in_process.signer.configure([key]);
        // Much longer than the release waits for requests in flight.
        let end = Instant::now() + DURATION * 2;
        while Instant::now() < end {
            let lease = store.lease().await;
            assert_eq!((&*lease.holder_identity, lease.leader_transitions), ("holder", 1));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        in_process.sign(&attestation(FLOOR + 1, 0, 1)).await.unwrap();
    });
}

/// INVARIANT L2: What a watch says may be old: it is a reason to read the record, and no reason to take it.
#[test]
fn a_standby_that_is_told_of_a_free_lease_reads_the_record_and_takes_nothing_that_is_held() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        set(&store, &env, held("holder", "")).await;
        signer(&env, &store, "standby").await;
        let before = store.reads();
        let started = Instant::now();
        let mut hints = 0;
        while started.elapsed() < DURATION {
            // The holder lives.
            store.set_lease(&env.tz3().record_name(), |lease| assert_eq!(lease.holder_identity, "holder")).await;
            for lease in [Lease::default(), held("", "standby"), held("holder", "standby")] {
                store.hint(lease);
                hints += 1;
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        }
        assert_eq!(store.lease().await.leader_transitions, 0);
        // Without a hint it reads every 250 ms.
        let reads = store.reads() - before;
        assert!(reads > hints / 2, "{reads} reads after {hints} hints");
    });
}

#[test]
fn a_standby_reads_four_times_a_second_and_less_while_a_watch_tells_it_of_each_change() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        set(&store, &env, Lease { lease_duration_seconds: 60, ..held("holder", "") }).await;
        signer(&env, &store, "standby").await;
        until("it looks", async || store.reads() > 2).await;
        let reads_in = async |time: Duration| {
            let before = store.reads();
            tokio::time::sleep(time).await;
            store.reads() - before
        };
        let reads = reads_in(Duration::from_millis(1500)).await;
        assert!((1..=8).contains(&reads), "{reads} reads in 1.5 s without news");

        // Once a watch has told of something, the next read is due when the holder's renewal is missing: a third of the lease later.
        store.hint(held("holder", ""));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let reads = reads_in(Duration::from_millis(500)).await;
        assert!(reads <= 1, "{reads} reads in half a second after news");
        until("it looks again", async || reads_in(Duration::from_secs(1)).await > 2).await;
    });
}

#[test]
fn an_idle_holder_renews_three_times_in_the_time_of_a_lease() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        signer(&env, &store, "holder").await;
        held_by(&store, "holder").await;
        let (before, time) = (store.writes(), DURATION * 2);
        tokio::time::sleep(time).await;
        // Six are due. A busy machine may delay some, and none comes early.
        let renewals = store.writes() - before;
        assert!((3..=7).contains(&renewals), "{renewals} renewals in {time:?}");
        assert_eq!(store.lease().await.leader_transitions, 1, "nobody else could take it");
    });
}

/// Turns go in the order of asking, so that the renewal comes however many requests wait.
#[test]
fn a_holder_renews_while_its_record_is_never_free() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        let in_process = signer(&env, &store, "holder").await;
        held_by(&store, "holder").await;
        let before = store.writes();
        let end = Instant::now() + DURATION * 2;
        // Each asks for the next turn before it gives its own back.
        let requests = (0..2).map(|_| {
            let session = in_process.record_session();
            tokio::spawn(async move {
                while Instant::now() < end {
                    let turn = session.lock(end + DURATION).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    drop(turn);
                }
            })
        });
        futures::future::join_all(requests).await;
        // Six are due.
        let renewals = store.writes() - before;
        assert!(renewals >= 3, "{renewals} renewals");
        assert_eq!(store.lease().await.leader_transitions, 1);
    });
}
