//! `watermarks show` and `watermarks initialise`.

use super::{CommandError, ConfigArgument, Output, OutputArgument, block_on, print_table};
use clap::{Args, Subcommand};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer::serve::open_store;
use tezos_signer::store::{FileStore, Snapshot, Store, StoreError};
use tezos_signer_core::config::{KeyConfig, SignerConfig, WatermarkConfig};
use tezos_signer_core::position::{ConsensusKind, Level};
use tezos_signer_core::record::Record;

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
    /// Make the record of every configured key that has none. Refuses a key that has one; lowers nothing.
    #[command(after_help = "\
Examples:
  tezos-signer watermarks initialise --config signer.yaml --level 15181990
      the first thing signed is above level 15181990: for a key that has signed before
  tezos-signer watermarks initialise --config signer.yaml --fresh
      for a key that has never signed anything on this chain")]
    Initialise(Initialise),
}

#[derive(Args)]
pub(super) struct Initialise {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    start: Start,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Start {
    /// Nothing at or below this level will be signed.
    #[arg(long)]
    level: Option<Level>,
    /// The key has never signed anything on this chain.
    #[arg(long)]
    fresh: bool,
}

/// How long a read of the store may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Show { config, output } => {
            let config = config.load()?;
            block_on(show(&config, output.output))
        }
        Command::Initialise(Initialise { config, start }) => {
            let config = config.load()?;
            let record = start.level.map_or_else(Record::fresh, Record::starting_above);
            block_on(initialise(&config, &record))
        }
    }
}

/// The store of `config`, to look at it while a signer may be running.
pub(super) async fn open_to_read(config: &SignerConfig) -> Result<Arc<dyn Store>, CommandError> {
    Ok(match config.watermarks.as_ref().ok_or(CommandError::NoWatermarks)? {
        WatermarkConfig::File(directory) => Arc::new(FileStore::open_to_read(directory)),
        config_map @ WatermarkConfig::ConfigMap(_) => open_store(config_map).await?.0,
    })
}

async fn show(config: &SignerConfig, output: Output) -> Result<(), CommandError> {
    let records = read_all(config).await?;
    if output == Output::Json {
        let all: Vec<_> = records.iter().map(|(key, record)| json_of(key, record)).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print_table(&["KEY", "CHAIN", "KIND", "LEVEL", "ROUND", "STORED"], &rows_of(&records));
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
    let mut records = Vec::new();
    for key in &config.keys {
        records.push((key, store.read(&key.record_name(), Instant::now() + PATIENCE).await));
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

async fn initialise(config: &SignerConfig, record: &Record) -> Result<(), CommandError> {
    let (store, _) = open_store(config.watermarks.as_ref().ok_or(CommandError::NoWatermarks)?).await?;
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
