//! The commands and their arguments.

mod audit;
mod check;
mod explain;
mod keys;
mod migrate;
mod watermarks;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use tezos_signer::config_file::{self, ConfigFileError};
use tezos_signer::ending;
use tezos_signer::hsm::HsmError;
use tezos_signer::node::NodeError;
use tezos_signer::serve::{self, ServeError};
use tezos_signer::store::StoreError;
use tezos_signer_core::config::SignerConfig;
use tezos_signer_core::interchange::Contradiction;
use tezos_signer_core::interchange::foreign::Format;
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::position::Level;
use tezos_signer_core::record::RecordName;
use tracing_subscriber::EnvFilter;

/// Signs Tezos blocks and votes with a tz2 or tz3 key in an HSM, and never two for one level and round.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 120,
    after_help = "\
Examples:
  tezos-signer keys generate --config signer.yaml --label baker-one --curve p256
  tezos-signer watermarks initialise --config signer.yaml --level 15181990
  tezos-signer serve --config signer.yaml
  tezos-signer explain --config signer.yaml 117a06a770…
  tezos-signer audit verify --config signer.yaml audit.log"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sign, until SIGTERM.
    #[command(after_help = "Example:\n  tezos-signer serve --config /etc/tezos-signer/config.yaml")]
    Serve(ConfigArgument),
    /// Try everything that signing needs, without signing anything: token, keys, curves, records, time to sign, files.
    #[command(after_help = "Example:\n  tezos-signer check --config signer.yaml")]
    Check {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// The keys of the token.
    #[command(subcommand)]
    Keys(keys::Command),
    /// The watermark records of the configured keys.
    #[command(subcommand)]
    Watermarks(watermarks::Command),
    /// What a payload is, and what would be answered and why. Signs nothing.
    Explain(explain::Explain),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Write another signer's configuration as one of ours, and list what has no counterpart.
    #[command(after_help = "\
Examples:
  tezos-signer migrate --from python keys.json --chain mainnet --output-file signer.yaml
  tezos-signer migrate --from signatory signatory.yaml --output-file signer.yaml
  tezos-signer migrate --from octez /etc/systemd/system/octez-signer.service

Exit status: 0 when the configuration was written, whatever is to be filled in or was lost; 1 when the file was not understood.")]
    Migrate(migrate::Migrate),
    /// End with a status, and nothing else.
    #[command(name = ending::COMMAND, hide = true)]
    End { status: u8 },
}

#[derive(Args)]
struct ConfigArgument {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args)]
struct OutputArgument {
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The configuration file cannot be used.
    #[error(transparent)]
    ConfigFile(#[from] ConfigFileError),
    /// It has no `watermarks`.
    #[error(
        "watermarks is missing in the configuration: say where the records are (file: <directory>, or configMap: {{}})"
    )]
    NoWatermarks,
    /// A record that is no object of the API server.
    #[error(
        "--manifest prints ConfigMaps, and the records of this configuration are files: say watermarks: {{configMap: {{}}}}"
    )]
    NoConfigMaps,
    /// Files of root among those of the signer.
    #[error(
        "the watermark directory {directory} belongs to user {owner}, who might not be able to open what root makes there. Nothing was \
         changed: run the command as that user; where the signer is the service of the package, by tezos-signer-run in place of tezos-signer"
    )]
    RootAmongAnothers { directory: PathBuf, owner: u32 },
    /// Some record was not what the command needs; said per key already.
    #[error("not done for every key: see above")]
    Incomplete,
    /// There is no key to ask for.
    #[error("keys is empty in the configuration: there is no key that could answer")]
    NoKeys,
    /// The key that was named is none of the configuration.
    #[error("the configuration has no key {0}: see `tezos-signer keys list`")]
    UnknownKey(PublicKeyHash),
    /// Not a payload.
    #[error("the payload is not hex: {0}")]
    Hex(hex::FromHexError),
    /// An audit log or record cannot be read.
    #[error("{path} cannot be read: {source}")]
    ReadFile { path: PathBuf, source: std::io::Error },
    /// A file is no watermark record.
    #[error("{path} is no watermark record: {reason}")]
    Record { path: PathBuf, reason: String },
    /// Exported watermarks cannot be written.
    #[error("{path} cannot be written: {source}")]
    WriteFile { path: PathBuf, source: std::io::Error },
    /// A file is not what can be imported here.
    #[error("{path} cannot be imported, and nothing was changed: {reason}")]
    Import { path: PathBuf, reason: String },
    /// An import is no fresh start either.
    #[error(
        "there is no watermark record {0} to raise, and nothing was changed: --create makes it, with the rows of the file"
    )]
    NothingToRaise(RecordName),
    /// A configuration of another signer is not what it should be.
    #[error("{path} is not understood: {reason}")]
    Migrate { path: PathBuf, reason: String },
    /// Another signer's files lack rows.
    #[error(
        "the files have no row of {key} for: {kinds}. Nothing was changed. Either a file was left out: give all of them. Or the other \
         signer has signed no such thing with this key: then say above which level it will be signed, --floor LEVEL, ten above the head \
         of the chain"
    )]
    NoRows { key: PublicKeyHash, kinds: String },
    /// There is no node to ask.
    #[error("there is no node to ask: --node-endpoint http://HOST:PORT, or nodeEndpoint in the configuration")]
    NoNode,
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Not every format can be written.
    #[error("{0} is imported only: docs/moving/signatory.md says what to write into the table")]
    NoExport(Format),
    /// The standard output holds one file.
    #[error("{0} is written into a directory: --output DIRECTORY")]
    NoDirectory(Format),
    /// A record and a file cannot both be right.
    #[error("{key} was not changed: {source}")]
    Contradiction { key: PublicKeyHash, source: Contradiction },
    /// A ceiling that another signer may rely on.
    #[error(
        "there is a ceiling at level {0}, and another signer may be signing above it: be sure that none does and none will, then say so with \
         --no-other-signer"
    )]
    CeilingInUse(Level),
    /// The audit logs are not what they should be; said one by one already.
    #[error("{0} findings: see above")]
    Findings(usize),
    /// Something that `check` tried is not as signing needs it.
    #[error("not everything is as signing needs it: see above")]
    Unfit,
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Hsm(#[from] HsmError),
    /// People are not who writes records, until they say that they mean it.
    #[error(
        "the API server does not allow it: {0}. People read and change records in the name of the group tezos-signer:break-glass: with \
         as and as-groups in the kubeconfig, see docs/record.md, break-glass"
    )]
    Forbidden(String),
    #[error(transparent)]
    Store(StoreError),
    #[error("the system refused a thread: {0}")]
    Runtime(std::io::Error),
    #[error("the output cannot be written: {0}")]
    Output(#[from] serde_json::Error),
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Forbidden(reason) => Self::Forbidden(reason),
            error => Self::Store(error),
        }
    }
}

impl CommandError {
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Serve(error) => error.exit_status(),
            _ => 1,
        }
    }
}

/// Runs one command to its end.
pub(crate) fn run(arguments: Arguments) -> Result<(), CommandError> {
    match arguments.command {
        Command::Serve(argument) => {
            log_as_json();
            let config = argument.load()?;
            block_on(async { Ok(serve::serve(config, argument.config).await?) })
        }
        Command::Check { config, output } => {
            let loaded = config.load()?;
            block_on(check::run(&loaded, &config.config, output.output))
        }
        Command::Keys(command) => keys::run(command),
        Command::Watermarks(command) => watermarks::run(command),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Audit(command) => audit::run(command),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::End { status } => std::process::exit(status.into()),
    }
}

/// One JSON object a line on stderr; `RUST_LOG` chooses what. By default not what cryptoki says of a session that it cannot
/// close: a paragraph of the specification, and we tell why the session was given up.
fn log_as_json() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,cryptoki=off"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn block_on<T>(future: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(CommandError::Runtime)?.block_on(future)
}

impl ConfigArgument {
    fn load(&self) -> Result<SignerConfig, CommandError> {
        Ok(config_file::read(&self.config)?)
    }
}

/// Prints rows under their titles, each column as wide as its widest cell.
fn print_table(titles: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([titles[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("{}", padded.join("   ").trim_end());
    };
    line(titles.to_vec());
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
}
