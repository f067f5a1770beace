//! Manual changes of records, also while a signer uses them: `watermarks raise`, `ceiling` and `suspend`, and the code that
//! they share. Like a commit, a change is conditional on the state that was read, so a signer must read the change before it
//! can sign again.

use super::super::{CommandError, ConfigArgument, Output, OutputArgument, print_table};
use super::{PATIENCE, open_config_maps};
use clap::Args;
use rustix::process::geteuid;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use tezos_signer::store::{FileStore, Store, StoreError};
use tezos_signer_core::config::{KeyConfig, SignerConfig, WatermarkConfig};
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::position::{ConsensusKind, FloorLevel, Level};
use tezos_signer_core::record::{Record, RecordName, Row};
use tokio::time::Instant;

#[derive(Args)]
pub(super) struct Which {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only this key. Default: all configured keys.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) key: Option<PublicKeyHash>,
}

#[derive(Args)]
pub(in super::super) struct Raise {
    #[command(flatten)]
    which: Which,
    /// The level at or below which nothing is signed. At most 100000000.
    #[arg(long)]
    level: FloorLevel,
    #[command(flatten)]
    output: OutputArgument,
}

#[derive(Args)]
pub(in super::super) struct Ceiling {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    to: CeilingTo,
    /// Confirm that no other signer signs with the key. Required to raise or remove a ceiling, because another signer may have imported
    /// an export with the old ceiling and sign above it.
    #[arg(long)]
    no_other_signer: bool,
    #[command(flatten)]
    output: OutputArgument,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct CeilingTo {
    /// The level above which nothing is signed.
    #[arg(long)]
    level: Option<Level>,
    /// Remove the ceiling.
    #[arg(long)]
    remove: bool,
}

#[derive(Args)]
pub(in super::super) struct Suspend {
    #[command(flatten)]
    which: Which,
    /// Resume signing.
    #[arg(long)]
    lift: bool,
    #[command(flatten)]
    output: OutputArgument,
}

/// A record before and after a change.
pub(super) struct Changed<'a> {
    pub(super) key: &'a KeyConfig,
    /// `None` if it was created.
    pub(super) before: Option<Record>,
    pub(super) after: Record,
}

impl Which {
    pub(super) fn load(&self) -> Result<SignerConfig, CommandError> {
        self.config.load()
    }

    /// The keys of `config` that are meant.
    pub(super) fn keys<'a>(&self, config: &'a SignerConfig) -> Result<Vec<&'a KeyConfig>, CommandError> {
        let meant = |key: &&KeyConfig| self.key.is_none_or(|hash| key.hash() == hash);
        let keys: Vec<_> = config.keys.iter().filter(meant).collect();
        match self.key {
            Some(hash) if keys.is_empty() => Err(CommandError::UnknownKey(hash)),
            _ if keys.is_empty() => Err(CommandError::NoKeys),
            _ => Ok(keys),
        }
    }
}

pub(super) async fn raise(arguments: &Raise) -> Result<(), CommandError> {
    let raised = |record: &Record| Ok(record.raised_to(arguments.level.get()));
    change_all(&arguments.which, arguments.output.output, raised).await
}

pub(super) async fn ceiling(arguments: &Ceiling) -> Result<(), CommandError> {
    let ceiling = arguments.to.level;
    let limited = |record: &Record| match record.ceiling {
        Some(now) if !arguments.no_other_signer && ceiling.is_none_or(|ceiling| ceiling > now) => {
            Err(CommandError::CeilingInUse(now))
        }
        _ => Ok(Record { ceiling, ..record.clone() }),
    };
    change_all(&arguments.which, arguments.output.output, limited).await
}

pub(super) async fn suspend(arguments: &Suspend) -> Result<(), CommandError> {
    let suspended = |record: &Record| Ok(Record { suspend: !arguments.lift, ..record.clone() });
    change_all(&arguments.which, arguments.output.output, suspended).await
}

async fn change_all(
    which: &Which,
    output: Output,
    change_of: impl Fn(&Record) -> Result<Record, CommandError>,
) -> Result<(), CommandError> {
    let config = which.load()?;
    let store = open_to_edit(&config).await?;
    let mut all = Vec::new();
    for key in which.keys(&config)? {
        match change(&*store, &key.record_name(), &change_of).await {
            Ok((before, after)) => all.push(Changed { key, before: Some(before), after }),
            Err(error) => {
                // Report the completed changes before the error.
                print(&all, output)?;
                return Err(error);
            }
        }
    }
    print(&all, output)
}

/// The store of `config`, to change records in while a signer may be running.
pub(super) async fn open_to_edit(config: &SignerConfig) -> Result<Arc<dyn Store>, CommandError> {
    Ok(match config.watermarks.as_ref().ok_or(CommandError::NoWatermarks)? {
        WatermarkConfig::File(directory) => {
            refuse_root_among_anothers(directory)?;
            Arc::new(FileStore::open_to_edit(directory)?)
        }
        WatermarkConfig::ConfigMap(config) => open_config_maps(config).await?,
    })
}

/// What root makes in a directory of another user, that user's signer may not be able to open.
pub(super) fn refuse_root_among_anothers(directory: &Path) -> Result<(), CommandError> {
    let owner = std::fs::metadata(directory).map_or(0, |metadata| metadata.uid());
    if geteuid().is_root() && owner != 0 {
        return Err(CommandError::RootAmongAnothers { directory: directory.to_owned(), owner });
    }
    Ok(())
}

/// Replaces the record by the result of `change_of`, and retries if another writer changes it. Returns the record before and after.
pub(super) async fn change(
    store: &dyn Store,
    name: &RecordName,
    change_of: impl Fn(&Record) -> Result<Record, CommandError>,
) -> Result<(Record, Record), CommandError> {
    let deadline = Instant::now() + PATIENCE;
    let mut first: Option<Record> = None;
    let mut unanswered: Option<CommandError> = None;
    loop {
        let current = match store.read(name, deadline).await {
            Ok(current) => current,
            Err(error) => return Err(unanswered.unwrap_or(error.into())),
        };
        let before = first.get_or_insert_with(|| current.record.clone());
        let next = change_of(&current.record)?;
        if next == current.record {
            return Ok((before.clone(), next));
        }
        if let Some(error) = unanswered {
            // It was not written, so the store means it.
            return Err(error);
        }
        match store.replace(name, &current, &next, &current.lease, deadline).await {
            Ok(written) => return Ok((before.clone(), written.record)),
            Err(StoreError::Conflict(_)) if Instant::now() < deadline => {}
            // The next read shows whether it was written.
            Err(error @ StoreError::Unavailable(_)) => unanswered = Some(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What became of each record, row by row.
pub(super) fn print(all: &[Changed<'_>], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        let json: Vec<_> = all.iter().map(Changed::json).collect();
        println!("{}", serde_json::to_string_pretty(&json)?);
    } else {
        let rows: Vec<_> = all.iter().flat_map(Changed::rows).collect();
        print_table(&["KEY", "CHAIN", "ROW", "BEFORE", "NOW"], &rows)?;
    }
    Ok(())
}

impl Changed<'_> {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "publicKeyHash": self.key.hash(),
            "chain": self.key.policy.chain,
            "record": self.key.record_name().as_str(),
            "before": self.before.as_ref().map(Record::to_data),
            "now": self.after.to_data(),
        })
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |record: &Record, kind| record.rows.get(kind).map_or("no row: nothing is signed".to_owned(), words);
        let ceiling = |record: &Record| record.ceiling.map_or("none".to_owned(), |level| format!("level {level}"));
        let suspend = |record: &Record| record.suspend.to_string();
        let cells = |name: &str, of: &dyn Fn(&Record) -> String| {
            let (before, now) = (self.before.as_ref().map_or("no record".to_owned(), of), of(&self.after));
            let now = if before == now { "the same".to_owned() } else { now };
            vec![self.key.hash().to_string(), self.key.policy.chain.to_string(), name.to_owned(), before, now]
        };
        let kinds = ConsensusKind::ALL.into_iter().map(|kind| cells(kind.as_str(), &|record| row(record, kind)));
        kinds.chain([cells("ceiling", &ceiling), cells("suspend", &suspend)]).collect()
    }
}

fn words(row: &Row) -> String {
    format!("{}, {}", row.position, row.stored.describe())
}
