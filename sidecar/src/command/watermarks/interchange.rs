//! `watermarks export` and `watermarks import`: records as files, between signers of this project and other signers.

use super::super::{CommandError, OutputArgument};
use super::edit::{self, Changed, Which};
use super::{PATIENCE, open_to_read};
use clap::Args;
use jiff::Timestamp;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};
use tezos_signer::store::StoreError;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{ChainId, PublicKeyHash};
use tezos_signer_core::position::{ConsensusKind, Level};
use tezos_signer_core::record::Record;
use tezos_signer_core::text;
use tezos_signer_interop::interchange::foreign::{Format, Marks};
use tezos_signer_interop::interchange::source::SourceFile;
use tezos_signer_interop::interchange::{self, ExportedRecord, Metadata, octez, python, signatory};
use tokio::time::Instant;

/// How a file begins that gzip has written.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How a `SQLite` database begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

#[derive(Args)]
pub(in super::super) struct Export {
    #[command(flatten)]
    which: Which,
    /// The file to write, or `-` (or `json`, as in other commands) for standard output. For octez and signatory, the base directory of
    /// that signer, which must be stopped: rows of its files are raised, never lowered. For python-dynamodb, a directory in which one
    /// file is written for each item of the table.
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// The format: v1 for a signer of this project, octez, signatory, or python-dynamodb.
    #[arg(long, default_value_t = Format::V1)]
    format: Format,
}

#[derive(Args)]
pub(in super::super) struct Import {
    /// The output of `watermarks export`, files of another signer, or its base directory. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Create the record of a key that has none, with the rows of the files. Without this option, a missing record is an error.
    #[arg(long)]
    create: bool,
    /// The format of the files: v1, octez, signatory, signatory-dynamodb, python-dynamodb, or python-sqlite. Default: detected for each
    /// file.
    #[arg(long)]
    format: Option<Format>,
    /// Raise every row at least to this level. Required if another signer's files have no row for some kind.
    #[arg(long, value_name = "LEVEL")]
    floor: Option<Level>,
    #[command(flatten)]
    output: OutputArgument,
}

pub(super) async fn export(arguments: &Export) -> Result<(), CommandError> {
    let config = arguments.which.load()?;
    let store = open_to_read(&config).await?;
    let mut records = Vec::new();
    for key in arguments.which.keys(&config)? {
        let snapshot = store.read(&key.record_name(), Instant::now() + PATIENCE).await?;
        if snapshot.record.ceiling.is_none() {
            eprintln!(
                "tezos-signer: {} has no ceiling, so later signatures are not in the export. Before another signer uses the key, \
                 stop its signer permanently, or set a ceiling and export again",
                key.hash()
            );
        }
        records.push(ExportedRecord::of(key.hash(), key.policy.chain, &snapshot.record));
    }
    if arguments.format != Format::V1 && is_stdout(&arguments.output) {
        return Err(CommandError::NoDirectory(arguments.format));
    }
    match arguments.format {
        Format::V1 => export_ours(arguments, records),
        Format::Octez => export_to_octez(&arguments.output, &records),
        Format::Signatory => export_to_signatory(&arguments.output, &records),
        Format::PythonDynamoDb => export_to_python(&arguments.output, &records),
        format @ (Format::SignatoryDynamoDb | Format::PythonSqlite) => Err(CommandError::NoExport(format)),
    }
}

fn export_ours(arguments: &Export, data: Vec<ExportedRecord>) -> Result<(), CommandError> {
    let metadata = Metadata {
        format: interchange::FORMAT.to_owned(),
        exported_at: Some(Timestamp::now()),
        source: concat!("tezos-signer ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let text = serde_json::to_string_pretty(&interchange::Export { metadata, data })? + "\n";
    let path = &arguments.output;
    if is_stdout(path) {
        print!("{text}");
        return Ok(());
    }
    let written = File::create(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| CommandError::WriteFile { path: path.clone(), source })
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("json")
}

/// octez-signer's files, by the names of all its releases: one that finds no file under its own name signs anything.
fn export_to_octez(directory: &Path, records: &[ExportedRecord]) -> Result<(), CommandError> {
    for (name, kind) in octez::FILES {
        let path = directory.join(name);
        for record in records {
            let (existing, theirs) = (read_if_there(&path)?, record.to_record());
            let written = octez::written(existing.as_ref(), kind, record.pkh, record.chain_id, &theirs);
            if let Some(text) = written.map_err(|error| refused(&path, Cause::of(error)))? {
                write(&path, &text)?;
            }
        }
        if path.exists() {
            println!("{}: {kind}", path.display());
        }
    }
    Ok(())
}

/// Signatory's file of each chain.
fn export_to_signatory(directory: &Path, records: &[ExportedRecord]) -> Result<(), CommandError> {
    let directory = directory.join(signatory::DIRECTORIES[0]);
    std::fs::create_dir_all(&directory)
        .map_err(|source| CommandError::WriteFile { path: directory.clone(), source })?;
    for record in records {
        let path = directory.join(format!("{}.json", record.chain_id));
        let (existing, theirs) = (read_if_there(&path)?, record.to_record());
        let written = signatory::written(existing.as_ref(), record.pkh, &theirs);
        write(&path, &written.map_err(|error| refused(&path, Cause::of(error)))?)?;
        println!("{}: {}", path.display(), record.pkh);
    }
    Ok(())
}

/// The items of the Python signer's table, a file for each.
fn export_to_python(directory: &Path, records: &[ExportedRecord]) -> Result<(), CommandError> {
    std::fs::create_dir_all(directory)
        .map_err(|source| CommandError::WriteFile { path: directory.to_owned(), source })?;
    for record in records {
        for (name, text) in python::items_of(record.pkh, record.chain_id, &record.to_record()) {
            let path = directory.join(format!("{name}.json"));
            write(&path, &text)?;
            println!("{}: {}", path.display(), record.pkh);
        }
    }
    Ok(())
}

fn read_if_there(path: &Path) -> Result<Option<SourceFile>, CommandError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = text::of_bytes(bytes).map_err(|error| refused(path, Cause::of(error)))?;
            Ok(Some(SourceFile { name: name_of(path), text }))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CommandError::ReadFile { path: path.to_owned(), source }),
    }
}

/// Replaces a file of another signer atomically. The new file gets the owner of the old one, or of its directory, because that signer must be
/// able to write it.
fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = directory.join(format!(".{}.new", name_of(path)));
    let written = || {
        let mut file = File::create(&beside)?;
        let old = std::fs::metadata(path);
        if let Ok(old) = &old {
            file.set_permissions(old.permissions())?;
        }
        let (owner, made) = (old.or_else(|_| std::fs::metadata(directory))?, file.metadata()?);
        if (owner.uid(), owner.gid()) != (made.uid(), made.gid()) {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        File::open(directory)?.sync_all()
    };
    written().map_err(|source| CommandError::WriteFile { path: path.to_owned(), source })
}

pub(super) async fn import(arguments: &Import) -> Result<(), CommandError> {
    let config = arguments.which.load()?;
    let keys = arguments.which.keys(&config)?;
    let records = records_of(arguments, &keys)?;
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
        eprintln!(
            "tezos-signer: {} is not in {}: its record was not changed",
            key.hash(),
            arguments.files[0].display()
        );
    }
    for changed in &all {
        if let Some(ceiling) = changed.after.ceiling
            && changed.after.rows.highest_level() >= ceiling
        {
            eprintln!(
                "tezos-signer: {} has a ceiling of its own, level {ceiling}, which its rows have reached: nothing above it is \
                 signed. If no other signer uses the key any more, remove the ceiling (tezos-signer watermarks ceiling --remove)",
                changed.key.hash()
            );
        }
    }
    Ok(())
}

/// What is imported for each key of the configuration that the files know.
fn records_of<'a>(
    arguments: &Import,
    keys: &[&'a KeyConfig],
) -> Result<Vec<(&'a KeyConfig, ExportedRecord)>, CommandError> {
    let files = read_files(&arguments.files)?;
    let format = |path: &Path, file: &SourceFile| {
        arguments.format.map_or_else(|| Format::of(file).map_err(|error| refused(path, Cause::of(error))), Ok)
    };
    let mut records = if let [(path, file)] = &files[..]
        && format(path, file)? == Format::V1
    {
        records_for(path, &file.text, keys, arguments.which.key.is_some())?
    } else {
        let mut marks = Marks::default();
        for (path, file) in &files {
            marks.read(format(path, file)?, file).map_err(|error| refused(path, Cause::of(error)))?;
        }
        // INVARIANT R12: If another signer has no row of a kind, it has never signed the kind, or its file was left out. The user must tell.
        let records = records_in(&marks, keys, &arguments.files[0])?;
        if arguments.floor.is_none()
            && let Some((key, record)) = records.iter().find(|(_, record)| !record.missing().is_empty())
        {
            return Err(CommandError::NoRows { key: key.hash(), kinds: words(&record.missing()) });
        }
        records
    };
    if let Some(floor) = arguments.floor {
        for (_, record) in &mut records {
            *record = record.with_floor(floor);
        }
    }
    Ok(records)
}

/// The records of another signer. Watermarks of keys and chains that are not in the configuration are ignored and reported.
fn records_in<'a>(
    marks: &Marks,
    keys: &[&'a KeyConfig],
    path: &Path,
) -> Result<Vec<(&'a KeyConfig, ExportedRecord)>, CommandError> {
    let is_ours =
        |hash: PublicKeyHash, chain: ChainId| keys.iter().any(|key| (key.hash(), key.policy.chain) == (hash, chain));
    for (hash, chain) in marks.others(is_ours) {
        eprintln!("tezos-signer: ignored: {hash} on {chain}, which was not selected");
    }
    let records: Vec<_> = keys.iter().filter_map(|key| Some((*key, marks.of(key.hash(), key.policy.chain)?))).collect();
    if records.is_empty() {
        return Err(refused(path, "it has no key of the configuration on the chain of that key"));
    }
    Ok(records)
}

fn words(kinds: &[ConsensusKind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

fn refused(path: &Path, reason: impl Into<Cause>) -> CommandError {
    CommandError::Import { path: path.to_owned(), source: reason.into() }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files, and those of the directories that a signer keeps watermarks in.
fn read_files(paths: &[PathBuf]) -> Result<Vec<(PathBuf, SourceFile)>, CommandError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = files_in(path).map_err(|source| CommandError::ReadFile { path: path.clone(), source })?;
            if found.is_empty() {
                let reason = "the directory has neither octez-signer's high watermarks nor Signatory's watermark_v2";
                return Err(refused(path, reason));
            }
            for path in found {
                files.push(read_file(&path)?);
            }
        } else {
            files.push(read_file(path)?);
        }
    }
    Ok(files)
}

fn read_file(path: &Path) -> Result<(PathBuf, SourceFile), CommandError> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.map_err(|source| CommandError::ReadFile { path: path.to_owned(), source })?;
    if bytes.starts_with(&GZIP) {
        return Err(refused(path, "it is compressed: decompress it with gunzip first"));
    }
    if bytes.starts_with(SQLITE) {
        let reason = "it is a SQLite database. Export that of the Python signer with sqlite3 -json FILE 'SELECT * FROM signature' > \
                      table.json, and import table.json";
        return Err(refused(path, reason));
    }
    let text = text::of_bytes(bytes).map_err(|error| refused(path, Cause::of(error)))?;
    if text.trim().is_empty() {
        let reason = "it is empty. If it is a part of an S3 export without items, leave it out. If sqlite3 has printed it, the table has no \
                      rows: is it the right database?";
        return Err(refused(path, reason));
    }
    Ok((path.to_owned(), SourceFile { name: name_of(path), text }))
}

/// Only names that the signers themselves use.
fn files_in(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found: Vec<_> =
        octez::FILES.map(|(name, _)| directory.join(name)).into_iter().filter(|path| path.exists()).collect();
    let below = signatory::DIRECTORIES.map(|name| directory.join(name)).into_iter().filter(|path| path.is_dir());
    for directory in below.chain([directory.to_owned()]) {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if signatory::is_file(&name_of(&path)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The records of a file of ours, each with the key of the configuration that it is of. A record that is of none is refused, unless
/// one key was asked for.
fn records_for<'a>(
    path: &Path,
    text: &str,
    keys: &[&'a KeyConfig],
    one_key: bool,
) -> Result<Vec<(&'a KeyConfig, ExportedRecord)>, CommandError> {
    let refused = |reason: String| refused(path, reason);
    let export = interchange::Export::from_json(text).map_err(|error| self::refused(path, Cause::of(error)))?;
    let mut records = Vec::new();
    for exported in export.data {
        match keys.iter().find(|key| key.hash() == exported.pkh) {
            Some(key) if key.policy.chain == exported.chain_id => records.push((*key, exported)),
            Some(key) => {
                return Err(refused(format!(
                    "it has {} on the chain {}, but the chain of that key in the configuration is {}",
                    exported.pkh, exported.chain_id, key.policy.chain
                )));
            }
            None if one_key => {}
            None => {
                return Err(refused(format!(
                    "it has a record of {} on {}, which is not a key of the configuration (--key imports one key of a file)",
                    exported.pkh, exported.chain_id
                )));
            }
        }
    }
    if records.is_empty() {
        return Err(refused("it has no record of the selected key".to_owned()));
    }
    Ok(records)
}

fn imported_into(record: &Record, key: &KeyConfig, exported: &ExportedRecord) -> Result<Record, CommandError> {
    exported.imported_into(record).map_err(|source| CommandError::Contradiction { key: key.hash(), source })
}
