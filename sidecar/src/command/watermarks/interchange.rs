//! `watermarks export` and `watermarks import`: records as a file, from one signer to another.

use super::super::{CommandError, OutputArgument};
use super::edit::{self, Changed, Which};
use super::open_to_read;
use clap::Args;
use jiff::Timestamp;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tezos_signer::store::StoreError;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::interchange::{self, ExportedRecord, Metadata};
use tezos_signer_core::record::Record;

/// How long a read of the store may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(in super::super) struct Export {
    #[command(flatten)]
    which: Which,
    /// Where to write: a file, or `-` (or `json`, as the other commands call it) for the standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

#[derive(Args)]
pub(in super::super) struct Import {
    /// What `watermarks export` has written; `-` is the standard input.
    file: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Make the record of a key that has none, with the file's rows. Without it such a key is refused.
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    output: OutputArgument,
}

pub(super) async fn export(arguments: &Export) -> Result<(), CommandError> {
    let config = arguments.which.load()?;
    let store = open_to_read(&config).await?;
    let mut data = Vec::new();
    for key in arguments.which.keys(&config)? {
        let snapshot = store.read(&key.record_name(), Instant::now() + PATIENCE).await?;
        if snapshot.record.ceiling.is_none() {
            eprintln!(
                "tezos-signer: {} has no ceiling: what is signed with it from now on is not in the export. Stop its signer for good, or set a \
                 ceiling and export again, before another signer uses it",
                key.hash()
            );
        }
        data.push(ExportedRecord::of(key.hash(), key.policy.chain, &snapshot.record));
    }
    let metadata = Metadata {
        format: interchange::FORMAT.to_owned(),
        exported_at: Some(Timestamp::now()),
        source: concat!("tezos-signer ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let text = serde_json::to_string_pretty(&interchange::Export { metadata, data })? + "\n";
    let path = &arguments.output;
    if path == Path::new("-") || path == Path::new("json") {
        print!("{text}");
        return Ok(());
    }
    let written = File::create(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| CommandError::WriteFile { path: path.clone(), source })
}

pub(super) async fn import(arguments: &Import) -> Result<(), CommandError> {
    let config = arguments.which.load()?;
    let keys = arguments.which.keys(&config)?;
    let records = records_for(&arguments.file, &keys, arguments.which.key.is_some())?;
    let store = edit::open_to_edit(&config).await?;

    // What cannot be imported is found before anything is written.
    for (key, exported) in &records {
        match store.read(&key.record_name(), Instant::now() + PATIENCE).await {
            Ok(snapshot) => {
                imported_into(&snapshot.record, key, exported)?;
            }
            Err(StoreError::Missing(_)) if arguments.create => {}
            Err(StoreError::Missing(name)) => return Err(CommandError::NothingToRaise(name)),
            Err(error) => return Err(error.into()),
        }
    }
    let mut all = Vec::new();
    for (key, exported) in &records {
        let name = key.record_name();
        let made = if arguments.create {
            store.create(&name, &exported.to_record()).await
        } else {
            Err(StoreError::Exists(name.clone()))
        };
        match made {
            Ok(()) => all.push(Changed { key, before: None, after: exported.to_record() }),
            Err(StoreError::Exists(_)) => {
                let (before, after) =
                    edit::change(&*store, &name, |record| imported_into(record, key, exported)).await?;
                all.push(Changed { key, before: Some(before), after });
            }
            Err(error) => return Err(error.into()),
        }
    }
    edit::print(&all, arguments.output.output)?;
    for key in keys.iter().filter(|key| !records.iter().any(|(imported, _)| imported.hash() == key.hash())) {
        eprintln!("tezos-signer: {} is not in {}: its record was not touched", key.hash(), arguments.file.display());
    }
    for changed in &all {
        if let Some(ceiling) = changed.after.ceiling
            && changed.after.rows.highest_level() >= ceiling
        {
            eprintln!(
                "tezos-signer: {} has a ceiling of its own, level {ceiling}, which its rows have reached: nothing is signed with it above. If the key \
                 has come back, and no other signer has it, take the ceiling away (tezos-signer watermarks ceiling --remove)",
                changed.key.hash()
            );
        }
    }
    Ok(())
}

/// The records of the file, each with the key of the configuration that it is of. A record that is of none is refused, unless
/// one key was asked for.
fn records_for<'a>(
    path: &Path,
    keys: &[&'a KeyConfig],
    one_key: bool,
) -> Result<Vec<(&'a KeyConfig, ExportedRecord)>, CommandError> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|source| CommandError::ReadFile { path: path.to_owned(), source })?;
    let refused = |reason: String| CommandError::Import { path: path.to_owned(), reason };
    let export = interchange::Export::from_json(&text).map_err(|error| refused(error.to_string()))?;
    let mut records = Vec::new();
    for exported in export.data {
        match keys.iter().find(|key| key.hash() == exported.pkh) {
            Some(key) if key.policy.chain == exported.chain_id => records.push((*key, exported)),
            Some(key) => {
                return Err(refused(format!(
                    "it has {} on the chain {}, in the configuration that key is for {}",
                    exported.pkh, exported.chain_id, key.policy.chain
                )));
            }
            None if one_key => {}
            None => {
                return Err(refused(format!(
                    "it has a record of {} on {}, which is no key of the configuration (--key takes one key of a file)",
                    exported.pkh, exported.chain_id
                )));
            }
        }
    }
    if records.is_empty() {
        return Err(refused("it has no record of a key that was asked for".to_owned()));
    }
    Ok(records)
}

fn imported_into(record: &Record, key: &KeyConfig, exported: &ExportedRecord) -> Result<Record, CommandError> {
    exported.imported_into(record).map_err(|source| CommandError::Contradiction { key: key.hash(), source })
}
