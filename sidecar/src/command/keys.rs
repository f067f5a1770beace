//! `keys list` and `keys generate`: they need only the `hsm` section of the configuration.

use super::{CommandError, ConfigArgument, Output, OutputArgument, print_line, print_table};
use clap::{Args, Subcommand, ValueEnum};
use tezos_signer::keystore::pkcs11;
use tezos_signer::keystore::pkcs11::KeyEntry;
use tezos_signer_core::json::{quoted, typable};
use tezos_signer_core::key::SigningCurve;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the tz2 and tz3 keys of the token.
    #[command(after_help = "Example:\n  tezos-signer keys list --config signer.yaml")]
    List {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// Generate a key in the token. The private key cannot be extracted.
    #[command(
        after_help = "Example:\n  tezos-signer keys generate --config signer.yaml --label baker-one --curve p256"
    )]
    Generate(Generate),
}

#[derive(Args)]
pub(super) struct Generate {
    #[command(flatten)]
    config: ConfigArgument,
    /// The label (`CKA_LABEL`) of the new key. It must not be in use.
    #[arg(long)]
    label: String,
    /// The curve: p256 for a tz3 key, secp256k1 for a tz2 key.
    #[arg(long, value_enum)]
    curve: CurveArgument,
    #[command(flatten)]
    output: OutputArgument,
}

#[derive(Clone, Copy, ValueEnum)]
enum CurveArgument {
    P256,
    Secp256k1,
}

pub(super) fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::List { config, output } => {
            let keys = pkcs11::list(&config.load()?.hsm)?;
            if output.output == Output::Json {
                print_line!("{}", serde_json::to_string_pretty(&keys)?)?;
            } else {
                print(&keys)?;
            }
        }
        Command::Generate(arguments) => {
            let curve = match arguments.curve {
                CurveArgument::P256 => SigningCurve::P256,
                CurveArgument::Secp256k1 => SigningCurve::Secp256k1,
            };
            let key = pkcs11::generate(&arguments.config.load()?.hsm, &arguments.label, curve)?;
            if arguments.output.output == Output::Json {
                print_line!("{}", serde_json::to_string_pretty(&key)?)?;
            } else {
                print(std::slice::from_ref(&key))?;
                print_line!("\nIn the TezosSigner, under spec:\n\n{}", snippet(&key))?;
            }
        }
    }
    Ok(())
}

/// What makes the key one of a `TezosSigner`'s, to paste. A label may be any text, so it is quoted as JSON, which is YAML.
fn snippet(key: &KeyEntry) -> String {
    format!("  keys:\n  - publicKey: {}\n    label: {}", key.public_key, quoted(&key.label))
}

fn print(keys: &[KeyEntry]) -> Result<(), CommandError> {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            vec![
                typable(&key.label),
                key.curve.to_string(),
                key.public_key_hash.to_string(),
                key.public_key.to_string(),
            ]
        })
        .collect();
    print_table(&["LABEL", "CURVE", "PUBLIC KEY HASH", "PUBLIC KEY"], &rows)
}
