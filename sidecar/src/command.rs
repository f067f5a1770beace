//! The commands and their arguments.

mod audit;
mod check;
mod explain;
mod keys;
mod migrate;
mod watermarks;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use tezos_signer::chain_check::NodeError;
use tezos_signer::config_file::{self, ConfigFile, ConfigFileError};
use tezos_signer::exit;
use tezos_signer::keystore::pkcs11::{HsmError, unseal_process};
use tezos_signer::keystore::sealed::sealer::SealError;
use tezos_signer::keystore::sealed::secret_text::SecretTextError;
use tezos_signer::net::kept_sockets::PassedSockets;
use tezos_signer::own_stdout;
use tezos_signer::process_memory;
use tezos_signer::serve::{self, ServeError};
use tezos_signer::store::StoreError;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{HsmConfig, SignerConfig};
use tezos_signer_core::key::{Curve, PublicKeyHash};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::RecordName;
use tezos_signer_core::text::TextError;
use tezos_signer_interop::interchange::Contradiction;
use tezos_signer_interop::interchange::foreign::Format;
use tezos_signer_interop::migrate::MigrateError;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Remote signer for Tezos bakers, with keys in an HSM, and tz4 keys sealed by it. It never signs two different payloads for one level and round.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 120,
    after_help = "\
Examples:
  tezos-signer keys generate --config signer.yaml --label baker-one --curve p256
  tezos-signer watermarks initialise --config signer.yaml --level 15181990
  tezos-signer check --config signer.yaml
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
    /// Serve signing requests until SIGTERM. SIGHUP reloads the configuration.
    #[command(after_help = "Example:\n  tezos-signer serve --config /etc/tezos-signer/config.yaml")]
    Serve(ConfigArgument),
    /// Check everything that signing needs (token, keys, curves, records, time to sign, files), without signing a payload.
    #[command(after_help = "Example:\n  tezos-signer check --config signer.yaml")]
    Check {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// List or generate keys in the token.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Manage the watermark records of the configured keys.
    #[command(subcommand)]
    Watermarks(watermarks::Command),
    /// Decode a payload and show the response that a signing request would get, and why. Does not sign.
    Explain(explain::Explain),
    /// Verify audit logs.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Convert another signer's configuration to one of this signer, and list the settings without an equivalent.
    #[command(after_help = "\
Examples:
  tezos-signer migrate --from python keys.json --chain mainnet --output-file signer.yaml
  tezos-signer migrate --from signatory signatory.yaml --output-file signer.yaml
  systemctl cat octez-signer | tezos-signer migrate --from octez -

Exit status: 0 if the configuration was written, even if values are to be completed or settings were lost; 1 if the file cannot be parsed.")]
    Migrate(migrate::Migrate),
    /// Open sealed keys for the signer that has started this process.
    #[command(name = unseal_process::COMMAND, hide = true)]
    Unseal,
    /// Exit with the given status.
    #[command(name = exit::COMMAND, hide = true)]
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
    /// The output format.
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

/// Why a command failed. Running it again helps once the reason is removed that the message names; where an HSM, a store or a node was not
/// reached, it may help by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The configuration file cannot be used.
    #[error(transparent)]
    ConfigFile(#[from] ConfigFileError),
    /// The command works on a token, and the configuration has none.
    #[error("hsm is missing in the configuration: this command works on a PKCS#11 token, and awsKms has none")]
    NoHsm,
    /// It has no `watermarks`.
    #[error(
        "watermarks is missing in the configuration: set the store of the records (file: <directory>, or configMap: {{}})"
    )]
    NoWatermarks,
    /// A record that is no object of the API server.
    #[error(
        "--manifest prints ConfigMaps, but the records of this configuration are files: set watermarks: {{configMap: {{}}}}"
    )]
    NoConfigMaps,
    /// Files of root among those of the signer.
    #[error(
        "the watermark directory {directory} belongs to user {owner}, who might not be able to open files that root creates there. \
         Nothing was changed. Run the command as that user; for the service of the Debian package, use tezos-signer-run instead of \
         tezos-signer"
    )]
    RootAmongAnothers { directory: PathBuf, owner: u32 },
    /// Some record was not what the command needs; said per key already.
    #[error("the command failed for at least one key: see above")]
    Incomplete,
    /// There is no key to ask for.
    #[error("keys is empty in the configuration: there is no key to explain the response for")]
    NoKeys,
    /// The key that was named is none of the configuration.
    #[error("the configuration has no key {0}: see `tezos-signer keys list`")]
    UnknownKey(PublicKeyHash),
    /// Not a payload.
    #[error("the payload is not hex: {0}")]
    Hex(#[source] hex::FromHexError),
    /// Keys of KMS are not created by the signer.
    #[error(
        "the signer does not create keys in AWS KMS. Create the key as somebody who may, and name it by its ARN or an alias:\n\n{commands}\n\n\
         Then `{next} (docs/kms.md)"
    )]
    KmsGenerates {
        /// What creates the key.
        commands: String,
        /// The next command here, and what it does.
        next: String,
    },
    /// KMS has no keys of this scheme.
    #[error("AWS KMS has no keys of {0}")]
    NoKmsScheme(Curve),
    /// The option is about keys of KMS.
    #[error("--kms-key names a key of AWS KMS, and the configuration has hsm in place of awsKms")]
    NoKms,
    /// The standard output cannot be used.
    #[error("the standard output cannot be written: {0}")]
    Stdout(#[source] std::io::Error),
    /// An audit log or record cannot be read.
    #[error("{path} cannot be read: {source}")]
    ReadFile { path: PathBuf, source: std::io::Error },
    /// A file is no watermark record.
    #[error("{path} is not a watermark record: {source}")]
    Record { path: PathBuf, source: Cause },
    /// Exported watermarks cannot be written.
    #[error("{path} cannot be written: {source}")]
    WriteFile { path: PathBuf, source: std::io::Error },
    /// A file is not what can be imported here.
    #[error("{path} cannot be imported, and nothing was changed: {source}")]
    Import { path: PathBuf, source: Cause },
    /// An import is no fresh start either.
    #[error(
        "there is no watermark record {0} to raise, and nothing was changed: --create creates it with the rows of the file"
    )]
    NothingToRaise(RecordName),
    /// A configuration of another signer is not what it should be.
    #[error("{path} cannot be parsed: {source}")]
    Migrate { path: PathBuf, source: MigrateError },
    /// A file is not UTF-8.
    #[error("{path} cannot be parsed: {source}")]
    NotText { path: PathBuf, source: TextError },
    /// A unit is not all that systemd reads.
    #[error(
        "{path} has drop-ins in {directory}, which may replace its command line: give the output of `systemctl cat {unit}` instead"
    )]
    DropIns { path: PathBuf, directory: PathBuf, unit: String },
    /// Another signer's files lack rows.
    #[error(
        "the files have no row of {key} for: {kinds}. Nothing was changed. If a file was left out, give all of them. If the other \
         signer has never signed these kinds with this key, set the level above which they may be signed: --floor LEVEL, ten above \
         the head of the chain"
    )]
    NoRows { key: PublicKeyHash, kinds: String },
    /// There is no node to ask.
    #[error("no node is configured: use --node-endpoint http://HOST:PORT, or set nodeEndpoint in the configuration")]
    NoNode,
    /// The node that was asked about a key did not answer as it should.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Not every format can be written.
    #[error("{0} can only be imported: docs/moving describes the way back")]
    NoExport(Format),
    /// The standard output holds one file.
    #[error("{0} is written into a directory: --output DIRECTORY")]
    NoDirectory(Format),
    /// A record and a file cannot both be right.
    #[error("{key} was not changed: {source}")]
    Contradiction { key: PublicKeyHash, source: Contradiction },
    /// A ceiling that another signer may rely on.
    #[error(
        "there is a ceiling at level {0}, and another signer may sign above it: make sure that none does, then confirm it with \
         --no-other-signer"
    )]
    CeilingInUse(Level),
    /// The audit logs are not what they should be; said one by one already.
    #[error("{0} findings: see above")]
    Findings(usize),
    /// Something that `check` tried is not as signing needs it.
    #[error("the check found problems: see above")]
    Unfit,
    /// The signer cannot start, or had to end.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The HSM cannot be used.
    #[error(transparent)]
    Hsm(#[from] HsmError),
    /// No key was sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A secret key cannot be read.
    #[error("the secret key in {} cannot be sealed: {source}", path.display())]
    SecretKey { path: PathBuf, source: SecretTextError },
    /// There is nobody to ask for a password.
    #[error("the password cannot be read from the terminal ({0}): use --password-file")]
    NoTerminal(#[source] std::io::Error),
    /// It has no proof of possession.
    #[error(
        "the configuration has no sealed key {0}: only sealed keys, which are tz4 keys, prove possession. Add it under keys, with publicKey and \
         sealed"
    )]
    NoSealedKey(PublicKeyHash),
    /// The options of `keys generate` contradict each other.
    #[error("{0}")]
    GenerateOptions(&'static str),
    /// People are not who writes records, until they say that they mean it.
    #[error(
        "the API server denies access: {0}. People read and change records as the group tezos-signer:break-glass, with as and \
         as-groups in the kubeconfig: see docs/record.md, break-glass"
    )]
    Forbidden(#[source] Cause),
    /// A record could not be read or written.
    #[error(transparent)]
    Store(StoreError),
    /// The system refused a thread.
    #[error("a thread could not be started: {0}")]
    Runtime(#[source] std::io::Error),
    /// What the command prints has no JSON form: a bug.
    #[error("the output cannot be written: {0}")]
    Output(#[from] serde_json::Error),
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Forbidden(cause) => Self::Forbidden(cause),
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
            process_memory::keep_private();
            // Before the runtime has threads, which could read the environment meanwhile.
            let sockets = PassedSockets::from_environment().map_err(ServeError::from)?;
            let config = argument.load_file()?;
            keep_stdout()?;
            block_on(async { Ok(serve::serve(config, sockets).await?) })
        }
        Command::Check { config, output } => {
            process_memory::keep_private();
            let config = config.load_file()?;
            keep_stdout()?;
            block_on(check::run(&config, output.output))
        }
        Command::Keys(command) => {
            process_memory::keep_private();
            keep_stdout()?;
            keys::run(command)
        }
        Command::Watermarks(command) => watermarks::run(command),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Audit(command) => audit::run(command),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Unseal => unseal_process::run().map_err(CommandError::Stdout),
        Command::End { status } => std::process::exit(status.into()),
    }
}

/// For the commands that load a PKCS#11 library. They print by `print_line!`.
fn keep_stdout() -> Result<(), CommandError> {
    own_stdout::keep_from_libraries().map_err(CommandError::Stdout)
}

/// Logs one JSON object per line to stderr, filtered by `RUST_LOG`: a level, or `target=level`, with commas in between. By default without cryptoki's message about a session that it cannot
/// close, which quotes the specification; the reason why the session was given up is logged elsewhere.
fn log_as_json() {
    let levels = std::env::var("RUST_LOG").ok().and_then(|levels| levels.parse::<Targets>().ok());
    let by_default = || Targets::new().with_default(tracing::Level::INFO).with_target("cryptoki", LevelFilter::OFF);
    let log = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
    let log = log.with_writer(std::io::stderr);
    tracing_subscriber::registry().with(levels.unwrap_or_else(by_default)).with(log).init();
}

fn block_on<T>(future: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(CommandError::Runtime)?.block_on(future)
}

/// The token of `config`.
fn hsm(config: &SignerConfig) -> Result<&HsmConfig, CommandError> {
    config.keystore.hsm().ok_or(CommandError::NoHsm)
}

impl ConfigArgument {
    fn load(&self) -> Result<SignerConfig, CommandError> {
        Ok(self.load_file()?.config)
    }

    fn load_file(&self) -> Result<ConfigFile, CommandError> {
        Ok(config_file::read(&self.config)?)
    }
}

/// Prints a line to our standard output, also after a library was loaded.
macro_rules! print_line {
    ($($text:tt)*) => {
        tezos_signer::own_stdout::write_line(format_args!($($text)*)).map_err($crate::command::CommandError::Stdout)
    };
}
use print_line;

/// Prints rows under their titles, each column as wide as its widest cell.
fn print_table(titles: &[&str], rows: &[Vec<String>]) -> Result<(), CommandError> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([titles[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        print_line!("{}", padded.join("   ").trim_end())
    };
    line(titles.to_vec())?;
    rows.iter().try_for_each(|row| line(row.iter().map(String::as_str).collect()))
}
