//! Probes, metrics and status, on a port of their own, from the start of the process.

use crate::keyring::Key;
use crate::net::tls::Tls;
use crate::records::session::{Holder, View};
use crate::signing::Signer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tezos_signer_core::status::{HsmStatus, KeyStatus, SignedRows, SignerStatus, TlsStatus};

/// What the probes ask about.
pub struct Admin {
    signer: Arc<Signer>,
    identity: String,
    tls: Option<Arc<Tls>>,
    peer_tls: Option<Arc<Tls>>,
    started: AtomicBool,
}

impl Admin {
    /// For `signer`, whose identity as a holder of leases is `identity`, and whose ports have `tls` and `peer_tls`.
    pub fn new(signer: Arc<Signer>, identity: String, tls: Option<Arc<Tls>>, peer_tls: Option<Arc<Tls>>) -> Self {
        Self { signer, identity, tls, peer_tls, started: AtomicBool::new(false) }
    }

    /// Why nothing, or not every key, can be signed with now. One sentence each.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let hsm = self.signer.keystore().reasons();
        let keys = self.signer.keys().filter_map(|key| {
            let view = key.record.view();
            let holder = Holder::of(&view.lease);
            let problem = match (view.problem, view.record, view.held, holder) {
                (Some(problem), ..) => problem.to_string(),
                (None, None, ..) => "its watermark record has not been read yet".to_owned(),
                (None, Some(_), true, _) => return None,
                // A standby: it forwards, and takes over.
                (None, Some(_), false, Some(Holder { address: Some(_), .. })) if self.signer.forwards() => return None,
                (None, Some(_), false, Some(holder)) if self.signer.forwards() => {
                    format!("{holder} holds its record, which has no address of it (POD_IP, or that of peer.listen), so requests \
                         cannot be forwarded")
                }
                (None, Some(_), false, Some(holder)) => format!("standby: {holder} holds its record"),
                (None, Some(_), false, None) => "its lease has no holder yet".to_owned(),
            };
            Some(format!("{}: {problem}", key.config.hash()))
        });
        let audit = self.signer.audit().problem().map(|reason| format!("the audit log cannot be written: {reason}"));
        hsm.into_iter().chain(audit).chain(keys).collect()
    }

    /// With which keys requests are not answered in time, and which stage takes the time. No reason not to start: the next request may be
    /// in time.
    fn late(&self) -> Vec<String> {
        let late = |key: Arc<Key>| {
            let reason = key.record.pace().reason(key.record.medium())?;
            Some(format!("{}: {reason}", key.config.hash()))
        };
        self.signer.keys().filter_map(late).collect()
    }

    /// Whether the only problem is that another signer holds a record and requests cannot be forwarded to it. This signer can take over.
    pub(crate) fn stands_by(&self) -> bool {
        let is_served = |view: View| {
            view.problem.is_none() && view.record.is_some() && (view.held || Holder::of(&view.lease).is_some())
        };
        self.signer.keystore().reasons().is_empty()
            && self.signer.audit().problem().is_none()
            && self.signer.keys().all(|key| is_served(key.record.view()))
    }

    /// Whether signing has worked once: logged in, keys found, records read, each lease held or its holder known.
    pub(crate) fn started(&self, reasons: &[String]) -> bool {
        if reasons.is_empty() {
            self.started.store(true, Ordering::SeqCst);
        }
        self.started.load(Ordering::SeqCst)
    }

    fn status(&self) -> SignerStatus {
        let reasons = self.reasons();
        let hsm = self.signer.keystore().reasons();
        SignerStatus {
            ready: reasons.is_empty() && self.late().is_empty() && !self.signer.is_closing(),
            started: self.started(&reasons),
            identity: self.identity.clone(),
            hsm: HsmStatus { ready: hsm.is_empty(), reason: (!hsm.is_empty()).then(|| hsm.join("; ")) },
            tls: self.tls.as_deref().map(tls_status),
            peer_tls: self.peer_tls.as_deref().map(tls_status),
            keys: self.signer.keys().map(|key| self.key_status(&key)).collect(),
            reasons: self.to_show(reasons),
        }
    }

    fn key_status(&self, key: &Key) -> KeyStatus {
        let View { record, lease, held, problem, went_back } = key.record.view();
        let late = key.record.pace().reason(key.record.medium());
        let hash = key.config.hash();
        KeyStatus {
            public_key_hash: hash,
            chain: key.config.policy.chain,
            record: key.record.name().clone(),
            holder: lease.holder_identity,
            since: lease.acquire_time,
            term: lease.leader_transitions,
            held,
            holder_address: lease.holder_address,
            went_back,
            suspended: record.as_ref().is_some_and(|record| record.suspend),
            ceiling: record.as_ref().and_then(|record| record.ceiling),
            reason: problem.map(|problem| problem.to_string()).or(late),
            hsm: self.signer.keystore().reason(&hash),
            sealed: self.signer.keystore().sealed(&hash),
            attestations: self.signer.attestation_times(key),
            rows: record.map(|record| SignedRows::from(&record.rows)).unwrap_or_default(),
        }
    }

    /// Reasons to show. TLS is none not to start: new files can heal it at any time, and other clients may not need it.
    fn to_show(&self, reasons: Vec<String>) -> Vec<String> {
        let ends = self.signer.is_closing().then(|| SHUTTING_DOWN.to_owned());
        let tls = [&self.tls, &self.peer_tls].into_iter().flatten().filter_map(|tls| tls.reason());
        ends.into_iter().chain(reasons).chain(self.late()).chain(tls).collect()
    }
}

/// Why a signer that ends is not ready.
const SHUTTING_DOWN: &str = "the signer is shutting down";

fn tls_status(tls: &Tls) -> TlsStatus {
    TlsStatus { not_after: tls.not_after(), reason: tls.reason() }
}

/// The admin port's routes.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/startupz", get(startupz))
        .route("/readyz", get(readyz))
        .route("/status", get(|State(admin): State<Arc<Admin>>| async move { Json(admin.status()) }))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn startupz(State(admin): State<Arc<Admin>>) -> Response {
    let reasons = admin.reasons();
    probe(admin.started(&reasons), &reasons)
}

/// Ready after the start for as long as requests are accepted, even if they are answered with 502: a signer without requests could not
/// report to its clients why it does not sign.
async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let reasons = admin.reasons();
    if admin.signer.is_closing() {
        return probe(false, &[SHUTTING_DOWN.to_owned()]);
    }
    probe(admin.started(&reasons), &admin.to_show(reasons))
}

fn probe(ok: bool, reasons: &[String]) -> Response {
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "reasons": reasons }))).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let signer = &admin.signer;
    let records = signer.keys().map(|key| (key.config.hash(), key.record.view()));
    signer.metrics().observe_state(signer.keystore().reasons().is_empty(), signer.audit(), records);
    match signer.metrics().text() {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
