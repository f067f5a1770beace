//! What is known of one request on its way to an answer: what the audit log, the metrics and the log for people say of it.
//! Nothing is decided by it.

use crate::signer::Request;
use std::time::{Duration, Instant};
use tezos_signer_core::audit::{self, AuditAnchor, Microseconds, Outcome};
use tezos_signer_core::payload::operation::Content;
use tezos_signer_core::payload::{Payload, Shape};

/// One request on its way.
#[derive(Clone)]
pub(crate) struct Trail {
    /// What the audit log says of it.
    pub(crate) request: audit::Request,
    /// When its last byte was there.
    pub(crate) started: Instant,
    /// Where its time went so far.
    pub(crate) microseconds: Microseconds,
    /// How it ended, if it was answered with a signature.
    pub(crate) outcome: Outcome,
    /// The newest line that announced a signature for it.
    pub(crate) intent: Option<AuditAnchor>,
    /// Whether its payload has bytes or a tag that this release does not know, and was accepted all the same.
    pub(crate) unknown_shape: bool,
    /// When the last stage ended.
    lap: Instant,
}

impl Trail {
    pub(crate) fn new(request: &Request) -> Self {
        let now = Instant::now();
        Self {
            request: audit::Request {
                client: request.client.clone(),
                key: Some(request.key),
                ..audit::Request::default()
            },
            started: now,
            microseconds: Microseconds::default(),
            outcome: Outcome::Replayed,
            intent: None,
            unknown_shape: false,
            lap: now,
        }
    }

    /// The payload is this.
    pub(crate) fn decoded(&mut self, payload: &Payload) {
        self.request.kind = Some(payload.kind().into());
        match payload {
            Payload::Consensus(consensus) => {
                self.request.chain = Some(consensus.chain);
                self.request.position = Some(consensus.position);
                self.unknown_shape = consensus.shape != Shape::Known;
            }
            Payload::Operation(operation) => {
                self.request.contents = operation.contents().iter().map(Content::kind).collect();
            }
            Payload::Other { .. } => {}
        }
    }

    /// The payload is a generic operation, and is not decoded.
    pub(crate) fn is_operation(&mut self) {
        self.request.kind = Some("operation".into());
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

    /// The signature leaves that the record holds, whose newest anchor is `anchor`: this request's own, or an earlier one.
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

/// Whole microseconds; more than half a million years are not told apart.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
