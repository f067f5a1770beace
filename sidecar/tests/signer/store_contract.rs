//! What every store promises: the same tests for the files and the ConfigMaps, and below what only a connection can do. The
//! ConfigMap half is tried on a server that answers as an API server does, and on a real one where one is named:
//! `E2E_KUBECONFIG=<file> cargo test -p tezos-signer`.

use crate::api_server::{self, ApiServer};
use crate::faulty_store::deadline;
use crate::own_process::in_own_process;
use crate::scripted_api::{NAMESPACE, ScriptedApi};
use crate::test_env::TestEnv;
use futures::StreamExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer::store::{ConfigMapStore, FileStore, Store, StoreError};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::{Lease, Record, RecordName};

fn floor(level: i64) -> Record {
    Record::starting_above(Level::try_from(level).unwrap())
}

/// A new file store, a new ConfigMap store on a scripted server, and one on a real API server where there is one.
async fn on_every_store(env: &TestEnv, check: impl AsyncFn(Arc<dyn Store>, RecordName)) {
    let directory = tempfile::tempdir_in(&env.path).unwrap();
    let name = env.tz3().record_name();
    check(Arc::new(FileStore::open(directory.path()).unwrap()), name.clone()).await;
    let _scripted = ScriptedApi::offer(env).await;
    check(Arc::new(ConfigMapStore::connect(NAMESPACE).await.unwrap()), name.clone()).await;
    if let Some(kubeconfig) = api_server::real() {
        let server = ApiServer::with_namespace(kubeconfig).await;
        server.offer(env);
        check(Arc::new(ConfigMapStore::connect(&server.namespace).await.unwrap()), name).await;
    }
}

#[test]
fn a_record_that_is_not_there_is_missing_and_is_made_once() {
    in_own_process(async |env| {
        on_every_store(&env, async |store, name| {
            let missing = store.read(&name, deadline()).await;
            assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
            store.create(&name, &floor(5)).await.unwrap();
            for again in [floor(5), floor(4), Record::fresh()] {
                let exists = store.create(&name, &again).await;
                assert!(matches!(exists, Err(StoreError::Exists(_))), "{exists:?}");
            }
            assert_eq!(store.read(&name, deadline()).await.unwrap().record, floor(5));
        })
        .await;
    });
}

/// Where others can sign by the same records, a lease is needed: a ConfigMap is nobody's alone.
#[test]
fn only_files_are_one_processs_alone() {
    in_own_process(async |env| {
        let directory = tempfile::tempdir_in(&env.path).unwrap();
        assert!(FileStore::open(directory.path()).unwrap().is_exclusive());
        assert!(!FileStore::open_to_edit(directory.path()).unwrap().is_exclusive());
        let _scripted = ScriptedApi::offer(&env).await;
        assert!(!ConfigMapStore::connect(NAMESPACE).await.unwrap().is_exclusive());
    });
}

#[test]
fn a_replacement_returns_what_the_store_has() {
    in_own_process(async |env| {
        on_every_store(&env, async |store, name| {
            store.create(&name, &floor(5)).await.unwrap();
            let mut basis = store.read(&name, deadline()).await.unwrap();
            let unchanged = store.read(&name, deadline()).await.unwrap();
            assert!(basis.is_same_state(&unchanged));
            // Each one is the basis of the next.
            for level in 6..9 {
                let holder = format!("pod-{level}");
                let lease = Lease { holder_identity: holder.clone(), ..Lease::default() };
                let written = store.replace(&name, &basis, &floor(level), &lease, deadline()).await.unwrap();
                let read = store.read(&name, deadline()).await.unwrap();
                assert!(written.is_same_state(&read) && !written.is_same_state(&basis));
                assert_eq!((&written.record, &read.record), (&floor(level), &floor(level)));
                assert_eq!(written.lease, read.lease);
                if !store.is_exclusive() {
                    assert_eq!(read.lease.holder_identity, holder);
                }
                basis = written;
            }
        })
        .await;
    });
}

#[test]
fn a_replacement_of_an_older_state_is_refused_and_changes_nothing() {
    in_own_process(async |env| {
        on_every_store(&env, async |store, name| {
            store.create(&name, &floor(5)).await.unwrap();
            let old = store.read(&name, deadline()).await.unwrap();
            store.replace(&name, &old, &floor(6), &Lease::default(), deadline()).await.unwrap();
            for record in [floor(7), floor(6), floor(5)] {
                let refused = store.replace(&name, &old, &record, &Lease::default(), deadline()).await;
                assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
            }
            assert_eq!(store.read(&name, deadline()).await.unwrap().record, floor(6));
        })
        .await;
    });
}

#[test]
fn of_replacements_at_the_same_time_exactly_one_wins() {
    in_own_process(async |env| {
        on_every_store(&env, async |store, name| {
            store.create(&name, &floor(5)).await.unwrap();
            for round in 0..20 {
                let basis = store.read(&name, deadline()).await.unwrap();
                let rivals: Vec<_> = (0..8)
                    .map(|rival| {
                        let (store, name, basis) = (store.clone(), name.clone(), basis.clone());
                        let record = floor(1000 * (round + 1) + rival);
                        tokio::spawn(async move {
                            (store.replace(&name, &basis, &record, &Lease::default(), deadline()).await, record)
                        })
                    })
                    .collect();
                let mut winners = Vec::new();
                for rival in rivals {
                    match rival.await.unwrap() {
                        (Ok(written), record) => {
                            assert_eq!(written.record, record);
                            winners.push(record);
                        }
                        (Err(StoreError::Conflict(_)), _) => {}
                        (Err(other), _) => panic!("{other}"),
                    }
                }
                assert_eq!(winners.len(), 1, "round {round}");
                assert_eq!(store.read(&name, deadline()).await.unwrap().record, winners[0]);
            }
        })
        .await;
    });
}

#[test]
fn a_dead_connection_costs_one_call_and_no_more() {
    in_own_process(async |env| {
        let server = ApiServer::with_namespace(api_server::named()).await;
        let proxy = server.offer_through_proxy(&env).await;
        let name = env.tz3().record_name();
        ConfigMapStore::connect(&server.namespace).await.unwrap().create(&name, &floor(5)).await.unwrap();
        // Three connections are kept for later calls, and all of them will be dead. Three reads at once are not enough for that: one that
        // is answered soon gives its connection to another read, whose own is made all the same, at any time. So none is answered
        // before all three have theirs. On a busy machine that may take longer than a call may.
        let store = loop {
            let store = ConfigMapStore::connect(&server.namespace).await.unwrap();
            proxy.hold_answers_until(proxy.connections() + 3);
            let read = || store.read(&name, deadline());
            if let (Ok(_), Ok(_), Ok(_)) = tokio::join!(read(), read(), read()) {
                break store;
            }
        };
        proxy.hold_answers_until(0);

        proxy.stall();
        let started = Instant::now();
        let lost = store.read(&name, deadline()).await;
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        // By its own time, not by that of the request: how long that is, the store's own test says.
        assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
        // A new connection may be slow too, but no dead one is used again.
        while store.read(&name, deadline()).await.is_err() {}
        assert_eq!(proxy.lost_requests(), 1, "requests that went into a dead connection");
    });
}

#[test]
fn a_write_whose_answer_was_cut_off_is_an_error_and_a_read_tells_what_became_of_it() {
    in_own_process(async |env| {
        let server = ApiServer::with_namespace(api_server::named()).await;
        let proxy = server.offer_through_proxy(&env).await;
        let (store, name) = (ConfigMapStore::connect(&server.namespace).await.unwrap(), env.tz3().record_name());
        store.create(&name, &floor(5)).await.unwrap();
        let basis = store.read(&name, deadline()).await.unwrap();

        proxy.cut_next_answer();
        let cut = store.replace(&name, &basis, &floor(6), &Lease::default(), deadline()).await;
        assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{cut:?}");
        let read = store.read(&name, deadline()).await.unwrap();
        assert_eq!(read.record, floor(6), "committed, and exactly once");
        let again = store.replace(&name, &basis, &floor(7), &Lease::default(), deadline()).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    });
}

#[test]
fn a_watch_tells_whose_the_lease_is_after_each_change() {
    in_own_process(async |env| {
        let directory = tempfile::tempdir_in(&env.path).unwrap();
        let (files, name) = (FileStore::open(directory.path()).unwrap(), env.tz3().record_name());
        files.create(&name, &floor(5)).await.unwrap();
        let seen = files.read(&name, deadline()).await.unwrap();
        assert!(files.watch(&name, &seen).is_none(), "files are looked at");

        let server = ApiServer::with_namespace(api_server::named()).await;
        server.offer(&env);
        let store = ConfigMapStore::connect(&server.namespace).await.unwrap();
        store.create(&name, &floor(5)).await.unwrap();
        let first = store.read(&name, deadline()).await.unwrap();
        let mut basis = first.clone();
        let mut hints = store.watch(&name, &first).unwrap();
        for holder in ["a", "b", ""] {
            let lease = Lease { holder_identity: holder.to_owned(), ..Lease::default() };
            basis = store.replace(&name, &basis, &floor(5), &lease, deadline()).await.unwrap();
            let hint = tokio::time::timeout(Duration::from_secs(5), hints.next()).await.unwrap();
            assert_eq!(hint.unwrap().holder_identity, holder);
        }
        // One that begins later is told what it has missed.
        let hint = store.watch(&name, &first).unwrap().next().await;
        assert_eq!(hint.unwrap().holder_identity, "a");
    });
}
