//! The report of a finished request: one line of the audit log, the metrics, the log, and in `/status` whether signatures are
//! in time.

use super::Signer;
use super::answer::Answer;
use super::error::SignError;
use super::trace::{RequestTrace, WithDal, micros};
use crate::excerpt::excerpt;
use crate::keyring::Key;
use crate::records::session::RecordSessionError;
use crate::request::Caller;
use crate::stage::{Medium, Stage, StageAt};
use crate::store::StoreError;
use jiff::Timestamp;
use std::time::Duration;
use tezos_signer_core::audit::{self, Event, Microseconds, Outcome};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::payload::DecodeError;

impl Signer {
    /// INVARIANT S13: What failed only because the time was over is said of the stage that took it: `error` may come from one that was begun when none
    /// was left.
    pub(super) fn with_slowest_stage(&self, error: SignError, key: Option<&Key>, trace: &RequestTrace) -> SignError {
        let (Some(key), Some(stages)) = (key, error.is_late()) else { return error };
        if trace.started.elapsed() < self.request_deadline {
            return error;
        }
        let (session, (stage, took)) = (&key.record, trace.times.slowest());
        let is_lock =
            |error: &RecordSessionError| matches!(error, RecordSessionError::Store(StoreError::FileLocked(_)));
        let waited_for_lock = matches!(&error, SignError::Record(error) if is_lock(error))
            || trace.commit_failed.as_ref().is_some_and(is_lock);
        let medium = if waited_for_lock { Medium::LockedFile } else { session.medium() };
        // Several attempts, each with a new signature.
        let failed = trace.commit_failed.as_ref().filter(|_| stage != Stage::Commit);
        let commit = StageAt { stage: Stage::Commit, medium: session.medium() };
        let failed = failed.map(|error| Cause::of(error.clone()).map_text(|error| format!("{commit} failed: {error}")));
        let more = match (stage, session.pace().slowest_running()) {
            _ if failed.is_some() => failed,
            _ if stages.contains(&stage) && stage != Stage::Turn => Some(Cause::of(error)),
            (Stage::Turn, Some((running, time))) => {
                let stage = StageAt { stage: running, medium };
                Some(format!("{stage} has taken {} ms of one request so far", time.as_millis()).into())
            }
            _ => None,
        };
        SignError::OutOfTime { limit: self.request_deadline, stage: StageAt { stage, medium }, took, more }
    }

    /// A request that did not come so far as to ask for a signature: its path, its body or its HTTP could not be read, or
    /// there were too many.
    pub fn not_asked(&self, caller: Caller, status: u16, outcome: Outcome, reason: &str) {
        let reason = excerpt(reason);
        self.metrics.answered("unreadable", outcome, None);
        let Caller { client, request_id } = caller;
        let span = tracing::error_span!("request", id = %request_id);
        span.in_scope(|| tracing::info!(client, status, reason, "not signed"));
        let request = audit::Request { request_id: Some(request_id), client, ..audit::Request::default() };
        let microseconds = Microseconds::default();
        self.audit.note(Event::Outcome { request, status, outcome, reason: Some(reason), intent: None, microseconds });
    }

    /// One line of the audit log, the metrics, and where there was no signature a line of the log for people.
    pub(super) fn account_for(&self, trace: RequestTrace, answer: Result<&Answer, &SignError>) {
        let (status, outcome, reason) = match answer {
            Ok(Answer::Signature(_)) => (200, trace.outcome, None),
            Ok(Answer::Forwarded(answer)) => {
                (answer.status, Outcome::Forwarded, Some(format!("forwarded to {}", answer.holder)))
            }
            Err(error) => (error.status(), error.outcome(), Some(error.to_string())),
        };
        let (kind, time) = (trace.request.kind.clone().unwrap_or("malformed".into()), trace.started.elapsed());
        self.metrics.answered(&kind, outcome, Some(time));
        if let (Some(key), Err(SignError::Watermark(refusal))) = (&trace.request.key, answer) {
            self.metrics.records().refused(key, &kind, refusal);
        }
        self.show_pace(&trace, answer, time);
        match answer {
            Ok(Answer::Signature(_)) => {
                self.metrics.signed(&trace.request);
                if let (Some(key), Some(WithDal(with_dal))) = (trace.request.key, trace.attestation) {
                    self.attestations.signed(key, with_dal, Timestamp::now());
                }
            }
            Ok(Answer::Forwarded(_)) if status == 200 => {}
            _ => {
                let key = trace.request.key.map(tracing::field::display);
                tracing::info!(key, client = trace.request.client, status, reason, "not signed");
            }
        }
        let refused = matches!(answer, Err(SignError::Malformed(DecodeError::UnknownShape(_))));
        if refused || trace.unknown_shape {
            let answer = if refused { "refused" } else { "accepted" };
            self.metrics.unknown_shape(answer);
            tracing::warn!(
                answer,
                digest = trace.request.digest.map(tracing::field::display),
                "a block or vote has a shape that is unknown to this release: upgrade before its protocol is activated \
                 (unknownConsensusSuffix)"
            );
        }
        self.metrics.took(&trace.microseconds);
        let microseconds = Microseconds { total: micros(time), ..trace.microseconds };
        let intent = trace.intent.map(|intent| intent.sequence);
        self.audit.note(Event::Outcome { request: trace.request, status, outcome, reason, intent, microseconds });
    }

    /// Shows in `/status` whether new signatures with the key come in time.
    fn show_pace(&self, trace: &RequestTrace, answer: Result<&Answer, &SignError>, time: Duration) {
        let Some(key) = trace.request.key.and_then(|key| self.key(&key)) else { return };
        let (pace, medium) = (key.record.pace(), key.record.medium());
        match answer {
            Err(error @ SignError::OutOfTime { .. }) => pace.late(error.to_string()),
            Ok(Answer::Signature(_)) if trace.outcome == Outcome::Signed && time > self.request_deadline => {
                let (stage, took) = trace.times.slowest();
                let (stage, limit) = (StageAt { stage, medium }, self.request_deadline.as_millis());
                pace.late(format!("it took {} ms, of {limit}: {stage} took {} ms", time.as_millis(), took.as_millis()));
            }
            Ok(Answer::Signature(_)) if trace.outcome == Outcome::Signed => pace.in_time(),
            _ => {}
        }
    }
}
