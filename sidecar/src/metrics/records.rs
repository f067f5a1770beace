//! Metrics of the watermark records: counters, and gauges that are set at each scrape. Registered in addition to those of
//! [`crate::metrics`].

use crate::records::session::{RecordSessionError, View};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::watermark::{REFUSALS, Refusal};

/// Handles to the metrics; clones are the same metrics.
#[derive(Clone)]
pub struct RecordMetrics {
    lease_held: IntGaugeVec,
    lease_transitions: IntGaugeVec,
    problem: IntGaugeVec,
    suspended: IntGaugeVec,
    refusals: IntCounterVec,
}

impl RecordMetrics {
    /// Nothing is known of any record yet.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let refusals = IntCounterVec::new(
            Opts::new(
                "tezos_signer_watermark_refusals_total",
                "Requests that were refused because of the watermark record, by reason. conflict: a different payload was signed at the position.",
            ),
            &["key", "kind", "reason"],
        )?;
        registry.register(Box::new(refusals.clone()))?;
        Ok(Self {
            lease_held: gauge(
                "tezos_signer_lease_held",
                "1 while this process holds the key's record, else 0.",
                &["key"],
            )?,
            lease_transitions: gauge(
                "tezos_signer_lease_transitions",
                "Changes of the holder of the key's record (leaderTransitions).",
                &["key"],
            )?,
            problem: gauge(
                "tezos_signer_record_problem",
                "1 for the reason why the key's record cannot be used, 0 for all other reasons.",
                &["key", "reason"],
            )?,
            suspended: gauge("tezos_signer_suspended", "1 while the key's record is suspended, else 0.", &["key"])?,
            refusals,
        })
    }

    /// Creates the series of a configured key; existing ones are kept. A counter that begins with its first event would hide that event from
    /// `increase()`.
    pub fn expect(&self, key: &PublicKeyHash) {
        for kind in ConsensusKind::ALL {
            for reason in REFUSALS {
                self.refusals.with_label_values(&[key.to_string().as_str(), kind.as_str(), reason]).inc_by(0);
            }
        }
    }

    /// The key is not one of this signer's any more.
    pub fn forget(&self, key: &PublicKeyHash) {
        let key = key.to_string();
        // An error means that there was no such series.
        for gauge in [&self.lease_held, &self.lease_transitions, &self.suspended] {
            let _ = gauge.remove_label_values(&[&key]);
        }
        for reason in RecordSessionError::REASONS {
            let _ = self.problem.remove_label_values(&[key.as_str(), reason]);
        }
        for kind in ConsensusKind::ALL {
            for reason in REFUSALS {
                let _ = self.refusals.remove_label_values(&[key.as_str(), kind.as_str(), reason]);
            }
        }
    }

    /// A request was refused by the record.
    pub fn refused(&self, key: &PublicKeyHash, kind: &str, refusal: &Refusal) {
        self.refusals.with_label_values(&[key.to_string().as_str(), kind, refusal.reason()]).inc();
    }

    /// What is known of a key's record now.
    pub fn observe(&self, key: &PublicKeyHash, view: &View) {
        let key = key.to_string();
        self.lease_held.with_label_values(&[&key]).set(view.held.into());
        // Not zero before the record was read: the first value would look like that many transitions at once.
        if let Some(record) = &view.record {
            self.lease_transitions
                .with_label_values(&[&key])
                .set(i64::try_from(view.lease.leader_transitions).unwrap_or(i64::MAX));
            self.suspended.with_label_values(&[&key]).set(record.suspend.into());
        }
        let found = view.problem.as_ref().map(RecordSessionError::reason);
        for reason in RecordSessionError::REASONS {
            self.problem.with_label_values(&[key.as_str(), reason]).set((found == Some(reason)).into());
        }
    }
}
