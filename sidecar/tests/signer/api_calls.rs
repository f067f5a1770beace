//! What the ConfigMap store asks of an API server, call by call, and what it makes of each trouble: on a server that answers as one does,
//! and writes down what it was asked. What the real one does with the same calls is in `store_contract`.

use crate::faulty_store::deadline;
use crate::own_process::in_own_process;
use crate::scripted_api::{Fault, NAMESPACE, ReceivedRequest, ScriptedApi};
use crate::signing_path::until;
use crate::test_env::TestEnv;
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::time::Duration;
use tezos_signer::store::{ConfigMapStore, Snapshot, Store as _, StoreError};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::{Lease, Record, RecordName};
use tokio::time::Instant;

/// A store, its server, and a record that is there.
struct ScriptedStore {
    api: ScriptedApi,
    store: ConfigMapStore,
    name: RecordName,
}

impl ScriptedStore {
    async fn new(env: &TestEnv) -> Self {
        let api = ScriptedApi::offer(env).await;
        let (store, name) = (ConfigMapStore::connect(NAMESPACE).await.unwrap(), env.tz3().record_name());
        store.create(&name, &floor(5)).await.unwrap();
        let scripted = Self { api, store, name };
        // The connection of the creation has come back for the next call.
        scripted.read().await.unwrap();
        scripted.api.asked();
        scripted
    }

    async fn read(&self) -> Result<Snapshot, StoreError> {
        self.store.read(&self.name, deadline()).await
    }

    async fn replace(&self, basis: &Snapshot, level: i64) -> Result<Snapshot, StoreError> {
        self.store.replace(&self.name, basis, &floor(level), &held_by("me"), deadline()).await
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{}", self.name)
    }
}

fn floor(level: i64) -> Record {
    Record::starting_above(Level::try_from(level).unwrap())
}

fn held_by(identity: &str) -> Lease {
    Lease { holder_identity: identity.to_owned(), ..Lease::default() }
}

fn methods(asked: &[ReceivedRequest]) -> Vec<&str> {
    asked.iter().map(|asked| asked.method.as_str()).collect()
}

/// INVARIANT R1: A PUT with such a version, or with none, overwrites whatever is there.
#[test]
fn an_object_with_an_empty_or_zero_resource_version_or_without_uid_is_never_the_basis_of_a_write() {
    let edits: [fn(&mut Value); 6] = [
        |object| object["metadata"]["resourceVersion"] = json!(""),
        |object| object["metadata"]["resourceVersion"] = json!("0"),
        |object| drop(object["metadata"].as_object_mut().unwrap().remove("resourceVersion")),
        |object| object["metadata"]["uid"] = json!(""),
        |object| drop(object["metadata"].as_object_mut().unwrap().remove("uid")),
        |object| drop(object.as_object_mut().unwrap().remove("metadata")),
    ];
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        for (i, edit) in (0_i64..).zip(edits) {
            scripted.api.fail_next([Fault::AnswerEdited(edit)]);
            let read = scripted.read().await;
            assert!(matches!(read, Err(StoreError::Unavailable(_))), "{i}: {read:?}");
            // Nor does the answer to a write become one.
            let basis = scripted.read().await.unwrap();
            scripted.api.fail_next([Fault::AnswerEdited(edit)]);
            let written = scripted.replace(&basis, 10 + i).await;
            assert!(matches!(written, Err(StoreError::Unavailable(_))), "{i}: {written:?}");
            assert_eq!(scripted.read().await.unwrap().record, floor(10 + i));
        }
        for asked in scripted.api.asked().iter().filter(|asked| asked.method == "PUT") {
            let metadata = &asked.body["metadata"];
            assert!(metadata["resourceVersion"].as_str().is_some_and(|version| !["", "0"].contains(&version)));
            assert!(metadata["uid"].as_str().is_some_and(|uid| !uid.is_empty()), "{metadata}");
        }
    });
}

/// INVARIANT R2: A record is changed by PUT only: of the object as it was read, in no other state.
#[test]
fn a_write_is_a_put_of_the_object_that_was_read_with_its_uid_and_version() {
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        scripted.api.change(scripted.name.as_str(), |object| {
            object["metadata"]["labels"] = json!({"of": "the operator"});
            object["metadata"]["annotations"] = json!({"signer.tezos.io/owner": "a/b/c"});
        });
        let before = scripted.api.object(scripted.name.as_str());
        let basis = scripted.read().await.unwrap();
        let written = scripted.replace(&basis, 6).await.unwrap();
        assert!(!written.is_same_state(&basis));
        assert_eq!((&written.record, written.lease.holder_identity.as_str()), (&floor(6), "me"));
        let asked = scripted.api.asked();
        assert_eq!(methods(&asked), ["GET", "PUT"]);
        assert!(asked.iter().all(|asked| asked.path == scripted.path()), "{asked:?}");
        // A read with a version may be answered from a cache that is behind.
        assert!(asked.iter().all(|asked| !asked.query.contains("resourceVersion")), "{asked:?}");
        let put = &asked[1].body["metadata"];
        for field in ["name", "uid", "resourceVersion", "labels"] {
            assert_eq!(put[field], before["metadata"][field], "{field}");
        }
        assert_eq!(put["annotations"]["signer.tezos.io/owner"], "a/b/c");

        // The state that was replaced is no basis any more, and the one that came of it is.
        let refused = scripted.replace(&basis, 7).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        scripted.replace(&written, 8).await.unwrap();
        assert_eq!(scripted.read().await.unwrap().record, floor(8));
    });
}

/// INVARIANT R2: A record is made by POST only, and by no call that could take the place of one that is there.
#[test]
fn a_record_is_made_by_post_and_where_one_is_the_call_fails() {
    in_own_process(async |env| {
        let api = ScriptedApi::offer(&env).await;
        let (store, name) = (ConfigMapStore::connect(NAMESPACE).await.unwrap(), env.tz3().record_name());
        let missing = store.read(&name, deadline()).await;
        assert!(matches!(&missing, Err(StoreError::Missing(missing)) if *missing == name), "{missing:?}");
        store.create(&name, &floor(5)).await.unwrap();
        let exists = store.create(&name, &floor(4)).await;
        assert!(matches!(&exists, Err(StoreError::Exists(exists)) if *exists == name), "{exists:?}");
        let asked = api.asked();
        assert_eq!(methods(&asked), ["GET", "POST", "POST"]);
        assert_eq!(asked[1].body["metadata"]["name"], name.as_str());
        assert_eq!(api.object(name.as_str())["data"], json!(floor(5).to_data()));
    });
}

/// Without a name, audit log and managed fields say `unknown`.
#[test]
fn each_call_says_which_program_it_is_of_and_who_writes() {
    in_own_process(async |env| {
        let api = ScriptedApi::offer(&env).await;
        let (store, name) = (ConfigMapStore::connect(NAMESPACE).await.unwrap(), env.tz3().record_name());
        store.create(&name, &floor(5)).await.unwrap();
        let basis = store.read(&name, deadline()).await.unwrap();
        store.replace(&name, &basis, &floor(6), &held_by("me"), deadline()).await.unwrap();
        let asked = api.asked();
        assert_eq!(methods(&asked), ["POST", "GET", "PUT"]);
        for request in &asked {
            assert_eq!(request.user_agent, concat!("tezos-signer/", env!("CARGO_PKG_VERSION")), "{request:?}");
            let names_manager = request.query.split('&').any(|parameter| parameter == "fieldManager=tezos-signer");
            assert_eq!(names_manager, request.method != "GET", "{request:?}");
        }
    });
}

#[test]
fn each_answer_of_the_api_server_means_one_thing() {
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        let basis = scripted.read().await.unwrap();
        for (code, reason, means) in [
            (403, "Forbidden", "Forbidden"),
            (404, "NotFound", "Missing"),
            (409, "AlreadyExists", "Exists"),
            (409, "Conflict", "Conflict"),
            (400, "BadRequest", "Refused"),
            (422, "Invalid", "Refused"),
            (500, "InternalError", "Unavailable"),
            (504, "Timeout", "Unavailable"),
        ] {
            scripted.api.asked();
            scripted.api.fail_next([Fault::Refused(code, reason, None)]);
            let error = scripted.replace(&basis, 6).await.unwrap_err();
            assert!(format!("{error:?}").starts_with(&format!("{means}(")), "{code} {reason}: {error:?}");
            if ["Refused", "Unavailable"].contains(&means) {
                assert!(error.to_string().contains(&format!("{code}: scripted {code}")), "{error}");
            }
            // Nothing repeats it: a repeated write may land after another decision.
            assert_eq!(methods(&scripted.api.asked()), ["PUT"], "{code} {reason}");
        }
        scripted.replace(&basis, 6).await.unwrap();
    });
}

/// INVARIANT R3: A dead connection would cost every further call its whole time.
#[test]
fn a_call_that_failed_or_hung_discards_its_connection_and_one_that_was_answered_keeps_it() {
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        let connection_of_next = async || {
            scripted.api.asked();
            scripted.read().await.unwrap();
            scripted.api.asked()[0].connection
        };
        let mut connection = connection_of_next().await;
        until("a connection is kept", async || {
            let before = std::mem::replace(&mut connection, connection_of_next().await);
            before == connection
        })
        .await;
        for (code, reason) in [(403, "Forbidden"), (404, "NotFound"), (409, "Conflict"), (422, "Invalid")] {
            scripted.api.fail_next([Fault::Refused(code, reason, None)]);
            scripted.read().await.unwrap_err();
            // A connection that is kept comes back a moment after its answer.
            until("the connection is used again", async || connection_of_next().await == connection).await;
        }
        for (what, fault) in [
            ("500", Fault::Refused(500, "InternalError", None)),
            ("504", Fault::Refused(504, "Timeout", None)),
            ("an end before the answer", Fault::Cut),
            ("no answer", Fault::Hangs),
        ] {
            scripted.api.fail_next([fault]);
            let error = scripted.read().await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)), "{what}: {error}");
            let next = connection_of_next().await;
            assert!(next > connection, "after {what} the connection was used again");
            connection = next;
        }
    });
}

#[test]
fn a_call_takes_its_time_or_what_is_left_of_the_requests_and_no_more() {
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        for (left, least, most) in [(5000, 650, 2000), (200, 150, 650)] {
            scripted.api.fail_next([Fault::Hangs]);
            let started = Instant::now();
            let lost = scripted.store.read(&scripted.name, started + Duration::from_millis(left)).await;
            let took = started.elapsed().as_millis();
            assert!(
                matches!(&lost, Err(StoreError::Unavailable(why)) if why.to_string().contains("in time")),
                "{lost:?}"
            );
            assert!((least..most).contains(&took), "{took} ms of {left} ms that were left");
        }
    });
}

/// INVARIANT R4: It is conditional on the same state both times: were the first done after all, the second would be a conflict.
#[test]
fn a_write_that_was_turned_away_unread_is_made_once_more_and_is_the_same() {
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        for (level, code) in [(6, 401), (7, 429), (8, 503)] {
            let basis = scripted.read().await.unwrap();
            scripted.api.asked();
            scripted.api.fail_next([Fault::Refused(code, "TooManyRequests", Some(1))]);
            let started = Instant::now();
            scripted.replace(&basis, level).await.unwrap();
            let waited = started.elapsed();
            let asked = scripted.api.asked();
            assert_eq!(methods(&asked), ["PUT", "PUT"], "{code}");
            assert_eq!(asked[0].body, asked[1].body, "{code}");
            // A refused token is no reason to wait; an API server that is busy says how long.
            assert_eq!(waited >= Duration::from_secs(1), code != 401, "{code}: {waited:?}");

            // Twice is all.
            let basis = scripted.read().await.unwrap();
            scripted.api.asked();
            scripted
                .api
                .fail_next([Fault::Refused(code, "TooManyRequests", Some(1)), Fault::Refused(code, "x", Some(1))]);
            let refused = scripted.replace(&basis, level).await;
            match code {
                401 => assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}"),
                _ => assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}"),
            }
            assert_eq!(methods(&scripted.api.asked()), ["PUT", "PUT"], "{code}");
        }
    });
}

#[test]
fn the_wait_before_the_second_try_is_what_the_server_says_or_a_second_and_leaves_time_for_the_try() {
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        // What the server says, in seconds; what is left; and what is waited at least and at most, in milliseconds.
        for (says, left, least, most) in [
            (None, 10_000, 1000, 1900),
            (Some(0), 10_000, 1000, 1900),
            (Some(2), 10_000, 2000, 4000),
            (Some(60), 800, 350, 750),
        ] {
            scripted.api.fail_next([Fault::Refused(429, "TooManyRequests", says)]);
            let started = Instant::now();
            scripted.store.read(&scripted.name, started + Duration::from_millis(left)).await.unwrap();
            let took = started.elapsed().as_millis();
            assert!((least..most).contains(&took), "{says:?} of {left} ms: {took} ms");
        }
    });
}

#[test]
fn a_write_that_was_done_and_yet_refused_is_a_conflict_the_second_time_and_a_read_tells() {
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        let basis = scripted.read().await.unwrap();
        scripted.api.fail_next([Fault::DoneAndRefused(503)]);
        let again = scripted.replace(&basis, 6).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
        assert_eq!(scripted.read().await.unwrap().record, floor(6));

        // And where the answer was lost on its way, it is an error, and was done once.
        let basis = scripted.read().await.unwrap();
        scripted.api.asked();
        scripted.api.fail_next([Fault::Cut]);
        let cut = scripted.replace(&basis, 7).await;
        assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{cut:?}");
        assert_eq!(methods(&scripted.api.asked()), ["PUT"]);
        assert_eq!(scripted.read().await.unwrap().record, floor(7));
    });
}

/// INVARIANT R5: The signer has no right to list: it reads, and watches one name from the version that it has read.
#[test]
fn a_watch_is_of_one_name_from_the_version_that_was_read_and_lists_nothing() {
    in_own_process(async |env| {
        let scripted = ScriptedStore::new(&env).await;
        let seen = scripted.read().await.unwrap();
        let version =
            scripted.api.object(scripted.name.as_str())["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        scripted.api.asked();
        let mut hints = scripted.store.watch(&scripted.name, &seen).unwrap();
        scripted.replace(&seen, 6).await.unwrap();
        let mut next = async || tokio::time::timeout(Duration::from_secs(5), hints.next()).await.unwrap();
        assert_eq!(next().await.unwrap().holder_identity, "me");
        let asked = scripted.api.asked();
        let watch = asked.iter().find(|asked| asked.method == "GET").unwrap();
        assert_eq!(watch.path, format!("/api/v1/namespaces/{NAMESPACE}/configmaps"));
        for part in ["watch=true", &format!("resourceVersion={version}")] {
            assert!(watch.query.split('&').any(|one| one == part), "{part}: {}", watch.query);
        }
        assert!(watch.query.contains(&format!("fieldSelector=metadata.name%3D{}", scripted.name)), "{}", watch.query);

        // A record that cannot be understood, or is gone, is nobody's, as far as a watch tells.
        scripted.api.change(scripted.name.as_str(), |object| {
            object["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"] = json!("nonsense");
        });
        assert_eq!(next().await, Some(Lease::default()));
        let object = scripted.api.object(scripted.name.as_str());
        scripted.api.send_watch_event(scripted.name.as_str(), "DELETED", &object);
        assert_eq!(next().await, Some(Lease::default()));
        // What comes after an error is no hint: the watch has to begin anew.
        let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "too old", "reason": "Expired", "code": 410});
        scripted.api.send_watch_event(scripted.name.as_str(), "ERROR", &gone);
        scripted.api.send_watch_event(scripted.name.as_str(), "MODIFIED", &object);
        assert_eq!(next().await, None);
    });
}
