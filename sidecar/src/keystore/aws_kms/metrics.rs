//! The metrics of KMS: what was asked, with which result, how long it took, and with which keys it signs.

use super::error::{Action, KmsError};
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGaugeVec, Opts, Registry};
use std::time::Instant;
use tezos_signer_core::key::PublicKeyHash;

/// Handles to the metrics; clones are the same metrics.
#[derive(Clone)]
pub struct KmsMetrics {
    requests: IntCounterVec,
    duration: Histogram,
    key_signs: IntGaugeVec,
}

impl KmsMetrics {
    /// Creates the metrics of KMS, without registering them.
    pub fn new() -> Result<Self, prometheus::Error> {
        let buckets = vec![0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
        let requests = IntCounterVec::new(
            Opts::new(
                "tezos_signer_kms_requests_total",
                "Requests to AWS KMS, by operation and result (ok, timeout, unreachable, throttled, service, credentials, denied, state, \
                 not_found, signature, refused).",
            ),
            &["operation", "result"],
        )?;
        requests.with_label_values(&[Action::Sign.name(), "ok"]).reset();
        Ok(Self {
            requests,
            duration: Histogram::with_opts(
                HistogramOpts::new(
                    "tezos_signer_kms_request_duration_seconds",
                    "How long AWS KMS took to answer a request, or until the signer stopped waiting for it.",
                )
                .buckets(buckets),
            )?,
            key_signs: IntGaugeVec::new(
                Opts::new("tezos_signer_kms_key_signs", "1 while AWS KMS signs with the key, else 0."),
                &["key"],
            )?,
        })
    }

    /// From now on they are scraped.
    pub fn register(self, registry: &Registry) -> Result<Self, prometheus::Error> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(self.key_signs.clone()))?;
        Ok(self)
    }

    /// A request begins now. One that is dropped unanswered counts as timed out.
    pub(super) fn begin(&self, action: Action) -> Measured {
        Measured { metrics: self.clone(), action, begin: Instant::now(), result: "timeout" }
    }

    pub(super) fn key(&self, key: &PublicKeyHash, signs: bool) {
        self.key_signs.with_label_values(&[key.to_string()]).set(signs.into());
    }

    /// Drops the series of a key that is no longer configured.
    pub(super) fn forget_key(&self, key: &PublicKeyHash) {
        // An error means that there was no such series.
        let _ = self.key_signs.remove_label_values(&[key.to_string()]);
    }
}

/// A request that is counted when this is dropped.
pub(super) struct Measured {
    metrics: KmsMetrics,
    action: Action,
    begin: Instant,
    result: &'static str,
}

impl Measured {
    pub(super) fn answered<T>(&mut self, result: &Result<T, KmsError>) {
        self.result = result.as_ref().map_or_else(KmsError::word, |_| "ok");
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.metrics.requests.with_label_values(&[self.action.name(), self.result]).inc();
        self.metrics.duration.observe(self.begin.elapsed().as_secs_f64());
    }
}
