//! The metrics of the token and of the recovery from its failures. Registered in addition to those of [`crate::metrics`].

use crate::keystore::pkcs11::HsmError;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use tezos_signer_core::key::PublicKeyHash;

/// A step of the ladder that was taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Another try on the same session.
    Retry,
    /// A session was given up for a new one.
    Session,
    /// The library was initialised again.
    Library,
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Session => "session",
            Self::Library => "library",
        }
    }
}

/// Handles to the metrics; clones are the same metrics.
#[derive(Clone)]
pub struct HsmMetrics {
    sessions: IntGauge,
    key_up: IntGaugeVec,
    errors: IntCounterVec,
    recoveries: IntCounterVec,
    hung_calls: IntGauge,
    threads_replaced: IntCounter,
}

impl HsmMetrics {
    /// Creates the metrics of the HSM, with the value 0, without registering them.
    pub fn new() -> Result<Self, prometheus::Error> {
        let recoveries = IntCounterVec::new(
            Opts::new(
                "tezos_signer_hsm_recoveries_total",
                "Recovery steps after errors of the HSM: another attempt (retry), a new session (session), the library initialised again (library).",
            ),
            &["step"],
        )?;
        for step in [Step::Retry, Step::Session, Step::Library] {
            recoveries.with_label_values(&[step.name()]).reset();
        }
        Ok(Self {
            sessions: IntGauge::new("tezos_signer_hsm_sessions", "Sessions whose last signature succeeded.")?,
            key_up: IntGaugeVec::new(
                Opts::new("tezos_signer_hsm_key_up", "1 while the HSM signs with the key, else 0."),
                &["key"],
            )?,
            errors: IntCounterVec::new(
                Opts::new("tezos_signer_hsm_errors_total", "Errors of PKCS#11 functions, by function and code."),
                &["function", "code"],
            )?,
            recoveries,
            hung_calls: IntGauge::new(
                "tezos_signer_hsm_hung_calls",
                "Calls of the PKCS#11 library that have not returned, each in a thread of its own.",
            )?,
            threads_replaced: IntCounter::new(
                "tezos_signer_hsm_threads_replaced_total",
                "Threads that were replaced because a call of the PKCS#11 library did not return.",
            )?,
        })
    }

    /// From now on they are scraped.
    pub fn register(self, registry: &Registry) -> Result<Self, prometheus::Error> {
        registry.register(Box::new(self.sessions.clone()))?;
        registry.register(Box::new(self.key_up.clone()))?;
        registry.register(Box::new(self.errors.clone()))?;
        registry.register(Box::new(self.recoveries.clone()))?;
        registry.register(Box::new(self.hung_calls.clone()))?;
        registry.register(Box::new(self.threads_replaced.clone()))?;
        Ok(self)
    }

    pub(super) fn failed(&self, error: &HsmError) {
        if let Some((function, code)) = error.call() {
            self.errors.with_label_values(&[function, code]).inc();
        }
    }

    pub(super) fn stepped(&self, step: Step) {
        self.recoveries.with_label_values(&[step.name()]).inc();
    }

    pub(super) fn replaced(&self) {
        self.threads_replaced.inc();
    }

    pub(super) fn hang(&self, calls: usize) {
        self.hung_calls.set(i64::try_from(calls).unwrap_or(i64::MAX));
    }

    pub(super) fn sessions(&self, sessions: usize) {
        self.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    pub(super) fn key(&self, key: &PublicKeyHash, up: bool) {
        self.key_up.with_label_values(&[key.to_string()]).set(up.into());
    }

    /// Drops the series of keys that are no longer configured.
    pub(super) fn forget_key(&self, key: &PublicKeyHash) {
        // An error means that there was no such series.
        let _ = self.key_up.remove_label_values(&[key.to_string()]);
    }
}
