//! Who serves a record, and when another takes over, with a real token. What needs no signature is in [`lease_clock`](crate::lease_clock).

use crate::faulty_store::{Fault, FaultyStore};
use crate::own_process::in_own_process;
use crate::payload::attestation;
use crate::signing_path::{InProcessSigner, until};
use crate::test_env::{FLOOR, TestEnv};
use std::sync::Arc;
use std::time::Duration;
use tezos_signer::lease;
use tezos_signer::records::session::LeaseTerms;
use tezos_signer_core::record::Lease;
use tokio::time::Instant;

pub(crate) const DURATION: Duration = Duration::from_secs(2);

/// A running signer by the name of `identity`, which does not wait for the lease here.
async fn signer(env: &TestEnv, store: &Arc<FaultyStore>, identity: &str) -> InProcessSigner {
    let terms = LeaseTerms { identity: identity.to_owned(), address: None, duration: DURATION };
    let in_process = InProcessSigner::new(env, store, Some(terms)).await;
    tokio::spawn(lease::keep(in_process.signer.clone()));
    in_process
}

pub(crate) async fn held_by(store: &FaultyStore, identity: &str) {
    until(&format!("held by {identity:?}"), async || store.lease().await.holder_identity == identity).await;
}

pub(crate) async fn set(store: &FaultyStore, env: &TestEnv, lease: Lease) {
    store.set_lease(&env.tz3().record_name(), |current| *current = lease).await;
}

pub(crate) fn held(holder: &str, preferred: &str) -> Lease {
    Lease {
        holder_identity: holder.to_owned(),
        preferred_holder: preferred.to_owned(),
        lease_duration_seconds: 2,
        ..Lease::default()
    }
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
