//! The commands that seal keys: `keys generate-sealing-key`, `keys generate --seal-with`, `keys seal`, `keys prove-possession`. No secret is
//! printed.

use crate::command::keys::kms::refuse_to_generate_sealing_key;
use crate::command::{CommandError, ConfigArgument, Output, OutputArgument, block_on, hsm, print_line};
use clap::Args;
use serde_json::json;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tezos_signer::keystore::open::{sealer, sealer_of};
use tezos_signer::keystore::pkcs11;
use tezos_signer::keystore::sealed::sealer::{self, NewSealedKey};
use tezos_signer::keystore::sealed::secret_text::{self, SecretText};
use tezos_signer_core::config::{KeySource, KeystoreConfig};
use tezos_signer_core::json::quoted;
use tezos_signer_core::key::SigningPublicKey;
use zeroize::Zeroizing;

#[derive(Args)]
pub(in crate::command) struct GenerateSealingKey {
    #[command(flatten)]
    config: ConfigArgument,
    /// The label (`CKA_LABEL`) of the new sealing key. It must not be in use.
    #[arg(long)]
    label: String,
    #[command(flatten)]
    output: OutputArgument,
}

#[derive(Args)]
#[allow(clippy::doc_markdown, clippy::struct_field_names, reason = "what --help shows, and the names of the options")]
pub(in crate::command) struct Seal {
    #[command(flatten)]
    config: ConfigArgument,
    /// The sealing key: the label of an AES key of the token, or the name of a symmetric key of AWS KMS.
    #[arg(long, value_name = "LABEL")]
    seal_with: String,
    /// The file with the secret key, BLsk… or BLesk…; - is the standard input.
    #[arg(long, value_name = "FILE")]
    secret_key: PathBuf,
    /// The file with the password of an encrypted secret key (BLesk…). Without it, the password is asked for at the terminal.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgument,
}

#[derive(Args)]
pub(in crate::command) struct ProvePossession {
    #[command(flatten)]
    config: ConfigArgument,
    /// The public key of a sealed key of the configuration.
    #[arg(long, value_name = "BLpk…")]
    public_key: SigningPublicKey,
    #[command(flatten)]
    output: OutputArgument,
}

pub(super) fn generate_sealing_key(arguments: &GenerateSealingKey) -> Result<(), CommandError> {
    let config = arguments.config.load()?;
    if let KeystoreConfig::AwsKms(kms) = &config.keystore {
        return Err(refuse_to_generate_sealing_key(kms, &arguments.label));
    }
    pkcs11::generate_sealing_key(hsm(&config)?, &arguments.label)?;
    if arguments.output.output == Output::Json {
        let made = json!({ "label": arguments.label, "keyType": "AES-256" });
        return print_line!("{}", serde_json::to_string_pretty(&made)?);
    }
    let label = quoted(&arguments.label);
    print_line!(
        "The token has a sealing key with label {label} (AES-256, not extractable).\n\nA tz4 key is made and sealed with it by:\n\n  \
         tezos-signer keys generate --config {} --curve bls12-381 --seal-with {label}",
        arguments.config.config.display()
    )
}

/// `keys generate --curve bls12-381 --seal-with`.
pub(super) fn generate(config: &KeystoreConfig, seal_with: &str, output: Output) -> Result<(), CommandError> {
    let made = block_on(async { Ok(sealer::generate(&*sealer(config, seal_with)?).await?) })?;
    print_made(&made, output)
}

pub(super) fn seal(arguments: &Seal) -> Result<(), CommandError> {
    let config = arguments.config.load()?;
    let text = read_secret(&arguments.secret_key)?;
    let failed = |source| CommandError::SecretKey { path: arguments.secret_key.clone(), source };
    let secret = match secret_text::read(&text).map_err(failed)? {
        SecretText::Plain(secret) => secret,
        SecretText::Encrypted(encrypted) => {
            encrypted.open(&password(arguments.password_file.as_deref())?).map_err(failed)?
        }
    };
    let made = block_on(async { Ok(sealer::seal(&*sealer(&config.keystore, &arguments.seal_with)?, &secret).await?) })?;
    print_made(&made, arguments.output.output)
}

pub(super) fn prove_possession(arguments: &ProvePossession) -> Result<(), CommandError> {
    let config = arguments.config.load()?;
    let key = config.keys.iter().find(|key| key.public_key == arguments.public_key);
    let key = key.ok_or_else(|| CommandError::NoSealedKey(arguments.public_key.hash()))?;
    let KeySource::Sealed(sealed) = &key.source else {
        return Err(CommandError::NoSealedKey(arguments.public_key.hash()));
    };
    let proof = block_on(async {
        Ok(sealer::prove_possession(&*sealer_of(&config.keystore, sealed)?, sealed, &key.public_key).await?)
    })?;
    if arguments.output.output == Output::Json {
        let proved = json!({ "publicKey": key.public_key, "publicKeyHash": key.hash(), "proofOfPossession": proof });
        return print_line!("{}", serde_json::to_string_pretty(&proved)?);
    }
    print_line!("{proof}")
}

/// Without a copy that is not overwritten.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, CommandError> {
    /// More than any secret key has: nothing grows, and leaves a copy behind.
    const MOST: usize = 64 * 1024;
    let unreadable = |source| CommandError::ReadFile { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST));
    if path == Path::new("-") {
        std::io::stdin().lock().take(MOST as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MOST as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| CommandError::SecretKey { path: path.to_owned(), source: secret_text::SecretTextError::Form })?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn password(file: Option<&Path>) -> Result<Zeroizing<String>, CommandError> {
    match file {
        Some(path) => {
            let text = read_secret(path)?;
            Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        None => rpassword::prompt_password("Password of the secret key: ")
            .map(Zeroizing::new)
            .map_err(CommandError::NoTerminal),
    }
}

fn print_made(made: &NewSealedKey, output: Output) -> Result<(), CommandError> {
    for remark in &made.remarks {
        eprintln!("tezos-signer: warning: {remark}");
    }
    let NewSealedKey { public_key, sealed, .. } = made;
    if output == Output::Json {
        let key = json!({
            "publicKey": public_key,
            "publicKeyHash": public_key.hash(),
            "curve": public_key.curve(),
            "label": null,
            "sealed": sealed,
        });
        return print_line!("{}", serde_json::to_string_pretty(&key)?);
    }
    print_line!(
        "Public key       {public_key}\nPublic key hash  {}\nSealed by        {}\n\nIn the TezosSigner, under spec:\n\n  keys:\n  - publicKey: \
         {public_key}\n    sealed: {sealed}",
        public_key.hash(),
        sealed.sealing_key()
    )
}
