//! ◆ What leaves the signing path when a write fails, is overtaken or abandoned, and what is asked before the token is: with a
//! real token and real files, and faults between.

use crate::faulty_store::{Fault, FaultyStore, deadline};
use crate::home::{FLOOR, Home};
use crate::own_process::in_own_process;
use crate::payload::attestation;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer::audit::AuditLog;
use tezos_signer::custody::{Custody, CustodyError, LeaseTerms};
use tezos_signer::hsm::{Hsm, HsmMetrics};
use tezos_signer::metrics::Metrics;
use tezos_signer::signer::{Answer, Key, Origin, Request, SignError, Signer};
use tezos_signer::store::Store as _;
use tezos_signer_core::audit::{AuditAnchor, LogId};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::config::{AuditConfig, KeyConfig};
use tezos_signer_core::key::{Digest, Signature};
use tezos_signer_core::payload::{UnknownSuffix, decode};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::Record;
use tezos_signer_core::watermark::{Decision, Refusal, decide};
use tokio::runtime::Handle;
use tokio::sync::Notify;

const NEXT: u32 = FLOOR + 1;

/// A signer of one key whose store fails when it is told to.
pub(crate) struct Inside {
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) key: KeyConfig,
}

impl Inside {
    pub(crate) async fn new(home: &Home, store: &Arc<FaultyStore>, terms: Option<LeaseTerms>) -> Self {
        let (config, key) = (home.config(), home.tz3());
        let hsm = Hsm::start(&config.hsm, std::slice::from_ref(&key), HsmMetrics::new().unwrap()).unwrap();
        let custody = Arc::new(Custody::new(key.record_name(), store.clone(), terms));
        let keys = [Key::new(key.clone(), custody, AuthorizedKeys::default())];
        let audit = AuditLog::start(&AuditConfig::default(), "a-test").unwrap();
        let signer = Arc::new(Signer::new(keys, hsm, audit, Metrics::new().unwrap(), Duration::from_millis(1500)));
        until("the token can be used", async || signer.hsm().health().reasons().is_empty()).await;
        Self { store: store.clone(), signer, key }
    }

    pub(crate) async fn sign(&self, payload: &[u8]) -> Result<Signature, SignError> {
        let (client, key, payload) = ("a test".to_owned(), self.key.hash(), payload.to_vec());
        let request = Request { client, key, payload, authentication: None, origin: Origin::Client };
        self.signer.sign(request).await.map(|answer| match answer {
            Answer::Signature(signature) => signature,
            Answer::Forwarded(answer) => panic!("there are no others: {answer:?}"),
        })
    }

    pub(crate) fn custody(&self) -> Arc<Custody> {
        self.signer.key(&self.key.hash()).unwrap().custody.clone()
    }

    /// Makes this signer the holder.
    async fn take_lease(&self) {
        let custody = self.custody();
        let mut record = custody.lock(deadline()).await.unwrap();
        let (seen, _) = record.observe(deadline()).await.unwrap();
        record.take(&seen, deadline()).await.unwrap();
    }

    async fn record(&self) -> Record {
        self.store.read(&self.key.record_name(), deadline()).await.unwrap().record
    }

    /// What the record would be if somebody else with the key had signed `payload` now.
    async fn record_of_rival(&self, payload: &[u8]) -> (Record, Signature) {
        let (record, digest) = (self.record().await, Digest::of(payload));
        let request = self.key.policy.check(&decode(payload, UnknownSuffix::Refuse).unwrap()).unwrap();
        let Ok(Decision::Advance(step)) = decide(&record, &request, &digest, 100) else { panic!("a higher one") };
        let signature = self.signer.hsm().sign(self.key.hash(), digest, deadline()).await.unwrap();
        let intent = AuditAnchor { log: LogId::from_bytes([9; 16]), sequence: 1, hash: digest };
        (record.advanced(&step, signature, intent), signature)
    }
}

/// A process that ends while a thread is in the PKCS#11 library crashes.
impl Drop for Inside {
    fn drop(&mut self) {
        let stop = self.signer.hsm().stop(Duration::from_secs(5));
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
    in_own_process(async |home| {
        let inside = Inside::new(&home, &FaultyStore::exclusive(&home), None).await;
        inside.store.fail_next([Fault::AnswerLost]);
        let vote = attestation(NEXT, 0, 1);
        let signature = inside.sign(&vote).await.unwrap();
        assert!(home.row(&inside.key, "attestation").ends_with(&signature.to_string()));
        assert_eq!(inside.store.writes(), 1, "it was not signed again");
        assert_eq!(inside.sign(&vote).await.unwrap(), signature);
    });
}

#[test]
fn a_commit_that_did_not_happen_is_made_again_and_only_the_stored_signature_leaves() {
    in_own_process(async |home| {
        let inside = Inside::new(&home, &FaultyStore::exclusive(&home), None).await;
        inside.store.fail_next([Fault::RequestLost]);
        let signature = inside.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        assert!(home.row(&inside.key, "attestation").ends_with(&signature.to_string()));
        assert_eq!(inside.store.writes(), 2);

        inside.store.fail_next([Fault::RequestLost, Fault::RequestLost, Fault::RequestLost]);
        let error = inside.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap_err();
        assert_eq!(error.status(), 502, "{error}");
        assert!(home.row(&inside.key, "attestation").ends_with(&signature.to_string()));
    });
}

#[test]
fn a_commit_lost_to_another_writer_never_lets_the_local_signature_out() {
    in_own_process(async |home| {
        let inside = Inside::new(&home, &FaultyStore::exclusive(&home), None).await;
        let mine = attestation(NEXT, 0, 1);
        let (rival, _) = inside.record_of_rival(&attestation(NEXT, 0, 2)).await;
        inside.store.fail_next([Fault::Overtaken(rival.into())]);
        let error = inside.sign(&mine).await.unwrap_err();
        assert!(matches!(error, SignError::Watermark(Refusal::Conflict { .. })), "{error}");

        // The other one signed the same payload: there are two signatures now, and one of them is the answer for ever.
        let same = attestation(NEXT + 1, 0, 1);
        let (rival, of_rival) = inside.record_of_rival(&same).await;
        inside.store.fail_next([Fault::Overtaken(rival.into())]);
        assert_eq!(inside.sign(&same).await.unwrap(), of_rival);
        assert_eq!(inside.sign(&same).await.unwrap(), of_rival);
    });
}

#[test]
fn what_the_store_answered_is_remembered_not_what_was_sent() {
    in_own_process(async |home| {
        let inside = Inside::new(&home, &FaultyStore::exclusive(&home), None).await;
        inside.store.fail_next([Fault::Raises(Level::try_from(i64::from(NEXT + 1)).unwrap())]);
        for level in [NEXT, NEXT + 1] {
            let error = inside.sign(&attestation(level, 0, 1)).await.unwrap_err();
            assert!(matches!(error, SignError::Watermark(Refusal::Below { .. })), "{error}");
        }
        assert_eq!((inside.store.reads(), inside.store.writes()), (1, 1), "known without asking again");
    });
}

#[test]
fn a_client_that_goes_away_stops_nothing_half_way() {
    in_own_process(async |home| {
        let inside = Inside::new(&home, &FaultyStore::exclusive(&home), None).await;
        let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        inside.store.fail_next([Fault::Waits(reached.clone(), go_on.clone())]);
        let vote = attestation(NEXT, 0, 1);
        tokio::select! {
            answer = inside.sign(&vote) => panic!("{answer:?}"),
            // Here the request is dropped, as its connection's end would drop it.
            () = reached.notified() => {}
        }
        go_on.notify_one();
        let stored = async || home.row(&inside.key, "attestation").starts_with(&format!("{NEXT} 0 "));
        until("the commit is finished", stored).await;
        let signature = inside.sign(&vote).await.unwrap();
        assert!(home.row(&inside.key, "attestation").ends_with(&signature.to_string()));
        assert_eq!(inside.store.writes(), 1);
    });
}

#[test]
fn after_a_silence_as_long_as_the_lease_the_record_is_read_before_the_token_is_asked() {
    in_own_process(async |home| {
        let duration = Duration::from_millis(500);
        let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration };
        let inside = Inside::new(&home, &FaultyStore::leased(&home), Some(terms)).await;
        inside.take_lease().await;
        inside.sign(&attestation(NEXT, 0, 1)).await.unwrap();

        inside.store.set_lease(&inside.key.record_name(), |lease| lease.holder_identity = "somebody".to_owned()).await;
        tokio::time::sleep(duration).await;
        let writes = inside.store.writes();
        let error = inside.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap_err();
        assert!(
            matches!(&error, SignError::Custody(CustodyError::HeldElsewhere { holder: Some(holder) }) if holder.identity == "somebody"),
            "{error}"
        );
        assert_eq!(inside.store.writes(), writes, "a write would have shown a signature to the store");
    });
}

/// ◆ Nobody else sees a read, and a standby counts from what it sees.
#[test]
fn a_read_ends_no_silence_and_neither_does_a_release_that_failed() {
    in_own_process(async |home| {
        let duration = Duration::from_secs(2);
        let terms = LeaseTerms { identity: "me".to_owned(), address: None, duration };
        let inside = Inside::new(&home, &FaultyStore::leased(&home), Some(terms)).await;
        inside.take_lease().await;

        tokio::time::sleep(duration).await;
        inside.custody().lock(deadline()).await.unwrap().observe(deadline()).await.unwrap();
        let writes = inside.store.writes();
        inside.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        assert!(inside.store.writes() >= writes + 2, "the lease is renewed before the token is asked");

        inside.store.fail_next([Fault::RequestLost]);
        inside.custody().lock(deadline()).await.unwrap().release(deadline()).await.unwrap_err();
        let writes = inside.store.writes();
        inside.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap();
        assert!(inside.store.writes() >= writes + 2, "what was lost may still land, and a renewal comes before it");
    });
}

#[test]
fn a_record_that_went_back_is_refused_also_after_it_was_raised_again() {
    in_own_process(async |home| {
        let store = FaultyStore::exclusive(&home);
        let inside = Inside::new(&home, &store, None).await;
        let file = home.record_file(&inside.key);
        inside.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        let old = std::fs::read(&file).unwrap();
        inside.sign(&attestation(NEXT + 1, 0, 1)).await.unwrap();
        let newest = std::fs::read(&file).unwrap();
        let raised = inside.record().await.raised_to((i64::from(NEXT) + 10).try_into().unwrap());
        let raised = serde_json::to_vec(&raised.to_data()).unwrap();

        // The old copy, restored: what was signed since is not known to it, and would be signed again.
        for (what, text) in [("restored", old), ("as it was", newest), ("raised", raised)] {
            std::fs::write(&file, text).unwrap();
            // Read now, as the lease reads it: also what looks right again.
            inside.custody().lock(deadline()).await.unwrap().observe(deadline()).await.unwrap();
            let error = inside.sign(&attestation(NEXT + 20, 0, 2)).await.unwrap_err();
            assert!(matches!(error, SignError::Custody(CustodyError::WentBack { .. })), "{what}: {error}");
            assert_eq!(error.status(), 409);
            assert!(inside.custody().view().problem.is_some(), "the operator sees it");
        }
        // Until somebody has decided, and started the signer again.
        let restarted = Inside::new(&home, &store, None).await;
        restarted.sign(&attestation(NEXT + 20, 0, 2)).await.unwrap();
    });
}
