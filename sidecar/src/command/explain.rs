//! `explain`: decodes a payload and shows the response that a signing request would get. Nothing is signed or written.

use super::watermarks::open_to_read;
use super::{CommandError, ConfigArgument, Output, OutputArgument, block_on, print_table};
use clap::Args;
use serde_json::{Value, json};
use std::time::Duration;
use tezos_signer::records::session::RecordSessionError;
use tezos_signer::signing::SignError;
use tezos_signer::store::Store;
use tezos_signer_core::admit::{RequestFacts, SigningRequest, admit};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::config::{KeyConfig, SignerConfig};
use tezos_signer_core::explain;
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::watermark::{self, Decision};
use tokio::time::Instant;

#[derive(Args)]
#[command(after_help = "\
Examples:
  tezos-signer explain --config signer.yaml 117a06a77000e7a78e18…
      decodes a block and shows the response for each configured key
  tezos-signer explain --config signer.yaml --key tz3WMqdzXqRWXwyvj5Hp2H7QEepaUuS7vd9K --output json 037a06a7…
      the same for one key, in JSON

The clients' authentication (authorizedKeys), the HSM and the lease are not checked.")]
pub(super) struct Explain {
    #[command(flatten)]
    config: ConfigArgument,
    /// Show the response for this key only (tz2…, tz3…). Default: all configured keys; in JSON, `answer` is that of the first.
    #[arg(long, value_name = "ADDRESS")]
    key: Option<PublicKeyHash>,
    #[command(flatten)]
    output: OutputArgument,
    /// The payload in hexadecimal, as in the body of a signing request.
    #[arg(value_name = "HEX")]
    payload: String,
}

/// What one key would answer.
struct Answer {
    key: PublicKeyHash,
    status: u16,
    reason: String,
}

pub(super) fn run(arguments: &Explain) -> Result<(), CommandError> {
    let config = arguments.config.load()?;
    let text = arguments.payload.trim().trim_matches('"');
    let payload = hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(CommandError::Hex)?;
    let keys: Vec<&KeyConfig> =
        config.keys.iter().filter(|key| arguments.key.is_none_or(|wanted| wanted == key.hash())).collect();
    if keys.is_empty() {
        return Err(arguments.key.map_or(CommandError::NoKeys, CommandError::UnknownKey));
    }
    let answers = block_on(answers(&config, &keys, &payload))?;
    if arguments.output.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&json_of(&payload, &answers)?)?);
    } else {
        print(&payload, &answers)?;
    }
    Ok(())
}

async fn answers(config: &SignerConfig, keys: &[&KeyConfig], payload: &[u8]) -> Result<Vec<Answer>, CommandError> {
    let store = open_to_read(config).await?;
    let mut answers = Vec::new();
    for key in keys {
        let (status, reason) = match answer(&*store, key, payload).await {
            Ok(reason) => (200, reason.to_owned()),
            Err(error) => (error.status(), error.to_string()),
        };
        answers.push(Answer { key: key.hash(), status, reason });
    }
    Ok(answers)
}

/// The path of [`Signer::sign`](tezos_signer::signing::Signer::sign), as far as it can be walked without signing.
async fn answer(store: &dyn Store, key: &KeyConfig, payload: &[u8]) -> Result<&'static str, SignError> {
    // Without authorized keys, no authentication is required.
    let anybody = AuthorizedKeys::default();
    let request = SigningRequest { key: key.hash(), payload, authentication: None, version: None };
    let admitted = admit(&key.admission_rules(&anybody), &request, &mut RequestFacts::default())?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let record = store.read(&key.record_name(), deadline).await.map_err(RecordSessionError::from)?.record;
    match watermark::decide(&record, &admitted, key.max_level_jump)? {
        Decision::Replay(signature) if key.public_key.verify(admitted.message(), &signature) => {
            Ok("signed before: the stored signature would be given again")
        }
        Decision::Replay(_) => Err(SignError::StoredSignature),
        Decision::Advance(_) => Ok("would be signed"),
    }
}

fn json_of(payload: &[u8], answers: &[Answer]) -> Result<Value, CommandError> {
    let mut all = explain::json(payload)?;
    let answer = |answer: &Answer| json!({ "status": answer.status, "reason": answer.reason });
    all["answer"] = answers.first().map_or(Value::Null, answer);
    let of_key = |one: &Answer| json!({ "publicKeyHash": one.key, "answer": answer(one) });
    all["keys"] = answers.iter().map(of_key).collect();
    Ok(all)
}

fn print(payload: &[u8], answers: &[Answer]) -> Result<(), CommandError> {
    let rows: Vec<_> = explain::fields(payload)?.into_iter().map(|(field, value)| vec![field, value]).collect();
    print_table(&["PAYLOAD", ""], &rows)?;
    println!();
    let rows: Vec<_> = answers
        .iter()
        .map(|answer| vec![answer.key.to_string(), answer.status.to_string(), answer.reason.clone()])
        .collect();
    print_table(&["KEY", "STATUS", "REASON"], &rows)?;
    Ok(())
}
