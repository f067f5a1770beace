//! `migrate`: converts another signer's configuration. It reads that file and those that a systemd unit names for its environment, and
//! writes one.

use super::{CommandError, Output, OutputArgument};
use clap::Args;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tezos_signer_core::key::ChainId;
use tezos_signer_core::text;
use tezos_signer_interop::migrate::{Loss, Migrated, Source, is_output_of_systemctl_cat, migrate};

/// Where systemd looks for units and their drop-ins.
const UNITS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

#[derive(Args)]
pub(super) struct Migrate {
    /// The other signer's configuration: keys.json, a YAML file, or a file with the command line (a systemd unit, the output of
    /// `systemctl cat`, a script, or a manifest of containers). `-` is standard input.
    file: PathBuf,
    /// The signer whose configuration it is: python, signatory, or octez.
    #[arg(long, value_name = "SIGNER")]
    from: Source,
    /// The chain that the keys sign for, if the file does not name it: a chain id, or mainnet.
    #[arg(long)]
    chain: Option<ChainId>,
    /// The file to write the configuration to, which must not exist. Default: standard output.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgument,
}

pub(super) fn run(arguments: &Migrate) -> Result<(), CommandError> {
    let path = &arguments.file;
    let read = if path == Path::new("-") { read_stdin() } else { std::fs::read(path) };
    let bytes = read.map_err(|source| CommandError::ReadFile { path: path.clone(), source })?;
    let text = text::of_bytes(bytes).map_err(|source| CommandError::NotText { path: path.clone(), source })?;
    if arguments.from == Source::Octez && !is_output_of_systemctl_cat(&text) {
        check_drop_ins(path)?;
    }
    let migrated = migrate(arguments.from, &text, arguments.chain, &environment_file)
        .map_err(|source| CommandError::Migrate { path: path.clone(), source })?;
    if let Some(path) = &arguments.output_file {
        let written = OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| {
            file.write_all(migrated.config.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| CommandError::WriteFile { path: path.clone(), source })?;
    }
    if arguments.output.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&migrated)?);
    } else {
        if arguments.output_file.is_none() {
            print!("{}", migrated.config);
        }
        print_report(&migrated);
    }
    Ok(())
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)?;
    Ok(bytes)
}

/// A file that a unit names as an `EnvironmentFile`, if this host has it.
fn environment_file(path: &str) -> Option<String> {
    let path = Path::new(path);
    text::of_bytes(path.is_absolute().then(|| std::fs::read(path).ok())??).ok()
}

/// A drop-in may replace the command line of the unit. `systemctl cat` prints the unit with them.
fn check_drop_ins(path: &Path) -> Result<(), CommandError> {
    let Some(unit) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".service")) else {
        return Ok(());
    };
    let beside = path.parent().unwrap_or(Path::new(""));
    // A copy elsewhere need not be the unit of this host.
    let others = UNITS.iter().map(Path::new).filter(|_| UNITS.iter().any(|directory| Path::new(directory) == beside));
    for directory in others.chain([beside]) {
        let directory = directory.join(format!("{unit}.d"));
        let is_drop_in =
            |name: std::ffi::OsString| Path::new(&name).extension().is_some_and(|extension| extension == "conf");
        let found =
            std::fs::read_dir(&directory).into_iter().flatten().flatten().any(|entry| is_drop_in(entry.file_name()));
        if found {
            return Err(CommandError::DropIns { path: path.to_owned(), directory, unit: unit.to_owned() });
        }
    }
    Ok(())
}

/// For people, beside the file.
fn print_report(Migrated { fill_in, lost, .. }: &Migrated) {
    let (changes, others): (Vec<_>, Vec<_>) = lost.iter().partition(|loss| loss.changes_signing);
    print_losses("What is signed, or for whom, may differ:", &changes);
    eprintln!("To fill in (marked FILL IN in the file; the signer does not start without these values):");
    for line in fill_in {
        eprintln!("  {line}");
    }
    print_losses("Without an equivalent:", &others);
}

fn print_losses(heading: &str, losses: &[&Loss]) {
    if !losses.is_empty() {
        eprintln!("{heading}");
    }
    for loss in losses {
        eprintln!("  {}: {}", loss.what, loss.why);
    }
}
