//! The signer's Prometheus metrics. All names and labels are here, except for those of records ([`crate::metrics::records`]),
//! of the token ([`crate::keystore::pkcs11`]), and of connections ([`crate::metrics::connections`]).

pub mod connections;
mod process;
pub(crate) mod records;

use crate::audit::AuditLog;
use crate::metrics::process::Process;
use crate::metrics::records::RecordMetrics;
use crate::records::session::View;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::time::Duration;
use tezos_signer_core::audit::{self, Microseconds, Outcome};
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::position::ConsensusKind;

/// Handles to all metrics; clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    phases: HistogramVec,
    last_level: IntGaugeVec,
    last_round: IntGaugeVec,
    commits_failed: IntCounter,
    unknown_shapes: IntCounterVec,
    forwarded: IntCounterVec,
    config_reloads: IntCounterVec,
    audit_up: IntGauge,
    audit_lost: IntGauge,
    hsm_up: IntGauge,
    records: RecordMetrics,
}

/// The phases of a request, as in the audit log: the values of the metric's label.
const PHASES: [&str; 3] = ["record", "signature", "commit"];

/// What may come of a request that is forwarded: the values of the metric's label.
pub const FORWARDED: [&str; 6] = ["signed", "refused", "unavailable", "unreachable", "failed", "displaced"];

/// What came of reading the configuration again: the values of the metric's label.
const RESULTS: [&str; 3] = ["applied", "unchanged", "refused"];

/// From a millisecond to the longest that a request may take.
const SECONDS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];

impl Metrics {
    /// Creates and registers all metrics, with the value 0.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        // One for each value that the label may have, so that each is there before its first event.
        let counters = |name, help, label, values: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            for value in values {
                counters.with_label_values(&[value]).reset();
            }
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let requests = IntCounterVec::new(
            Opts::new("tezos_signer_requests_total", "Signing requests by kind of payload and outcome."),
            &["kind", "outcome"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "tezos_signer_request_duration_seconds",
                "Time from the last byte of a request to its response.",
            )
            .buckets(SECONDS.to_vec()),
            &["kind", "outcome"],
        )?;
        let phases = HistogramVec::new(
            HistogramOpts::new(
                "tezos_signer_phase_duration_seconds",
                "Duration of each phase of a request: waiting for the record and reading it (record), the HSM and the audit log \
                 (signature), writing the record (commit).",
            )
            .buckets(SECONDS.to_vec()),
            &["phase"],
        )?;
        for phase in PHASES {
            // So that it is there before the first request.
            phases.with_label_values(&[phase]);
        }
        let build =
            IntGaugeVec::new(Opts::new("tezos_signer_build_info", "1; the label is the release."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let last_level = IntGaugeVec::new(
            Opts::new("tezos_signer_last_signed_level", "Level of the newest signature, by key and kind."),
            &["key", "kind"],
        )?;
        let last_round = IntGaugeVec::new(
            Opts::new("tezos_signer_last_signed_round", "Round of the newest signature, by key and kind."),
            &["key", "kind"],
        )?;
        let commits_failed = IntCounter::new(
            "tezos_signer_commit_failures_total",
            "Writes of a watermark record that failed, conflicted or timed out. Their signatures were discarded.",
        )?;
        let unknown_shapes = counters(
            "tezos_signer_unknown_payload_shapes_total",
            "Blocks and votes with bytes or a tag that this release does not know, by answer (unknownConsensusSuffix).",
            "answer",
            &["refused", "accepted"],
        )?;
        let forwarded = counters(
            "tezos_signer_forwarded_total",
            "Requests that were forwarded to the holder of the record, by outcome.",
            "outcome",
            &FORWARDED,
        )?;
        let config_reloads = counters(
            "tezos_signer_config_reloads_total",
            "Reloads of the configuration (SIGHUP), by result. After refused, the previous configuration stays in use.",
            "result",
            &RESULTS,
        )?;
        let audit_up = IntGauge::new("tezos_signer_audit_up", "1 while the audit log can be written, else 0.")?;
        let audit_lost = IntGauge::new(
            "tezos_signer_audit_lost_lines",
            "Lines of the audit log that were lost since the process started. No new signature was among them.",
        )?;
        let hsm_up = IntGauge::new("tezos_signer_hsm_up", "1 while the HSM can be used, else 0.")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(last_level.clone()))?;
        registry.register(Box::new(last_round.clone()))?;
        registry.register(Box::new(commits_failed.clone()))?;
        registry.register(Box::new(audit_up.clone()))?;
        registry.register(Box::new(audit_lost.clone()))?;
        registry.register(Box::new(hsm_up.clone()))?;
        registry.register(Box::new(phases.clone()))?;
        registry.register(Box::new(build))?;
        let records = RecordMetrics::register(&registry)?;
        registry.register(Box::new(Process::new()))?;
        Ok(Self {
            registry,
            requests,
            duration,
            phases,
            last_level,
            last_round,
            commits_failed,
            unknown_shapes,
            forwarded,
            config_reloads,
            audit_up,
            audit_lost,
            hsm_up,
            records,
        })
    }

    /// One request was answered; `time` is that from its last byte, and is not known of one that could not be read.
    pub fn answered(&self, kind: &str, outcome: Outcome, time: Option<Duration>) {
        self.requests.with_label_values(&[kind, outcome.as_str()]).inc();
        if let Some(time) = time {
            self.duration.with_label_values(&[kind, outcome.as_str()]).observe(time.as_secs_f64());
        }
    }

    /// Where the time of a request went, as far as it came.
    pub fn took(&self, time: &Microseconds) {
        for (phase, time) in PHASES.into_iter().zip([time.record, time.signature, time.commit]) {
            if let Some(time) = time {
                self.phases.with_label_values(&[phase]).observe(Duration::from_micros(time).as_secs_f64());
            }
        }
    }

    /// A block or vote has a tag or bytes that this release does not know: a protocol newer than it is about to come, or has.
    pub fn unknown_shape(&self, answer: &str) {
        self.unknown_shapes.with_label_values(&[answer]).inc();
    }

    /// The replica that serves a key was asked.
    pub fn forwarded(&self, outcome: &str) {
        self.forwarded.with_label_values(&[outcome]).inc();
    }

    /// Those of the records.
    pub fn records(&self) -> &RecordMetrics {
        &self.records
    }

    /// The configuration was read again.
    pub(crate) fn reloaded(&self, result: &str) {
        self.config_reloads.with_label_values(&[result]).inc();
    }

    /// Drops the series of a key that is no longer configured, which would otherwise look like a key that has stopped signing.
    pub(crate) fn forget_key(&self, key: &PublicKeyHash) {
        self.records.forget(key);
        let key = &key.to_string();
        for kind in ConsensusKind::ALL {
            // An error means that there was no such series.
            let _ = self.last_level.remove_label_values(&[key, kind.as_str()]);
            let _ = self.last_round.remove_label_values(&[key, kind.as_str()]);
        }
    }

    /// Where others register theirs.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A signature is about to leave.
    pub fn signed(&self, request: &audit::Request) {
        if let (Some(key), Some(kind), Some(position)) = (&request.key, &request.kind, &request.position) {
            let labels = [&key.to_string(), kind.as_ref()];
            self.last_level.with_label_values(&labels).set(position.level.get().into());
            self.last_round.with_label_values(&labels).set(position.round.get().into());
        }
    }

    /// A write did not come back with success.
    pub fn commit_failed(&self) {
        self.commits_failed.inc();
    }

    /// Sets the gauges that are read at each scrape.
    pub fn observe_state(
        &self,
        hsm_up: bool,
        audit: &AuditLog,
        records: impl IntoIterator<Item = (PublicKeyHash, View)>,
    ) {
        self.hsm_up.set(hsm_up.into());
        self.audit_up.set(audit.problem().is_none().into());
        self.audit_lost.set(i64::try_from(audit.lost()).unwrap_or(i64::MAX));
        for (key, view) in records {
            self.records.observe(&key, &view);
        }
    }

    /// The text that Prometheus scrapes.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
