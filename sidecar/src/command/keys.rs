//! `keys list` and `keys generate`: they need only the `hsm` section of the configuration, or `awsKms`. What seals is in [`sealed`].

mod kms;
mod sealed;

use super::{CommandError, ConfigArgument, Output, OutputArgument, hsm, print_line, print_table};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tezos_signer::keystore::pkcs11;
use tezos_signer::keystore::pkcs11::{KeyEntry, KeyList, UnusableKey};
use tezos_signer_core::aws::KmsKey;
use tezos_signer_core::config::KeystoreConfig;
use tezos_signer_core::json::{quoted, typable};
use tezos_signer_core::key::Curve;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the private keys of the token that can sign (tz1, tz2 and tz3), and name those that cannot, with the reason.
    #[command(after_help = "\
Examples:
  tezos-signer keys list --config signer.yaml
  tezos-signer keys list --config signer.yaml --kms-key alias/baker-one

With awsKms in the configuration, only the keys of the configuration and of --kms-key are shown: the signer never lists the keys of an AWS account.

In JSON, publicKey, publicKeyHash and curve of a key that cannot be used are null, and problem is the reason.

Exit status: 0 if the token could be searched; 1 if not, or if none of its keys could be read.")]
    List {
        #[command(flatten)]
        config: ConfigArgument,
        /// A key of AWS KMS that is not in the configuration yet: its ARN, or alias/NAME. Can be given more than once.
        #[arg(long, value_name = "KEY")]
        kms_key: Vec<KmsKey>,
        #[command(flatten)]
        output: OutputArgument,
    },
    /// Generate a key: in the token, where the private key cannot be extracted, or, with --seal-with, a tz4 key that only a key of the token
    /// can open.
    #[command(after_help = "\
Examples:
  tezos-signer keys generate --config signer.yaml --label baker-one --curve p256
  tezos-signer keys generate --config signer.yaml --curve bls12-381 --seal-with sealing")]
    Generate(Generate),
    /// Generate a sealing key in the token: an AES-256 key that seals tz4 keys, and cannot be extracted.
    #[command(after_help = "Example:\n  tezos-signer keys generate-sealing-key --config signer.yaml --label sealing")]
    GenerateSealingKey(sealed::GenerateSealingKey),
    #[allow(clippy::doc_markdown, reason = "what --help shows")]
    /// Seal the secret key of a tz4 key (BLsk…, or BLesk… with its password). It is printed nowhere.
    #[command(after_help = "\
Examples:
  tezos-signer keys seal --config signer.yaml --seal-with sealing --secret-key secret.txt
  tezos-signer keys seal --config signer.yaml --seal-with sealing --secret-key - < secret.txt")]
    Seal(sealed::Seal),
    /// Print the proof of possession of a sealed key of the configuration, which a change of the consensus or companion key needs.
    #[command(after_help = "Example:\n  tezos-signer keys prove-possession --config signer.yaml --public-key BLpk…")]
    ProvePossession(sealed::ProvePossession),
}

#[derive(Args)]
pub(super) struct Generate {
    #[command(flatten)]
    config: ConfigArgument,
    /// The label (`CKA_LABEL`) of the new key. It must not be in use.
    #[arg(long, required_unless_present = "seal_with", conflicts_with = "seal_with")]
    label: Option<String>,
    /// The curve: p256 for a tz3 key, secp256k1 for a tz2 key, ed25519 for a tz1 key, bls12-381 for a tz4 key.
    #[arg(long, value_enum)]
    curve: CurveArgument,
    /// Of a tz4 key: the sealing key, which is the label of an AES key of the token or the name of a symmetric key of AWS KMS.
    #[arg(long, value_name = "LABEL")]
    seal_with: Option<String>,
    #[command(flatten)]
    output: OutputArgument,
}

#[derive(Clone, Copy, ValueEnum)]
enum CurveArgument {
    P256,
    Secp256k1,
    Ed25519,
    #[value(name = "bls12-381")]
    Bls12381,
}

pub(super) fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::List { config, kms_key: named, output } => {
            let config = config.load()?;
            if let KeystoreConfig::AwsKms(kms) = &config.keystore {
                return kms::list(kms, &config.keys, &named, output.output);
            }
            if !named.is_empty() {
                return Err(CommandError::NoKms);
            }
            let list = pkcs11::list(hsm(&config)?)?;
            if output.output == Output::Json {
                print_line!("{}", serde_json::to_string_pretty(&json(&list)?)?)?;
            } else {
                print(&list)?;
            }
        }
        Command::Generate(arguments) => {
            let curve = match (arguments.curve, &arguments.seal_with) {
                (CurveArgument::Bls12381, Some(seal_with)) => {
                    return sealed::generate(&arguments.config.load()?.keystore, seal_with, arguments.output.output);
                }
                (CurveArgument::Bls12381, None) => {
                    return Err(CommandError::GenerateOptions(
                        "no token signs with bls12-381: the key is sealed by a key of the token. Give its label with --seal-with instead of --label \
                         (`tezos-signer keys generate-sealing-key` makes it)",
                    ));
                }
                (_, Some(_)) => {
                    return Err(CommandError::GenerateOptions(
                        "only bls12-381 keys are sealed: the token signs with keys of other curves itself. Give --label instead of --seal-with",
                    ));
                }
                (CurveArgument::P256, None) => Curve::P256,
                (CurveArgument::Secp256k1, None) => Curve::Secp256k1,
                (CurveArgument::Ed25519, None) => Curve::Ed25519,
            };
            let config = arguments.config.load()?;
            let label = arguments.label.unwrap_or_default();
            if let KeystoreConfig::AwsKms(kms) = &config.keystore {
                return Err(kms::refuse_to_generate(kms, &label, curve));
            }
            let key = pkcs11::generate(hsm(&config)?, &label, curve)?;
            if key.label != label {
                let (asked, made) = (quoted(&label), quoted(&key.label));
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
        Command::GenerateSealingKey(arguments) => sealed::generate_sealing_key(&arguments)?,
        Command::Seal(arguments) => sealed::seal(&arguments)?,
        Command::ProvePossession(arguments) => sealed::prove_possession(&arguments)?,
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
