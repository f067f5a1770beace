//! `suspend` and `resume`: all keys of a TezosSigner, through `spec.suspend` and the operator. With --break-glass also in the watermark records
//! themselves, for the time when the operator is away.

mod outcome;

use crate::cluster::{Cluster, ConnectionArguments, TEZOS_SIGNERS};
use crate::error::{PluginError, Right};
use crate::output::{self, Output};
use crate::status;
use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use outcome::{Outcome, RecordOutcome};
use serde_json::json;
use std::time::{Duration, Instant};
use tezos_signer_core::record::{Owner, RECORDS_NAMESPACE, SUSPEND_ROW, SUSPENDED_BY_SPEC_ANNOTATION};
use tezos_signer_operator::api::{Guarded, KeyStatus, TezosSigner};

/// The name of who changes what it changes.
const FIELD_MANAGER: &str = "kubectl-tezos-signer";

/// The options of `suspend` and `resume`.
#[derive(Args)]
pub(crate) struct SuspendArguments {
    /// The names of TezosSigners.
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<String>,
    /// All TezosSigners of the namespace.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// The number of seconds to wait until the records say so.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..), value_name = "SECONDS")]
    wait: u64,
    /// Write it to the watermark records too, as the group tezos-signer:break-glass, which you must have the right to impersonate. It does not need
    /// the operator.
    #[arg(long)]
    break_glass: bool,
}

/// Suspends, or resumes, the TezosSigners that `arguments` name.
pub(crate) async fn run(
    connection: &ConnectionArguments,
    arguments: &SuspendArguments,
    suspend: bool,
    output: Output,
) -> Result<(), PluginError> {
    let cluster = connection.connect().await?;
    let scope = status::scope(&cluster, &arguments.names, false);
    let signers = cluster.signers(&scope).await?;
    if signers.is_empty() {
        return Err(PluginError::NotFound(format!("TezosSigner in the namespace {}", cluster.namespace)));
    }
    let glass = if arguments.break_glass { Some(connection.connect_with_break_glass(&cluster).await?) } else { None };
    let mut outcomes = Vec::new();
    for signer in &signers {
        let (namespace, name) = (signer.namespace().unwrap_or_default(), signer.name_any());
        let one = Task { cluster: &cluster, glass: glass.as_ref(), namespace, name, suspend };
        outcomes.push(one.run(arguments.wait).await?);
    }
    match output {
        Output::Json => output::print_json(&outcomes)?,
        Output::Table => output::print(&outcomes.iter().map(ToString::to_string).collect::<String>())?,
    }
    let undone: Vec<&str> =
        outcomes.iter().filter(|outcome| !outcome.done).map(|outcome| outcome.name.as_str()).collect();
    if undone.is_empty() {
        return Ok(());
    }
    let verb = if suspend { "suspended" } else { "resumed" };
    Err(PluginError::Incomplete(format!("not {verb}: {}", undone.join(", "))))
}

/// One TezosSigner to suspend or resume.
struct Task<'a> {
    cluster: &'a Cluster,
    /// In the name of the break-glass group.
    glass: Option<&'a Cluster>,
    namespace: String,
    name: String,
    suspend: bool,
}

impl Task<'_> {
    async fn run(&self, wait: u64) -> Result<Outcome, PluginError> {
        let asked = self.change_spec().await;
        // Who may open the glass need not be able to change the TezosSigner.
        let asked = match (asked, self.glass) {
            (Err(error @ PluginError::Denied(_)), Some(_)) => Err(error),
            (asked, _) => Ok(asked?),
        };
        let mut outcome = Outcome::new(&self.namespace, &self.name, self.suspend);
        if let Err(error) = &asked {
            outcome.notes.push(format!("spec.suspend was not changed: {error}"));
        }
        if let Some(glass) = self.glass {
            self.change_records(glass).await?;
        }
        let began = Instant::now();
        loop {
            let signer = self.cluster.signer(&self.namespace, &self.name).await?.0;
            outcome.observe(signer.as_ref().ok(), self.records(signer.as_ref().ok()).await);
            if outcome.done || outcome.is_hopeless() || began.elapsed() >= Duration::from_secs(wait) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        outcome.conclude(wait);
        Ok(outcome)
    }

    async fn change_spec(&self) -> Result<(), PluginError> {
        // Nobody who applies the manifest then finds a field that it does not have.
        let suspend = if self.suspend { json!(true) } else { json!(null) };
        let patch = Patch::Merge(json!({ "spec": { "suspend": suspend } }));
        let right = Right::inside("patch", TEZOS_SIGNERS, &self.namespace);
        let object = format!("TezosSigner {} in the namespace {}", self.name, self.namespace);
        let api = self.cluster.api::<Guarded>(Some(&self.namespace));
        self.cluster
            .ask(right, &object, api.patch(&self.name, &PatchParams::apply(FIELD_MANAGER), &patch))
            .await
            .map(drop)
    }

    /// Writes it to the records that this TezosSigner owns.
    async fn change_records(&self, glass: &Cluster) -> Result<(), PluginError> {
        let signer = self.cluster.known_signer(&self.namespace, &self.name).await?;
        for key in signer.status.iter().flat_map(|status| &status.keys) {
            let record = glass.record(&key.record).await?;
            let owner = Owner::from_annotations(record.annotations()).ok().flatten();
            if owner.is_none_or(|owner| (owner.namespace, owner.name) != (self.namespace.clone(), self.name.clone())) {
                return Err(PluginError::Argument(format!(
                    "the record {} does not belong to the TezosSigner {}/{}, so it was not changed: see docs/record.md, suspending a key",
                    key.record, self.namespace, self.name
                )));
            }
            let patch = if self.suspend {
                json!({ "data": { SUSPEND_ROW: "true" } })
            } else {
                let annotations = json!({ SUSPENDED_BY_SPEC_ANNOTATION: null });
                json!({ "data": { SUSPEND_ROW: null }, "metadata": { "annotations": annotations } })
            };
            let right = Right::inside("patch", "configmaps", RECORDS_NAMESPACE);
            let api = glass.api::<ConfigMap>(Some(RECORDS_NAMESPACE));
            let object = format!("ConfigMap {} in the namespace {RECORDS_NAMESPACE}", key.record);
            let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            glass.ask(right, &object, api.patch(&key.record, &parameters, &Patch::Merge(patch))).await?;
        }
        Ok(())
    }

    /// What the records say, or, for who may not read them, what the operator has reported of them.
    async fn records(&self, signer: Option<&TezosSigner>) -> Vec<RecordOutcome> {
        let reader = self.glass.unwrap_or(self.cluster);
        let mut records = Vec::new();
        for key in signer.iter().flat_map(|signer| &signer.status).flat_map(|status| &status.keys) {
            records.push(record_outcome(key, reader.record(&key.record).await.ok().as_ref()));
        }
        records
    }
}

fn record_outcome(key: &KeyStatus, record: Option<&ConfigMap>) -> RecordOutcome {
    let suspended =
        record.map(|record| record.data.iter().flatten().any(|(row, value)| row == SUSPEND_ROW && value == "true"));
    let by_spec = record.map(|record| record.annotations().contains_key(SUSPENDED_BY_SPEC_ANNOTATION));
    RecordOutcome {
        record: key.record.clone(),
        public_key_hash: key.public_key_hash.clone(),
        suspended: suspended.unwrap_or(key.suspended),
        by_hand: suspended.zip(by_spec).map(|(suspended, by_spec)| suspended && !by_spec),
    }
}
