//! `keys list` and `keys generate`: they need only the `hsm` section of the configuration.

use super::{CommandError, ConfigArgument, Output, OutputArgument, hsm, print_line, print_table};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tezos_signer::keystore::pkcs11;
use tezos_signer::keystore::pkcs11::{KeyEntry, KeyList, UnusableKey};
use tezos_signer_core::json::{quoted, typable};
use tezos_signer_core::key::Curve;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the private keys of the token that can sign (tz1, tz2 and tz3), and name those that cannot, with the reason.
    #[command(after_help = "\
Example:
  tezos-signer keys list --config signer.yaml

In JSON, publicKey, publicKeyHash and curve of a key that cannot be used are null, and problem is the reason.

Exit status: 0 if the token could be searched; 1 if not, or if none of its keys could be read.")]
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
    /// The curve: p256 for a tz3 key, secp256k1 for a tz2 key, ed25519 for a tz1 key.
    #[arg(long, value_enum)]
    curve: CurveArgument,
    #[command(flatten)]
    output: OutputArgument,
}

#[derive(Clone, Copy, ValueEnum)]
enum CurveArgument {
    P256,
    Secp256k1,
    Ed25519,
}

pub(super) fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::List { config, output } => {
            let list = pkcs11::list(hsm(&config.load()?)?)?;
            if output.output == Output::Json {
                print_line!("{}", serde_json::to_string_pretty(&json(&list)?)?)?;
            } else {
                print(&list)?;
            }
        }
        Command::Generate(arguments) => {
            let curve = match arguments.curve {
                CurveArgument::P256 => Curve::P256,
                CurveArgument::Secp256k1 => Curve::Secp256k1,
                CurveArgument::Ed25519 => Curve::Ed25519,
            };
            let key = pkcs11::generate(hsm(&arguments.config.load()?)?, &arguments.label, curve)?;
            if key.label != arguments.label {
                let (asked, made) = (quoted(&arguments.label), quoted(&key.label));
                eprintln!("tezos-signer: the token gave the key the label {made} in place of {asked}");
            }
            if arguments.output.output == Output::Json {
                print_line!("{}", serde_json::to_string_pretty(&key)?)?;
            } else {
                let snippet = snippet(&key);
                print(&KeyList { keys: vec![key], unusable: Vec::new() })?;
                print_line!("\nIn the TezosSigner, under spec:\n\n{snippet}")?;
            }
        }
    }
    Ok(())
}

/// An array with the keys that sign, and then the others, whose `publicKey`, `publicKeyHash` and `curve` are null, and which have a `problem`.
fn json(list: &KeyList) -> Result<Vec<Value>, CommandError> {
    let mut entries = list.keys.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    entries.extend(list.unusable.iter().map(|UnusableKey { label, id, problem }| {
        json!({"publicKey": null, "publicKeyHash": null, "label": label, "curve": null, "id": id, "problem": problem})
    }));
    Ok(entries)
}

/// What makes the key one of a `TezosSigner`'s, to paste. A label may be any text, so it is quoted as JSON, which is YAML.
fn snippet(key: &KeyEntry) -> String {
    let selector = match &key.id {
        Some(id) if key.label.is_empty() => format!("id: {}", quoted(id)),
        _ => format!("label: {}", quoted(&key.label)),
    };
    format!("  keys:\n  - publicKey: {}\n    {selector}", key.public_key)
}

/// The column of problems is the last one, and there only where there are any: programs read the others by their number.
fn print(list: &KeyList) -> Result<(), CommandError> {
    let none = || "-".to_owned();
    let id = |id: &Option<String>| id.clone().unwrap_or_else(none);
    let usable = list.keys.iter().map(|key| {
        let (curve, hash, public_key) =
            (key.curve.to_string(), key.public_key_hash.to_string(), key.public_key.to_string());
        vec![typable(&key.label), curve, hash, public_key, id(&key.id), String::new()]
    });
    let unusable = list
        .unusable
        .iter()
        .map(|key| vec![typable(&key.label), none(), none(), none(), id(&key.id), key.problem.clone()]);
    let columns = if list.unusable.is_empty() { 5 } else { 6 };
    let titles = ["LABEL", "CURVE", "PUBLIC KEY HASH", "PUBLIC KEY", "ID", "PROBLEM"];
    let rows: Vec<_> = usable
        .chain(unusable)
        .map(|mut row| {
            row.truncate(columns);
            row
        })
        .collect();
    print_table(&titles[..columns], &rows)
}
