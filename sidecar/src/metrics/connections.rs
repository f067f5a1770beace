//! Metrics of connections that fail before there is a request. Registered in addition to those of [`crate::metrics`].

use jiff::Timestamp;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Connections that ended without an answer of the protocol.
#[derive(Clone)]
pub struct ConnectionMetrics {
    faults: IntCounterVec,
}

impl ConnectionMetrics {
    /// Registers the metrics with the value zero. `prefix` is the beginning of the names: `tezos_signer`. `labels` are the kinds of faults.
    pub fn register(registry: &Registry, prefix: &str, labels: &[&str]) -> Result<Self, prometheus::Error> {
        let faults = IntCounterVec::new(
            Opts::new(
                format!("{prefix}_connection_faults_total"),
                "Connections that ended without a response, by cause.",
            ),
            &["fault"],
        )?;
        for label in labels {
            faults.with_label_values(&[label]);
        }
        registry.register(Box::new(faults.clone()))?;
        Ok(Self { faults })
    }

    /// Counts one connection that failed with `label`.
    pub fn observe(&self, label: &str) {
        self.faults.with_label_values(&[label]).inc();
    }
}

/// The state of the certificates; only where TLS is configured.
#[derive(Clone)]
pub struct TlsMetrics {
    reload_failures: IntCounter,
    expiry: IntGauge,
}

impl TlsMetrics {
    /// Registers the metrics with the value zero, and no expiry yet. `prefix` is the beginning of the names: `tezos_signer`.
    pub fn register(registry: &Registry, prefix: &str) -> Result<Self, prometheus::Error> {
        let reload_failures = IntCounter::new(
            format!("{prefix}_tls_reload_failures_total"),
            "Changes of the TLS files that could not be loaded. The previous certificate is still served.",
        )?;
        let expiry = IntGauge::new(
            format!("{prefix}_tls_certificate_expiry_timestamp_seconds"),
            "When the served TLS certificate expires, in seconds since 1970.",
        )?;
        registry.register(Box::new(reload_failures.clone()))?;
        registry.register(Box::new(expiry.clone()))?;
        Ok(Self { reload_failures, expiry })
    }

    /// A change could not be used.
    pub fn reload_failed(&self) {
        self.reload_failures.inc();
    }

    /// What is served now.
    pub fn serving(&self, not_after: Timestamp) {
        self.expiry.set(not_after.as_second());
    }
}
