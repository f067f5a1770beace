//! What every store promises: the same tests for the files and the ConfigMaps, and below what only a connection can do. The
//! ConfigMap half needs a real API server: `E2E_KUBECONFIG=<file> cargo test -p tezos-signer`.

use crate::api_server::{self, ApiServer};
use crate::faulty_store::deadline;
use crate::home::Home;
use crate::own_process::in_own_process;
use futures::StreamExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer::store::{ConfigMapStore, FileStore, Store, StoreError};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::{Lease, Record, RecordName};

fn floor(level: i64) -> Record {
    Record::starting_above(Level::try_from(level).unwrap())
}

/// A new file store, and a new ConfigMap store where there is an API server.
async fn on_every_store(home: &Home, check: impl AsyncFn(Arc<dyn Store>, RecordName)) {
    let directory = tempfile::tempdir_in(&home.path).unwrap();
    let name = home.tz3().record_name();
    check(Arc::new(FileStore::open(directory.path()).unwrap()), name.clone()).await;
    if let Some(kubeconfig) = api_server::named() {
        let server = ApiServer::with_namespace(kubeconfig).await;
        server.offer(home);
        check(Arc::new(ConfigMapStore::connect(&server.namespace).await.unwrap()), name).await;
    }
}

#[test]
fn a_record_that_is_not_there_is_missing_and_is_made_once() {
    in_own_process(async |home| {
        on_every_store(&home, async |store, name| {
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

#[test]
fn a_replacement_returns_what_the_store_has() {
    in_own_process(async |home| {
        on_every_store(&home, async |store, name| {
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
    in_own_process(async |home| {
        on_every_store(&home, async |store, name| {
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
    in_own_process(async |home| {
        on_every_store(&home, async |store, name| {
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
    in_own_process(async |home| {
        let Some(kubeconfig) = api_server::named() else { return };
        let server = ApiServer::with_namespace(kubeconfig).await;
        let proxy = server.offer_through_proxy(&home).await;
        let (store, name) = (ConfigMapStore::connect(&server.namespace).await.unwrap(), home.tz3().record_name());
        store.create(&name, &floor(5)).await.unwrap();
        // Several at once, so that several connections are kept for later calls: all of them are dead.
        let read = || store.read(&name, deadline());
        let (a, b, c) = tokio::join!(read(), read(), read());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        let connections = proxy.connections();
        assert!(connections >= 3, "{connections}");

        proxy.stall();
        let started = Instant::now();
        let lost = read().await;
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        // A request must have time for another try.
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        read().await.unwrap();
        assert_eq!(proxy.connections(), connections + 1);
    });
}

#[test]
fn a_write_whose_answer_was_cut_off_is_an_error_and_a_read_tells_what_became_of_it() {
    in_own_process(async |home| {
        let Some(kubeconfig) = api_server::named() else { return };
        let server = ApiServer::with_namespace(kubeconfig).await;
        let proxy = server.offer_through_proxy(&home).await;
        let (store, name) = (ConfigMapStore::connect(&server.namespace).await.unwrap(), home.tz3().record_name());
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
    in_own_process(async |home| {
        let directory = tempfile::tempdir_in(&home.path).unwrap();
        let (files, name) = (FileStore::open(directory.path()).unwrap(), home.tz3().record_name());
        files.create(&name, &floor(5)).await.unwrap();
        let seen = files.read(&name, deadline()).await.unwrap();
        assert!(files.watch(&name, &seen).is_none(), "files are looked at");

        let Some(kubeconfig) = api_server::named() else { return };
        let server = ApiServer::with_namespace(kubeconfig).await;
        server.offer(&home);
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
