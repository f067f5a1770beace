//! `watermarks`: the rows of every record, from the record itself, or for who may not read it from the signer or the operator.

use crate::cluster::Cluster;
use crate::error::PluginError;
use crate::output::{self, Output, table};
use crate::status::{self, Shown};
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use tezos_signer_core::position::{ConsensusKind, Round};
use tezos_signer_core::record::{Lease, OWNER_ANNOTATION, Record, Stored};
use tezos_signer_operator::api::KeyStatus;

/// The options of `watermarks`.
#[derive(Args)]
pub(crate) struct WatermarksArguments {
    /// The names of TezosSigners. Default: all of the namespace.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show the records of the TezosSigners of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["names", "namespace"])]
    all_namespaces: bool,
    /// Do not cut lines to the width of the screen.
    #[arg(long)]
    full: bool,
}

/// What is known of one record.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordView {
    namespace: String,
    name: String,
    public_key_hash: String,
    chain: String,
    record: String,
    /// `record`, `signer`, `log`, or `status`, which may be ten minutes old.
    source: &'static str,
    /// When the rows were read, if they are not of now.
    read_at: Option<Timestamp>,
    /// By kind: level, round, and what is stored there.
    rows: Map<String, Value>,
    ceiling: Option<i64>,
    suspended: bool,
    /// The pod, or the identity of a signer outside the cluster.
    holder: Option<String>,
    since: Option<Timestamp>,
    term: Option<u64>,
    owner: Option<String>,
    audit: Option<String>,
    /// Why the record cannot be used.
    problem: Option<String>,
}

/// Prints the records.
pub(crate) async fn run(cluster: &Cluster, arguments: &WatermarksArguments, output: Output) -> Result<(), PluginError> {
    let scope = status::scope(cluster, &arguments.names, arguments.all_namespaces);
    let mut views = Vec::new();
    let mut notes = BTreeSet::new();
    for signer in cluster.signers(&scope).await? {
        let Ok(signer) = signer.0 else {
            notes.insert("a TezosSigner is of a later release and cannot be read: update the plugin".to_owned());
            continue;
        };
        // Asked only if a record cannot be read.
        let mut shown: Option<Shown> = None;
        for key in signer.status.iter().flat_map(|status| &status.keys) {
            let (namespace, name) = (signer.namespace().unwrap_or_default(), signer.name_any());
            let base = RecordView::new(namespace, name, key);
            let view = match cluster.record(&key.record).await {
                Ok(record) => base.of_record(&record, key),
                Err(PluginError::NotFound(_)) => base.vanished(),
                Err(error) => {
                    notes.insert(format!("the records cannot be read: {error}"));
                    if shown.is_none() {
                        shown = Some(status::shown(cluster, &signer).await);
                    }
                    base.of_status(shown.as_ref(), key)
                }
            };
            views.push(view);
        }
    }
    if output == Output::Json {
        return output::print_json(&views);
    }
    let width = if arguments.full { None } else { output::screen_width() };
    output::print(&draw(&views, arguments.all_namespaces, width, &notes))
}

impl RecordView {
    fn new(namespace: String, name: String, key: &KeyStatus) -> Self {
        Self {
            namespace,
            name,
            public_key_hash: key.public_key_hash.clone(),
            chain: key.chain.clone(),
            record: key.record.clone(),
            source: "record",
            read_at: None,
            rows: Map::new(),
            ceiling: None,
            suspended: false,
            holder: None,
            since: None,
            term: None,
            owner: None,
            audit: None,
            problem: None,
        }
    }

    /// As the record itself says.
    fn of_record(mut self, record: &ConfigMap, key: &KeyStatus) -> Self {
        self.owner = record.annotations().get(OWNER_ANNOTATION).cloned();
        match Lease::from_annotations(record.annotations()) {
            Ok(lease) => {
                let pod = key.holder.as_ref().filter(|holder| holder.identity == lease.holder_identity);
                let pod = pod.and_then(|holder| holder.pod.clone());
                self.holder =
                    pod.or_else(|| (!lease.holder_identity.is_empty()).then(|| lease.holder_identity.clone()));
                (self.since, self.term) = (lease.acquire_time, Some(lease.leader_transitions));
            }
            Err(error) => self.problem = Some(error.to_string()),
        }
        match Record::from_data(&record.data.clone().unwrap_or_default()) {
            Ok(record) => {
                for kind in ConsensusKind::ALL {
                    let Some(row) = record.rows.get(kind) else { continue };
                    let mut value = json!({
                        "level": row.position.level, "round": row.position.round, "stored": row.stored.describe(),
                        "signed": !matches!(row.stored, Stored::Floor),
                    });
                    if let Stored::Signature { digest, .. } | Stored::Digest(digest) = &row.stored {
                        value["digest"] = json!(digest);
                    }
                    self.rows.insert(kind.to_string(), value);
                }
                self.ceiling = record.ceiling.map(|level| level.get().into());
                self.suspended = record.suspend;
                self.audit = record.audit.map(|audit| audit.to_string());
            }
            Err(error) => self.problem = Some(error.to_string()),
        }
        self
    }

    fn vanished(mut self) -> Self {
        self.problem = Some(
            "the record was deleted: nothing is signed, and it is never made anew by itself. See docs/record.md, when a record is lost"
                .to_owned(),
        );
        self
    }

    /// As the signer or the operator has reported.
    fn of_status(mut self, shown: Option<&Shown>, key: &KeyStatus) -> Self {
        let Some(view) = shown.and_then(|shown| shown.key(&key.record)) else { return self };
        self.source = view.source.unwrap_or("status");
        self.read_at = view.read_at;
        for (kind, row) in
            [("block", view.block), ("preattestation", view.preattestation), ("attestation", view.attestation)]
        {
            if let Some(row) = row {
                self.rows
                    .insert(kind.to_owned(), json!({ "level": row.level, "round": row.round, "signed": row.signed }));
            }
        }
        (self.ceiling, self.suspended) = (view.ceiling, view.suspended);
        self.holder.clone_from(&view.holder);
        self.since = key.holder.as_ref().and_then(|holder| holder.since.as_ref()).map(|since| since.0);
        self.term = key.holder.as_ref().and_then(|holder| holder.term.try_into().ok());
        self
    }

    fn row(&self, kind: &str) -> String {
        let Some(row) = self.rows.get(kind) else { return "none".to_owned() };
        let (level, round) = (row["level"].as_i64().unwrap_or_default(), row["round"].as_i64().unwrap_or_default());
        match (row["signed"].as_bool(), round) {
            (Some(false), _) => format!(">{level}"),
            (_, round) if round == i64::from(Round::MAX.get()) => format!(">{level}"),
            (_, 0) => level.to_string(),
            (_, round) => format!("{level}/{round}"),
        }
    }
}

fn draw(views: &[RecordView], everywhere: bool, width: Option<usize>, notes: &BTreeSet<String>) -> String {
    let mut text = if views.is_empty() {
        "There are no watermark records of TezosSigners here.\n".to_owned()
    } else {
        let mut titles =
            vec!["NAME", "KEY", "BLOCK", "PREATTESTATION", "ATTESTATION", "CEILING", "SUSPENDED", "SOURCE", "HOLDER"];
        if everywhere {
            titles.insert(0, "NAMESPACE");
        }
        let rows: Vec<Vec<String>> = views
            .iter()
            .map(|view| {
                let [block, preattestation, attestation] = ConsensusKind::ALL.map(|kind| view.row(kind.as_str()));
                let mut row = vec![
                    view.name.clone(),
                    view.public_key_hash.clone(),
                    block,
                    preattestation,
                    attestation,
                    view.ceiling.map_or_else(|| "-".to_owned(), |ceiling| ceiling.to_string()),
                    if view.suspended { "yes" } else { "no" }.to_owned(),
                    view.source.to_owned(),
                    view.holder.clone().unwrap_or_else(|| "-".to_owned()),
                ];
                if everywhere {
                    row.insert(0, view.namespace.clone());
                }
                row
            })
            .collect();
        table(&titles, &rows, width)
    };
    for view in views {
        if let Some(problem) = &view.problem {
            // Into a String it never fails.
            let _ = writeln!(text, "{}/{}, {}: {problem}", view.namespace, view.name, view.record);
        }
    }
    for note in notes {
        let _ = writeln!(text, "Note: {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key() -> KeyStatus {
        KeyStatus {
            public_key_hash: "tz3gESPNt663Tvy1Ped6bpsJh9xBemwjVqaG".to_owned(),
            record: "watermark-tz3-x".to_owned(),
            ..KeyStatus::default()
        }
    }

    fn view(data: &[(&str, &str)]) -> RecordView {
        let data: BTreeMap<String, String> =
            data.iter().map(|(row, text)| ((*row).to_owned(), (*text).to_owned())).collect();
        let record = ConfigMap { data: Some(data), ..ConfigMap::default() };
        RecordView::new("bakers".to_owned(), "a".to_owned(), &key()).of_record(&record, &key())
    }

    #[test]
    fn the_rows_of_a_record_are_shown_with_floors_and_rounds() {
        let digest = "ab".repeat(32);
        let views = [
            view(&[
                ("version", "1"),
                ("block", &format!("15181990 2 {digest} -")),
                ("attestation", "15181989 2147483647 - -"),
                ("ceiling", "15200000"),
                ("suspend", "true"),
            ]),
            view(&[("version", "7")]),
        ];
        insta::assert_snapshot!(draw(&views, true, None, &BTreeSet::new()));
    }
}
