//! The metrics of sealed keys.

use crate::keystore::sealed::Entries;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use std::sync::Arc;
use tezos_signer_core::key::PublicKeyHash;
use tokio::time::Instant;

/// What came of asking: the values of the label.
const RESULTS: [&str; 3] = ["authentic", "refused", "unreachable"];

#[derive(Clone)]
pub(super) struct SealedMetrics {
    usable: IntGaugeVec,
    unreachable: IntGaugeVec,
    checks: IntCounterVec,
}

/// The gauges, as they are when they are asked for.
struct Gauges {
    metrics: SealedMetrics,
    entries: Arc<Entries>,
}

impl SealedMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            usable: IntGaugeVec::new(
                Opts::new("tezos_signer_sealed_key_usable", "1 while the sealed key is open and signed with, else 0."),
                &["key"],
            )?,
            unreachable: IntGaugeVec::new(
                Opts::new(
                    "tezos_signer_sealed_key_unseal_unreachable_seconds",
                    "For how long it could not be asked whether the sealed key may be opened, 0 while it can.",
                ),
                &["key"],
            )?,
            checks: IntCounterVec::new(
                Opts::new(
                    "tezos_signer_sealed_key_checks_total",
                    "How often a sealed key was opened or checked, by result: it is authentic, refused, or nobody could be asked (unreachable).",
                ),
                &["key", "result"],
            )?,
        })
    }

    pub(super) fn register(&self, registry: &Registry, entries: &Arc<Entries>) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.checks.clone()))?;
        registry.register(Box::new(Gauges { metrics: self.clone(), entries: entries.clone() }))
    }

    pub(super) fn joins(&self, key: &PublicKeyHash) {
        for result in RESULTS {
            self.checks.with_label_values(&[&key.to_string()[..], result]).inc_by(0);
        }
    }

    pub(super) fn checked(&self, key: &PublicKeyHash, result: &'static str) {
        self.checks.with_label_values(&[&key.to_string()[..], result]).inc();
    }

    pub(super) fn forget(&self, key: &PublicKeyHash) {
        // An error means that there was no such series.
        for result in RESULTS {
            let _ = self.checks.remove_label_values(&[&key.to_string()[..], result]);
        }
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        [self.metrics.usable.desc(), self.metrics.unreachable.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let SealedMetrics { usable, unreachable, .. } = &self.metrics;
        usable.reset();
        unreachable.reset();
        let now = Instant::now();
        self.entries.each(|hash, entry, terms| {
            let key = hash.to_string();
            usable.with_label_values(&[&key]).set(entry.secret(terms, now).is_ok().into());
            let seconds = entry.unreachable_for(now).as_secs();
            unreachable.with_label_values(&[&key]).set(i64::try_from(seconds).unwrap_or(i64::MAX));
        });
        [usable.collect(), unreachable.collect()].concat()
    }
}
