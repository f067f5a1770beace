//! `audit verify`: whether audit logs are complete and consistent with the watermark records.

use super::watermarks::open_to_read;
use super::{CommandError, ConfigArgument, Output, OutputArgument, block_on};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::audit::verify::{File, Report, verify};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::record::{Record, RecordFile, RecordName};
use tezos_signer_core::yaml;
use tokio::time::Instant;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Find lines of audit logs that were removed, edited or reordered, and lines that contradict the watermark records.
    Verify(Verify),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  tezos-signer audit verify --config signer.yaml /var/log/tezos-signer/audit.log*
      the logs of a host, including rotated ones, compared with its records
  kubectl logs baker-one-7d9f… -c signer > one.log
  kubectl get configmap -n tezos-signer-records -o json > records.json
  tezos-signer audit verify --record records.json one.log two.log
      the logs of two pods, compared with the records of a cluster
  tezos-signer audit verify --record records.json --lost 0f6a… two.log
      if the log of a pod is known to be lost

Exit status: 0 if there are no findings. Lines that no record anchors are reported as notes. Without a record, only the lines between the
first and the last line of each log can be verified.")]
pub(super) struct Verify {
    /// Read the records from the store of this configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A watermark record: a file of the file store, or the output of `kubectl get configmap -o json` (or yaml). May be repeated.
    #[arg(long, value_name = "FILE")]
    record: Vec<PathBuf>,
    /// The id of a log that is known to be lost or incomplete, as a finding reports it. May be repeated.
    #[arg(long, value_name = "LOG")]
    lost: Vec<LogId>,
    #[command(flatten)]
    output: OutputArgument,
    /// The logs of all signers that used the records, in any order. Other lines in these files are ignored.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(command: Command) -> Result<(), CommandError> {
    let Command::Verify(arguments) = command;
    let mut records = BTreeMap::new();
    if let Some(config) = arguments.config {
        records.extend(block_on(configured_records(&ConfigArgument { config }))?);
    }
    for path in &arguments.record {
        records.extend(records_of(path)?);
    }
    let texts = arguments.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = arguments.files.iter().map(|path| path.display().to_string()).collect();
    let files: Vec<File<'_>> = names.iter().zip(&texts).map(|(name, text)| File { name, text }).collect();
    let lost: BTreeSet<LogId> = arguments.lost.iter().copied().collect();
    let report = verify(&files, &records, &lost);
    if arguments.output.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&json_of(&report))?);
    } else {
        print(&report);
    }
    if report.findings.is_empty() { Ok(()) } else { Err(CommandError::Findings(report.findings.len())) }
}

fn read(path: &Path) -> Result<String, CommandError> {
    let bytes = std::fs::read(path).map_err(|source| CommandError::ReadFile { path: path.to_owned(), source })?;
    // Bytes that are not UTF-8 are an edit like any other, and must become a finding.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn configured_records(config: &ConfigArgument) -> Result<Vec<(RecordName, Option<AuditAnchor>)>, CommandError> {
    let config = config.load()?;
    let store = open_to_read(&config).await?;
    let mut records = Vec::new();
    for key in &config.keys {
        let name = key.record_name();
        let snapshot = store.read(&name, Instant::now() + Duration::from_secs(10)).await?;
        records.push((name, snapshot.record.audit));
    }
    Ok(records)
}

/// The records in a file: one of the file store, a ConfigMap, or a list of those.
fn records_of(path: &Path) -> Result<Vec<(RecordName, Option<AuditAnchor>)>, CommandError> {
    let wrong = |source: Cause| CommandError::Record { path: path.to_owned(), source };
    let name_of = |name: &str| {
        let not_a_name = |error| wrong(Cause::of(error).map_text(|error| format!("{name:?} is {error}")));
        name.parse::<RecordName>().map_err(not_a_name)
    };
    let text = read(path)?;
    let record_file = |text| {
        let name = name_of(path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default())?;
        let file = RecordFile::parse(text).map_err(|error| wrong(Cause::of(error)))?;
        Ok(vec![(name, file.record().audit)])
    };
    if RecordFile::is_of_slots(&text) {
        return record_file(text);
    }
    // JSON is YAML. As strictly as the signer: no name twice.
    let value: Value = yaml::from_str(&text).map_err(|error| wrong(Cause::of(error)))?;
    let named = |name: &str, data: &Value| {
        let name = name_of(name)?;
        let data: BTreeMap<String, String> =
            serde_json::from_value(data.clone()).map_err(|error| wrong(Cause::of(error)))?;
        let record = Record::from_data(&data).map_err(|error| wrong(Cause::of(error)))?;
        Ok((name, record.audit))
    };
    let config_map = |object: &Value| named(object["metadata"]["name"].as_str().unwrap_or_default(), &object["data"]);
    let is_record =
        |object: &&Value| object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("watermark-"));
    match (&value["items"], &value["metadata"]) {
        (Value::Array(items), _) => items.iter().filter(is_record).map(config_map).collect(),
        (_, Value::Object(_)) => Ok(vec![config_map(&value)?]),
        _ => record_file(text),
    }
}

fn json_of(report: &Report) -> Value {
    json!({
        "logs": report.logs,
        "lines": report.lines,
        "anchored": report.anchored,
        "findings": report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "notes": report.notes,
    })
}

fn print(report: &Report) {
    for finding in &report.findings {
        println!("WRONG  {finding}");
    }
    for note in &report.notes {
        println!("NOTE   {note}");
    }
    println!(
        "{} logs, {} lines, {} signatures that a record anchors: {}",
        report.logs,
        report.lines,
        report.anchored,
        match report.findings.len() {
            0 => "nothing wrong".to_owned(),
            wrong => format!("{wrong} wrong"),
        }
    );
}
