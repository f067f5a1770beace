//! INVARIANTS S1, S2, S3, S4: After a silence as long as the lease the store is asked before it is shown a signature: before the HSM signs,
//! between the HSM and the commit, and counted from the moment at which a write was sent. A standby counts from when the store took that
//! write, and may have taken over; a write that the store then refuses has already shown its signature to the API server.

use crate::faulty_module::FaultyModule;
use crate::faulty_store::{Fault, FaultyStore, deadline};
use crate::own_process::in_own_process;
use crate::payload::attestation;
use crate::signing_path::{InProcessSigner, until};
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Rule};
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer::records::session::{LeaseTerms, RecordSessionError};
use tezos_signer::signing::SignError;

const NEXT: u32 = FLOOR + 1;

/// Of the lease.
const DURATION: Duration = Duration::from_secs(1);

/// As long as the lease, and a little.
const PAUSE: Duration = Duration::from_millis(1100);

/// The holder, whose requests may take long enough for every pause here.
async fn holder(env: &TestEnv, store: &Arc<FaultyStore>) -> InProcessSigner {
    let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration: DURATION };
    let in_process = InProcessSigner::with_deadline(env, store, Some(terms), Duration::from_secs(10)).await;
    in_process.take_lease().await;
    in_process
}

/// From now on the HSM takes [`PAUSE`] to sign.
fn sign_slowly(module: &FaultyModule) {
    let slow = Rule::slow("C_Sign", u64::try_from(PAUSE.as_millis()).unwrap());
    module.set(&Control { serial: 1, rules: vec![slow], ..Control::default() });
}

async fn taken_by_somebody(in_process: &InProcessSigner) {
    in_process
        .store
        .set_lease(&in_process.key.record_name(), |lease| "somebody".clone_into(&mut lease.holder_identity))
        .await;
}

fn is_held_by_somebody(error: &SignError) -> bool {
    matches!(error, SignError::Record(RecordSessionError::HeldElsewhere { holder: Some(holder) }) if holder.identity == "somebody")
}

#[test]
fn a_signature_that_took_as_long_as_the_lease_is_not_shown_to_the_store_of_another_holder() {
    in_own_process(async |env| {
        let module = FaultyModule::install(&env);
        let in_process = holder(&env, &FaultyStore::leased(&env)).await;
        // The lease is fresh when the HSM is asked.
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        sign_slowly(&module);
        let vote = attestation(NEXT + 1, 0, 1);
        let (answer, ()) = tokio::join!(in_process.sign(&vote), async {
            // The standby has waited for the lease, while the HSM of this one took its time.
            tokio::time::sleep(PAUSE / 2).await;
            taken_by_somebody(&in_process).await;
        });
        let error = answer.unwrap_err();
        assert!(is_held_by_somebody(&error), "{error}");
        assert!(!in_process.store.received_signature_at(NEXT + 1), "the store was shown a signature");
        assert!(in_process.store.received_signature_at(NEXT), "or this test would see none");
    });
}

#[test]
fn a_signature_that_took_as_long_as_the_lease_is_dropped_and_made_again_after_a_renewal() {
    in_own_process(async |env| {
        let module = FaultyModule::install(&env);
        let in_process = holder(&env, &FaultyStore::leased(&env)).await;
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        sign_slowly(&module);
        let (reads, writes) = (in_process.store.reads(), in_process.store.writes());
        let vote = attestation(NEXT + 1, 0, 1);
        let asked_again = async {
            until("the store is asked", async || in_process.store.reads() > reads).await;
            assert!(
                !in_process.store.received_signature_at(NEXT + 1),
                "it was shown the signature of before the pause"
            );
            module.set(&Control::default());
            pending::<()>().await;
        };
        let signature = tokio::select! {
            answer = in_process.sign(&vote) => answer.unwrap(),
            () = asked_again => unreachable!(),
        };
        assert!(in_process.store.reads() > reads, "the store was not asked");
        assert!(in_process.store.writes() >= writes + 2, "a renewal, and then the commit");
        assert!(env.row(&in_process.key, "attestation").ends_with(&signature.to_string()));
    });
}

#[test]
fn the_silence_begins_when_a_write_is_sent_and_not_when_it_is_answered() {
    in_own_process(async |env| {
        let in_process = holder(&env, &FaultyStore::leased(&env)).await;
        let session = in_process.record_session();
        let mut record = session.lock(deadline()).await.unwrap();
        let current = record.current(deadline()).await.unwrap();
        in_process.store.fail_next([Fault::AnswerLate(PAUSE)]);
        let sent = Instant::now();
        record.commit(&current, &current.record, deadline()).await.unwrap();
        let (silence, since_sending) = (record.silence(), sent.elapsed());
        assert!(silence >= PAUSE, "{silence:?} after an answer that took {PAUSE:?}");
        assert!(silence <= since_sending, "{silence:?}, and it was sent {since_sending:?} ago");
        assert!(record.is_silent());
        drop(record);

        // The store took that write a whole lease ago, so another may have the record by now.
        taken_by_somebody(&in_process).await;
        let error = in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap_err();
        assert!(is_held_by_somebody(&error), "{error}");
        assert!(!in_process.store.received_signature_at(NEXT), "the store was shown a signature");
    });
}

#[test]
fn a_commit_whose_answer_took_as_long_as_the_lease_is_read_and_renewed_before_its_signature_leaves() {
    in_own_process(async |env| {
        let in_process = holder(&env, &FaultyStore::leased(&env)).await;
        in_process.store.fail_next([Fault::AnswerLate(PAUSE)]);
        let (reads, writes) = (in_process.store.reads(), in_process.store.writes());
        let vote = attestation(NEXT, 0, 1);
        let signature = in_process.sign(&vote).await.unwrap();
        assert!(in_process.store.reads() > reads);
        assert!(in_process.store.writes() >= writes + 2, "the commit, and a renewal");
        assert!(env.row(&in_process.key, "attestation").ends_with(&signature.to_string()));
    });
}

#[test]
fn without_a_silence_nothing_is_read_or_renewed() {
    in_own_process(async |env| {
        // A lease that no stall of a busy machine outlasts.
        let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration: Duration::from_secs(20) };
        let in_process = InProcessSigner::new(&env, &FaultyStore::leased(&env), Some(terms)).await;
        in_process.take_lease().await;
        let (reads, writes) = (in_process.store.reads(), in_process.store.writes());
        for level in NEXT..NEXT + 3 {
            in_process.sign(&attestation(level, 0, 1)).await.unwrap();
        }
        assert_eq!((in_process.store.reads(), in_process.store.writes()), (reads, writes + 3), "one write a signature");
    });
}

#[test]
fn after_a_silence_a_release_reads_first_and_writes_nothing_over_another_holder() {
    in_own_process(async |env| {
        let in_process = holder(&env, &FaultyStore::leased(&env)).await;
        tokio::time::sleep(PAUSE).await;
        taken_by_somebody(&in_process).await;
        let writes = in_process.store.writes();
        let session = in_process.record_session();
        let released = session.lock(deadline()).await.unwrap().release(deadline()).await;
        let error = SignError::Record(released.unwrap_err());
        assert!(is_held_by_somebody(&error), "{error}");
        assert_eq!(in_process.store.writes(), writes);
    });
}

/// The lease names whoever takes it, and where to reach it; each write renews it.
#[test]
fn what_the_lease_says_after_a_taking_a_commit_and_a_release() {
    in_own_process(async |env| {
        let store = FaultyStore::leased(&env);
        let address = Some("127.0.0.1:7".parse().unwrap());
        let terms = LeaseTerms { identity: "me".to_owned(), address, duration: Duration::from_secs(20) };
        let in_process = InProcessSigner::new(&env, &store, Some(terms)).await;
        store.set_lease(&in_process.key.record_name(), |lease| lease.leader_transitions = 6).await;
        in_process.take_lease().await;
        let taken = store.lease().await;
        assert_eq!((taken.holder_identity.as_str(), taken.holder_address), ("me", address));
        assert_eq!((taken.lease_duration_seconds, taken.leader_transitions), (20, 7));
        assert!(taken.acquire_time.is_some() && taken.acquire_time == taken.renew_time);

        // What a commit writes of the lease, whatever stood there.
        store.set_lease(&in_process.key.record_name(), |lease| lease.holder_address = None).await;
        in_process.record_session().lock(deadline()).await.unwrap().observe(deadline()).await.unwrap();
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        let renewed = store.lease().await;
        assert!(renewed.renew_time > taken.renew_time);
        assert_eq!((renewed.acquire_time, renewed.holder_address), (taken.acquire_time, address));

        in_process.record_session().lock(deadline()).await.unwrap().release(deadline()).await.unwrap();
        let released = store.lease().await;
        assert_eq!((released.holder_identity.as_str(), released.leader_transitions), ("", 7));
    });
}
