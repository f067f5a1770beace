//! The commands for watermark records. `watermarks show` and `watermarks initialise` are in this file.

mod compare;
mod edit;
mod interchange;
mod retrying_store;

use super::{CommandError, ConfigArgument, Output, OutputArgument, block_on, print_table};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use retrying_store::RetryingStore;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer::store::{ConfigMapStore, FileStore, Snapshot, Store, StoreError};
use tezos_signer_core::config::{ConfigMapConfig, KeyConfig, SignerConfig, WatermarkConfig};
use tezos_signer_core::position::{ConsensusKind, FloorLevel};
use tezos_signer_core::record::Record;
use tokio::time::Instant;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show the record of every configured key.
    #[command(after_help = "Example:\n  tezos-signer watermarks show --config signer.yaml")]
    Show {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// Create the record of every configured key that has none. An existing record is an error and is not changed.
    #[command(after_help = "\
Examples:
  tezos-signer watermarks initialise --config signer.yaml --level 15181990
      for a key that has signed before: it signs only above level 15181990
  tezos-signer watermarks initialise --config signer.yaml --fresh
      for a key that has never signed anything on this chain
  tezos-signer watermarks initialise --config signer.yaml --level 15181990 --manifest > records.json
      kubectl create --filename records.json --as=\"$USER\" --as-group=tezos-signer:break-glass")]
    Initialise(Initialise),
    /// Raise every row to a level, so that nothing at or below it is signed. This cannot be undone. The signer may be running.
    #[command(after_help = "\
Example:
  tezos-signer watermarks raise --config signer.yaml --level 15181990
      from now on only levels above 15181990 are signed")]
    Raise(edit::Raise),
    /// Set a ceiling: nothing above this level is signed. Used to hand a key over to another signer. The signer may be running.
    #[command(after_help = "\
Examples:
  tezos-signer watermarks ceiling --config signer.yaml --level 15182500
      only levels up to 15182500 are signed, until the ceiling is changed
  tezos-signer watermarks ceiling --config signer.yaml --remove --no-other-signer
      removes the ceiling, after making sure that no other signer uses the key")]
    Ceiling(edit::Ceiling),
    /// Suspend signing. When the command succeeds, nothing more is signed. The signer may be running.
    #[command(after_help = "\
Examples:
  tezos-signer watermarks suspend --config signer.yaml
  tezos-signer watermarks suspend --config signer.yaml --lift")]
    Suspend(edit::Suspend),
    /// Export the records for another signer, as tezos-signing-watermarks/v1 (JSON) or in the format of octez-signer or Signatory.
    /// Stop the signer first, unless its records have a ceiling.
    #[command(after_help = "\
Examples:
  tezos-signer watermarks export --config signer.yaml --output watermarks.json
  tezos-signer watermarks export --config signer.yaml --format octez --output /var/lib/octez-signer
      octez-signer, which must be stopped, then signs nothing at or below the rows")]
    Export(interchange::Export),
    /// Raise the records to those in files of this or another signer, or to their ceilings if they have any. No row is lowered. The
    /// signer may be running.
    #[command(after_help = "\
Examples:
  tezos-signer watermarks import --config signer.yaml watermarks.json
  tezos-signer watermarks import --config signer.yaml --create ~/.tezos-signer
      the three files of octez-signer, or those of Signatory, from its base directory
  tezos-signer watermarks import --config signer.yaml --create table.json
      the output of `aws dynamodb scan --output json` for the table of Signatory or of the Python signer")]
    Import(interchange::Import),
    /// Compare the records with the chain, and report blocks and votes of the keys that are above them. Changes nothing.
    #[command(after_help = "\
Example:
  tezos-signer watermarks compare --config signer.yaml --node-endpoint http://127.0.0.1:8732

Exit status: 0 if nothing of a key was found above its record in the first 60 blocks; 1 if something was found or could not be checked.
Status 0 is no proof: a vote may have come too late to be included in a block.")]
    Compare(compare::Compare),
}

#[derive(Args)]
pub(super) struct Initialise {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    start: Start,
    /// Print the ConfigMaps instead of creating them, for a user who may create them (docs/two-hosts.md).
    #[arg(long)]
    manifest: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Start {
    /// The level at or below which nothing is signed. At most 100000000.
    #[arg(long)]
    level: Option<FloorLevel>,
    /// Confirm that the key has never signed anything on this chain.
    #[arg(long)]
    fresh: bool,
}

/// How long the store may take to be read, and a change against a signer that writes as well; an API server that does not answer is
/// asked again as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long further records may take to be read, when one could not.
const LAST_TRY: Duration = Duration::from_secs(1);

pub(super) fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Show { config, output } => {
            let config = config.load()?;
            block_on(show(&config, output.output))
        }
        Command::Initialise(Initialise { config, start, manifest }) => {
            let config = config.load()?;
            let record = start.level.map_or_else(Record::fresh, |level| Record::starting_above(level.get()));
            if manifest { print_manifest(&config, &record) } else { block_on(initialise(&config, &record)) }
        }
        Command::Raise(arguments) => block_on(edit::raise(&arguments)),
        Command::Ceiling(arguments) => block_on(edit::ceiling(&arguments)),
        Command::Suspend(arguments) => block_on(edit::suspend(&arguments)),
        Command::Export(arguments) => block_on(interchange::export(&arguments)),
        Command::Import(arguments) => block_on(interchange::import(&arguments)),
        Command::Compare(arguments) => block_on(compare::compare(&arguments)),
    }
}

/// The store of `config`, for reading while a signer may be running.
pub(super) async fn open_to_read(config: &SignerConfig) -> Result<Arc<dyn Store>, CommandError> {
    Ok(match config.watermarks.as_ref().ok_or(CommandError::NoWatermarks)? {
        WatermarkConfig::File(directory) => Arc::new(FileStore::open_to_read(directory)?),
        WatermarkConfig::ConfigMap(config) => open_config_maps(config).await?,
    })
}

/// The records of `config` in ConfigMaps, to read and to change.
async fn open_config_maps(config: &ConfigMapConfig) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(RetryingStore::connect(&config.namespace, PATIENCE).await?))
}

async fn show(config: &SignerConfig, output: Output) -> Result<(), CommandError> {
    let records = read_all(config).await?;
    if output == Output::Json {
        let all: Vec<_> = records.iter().map(|(key, record)| json_of(key, record)).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print_table(&["KEY", "CHAIN", "KIND", "LEVEL", "ROUND", "STORED"], &rows_of(&records))?;
        println!();
        print_table(
            &["KEY", "HOLDER", "SINCE", "RENEWED", "TERM", "SUSPENDED", "CEILING"],
            &records
                .iter()
                .filter_map(|(key, snapshot)| Some(holder_of(key, snapshot.as_ref().ok()?)))
                .collect::<Vec<_>>(),
        )?;
    }
    for (_, record) in &records {
        if let Err(error) = record {
            eprintln!("tezos-signer: {error}");
        }
    }
    if records.iter().all(|(_, record)| record.is_ok()) { Ok(()) } else { Err(CommandError::Incomplete) }
}

/// The record of every configured key, read without a claim to serve it.
pub(super) async fn read_all(
    config: &SignerConfig,
) -> Result<Vec<(&KeyConfig, Result<Snapshot, StoreError>)>, CommandError> {
    let store = open_to_read(config).await?;
    let (mut records, mut patience) = (Vec::new(), PATIENCE);
    for key in &config.keys {
        let read = store.read(&key.record_name(), Instant::now() + patience).await;
        if matches!(read, Err(StoreError::Unavailable(_))) {
            patience = LAST_TRY;
        }
        records.push((key, read));
    }
    Ok(records)
}

fn json_of(key: &KeyConfig, snapshot: &Result<Snapshot, StoreError>) -> serde_json::Value {
    let snapshot = snapshot.as_ref().ok();
    serde_json::json!({
        "publicKeyHash": key.hash(),
        "chain": key.policy.chain,
        "record": key.record_name().as_str(),
        "data": snapshot.map(|snapshot| snapshot.record.to_data()),
        "lease": snapshot.map(|snapshot| &snapshot.lease),
    })
}

fn rows_of(records: &[(&KeyConfig, Result<Snapshot, StoreError>)]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (key, snapshot) in records {
        let cells = |kind: &str, level: String, round: String, stored: &str| {
            vec![key.hash().to_string(), key.policy.chain.to_string(), kind.to_owned(), level, round, stored.to_owned()]
        };
        let Ok(snapshot) = snapshot else {
            rows.push(cells("-", "-".to_owned(), "-".to_owned(), "no usable record"));
            continue;
        };
        for kind in ConsensusKind::ALL {
            rows.push(match snapshot.record.rows.get(kind) {
                Some(row) => {
                    let (level, round) = (row.position.level.to_string(), row.position.round.to_string());
                    cells(kind.as_str(), level, round, row.stored.describe())
                }
                None => cells(kind.as_str(), "-".to_owned(), "-".to_owned(), "no row: nothing is signed"),
            });
        }
    }
    rows
}

/// Who serves the record, and what it forbids as a whole.
fn holder_of(key: &KeyConfig, Snapshot { record, lease, .. }: &Snapshot) -> Vec<String> {
    let dash = || "-".to_owned();
    let time = |time: Option<Timestamp>| time.map_or_else(dash, |time| format!("{time:.0}"));
    let holder = if lease.holder_identity.is_empty() { dash() } else { lease.holder_identity.clone() };
    let term = if lease.leader_transitions == 0 { dash() } else { lease.leader_transitions.to_string() };
    let ceiling = record.ceiling.map_or_else(dash, |ceiling| ceiling.to_string());
    let suspended = if record.suspend { "yes" } else { "no" };
    let (since, renewed) = (time(lease.acquire_time), time(lease.renew_time));
    vec![key.hash().to_string(), holder, since, renewed, term, suspended.to_owned(), ceiling]
}

fn print_manifest(config: &SignerConfig, record: &Record) -> Result<(), CommandError> {
    let Some(WatermarkConfig::ConfigMap(place)) = &config.watermarks else { return Err(CommandError::NoConfigMaps) };
    let mut items: Vec<_> = config.keys.iter().map(|key| ConfigMapStore::object(&key.record_name(), record)).collect();
    for object in &mut items {
        object.metadata.namespace = Some(place.namespace.clone());
    }
    let all = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
    println!("{}", serde_json::to_string_pretty(&all)?);
    Ok(())
}

async fn initialise(config: &SignerConfig, record: &Record) -> Result<(), CommandError> {
    let place = config.watermarks.as_ref().ok_or(CommandError::NoWatermarks)?;
    let store = match place {
        WatermarkConfig::File(directory) => {
            edit::refuse_root_among_anothers(directory)?;
            Arc::new(FileStore::open(directory)?)
        }
        WatermarkConfig::ConfigMap(config) => open_config_maps(config).await?,
    };
    let mut complete = true;
    for key in &config.keys {
        match store.create(&key.record_name(), record).await {
            Ok(()) => println!("{}: record made", key.hash()),
            Err(error @ StoreError::Exists(_)) => {
                complete = false;
                println!("{}: refused, {error}; it was not changed", key.hash());
            }
            Err(error) => return Err(error.into()),
        }
    }
    if complete { Ok(()) } else { Err(CommandError::Incomplete) }
}
