//! Probes, metrics and status. Served from the start of the process, on a port of their own.

use super::tls::Tls;
use crate::custody::{Holder, View};
use crate::signer::Signer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tezos_signer_core::position::ConsensusKind;

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
        let hsm = self.signer.hsm().health().reasons();
        let keys = self.signer.keys().filter_map(|key| {
            let view = key.custody.view();
            let holder = Holder::of(&view.lease);
            let problem = match (view.problem, view.record, view.held, holder) {
                (Some(problem), ..) => problem.to_string(),
                (None, None, ..) => "its watermark record has not been read yet".to_owned(),
                (None, Some(_), true, _) => return None,
                // A standby: it forwards, and takes over.
                (None, Some(_), false, Some(Holder { address: Some(_), .. })) if self.signer.forwards() => return None,
                (None, Some(_), false, Some(holder)) if self.signer.forwards() => {
                    format!("{holder} serves it, and has told nobody its address (POD_IP, or that of peer.listen): it cannot be asked")
                }
                (None, Some(_), false, Some(holder)) => format!("stands by: {holder} serves it"),
                (None, Some(_), false, None) => "nobody holds its lease yet".to_owned(),
            };
            Some(format!("{}: {problem}", key.config.hash()))
        });
        let audit = self.signer.audit().problem().map(|reason| format!("the audit log cannot be written: {reason}"));
        hsm.into_iter().chain(audit).chain(keys).collect()
    }

    /// Whether all is well but for this: another signer serves what this one does not, and cannot be asked for it. It takes over.
    pub(crate) fn stands_by(&self) -> bool {
        let is_served = |view: View| {
            view.problem.is_none() && view.record.is_some() && (view.held || Holder::of(&view.lease).is_some())
        };
        self.signer.hsm().health().reasons().is_empty()
            && self.signer.audit().problem().is_none()
            && self.signer.keys().all(|key| is_served(key.custody.view()))
    }

    /// Whether signing has worked once: logged in, keys found, records read, each lease held or its holder known.
    pub(crate) fn started(&self, reasons: &[String]) -> bool {
        if reasons.is_empty() {
            self.started.store(true, Ordering::SeqCst);
        }
        self.started.load(Ordering::SeqCst)
    }

    fn status(&self) -> Value {
        let reasons = self.reasons();
        let health = self.signer.hsm().health();
        let hsm = health.reasons();
        let keys: Vec<Value> = self
            .signer
            .keys()
            .map(|key| {
                let view = key.custody.view();
                let rows = ConsensusKind::ALL.into_iter().filter_map(|kind| {
                    let row = view.record.as_ref()?.rows.get(kind)?;
                    let position = json!({ "level": row.position.level, "round": row.position.round });
                    Some((kind.to_string(), position))
                });
                json!({
                    "publicKeyHash": key.config.hash(),
                    "chain": key.config.policy.chain,
                    "record": key.custody.name().as_str(),
                    "holder": view.lease.holder_identity,
                    "since": view.lease.acquire_time,
                    "term": view.lease.leader_transitions,
                    "held": view.held,
                    "holderAddress": view.lease.holder_address,
                    "wentBack": view.went_back,
                    "suspended": view.record.as_ref().is_some_and(|record| record.suspend),
                    "ceiling": view.record.as_ref().and_then(|record| record.ceiling),
                    "reason": view.problem.map(|problem| problem.to_string()),
                    "hsm": health.reason(&key.config.hash()),
                    "rows": rows.collect::<serde_json::Map<_, _>>(),
                })
            })
            .collect();
        json!({
            "ready": reasons.is_empty() && !self.signer.is_closing(),
            "started": self.started(&reasons),
            "identity": self.identity,
            "hsm": { "ready": hsm.is_empty(), "reason": (!hsm.is_empty()).then(|| hsm.join("; ")) },
            "tls": self.tls.as_ref().map(|tls| json!({ "notAfter": tls.not_after(), "reason": tls.reason() })),
            "peerTls": self.peer_tls.as_ref().map(|tls| json!({ "notAfter": tls.not_after(), "reason": tls.reason() })),
            "keys": keys,
            "reasons": self.with_tls(reasons),
        })
    }

    /// Reasons to show. TLS is none not to start: new files can heal it at any time, and other clients may not need it.
    fn with_tls(&self, reasons: Vec<String>) -> Vec<String> {
        let tls = [&self.tls, &self.peer_tls].into_iter().flatten().filter_map(|tls| tls.reason());
        reasons.into_iter().chain(tls).collect()
    }
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

/// Ready once started, for as long as requests are accepted, also when the answer is 502: a signer that nobody asks any more
/// cannot say why it does not sign.
async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let reasons = admin.reasons();
    if admin.signer.is_closing() {
        return probe(false, &["the signer is shutting down".to_owned()]);
    }
    probe(admin.started(&reasons), &admin.with_tls(reasons))
}

fn probe(ok: bool, reasons: &[String]) -> Response {
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "reasons": reasons }))).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let signer = &admin.signer;
    let records = signer.keys().map(|key| (key.config.hash(), key.custody.view()));
    signer.metrics().observe_state(signer.hsm().health().reasons().is_empty(), signer.audit(), records);
    match signer.metrics().text() {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
