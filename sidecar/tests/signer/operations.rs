//! INVARIANT S8: Generic operations have no position, and take the path of blocks and votes all the same: their signature leaves only after
//! a commit of their own, which a holder that was displaced or suspended cannot make.

use crate::faulty_store::{Fault, FaultyStore};
use crate::own_process::in_own_process;
use crate::payload::{delegation, operation};
use crate::signing_path::InProcessSigner;
use crate::test_env::TestEnv;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer::records::session::{LeaseTerms, RecordSessionError};
use tezos_signer::signing::SignError;
use tezos_signer_core::key::Message;
use tezos_signer_core::record::Record;
use tezos_signer_core::watermark::Refusal;

/// A signer of delegations that has the lease for longer than any of these tests takes, and one of its operations.
async fn holder(env: &TestEnv) -> (InProcessSigner, Arc<FaultyStore>, Vec<u8>) {
    env.add_to_tz3("\"allow\": [\"attestation\", \"delegation\"]");
    let store = FaultyStore::leased(env);
    let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration: Duration::from_mins(1) };
    let in_process = InProcessSigner::new(env, &store, Some(terms)).await;
    in_process.take_lease().await;
    let payload = operation(&[delegation(&in_process.key, 7)]);
    (in_process, store, payload)
}

#[test]
fn an_operation_is_committed_before_its_signature_leaves() {
    in_own_process(async |env| {
        let (in_process, store, payload) = holder(&env).await;
        let (anchor, writes) = (env.row(&in_process.key, "audit"), store.writes());
        let signature = in_process.sign(&payload).await.unwrap();
        assert!(in_process.key.public_key.verify(&Message::new(&payload), &signature));
        assert_eq!(store.writes(), writes + 1);
        assert_ne!(env.row(&in_process.key, "audit"), anchor, "the commit moves the anchor");
    });
}

#[test]
fn a_holder_that_was_displaced_signs_no_operation() {
    in_own_process(async |env| {
        let (in_process, store, payload) = holder(&env).await;
        // It has just signed, so its copy of the record says that it is the holder, and there was no silence.
        in_process.sign(&payload).await.unwrap();
        store.set_lease(&in_process.key.record_name(), |lease| lease.holder_identity = "somebody".to_owned()).await;
        let error = in_process.sign(&payload).await.unwrap_err();
        assert!(matches!(error, SignError::Record(RecordSessionError::HeldElsewhere { holder: Some(_) })), "{error}");
    });
}

#[test]
fn a_holder_that_was_suspended_signs_no_operation() {
    in_own_process(async |env| {
        let (in_process, store, payload) = holder(&env).await;
        in_process.sign(&payload).await.unwrap();
        let suspended = Record { suspend: true, ..in_process.record().await };
        store.fail_next([Fault::Overtaken(suspended.into())]);
        let error = in_process.sign(&payload).await.unwrap_err();
        assert!(matches!(error, SignError::Watermark(Refusal::Suspended)), "{error}");
        assert_eq!(error.status(), 403);
    });
}

#[test]
fn the_signature_of_an_operation_whose_commit_is_in_doubt_never_leaves() {
    in_own_process(async |env| {
        let (in_process, store, payload) = holder(&env).await;
        // Whether it was written or not: no row can replay it, so it is signed again, with a commit of its own.
        for fault in [Fault::AnswerLost, Fault::RequestLost] {
            store.fail_next([fault]);
            let writes = store.writes();
            in_process.sign(&payload).await.unwrap();
            assert_eq!(store.writes(), writes + 2);
        }
        store.fail_next([Fault::AnswerLost, Fault::RequestLost, Fault::AnswerLost]);
        let error = in_process.sign(&payload).await.unwrap_err();
        assert_eq!(error.status(), 502, "{error}");
    });
}
