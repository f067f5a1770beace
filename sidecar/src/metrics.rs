//! The signer's Prometheus metrics. Every name and label is here.

use crate::signer::SignError;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::time::Duration;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::Signature;
use tezos_signer_core::payload::Consensus;

/// Handles to all metrics; clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    last_level: IntGaugeVec,
    last_round: IntGaugeVec,
    commits_failed: IntCounter,
    hsm_up: IntGauge,
    lease_held: IntGaugeVec,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("tezos_signer_requests_total", "Signing requests by kind of payload and outcome."),
            &["kind", "outcome"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "tezos_signer_request_duration_seconds",
                "Time from a request's last byte to its answer.",
            )
            .buckets(vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]),
            &["kind", "outcome"],
        )?;
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
            "Writes of a watermark record that failed, conflicted or timed out; their signatures were not released.",
        )?;
        let hsm_up = IntGauge::new("tezos_signer_hsm_up", "1 while the HSM can be used, else 0.")?;
        let lease_held = IntGaugeVec::new(
            Opts::new("tezos_signer_lease_held", "1 while this process serves the key's record, else 0."),
            &["key"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(last_level.clone()))?;
        registry.register(Box::new(last_round.clone()))?;
        registry.register(Box::new(commits_failed.clone()))?;
        registry.register(Box::new(hsm_up.clone()))?;
        registry.register(Box::new(lease_held.clone()))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, requests, duration, last_level, last_round, commits_failed, hsm_up, lease_held })
    }

    /// One request was answered.
    pub fn answered(&self, kind: &str, answer: &Result<Signature, SignError>, time: Duration) {
        let outcome = match answer {
            Ok(_) => "signed",
            Err(SignError::Malformed(_)) => "malformed",
            Err(SignError::UnknownKey(_)) => "unknown_key",
            Err(SignError::Forbidden(_)) => "forbidden",
            Err(SignError::Bug) => "bug",
            Err(error) if error.is_transient() => "unavailable",
            Err(_) => "refused",
        };
        self.requests.with_label_values(&[kind, outcome]).inc();
        self.duration.with_label_values(&[kind, outcome]).observe(time.as_secs_f64());
    }

    /// One request could not be read: its path, its body, or the hex in it.
    pub fn unreadable(&self) {
        self.requests.with_label_values(&["unreadable", "malformed"]).inc();
    }

    /// A signature is about to leave.
    pub fn signed(&self, key: &KeyConfig, request: &Consensus) {
        let (key, kind) = (key.hash().to_string(), request.kind.as_str());
        self.last_level.with_label_values(&[&key, kind]).set(request.position.level.get().into());
        self.last_round.with_label_values(&[&key, kind]).set(request.position.round.get().into());
    }

    /// A write did not come back with success.
    pub fn commit_failed(&self) {
        self.commits_failed.inc();
    }

    /// What is not counted but looked up at each scrape.
    pub fn observe_state(&self, hsm_up: bool, leases: impl IntoIterator<Item = (String, bool)>) {
        self.hsm_up.set(hsm_up.into());
        for (key, held) in leases {
            self.lease_held.with_label_values(&[&key]).set(held.into());
        }
    }

    /// The text that Prometheus scrapes.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
