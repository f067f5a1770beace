//! `migrate`: converts another signer's configuration. It reads one file and writes one.

use super::{CommandError, Output, OutputArgument};
use clap::Args;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use tezos_signer_core::key::ChainId;
use tezos_signer_interop::migrate::{Migrated, Source, migrate};

#[derive(Args)]
pub(super) struct Migrate {
    /// The other signer's configuration: keys.json, a YAML file, or a file with the command line.
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
    let text = std::fs::read_to_string(path).map_err(|source| CommandError::ReadFile { path: path.clone(), source })?;
    let migrated = migrate(arguments.from, &text, arguments.chain)
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

/// For people, beside the file.
fn print_report(Migrated { fill_in, lost, .. }: &Migrated) {
    eprintln!("To fill in (marked FILL IN in the file; the signer does not start without these values):");
    for line in fill_in {
        eprintln!("  {line}");
    }
    eprintln!("Without an equivalent:");
    for loss in lost {
        eprintln!("  {}: {}", loss.what, loss.why);
    }
}
