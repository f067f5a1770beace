//! The facts about one request that are collected for the audit log, the metrics and the log. No decision depends on them.

use crate::records::session::RecordSessionError;
use crate::signing;
use crate::stage::StageTimes;
use std::time::Duration;
use tezos_signer_core::admit::{PayloadFacts, RequestFacts};
use tezos_signer_core::anchor::AuditAnchor;
use tezos_signer_core::audit::{Microseconds, Outcome, Request};
use tezos_signer_core::payload::operation::Content;
use tezos_signer_core::payload::{Payload, Shape};
use tezos_signer_core::position::{ConsensusKind, Position};
use tokio::time::Instant;
use tracing::Span;
use tracing::field::{Empty, display};

/// Whether an attestation has a DAL part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WithDal(pub(crate) bool);

/// The facts about one request.
#[derive(Clone)]
pub(crate) struct RequestTrace {
    /// The request as it is written to the audit log.
    pub(crate) request: Request,
    /// When its last byte was there.
    pub(crate) started: Instant,
    /// Where its time went so far.
    pub(crate) microseconds: Microseconds,
    /// The same by stages, also of those that did not end.
    pub(crate) times: StageTimes,
    /// How it ended, if it was answered with a signature.
    pub(crate) outcome: Outcome,
    /// The newest line that announced a signature for it.
    pub(crate) intent: Option<AuditAnchor>,
    /// Whether its payload has bytes or a tag that this release does not know, and was accepted all the same.
    pub(crate) unknown_shape: bool,
    /// Whether its payload is an attestation with a DAL part or without; `None` for all else.
    pub(crate) attestation: Option<WithDal>,
    /// Why its last commit failed, if one did.
    pub(crate) commit_failed: Option<RecordSessionError>,
    /// When the last stage ended.
    lap: Instant,
}

impl RequestTrace {
    pub(crate) fn new(request: &signing::Request) -> Self {
        let now = Instant::now();
        Self {
            request: Request {
                request_id: Some(request.caller.request_id),
                client: request.caller.client.clone(),
                key: Some(request.key),
                ..Request::default()
            },
            started: now,
            microseconds: Microseconds::default(),
            times: StageTimes::default(),
            outcome: Outcome::Replayed,
            intent: None,
            unknown_shape: false,
            attestation: None,
            commit_failed: None,
            lap: now,
        }
    }

    /// The span of all log lines about the request, at every level. Its fields about the payload are set after decoding.
    pub(crate) fn span(&self) -> Span {
        let Request { request_id, key, .. } = &self.request;
        let (id, key) = (request_id.map(display), key.map(display));
        tracing::error_span!("request", id, key, kind = Empty, level = Empty, round = Empty)
    }

    /// What the checks of the request have found out.
    pub(crate) fn knows(&mut self, facts: &RequestFacts) {
        self.request.authenticated_key = facts.authenticated_key;
        self.request.digest = facts.digest;
        match &facts.payload {
            Some(PayloadFacts::Decoded(payload)) => self.decoded(payload),
            Some(PayloadFacts::UndecodedOperation) => self.request.kind = Some("operation".into()),
            None => {}
        }
    }

    /// The payload is this.
    fn decoded(&mut self, payload: &Payload) {
        self.request.kind = Some(payload.kind().into());
        let span = Span::current();
        match payload {
            Payload::Consensus(consensus) => {
                let Position { level, round } = consensus.position;
                tracing::record_all!(span, kind = payload.kind(), level = level.get(), round = round.get());
                self.request.chain = Some(consensus.chain);
                self.request.position = Some(consensus.position);
                self.unknown_shape = consensus.shape != Shape::Known;
                // Of an unknown tag nobody knows whether a DAL part follows.
                let is_known = !matches!(consensus.shape, Shape::UnknownTag(_));
                let attests = consensus.kind == ConsensusKind::Attestation && is_known;
                self.attestation = attests.then_some(WithDal(consensus.with_dal));
            }
            Payload::Operation(operation) => {
                span.record("kind", payload.kind());
                self.request.contents = operation.contents().iter().map(Content::kind).collect();
            }
            Payload::Other { .. } => {
                span.record("kind", payload.kind());
            }
        }
    }

    /// The record can be decided on.
    pub(crate) fn record_known(&mut self) {
        let time = self.lap();
        self.microseconds.record.get_or_insert(time);
    }

    /// The token has signed, and `intent` has announced it.
    pub(crate) fn signed(&mut self, intent: AuditAnchor) {
        self.intent = Some(intent);
        self.microseconds.signature = Some(self.lap());
    }

    /// The record was written, or not.
    pub(crate) fn committed(&mut self) {
        self.microseconds.commit = Some(self.lap());
    }

    /// The stored signature is released. `anchor` is the newest anchor of the record, of this request or of an earlier one.
    pub(crate) fn replays(&mut self, anchor: Option<AuditAnchor>) {
        let own = self.intent.is_some() && self.intent == anchor;
        self.outcome = if own { Outcome::Signed } else { Outcome::Replayed };
    }

    fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let time = now - self.lap;
        self.lap = now;
        micros(time)
    }
}

/// Whole microseconds, saturating after half a million years.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
