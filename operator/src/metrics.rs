//! The operator's Prometheus metrics, on the port of its probes. Every name and label is here.
//!
//! Counters are kept here. The series of TezosSigners are made at each scrape from the controller's store, so that those of a deleted
//! TezosSigner end with it.

mod process;

use crate::api::{Guarded, annotations};
use crate::metrics::process::Process;
use kube::ResourceExt as _;
use prometheus::core::Collector as _;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::borrow::Borrow;
use std::time::Duration;

/// Handles to all metrics; clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    duration: Histogram,
}

impl Metrics {
    /// Registers all metrics, with the value zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let reconciles = IntCounterVec::new(
            Opts::new("tezos_signer_operator_reconciles_total", "Reconciles of TezosSigners, by result."),
            &["result"],
        )?;
        for result in ["ok", "error"] {
            reconciles.with_label_values(&[result]).reset();
        }
        let duration = Histogram::with_opts(
            HistogramOpts::new("tezos_signer_operator_reconcile_duration_seconds", "Duration of a reconcile.")
                .buckets(vec![0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 45.0]),
        )?;
        let build = IntGaugeVec::new(
            Opts::new("tezos_signer_operator_build_info", "1, with the version of the operator."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(build))?;
        registry.register(Box::new(Process::new()))?;
        Ok(Self { registry, reconciles, duration })
    }

    /// Counts a finished reconcile by its result and records its duration.
    pub fn reconciled(&self, ok: bool, time: Duration) {
        self.reconciles.with_label_values(&[if ok { "ok" } else { "error" }]).inc();
        self.duration.observe(time.as_secs_f64());
    }

    /// The text that Prometheus scrapes. `signers` are those in the controller's store.
    pub fn text<S: Borrow<Guarded>>(&self, signers: impl IntoIterator<Item = S>) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        let mut state = State::new()?;
        for signer in signers {
            state.add(signer.borrow());
        }
        families.extend(state.collect());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The series of the TezosSigners at one scrape.
struct State {
    known: IntGauge,
    undecodable: IntGauge,
    condition: IntGaugeVec,
    paused: IntGaugeVec,
}

impl State {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            known: IntGauge::new(
                "tezos_signer_operator_tezossigners",
                "TezosSigners in the namespaces that the operator watches.",
            )?,
            undecodable: IntGauge::new(
                "tezos_signer_operator_undecodable_tezossigners",
                "TezosSigners that this release cannot decode. The operator does not change them.",
            )?,
            condition: IntGaugeVec::new(
                Opts::new(
                    "tezos_signer_operator_condition",
                    "1 for the status (True, False, Unknown) of a condition of a TezosSigner. Other statuses have no series.",
                ),
                &["namespace", "name", "type", "status"],
            )?,
            paused: IntGaugeVec::new(
                Opts::new("tezos_signer_operator_paused", "1 while a TezosSigner is paused by its annotation, else 0."),
                &["namespace", "name"],
            )?,
        })
    }

    fn add(&mut self, signer: &Guarded) {
        self.known.inc();
        let (namespace, name) = (signer.namespace().unwrap_or_default(), signer.name_any());
        self.paused.with_label_values(&[&namespace, &name]).set(annotations::is_paused(signer).into());
        let Ok(signer) = &signer.0 else {
            self.undecodable.inc();
            // A release that could read it wrote its status, perhaps long ago.
            self.condition.with_label_values(&[namespace.as_str(), &name, "Ready", "Unknown"]).set(1);
            return;
        };
        for condition in signer.status.iter().flat_map(|status| &status.conditions) {
            self.condition.with_label_values(&[&namespace, &name, &condition.type_, &condition.status]).set(1);
        }
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        let mut families = self.known.collect();
        families.extend(self.undecodable.collect());
        families.extend(self.condition.collect());
        families.extend(self.paused.collect());
        // A family without series has no line in the text.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn signer(name: &str, spec: &Value, ready: &str) -> Guarded {
        let condition = json!({"type": "Ready", "status": ready, "reason": "A", "message": "", "lastTransitionTime": "2026-11-28T21:00:00Z"});
        serde_json::from_value(json!({
            "apiVersion": "signer.tezos.io/v1alpha1", "kind": "TezosSigner",
            "metadata": {"name": name, "namespace": "bakers", "annotations": {"signer.tezos.io/paused": "true"}},
            "spec": spec, "status": {"conditions": [condition]},
        }))
        .unwrap()
    }

    #[test]
    fn each_tezossigner_is_told_of_for_as_long_as_it_is_known() {
        let metrics = Metrics::new().unwrap();
        metrics.reconciled(true, Duration::from_millis(3));
        metrics.reconciled(false, Duration::from_millis(3));
        let good = json!({"chain": "mainnet", "keys": [], "hsm": {}});
        let text = metrics.text([signer("a", &good, "True"), signer("b", &json!({"keys": 7}), "True")]).unwrap();
        for line in [
            r#"tezos_signer_operator_reconciles_total{result="ok"} 1"#,
            r#"tezos_signer_operator_reconciles_total{result="error"} 1"#,
            "tezos_signer_operator_reconcile_duration_seconds_count 2",
            "tezos_signer_operator_tezossigners 2",
            "tezos_signer_operator_undecodable_tezossigners 1",
            r#"tezos_signer_operator_condition{name="a",namespace="bakers",status="True",type="Ready"} 1"#,
            r#"tezos_signer_operator_condition{name="b",namespace="bakers",status="Unknown",type="Ready"} 1"#,
            r#"tezos_signer_operator_paused{name="a",namespace="bakers"} 1"#,
            concat!(r#"tezos_signer_operator_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("process_resident_memory_bytes "), "{text}");

        let later = metrics.text([signer("a", &good, "False")]).unwrap();
        assert!(later.contains(r#"name="a",namespace="bakers",status="False",type="Ready"} 1"#), "{later}");
        assert!(!later.contains(r#"name="b""#) && !later.contains(r#"status="True""#), "{later}");
        let none = metrics.text(Vec::<Guarded>::new()).unwrap();
        assert!(none.contains("tezos_signer_operator_tezossigners 0\n"), "{none}");
    }
}
