//! INVARIANTS S1, S4, S5, S6, S7: What leaves the signing path when a write fails, is overtaken or abandoned, and what is asked before the token
//! is: with a real token and real files, and faults between.

use crate::faulty_store::{Fault, FaultyStore, deadline};
use crate::own_process::in_own_process;
use crate::payload::attestation;
use crate::test_env::{FLOOR, TestEnv};
use std::sync::Arc;
use std::time::Duration;
use tezos_signer::audit::AuditLog;
use tezos_signer::keyring::Key;
use tezos_signer::keystore::pkcs11::{Hsm, HsmMetrics};
use tezos_signer::metrics::Metrics;
use tezos_signer::records::session::{LeaseTerms, RecordSession, RecordSessionError};
use tezos_signer::request::{Caller, Origin, Request};
use tezos_signer::signing::{Answer, SignError, Signer};
use tezos_signer::store::Store as _;
use tezos_signer_core::admit::{RequestFacts, SigningRequest, admit};
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::config::{AuditConfig, KeyConfig};
use tezos_signer_core::key::{Digest, Signature};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::Record;
use tezos_signer_core::watermark::{Decision, Refusal, decide};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

const NEXT: u32 = FLOOR + 1;

/// A signer of one key in the process of the test, whose store fails as the test says.
pub(crate) struct InProcessSigner {
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) key: KeyConfig,
}

impl InProcessSigner {
    pub(crate) async fn new(env: &TestEnv, store: &Arc<FaultyStore>, terms: Option<LeaseTerms>) -> Self {
        Self::with_deadline(env, store, terms, Duration::from_millis(1500)).await
    }

    /// One whose requests may take so long.
    pub(crate) async fn with_deadline(
        env: &TestEnv,
        store: &Arc<FaultyStore>,
        terms: Option<LeaseTerms>,
        deadline: Duration,
    ) -> Self {
        let (config, key) = (env.config(), env.tz3());
        let hsm = Arc::new(
            Hsm::start(config.keystore.hsm().unwrap(), std::slice::from_ref(&key), HsmMetrics::new().unwrap()).unwrap(),
        );
        let session = Arc::new(RecordSession::new(key.record_name(), store.clone(), terms));
        let keys = [Key::new(key.clone(), session, AuthorizedKeys::default())];
        let audit = AuditLog::start(&AuditConfig::default(), "a-test").unwrap();
        let signer = Arc::new(Signer::new(keys, hsm, audit, Metrics::new().unwrap(), deadline));
        until("the token can be used", async || signer.keystore().reasons().is_empty()).await;
        Self { store: store.clone(), signer, key }
    }

    pub(crate) async fn sign(&self, payload: &[u8]) -> Result<Signature, SignError> {
        let (caller, key, payload) = (Caller::new("a test".to_owned()), self.key.hash(), payload.to_vec());
        let request = Request { caller, key, payload, authentication: None, version: None, origin: Origin::Client };
        self.signer.sign(request).await.map(|answer| match answer {
            Answer::Signature(signature) => *signature.signature(),
            Answer::Forwarded(answer) => panic!("there are no others: {answer:?}"),
        })
    }

    pub(crate) fn record_session(&self) -> Arc<RecordSession> {
        self.signer.key(&self.key.hash()).unwrap().record.clone()
    }

    /// Makes this signer the holder.
    pub(crate) async fn take_lease(&self) {
        let session = self.record_session();
        let mut record = session.lock(deadline()).await.unwrap();
        let (seen, _) = record.observe(deadline()).await.unwrap();
        record.take(&seen, deadline()).await.unwrap();
    }

    pub(crate) async fn record(&self) -> Record {
        self.store.read(&self.key.record_name(), deadline()).await.unwrap().record
    }

    /// What the record would be if somebody else with the key had signed `payload` now.
    async fn record_of_rival(&self, payload: &[u8]) -> (Record, Signature) {
        let (record, digest) = (self.record().await, Digest::of(payload));
        let (anybody, key) = (AuthorizedKeys::default(), self.key.hash());
        let request = SigningRequest { key, payload, authentication: None, version: None };
        let request = admit(&self.key.admission_rules(&anybody), &request, &mut RequestFacts::default()).unwrap();
        let Ok(Decision::Advance(step)) = decide(&record, &request, 100) else { panic!("a higher one") };
        let signature =
            self.signer.keystore().sign(self.key.hash(), request.message(), deadline()).await.unwrap().signature();
        let intent = AuditAnchor { log: LogId::from_bytes([9; 16]), sequence: 1, hash: digest };
        (step.apply_to(&record, signature, intent), signature)
    }
}

/// A process that ends while a thread is in the PKCS#11 library crashes.
impl Drop for InProcessSigner {
    fn drop(&mut self) {
        let stop = self.signer.keystore().stop(Duration::from_secs(5));
        tokio::task::block_in_place(|| Handle::current().block_on(stop));
    }
}

pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(15);
    while !is_so().await {
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_commit_whose_answer_was_lost_is_answered_with_what_the_record_has() {
    in_own_process(async |env| {
        let in_process = InProcessSigner::new(&env, &FaultyStore::exclusive(&env), None).await;
        in_process.store.fail_next([Fault::AnswerLost]);
        let vote = attestation(NEXT, 0, 1);
        let signature = in_process.sign(&vote).await.unwrap();
        assert!(env.row(&in_process.key, "attestation").ends_with(&signature.to_string()));
        assert_eq!(in_process.store.writes(), 1, "it was not signed again");
        assert_eq!(in_process.sign(&vote).await.unwrap(), signature);
    });
}

#[test]
fn a_commit_that_did_not_happen_is_made_again_and_only_the_stored_signature_leaves() {
    in_own_process(async |env| {
        let in_process = InProcessSigner::new(&env, &FaultyStore::exclusive(&env), None).await;
        in_process.store.fail_next([Fault::RequestLost]);
        let signature = in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        assert!(env.row(&in_process.key, "attestation").ends_with(&signature.to_string()));
        assert_eq!(in_process.store.writes(), 2);

        in_process.store.fail_next([Fault::RequestLost, Fault::RequestLost, Fault::RequestLost]);
        let error = in_process.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap_err();
        assert_eq!(error.status(), 502, "{error}");
        assert!(error.to_string().contains("the request was lost"), "it was in time: {error}");
        assert!(env.row(&in_process.key, "attestation").ends_with(&signature.to_string()));
    });
}

#[test]
fn a_commit_lost_to_another_writer_never_lets_the_local_signature_out() {
    in_own_process(async |env| {
        let in_process = InProcessSigner::new(&env, &FaultyStore::exclusive(&env), None).await;
        let mine = attestation(NEXT, 0, 1);
        let (rival, _) = in_process.record_of_rival(&attestation(NEXT, 0, 2)).await;
        in_process.store.fail_next([Fault::Overtaken(rival.into())]);
        let error = in_process.sign(&mine).await.unwrap_err();
        assert!(matches!(error, SignError::Watermark(Refusal::Conflict { .. })), "{error}");

        // The other one signed the same payload: there are two signatures now, and one of them is the answer for ever.
        let same = attestation(NEXT + 1, 0, 1);
        let (rival, of_rival) = in_process.record_of_rival(&same).await;
        in_process.store.fail_next([Fault::Overtaken(rival.into())]);
        assert_eq!(in_process.sign(&same).await.unwrap(), of_rival);
        assert_eq!(in_process.sign(&same).await.unwrap(), of_rival);
    });
}

#[test]
fn what_the_store_answered_is_remembered_not_what_was_sent() {
    in_own_process(async |env| {
        let in_process = InProcessSigner::new(&env, &FaultyStore::exclusive(&env), None).await;
        in_process.store.fail_next([Fault::Raises(Level::try_from(i64::from(NEXT + 1)).unwrap())]);
        for level in [NEXT, NEXT + 1] {
            let error = in_process.sign(&attestation(level, 0, 1)).await.unwrap_err();
            assert!(matches!(error, SignError::Watermark(Refusal::Below { .. })), "{error}");
        }
        assert_eq!((in_process.store.reads(), in_process.store.writes()), (1, 1), "known without asking again");
    });
}

#[test]
fn a_client_that_goes_away_stops_nothing_half_way() {
    in_own_process(async |env| {
        let in_process = InProcessSigner::new(&env, &FaultyStore::exclusive(&env), None).await;
        let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        in_process.store.fail_next([Fault::Waits(reached.clone(), go_on.clone())]);
        let vote = attestation(NEXT, 0, 1);
        tokio::select! {
            answer = in_process.sign(&vote) => panic!("{answer:?}"),
            // Here the request is dropped, as its connection's end would drop it.
            () = reached.notified() => {}
        }
        go_on.notify_one();
        let stored = async || env.row(&in_process.key, "attestation").starts_with(&format!("{NEXT} 0 "));
        until("the commit is finished", stored).await;
        let signature = in_process.sign(&vote).await.unwrap();
        assert!(env.row(&in_process.key, "attestation").ends_with(&signature.to_string()));
        assert_eq!(in_process.store.writes(), 1);
    });
}

#[test]
fn after_a_silence_as_long_as_the_lease_the_record_is_read_before_the_token_is_asked() {
    in_own_process(async |env| {
        let duration = Duration::from_millis(500);
        let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration };
        let in_process = InProcessSigner::new(&env, &FaultyStore::leased(&env), Some(terms)).await;
        in_process.take_lease().await;
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();

        in_process
            .store
            .set_lease(&in_process.key.record_name(), |lease| lease.holder_identity = "somebody".to_owned())
            .await;
        tokio::time::sleep(duration).await;
        let writes = in_process.store.writes();
        let error = in_process.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap_err();
        assert!(
            matches!(&error, SignError::Record(RecordSessionError::HeldElsewhere { holder: Some(holder) }) if holder.identity == "somebody"),
            "{error}"
        );
        assert_eq!(in_process.store.writes(), writes, "a write would have shown a signature to the store");
    });
}

/// INVARIANT S4: Nobody else sees a read, and a standby counts from what it sees.
#[test]
fn a_read_ends_no_silence_and_neither_does_a_release_that_failed() {
    in_own_process(async |env| {
        let duration = Duration::from_secs(2);
        let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration };
        let in_process = InProcessSigner::new(&env, &FaultyStore::leased(&env), Some(terms)).await;
        in_process.take_lease().await;

        tokio::time::sleep(duration).await;
        in_process.record_session().lock(deadline()).await.unwrap().observe(deadline()).await.unwrap();
        let writes = in_process.store.writes();
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        assert!(in_process.store.writes() >= writes + 2, "the lease is renewed before the token is asked");

        in_process.store.fail_next([Fault::RequestLost]);
        in_process.record_session().lock(deadline()).await.unwrap().release(deadline()).await.unwrap_err();
        let writes = in_process.store.writes();
        in_process.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap();
        assert!(in_process.store.writes() >= writes + 2, "what was lost may still land, and a renewal comes before it");
    });
}

#[test]
fn a_record_that_went_back_is_refused_also_after_it_was_raised_again() {
    in_own_process(async |env| {
        let store = FaultyStore::exclusive(&env);
        let in_process = InProcessSigner::new(&env, &store, None).await;
        let file = env.record_file(&in_process.key);
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        let old = std::fs::read(&file).unwrap();
        in_process.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap();
        let newest = std::fs::read(&file).unwrap();
        let raised = in_process.record().await.raised_to((i64::from(NEXT) + 10).try_into().unwrap());
        let raised = serde_json::to_vec(&raised.to_data()).unwrap();

        // The old copy, restored: what was signed since is not known to it, and would be signed again.
        for (what, text) in [("restored", old), ("as it was", newest), ("raised", raised)] {
            std::fs::write(&file, text).unwrap();
            // Read now, as the lease reads it: also what looks right again.
            in_process.record_session().lock(deadline()).await.unwrap().observe(deadline()).await.unwrap();
            let error = in_process.sign(&attestation(NEXT + 20, 0, 2)).await.unwrap_err();
            assert!(matches!(error, SignError::Record(RecordSessionError::WentBack { .. })), "{what}: {error}");
            assert_eq!(error.status(), 409);
            assert!(in_process.record_session().view().problem.is_some(), "the operator sees it");
        }
        // Until somebody has decided, and started the signer again.
        let restarted = InProcessSigner::new(&env, &store, None).await;
        restarted.sign(&attestation(NEXT + 20, 0, 2)).await.unwrap();
    });
}
