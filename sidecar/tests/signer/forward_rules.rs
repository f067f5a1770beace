//! To whom a request is forwarded, how long one waits for that, and what is said of each: from inside, with a store that has a lease and
//! with scripted replicas, so that each rule is tried by itself.

use crate::faulty_module::FaultyModule;
use crate::faulty_store::{FaultyStore, deadline};
use crate::own_process::in_own_process;
use crate::payload::attestation;
use crate::signing_path::{InProcessSigner, until};
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Rule};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tezos_signer::audit::AuditLog;
use tezos_signer::keyring::Key;
use tezos_signer::keystore::pkcs11::{Hsm, HsmMetrics};
use tezos_signer::metrics::Metrics;
use tezos_signer::peer::Peers;
use tezos_signer::records::session::{Holder, LeaseTerms, RecordSession, RecordSessionError};
use tezos_signer::request::{Caller, Origin, Request};
use tezos_signer::signing::{Answer, SignError, Signer};
use tezos_signer_core::audit::Outcome;
use tezos_signer_core::authentication::{AuthorizedKeys, Unauthenticated};
use tezos_signer_core::config::{AuditConfig, KeyConfig};
use tezos_signer_core::payload::DecodeError;
use tezos_signer_core::policy::Forbidden;
use tezos_signer_core::record::Lease;
use tezos_signer_core::watermark::Refusal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const NEXT: u32 = FLOOR + 1;

/// Of a request.
const DEADLINE: Duration = Duration::from_secs(4);

/// What is answered without a wait for anybody takes less.
const AT_ONCE: Duration = Duration::from_secs(2);

const DEVICE_ERROR: u64 = 0x30;

/// Where this signer is, for others.
fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

fn log_of(env: &TestEnv) -> PathBuf {
    env.path.join("audit.log")
}

/// A signer called `me` at `address`, with or without peers. It serves nothing yet.
async fn signer(env: &TestEnv, peers: Option<Peers>, address: SocketAddr) -> InProcessSigner {
    let (config, key, store) = (env.config(), env.tz3(), FaultyStore::leased(env));
    let hsm = Arc::new(
        Hsm::start(config.keystore.hsm().unwrap(), std::slice::from_ref(&key), HsmMetrics::new().unwrap()).unwrap(),
    );
    let terms = LeaseTerms { identity: "me".to_owned(), address: Some(address), duration: Duration::from_mins(1) };
    let session = Arc::new(RecordSession::new(key.record_name(), store.clone(), Some(terms)));
    let keys = [Key::new(key.clone(), session, AuthorizedKeys::default())];
    let audit = AuditLog::start(&AuditConfig { file: Some(log_of(env)) }, "a-test").unwrap();
    let signer = Signer::new(keys, hsm, audit, Metrics::new().unwrap(), DEADLINE);
    let signer = Arc::new(match peers {
        Some(peers) => signer.forwarding_to(peers),
        None => signer,
    });
    until("the token can be used", async || signer.keystore().reasons().is_empty()).await;
    InProcessSigner { store, signer, key }
}

async fn with_peers(env: &TestEnv) -> InProcessSigner {
    signer(env, Some(Peers::new(None)), nowhere()).await
}

/// What a request from `origin` is answered with, and after how long.
async fn ask(in_process: &InProcessSigner, origin: Origin) -> (Result<Answer, SignError>, Duration) {
    let caller = Caller::new("a test".to_owned());
    let (key, payload) = (in_process.key.hash(), attestation(NEXT, 0, 1));
    let started = Instant::now();
    let answer =
        in_process.signer.sign(Request { caller, key, payload, authentication: None, version: None, origin }).await;
    (answer, started.elapsed())
}

/// Another has the lease now.
async fn held_by(store: &FaultyStore, key: &KeyConfig, holder: &str, address: Option<SocketAddr>) {
    let change = |lease: &mut Lease| {
        holder.clone_into(&mut lease.holder_identity);
        lease.holder_address = address;
    };
    store.set_lease(&key.record_name(), change).await;
}

/// Reads the record, as the task of the lease does.
async fn read_record(in_process: &InProcessSigner) {
    in_process.record_session().lock(deadline()).await.unwrap().observe(deadline()).await.unwrap();
}

/// A replica that says one thing.
struct Scripted {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Scripted {
    /// Says `status`.
    async fn saying(status: u16) -> Self {
        Self::saying_after(status, async || ()).await
    }

    /// Says `status` each time after `before`.
    async fn saying_after<F: Future<Output = ()> + Send>(
        status: u16,
        before: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = crate::ports::async_listener().await;
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (mut bytes, mut read) = (vec![0; 4096], 0);
                // The body ends with the only quotation mark that ends anything.
                while read == 0 || bytes[read - 1] != b'"' {
                    match stream.read(&mut bytes[read..]).await {
                        Ok(more @ 1..) => read += more,
                        _ => break,
                    }
                }
                before().await;
                let answer = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\ncontent-length: 2\r\n\r\n[]");
                // Who has gone is not answered.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn is_held(answer: &Result<Answer, SignError>, by: Option<&str>) -> bool {
    matches!(
        answer,
        Err(SignError::Record(RecordSessionError::HeldElsewhere { holder }))
            if holder.as_ref().map(|holder| holder.identity.as_str()) == by
    )
}

fn is_forwarded(answer: &Result<Answer, SignError>, to: &str, status: u16) -> bool {
    matches!(answer, Ok(Answer::Forwarded(answer)) if answer.holder.identity == to && answer.status == status)
}

#[test]
fn a_holder_that_is_about_to_let_go_asks_nobody_and_least_of_all_itself() {
    in_own_process(async |env| {
        let me = Scripted::saying(409).await;
        let in_process = signer(&env, Some(Peers::new(None)), me.address).await;
        in_process.take_lease().await;
        in_process.signer.close();
        let (answer, took) = ask(&in_process, Origin::Client).await;
        assert!(is_held(&answer, Some("me")), "{answer:?}");
        assert!(took > AT_ONCE, "it waits for who comes next: {took:?}");
        assert_eq!(me.asked(), 0);
    });
}

#[test]
fn a_request_waits_for_the_next_holder_and_goes_there() {
    in_own_process(async |env| {
        let (in_process, next) = (with_peers(&env).await, Scripted::saying(409).await);
        let ((answer, _), ()) = tokio::join!(ask(&in_process, Origin::Client), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            held_by(&in_process.store, &in_process.key, "next", Some(next.address)).await;
        });
        assert!(is_forwarded(&answer, "next", 409), "{answer:?}");
        assert_eq!(next.asked(), 1);
    });
}

/// Each looks every 50 ms, and what one has read is new enough for the others.
#[test]
fn requests_that_wait_for_a_holder_share_what_they_read() {
    in_own_process(async |env| {
        let in_process = with_peers(&env).await;
        let waiting = futures::future::join_all((0..16).map(|_| ask(&in_process, Origin::Client)));
        let counted = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let before = in_process.store.reads();
            tokio::time::sleep(Duration::from_secs(1)).await;
            in_process.store.reads() - before
        };
        let (answers, reads) = tokio::join!(waiting, counted);
        assert!((5..=100).contains(&reads), "{reads} reads in a second");
        assert!(answers.iter().all(|(answer, took)| answer.is_err() && *took >= DEADLINE), "{answers:?}");
    });
}

#[test]
fn what_a_replica_has_forwarded_goes_no_further_and_waits_for_nobody() {
    in_own_process(async |env| {
        let (in_process, other) = (with_peers(&env).await, Scripted::saying(409).await);
        let (answer, took) = ask(&in_process, Origin::Peer).await;
        assert!(is_held(&answer, None) && took < AT_ONCE, "{answer:?} {took:?}");
        held_by(&in_process.store, &in_process.key, "other", Some(other.address)).await;
        let (answer, took) = ask(&in_process, Origin::Peer).await;
        assert!(is_held(&answer, Some("other")) && took < AT_ONCE, "{answer:?} {took:?}");
        assert_eq!(other.asked(), 0);
        // Nor is there anything to wait for where the holder cannot be reached.
        held_by(&in_process.store, &in_process.key, "other", None).await;
        let (answer, took) = ask(&in_process, Origin::Client).await;
        assert!(is_held(&answer, Some("other")) && took < AT_ONCE, "{answer:?} {took:?}");
    });
}

#[test]
fn without_peers_nobody_is_asked_and_nobody_waited_for() {
    in_own_process(async |env| {
        let (in_process, other) = (signer(&env, None, nowhere()).await, Scripted::saying(409).await);
        let (answer, took) = ask(&in_process, Origin::Client).await;
        assert!(is_held(&answer, None) && took < AT_ONCE, "{answer:?} {took:?}");
        held_by(&in_process.store, &in_process.key, "other", Some(other.address)).await;
        let (answer, took) = ask(&in_process, Origin::Client).await;
        assert!(is_held(&answer, Some("other")) && took < AT_ONCE, "{answer:?} {took:?}");
        assert_eq!(other.asked(), 0);
        assert!(!in_process.signer.is_served_elsewhere(), "it cannot be asked");
    });
}

#[test]
fn the_502_of_a_holder_is_passed_on_and_that_of_a_former_holder_is_not() {
    in_own_process(async |env| {
        let (in_process, next) = (with_peers(&env).await, Scripted::saying(409).await);
        let holder = Scripted::saying(502).await;
        held_by(&in_process.store, &in_process.key, "holder", Some(holder.address)).await;
        let (answer, took) = ask(&in_process, Origin::Client).await;
        assert!(is_forwarded(&answer, "holder", 502) && took < AT_ONCE, "{answer:?} {took:?}");

        // It lets go, and says so; or it has decided before it let go.
        for (status, who_is_heard) in [(502, "next"), (403, "former")] {
            let (store, key, address) = (in_process.store.clone(), in_process.key.clone(), next.address);
            let former = Scripted::saying_after(status, move || {
                let (store, key) = (store.clone(), key.clone());
                async move { held_by(&store, &key, "next", Some(address)).await }
            });
            let former = former.await;
            held_by(&in_process.store, &in_process.key, "former", Some(former.address)).await;
            let (answer, _) = ask(&in_process, Origin::Client).await;
            assert!(is_forwarded(&answer, who_is_heard, if status == 502 { 409 } else { status }), "{answer:?}");
            assert_eq!((former.asked(), next.asked()), (1, 1));
        }
    });
}

#[test]
fn where_the_time_went_to_a_holder_that_cannot_be_reached_that_is_the_error() {
    in_own_process(async |env| {
        let in_process = with_peers(&env).await;
        held_by(&in_process.store, &in_process.key, "gone", Some(nowhere())).await;
        let ((answer, took), ()) = tokio::join!(ask(&in_process, Origin::Client), async {
            // Others have their turn at the end, and the last look at the record gets none.
            tokio::time::sleep(DEADLINE / 2).await;
            let session = in_process.record_session();
            let _turn = session.lock(deadline()).await.unwrap();
            tokio::time::sleep(DEADLINE).await;
        });
        assert!(matches!(&answer, Err(SignError::Peer { holder, .. }) if holder.identity == "gone"), "{answer:?}");
        assert!(took >= DEADLINE, "{took:?}");
        // It was asked every 50 ms, and not without a pause.
        let metrics = in_process.signer.metrics().text().unwrap();
        let tries = metrics
            .lines()
            .find_map(|line| line.strip_prefix(r#"tezos_signer_forwarded_total{outcome="unreachable"} "#));
        let tries: u32 = tries.expect("the metric").parse().unwrap();
        assert!((2..=90).contains(&tries), "{tries} tries");
    });
}

#[test]
fn a_key_is_served_elsewhere_where_another_serves_it_that_can_be_asked() {
    in_own_process(async |env| {
        let in_process = with_peers(&env).await;
        assert_eq!(in_process.signer.request_deadline(), DEADLINE);
        read_record(&in_process).await;
        assert!(!in_process.signer.is_served_elsewhere(), "nobody serves it");
        held_by(&in_process.store, &in_process.key, "other", None).await;
        read_record(&in_process).await;
        assert!(!in_process.signer.is_served_elsewhere(), "it has no address");
        held_by(&in_process.store, &in_process.key, "other", Some(nowhere())).await;
        read_record(&in_process).await;
        assert!(in_process.signer.is_served_elsewhere());
        in_process.take_lease().await;
        assert!(!in_process.signer.is_served_elsewhere(), "it is served here");
    });
}

#[test]
fn an_hsm_that_fails_is_waited_for_until_it_is_left_to_another_replica() {
    in_own_process(async |env| {
        let module = FaultyModule::install(&env);
        let in_process = with_peers(&env).await;
        in_process.take_lease().await;
        module.set(&Control { rules: vec![Rule::new("C_Sign", DEVICE_ERROR)], ..Control::default() });
        let fails = async || in_process.signer.keystore().failing_for(&in_process.key.hash()).is_some();
        until("the HSM fails", fails).await;
        module.set(&Control { rules: vec![Rule::hang("C_Sign")], ..Control::default() });
        let (answer, took) = ask(&in_process, Origin::Client).await;
        module.set(&Control::default());
        assert!(answer.as_ref().is_err_and(|error| error.status() == 502), "{answer:?}");
        assert!(took >= Duration::from_millis(200), "it was given no time: {took:?}");
        assert!(took + Duration::from_millis(500) < DEADLINE, "longer than the lease is kept: {took:?}");
    });
}

#[test]
fn each_error_has_its_word() {
    let cases = [
        (SignError::Malformed(DecodeError::Empty), 400, Outcome::Malformed),
        (SignError::Unauthenticated(Unauthenticated::Missing), 401, Outcome::Unauthenticated),
        (SignError::Forbidden(Forbidden::Suspended), 403, Outcome::Forbidden),
        (SignError::Watermark(Refusal::Suspended), 403, Outcome::Forbidden),
        (SignError::StoredSignature, 409, Outcome::Refused),
        (SignError::Record(RecordSessionError::Late), 502, Outcome::Unavailable),
        (SignError::ShuttingDown, 502, Outcome::Unavailable),
        (SignError::Bug, 500, Outcome::Bug),
    ];
    for (error, status, outcome) in cases {
        assert_eq!((error.status(), error.outcome()), (status, outcome), "{error}");
    }
}

#[test]
fn whoever_holds_the_record_is_named_with_its_address() {
    let holder = |address| Some(Holder { identity: "a-pod".to_owned(), address });
    for (holder, words) in [
        (holder(Some(nowhere())), "another signer holds the record of this key (a-pod at 127.0.0.1:1)"),
        (holder(None), "another signer holds the record of this key (a-pod)"),
        (None, "no signer holds the record of this key yet"),
    ] {
        assert_eq!(RecordSessionError::HeldElsewhere { holder }.to_string(), words);
    }
}

#[test]
fn the_audit_log_says_who_asked_in_vain_and_how_long_an_answer_took() {
    in_own_process(async |env| {
        let in_process = with_peers(&env).await;
        in_process.take_lease().await;
        in_process.sign(&attestation(NEXT, 0, 1)).await.unwrap();
        let metrics = in_process.signer.metrics().text().unwrap();
        let newest =
            format!("tezos_signer_last_signed_level{{key=\"{}\",kind=\"attestation\"}} {NEXT}", in_process.key.hash());
        assert!(metrics.lines().any(|line| line == newest), "{metrics}");
        in_process.signer.not_asked(Caller::new("192.0.2.7:9".to_owned()), 400, Outcome::Malformed, "no HTTP");
        let outcomes = || {
            let text = std::fs::read_to_string(log_of(&env)).unwrap();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["event"] == "outcome").collect::<Vec<_>>()
        };
        until("both lines", async || outcomes().len() == 2).await;
        let [signed, vain] = outcomes().try_into().unwrap();
        let total = signed["microseconds"]["total"].as_u64().unwrap();
        assert!(total > 0 && total >= signed["microseconds"]["signature"].as_u64().unwrap(), "{signed}");
        assert_eq!((&vain["client"], &vain["status"]), (&"192.0.2.7:9".into(), &400.into()), "{vain}");
    });
}
