//! Who serves a record, and when another takes over. The times are the signer's own; what is waited for is polled.

use crate::faulty_store::{Fault, FaultyStore};
use crate::home::{FLOOR, Home};
use crate::own_process::in_own_process;
use crate::payload::attestation;
use crate::signing_path::{Inside, until};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer::custody::LeaseTerms;
use tezos_signer::lease;
use tezos_signer_core::record::Lease;

const DURATION: Duration = Duration::from_secs(2);

/// A running signer by the name of `identity`, which does not wait for the lease here.
async fn signer(home: &Home, store: &Arc<FaultyStore>, identity: &str) -> Inside {
    let terms = LeaseTerms { identity: identity.to_owned(), address: None, duration: DURATION };
    let inside = Inside::new(home, store, Some(terms)).await;
    tokio::spawn(lease::keep(inside.signer.clone()));
    inside
}

async fn held_by(store: &FaultyStore, identity: &str) {
    until(&format!("held by {identity:?}"), async || store.lease().await.holder_identity == identity).await;
}

async fn set(store: &FaultyStore, home: &Home, lease: Lease) {
    store.set_lease(&home.tz3().record_name(), |current| *current = lease).await;
}

fn held(holder: &str, preferred: &str) -> Lease {
    Lease {
        holder_identity: holder.to_owned(),
        preferred_holder: preferred.to_owned(),
        lease_duration_seconds: 2,
        ..Lease::default()
    }
}

#[test]
fn a_free_lease_is_taken_at_once_renewed_while_idle_and_let_go_at_the_end() {
    in_own_process(async |home| {
        let store = FaultyStore::leased(&home);
        let started = Instant::now();
        let first = signer(&home, &store, "first").await;
        held_by(&store, "first").await;
        assert!(started.elapsed() < DURATION, "{:?}", started.elapsed());
        assert_eq!(store.lease().await.lease_duration_seconds, 2);
        let taken = store.lease().await.renew_time;
        until("a renewal", async || store.lease().await.renew_time > taken).await;
        first.sign(&attestation(FLOOR + 1, 0, 1)).await.unwrap();

        let second = signer(&home, &store, "second").await;
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
    in_own_process(async |home| {
        let store = FaultyStore::leased(&home);
        set(&store, &home, held("holder", "")).await;
        signer(&home, &store, "standby").await;
        // Signs of life, for longer than the lease.
        let started = Instant::now();
        while started.elapsed() < DURATION * 3 / 2 {
            store.set_lease(&home.tz3().record_name(), |lease| assert_eq!(lease.holder_identity, "holder")).await;
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
    in_own_process(async |home| {
        let store = FaultyStore::leased(&home);
        set(&store, &home, held("unreachable", "gone as well")).await;
        let survivor = signer(&home, &store, "survivor").await;
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
    in_own_process(async |home| {
        let store = FaultyStore::leased(&home);
        set(&store, &home, held("unreachable", "replacement")).await;
        let started = Instant::now();
        let replacement = signer(&home, &store, "replacement").await;
        held_by(&store, "replacement").await;
        assert!(started.elapsed() < DURATION, "{:?}", started.elapsed());
        assert_eq!(store.lease().await.preferred_holder, "replacement", "what the operator wrote stays");
        replacement.sign(&attestation(FLOOR + 1, 0, 1)).await.unwrap();

        // Now the operator names another one.
        store.set_lease(&home.tz3().record_name(), |lease| lease.preferred_holder = "another".to_owned()).await;
        held_by(&store, "").await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(store.lease().await.holder_identity, "", "it does not take what another one shall have");
        replacement.sign(&attestation(FLOOR + 2, 0, 1)).await.unwrap_err();
    });
}

#[test]
fn a_holder_whose_token_is_gone_lets_go_and_competes_again_only_when_it_is_back() {
    in_own_process(async |home| {
        let store = FaultyStore::leased(&home);
        let inside = signer(&home, &store, "holder").await;
        held_by(&store, "holder").await;

        let away = home.path.join("tokens-away");
        std::fs::rename(home.tokens(), &away).unwrap();
        let broken = Instant::now();
        let mut level = FLOOR;
        until("the lease is let go", async || {
            level += 1;
            let error = inside.sign(&attestation(level, 0, 1)).await.unwrap_err();
            assert_eq!(error.status(), 502, "{error}");
            store.lease().await.holder_identity.is_empty()
        })
        .await;
        assert!(broken.elapsed() >= Duration::from_secs(2), "after {:?}: too soon", broken.elapsed());
        assert!(broken.elapsed() < Duration::from_secs(5), "after {:?}: too late", broken.elapsed());
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(store.lease().await.holder_identity, "");

        std::fs::rename(&away, home.tokens()).unwrap();
        held_by(&store, "holder").await;
        until("signing again", async || {
            level += 1;
            inside.sign(&attestation(level, 0, 1)).await.is_ok()
        })
        .await;
    });
}

#[test]
fn a_holder_that_is_not_asked_for_anything_notices_too_that_its_token_is_gone() {
    in_own_process(async |home| {
        let store = FaultyStore::leased(&home);
        let inside = signer(&home, &store, "holder").await;
        held_by(&store, "holder").await;
        let away = home.path.join("tokens-away");
        std::fs::rename(home.tokens(), &away).unwrap();
        held_by(&store, "").await;
        std::fs::rename(&away, home.tokens()).unwrap();
        held_by(&store, "holder").await;
        inside.sign(&attestation(FLOOR + 1, 0, 1)).await.unwrap();
    });
}

#[test]
fn a_lease_that_is_its_own_already_needs_no_taking() {
    in_own_process(async |home| {
        let store = FaultyStore::leased(&home);
        set(&store, &home, held("pod", "")).await;
        let inside = signer(&home, &store, "pod").await;
        let vote = attestation(FLOOR + 1, 0, 1);
        inside.sign(&vote).await.unwrap();
        assert_eq!(store.lease().await.leader_transitions, 0);
    });
}
