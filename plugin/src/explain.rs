//! `explain`: what a payload is, by the same code as the signer's, and what the keys of a TezosSigner would answer: by the configuration that its
//! pod runs with and by the watermark record. Where the record cannot be read, the signer itself is asked, by exec.

mod answer;

use crate::check::{configuration_file, running_pods};
use crate::cluster::{Cluster, ConnectionArguments};
use crate::error::PluginError;
use crate::output::{self, Output, table};
use answer::{Answer, NoRecord, answer};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tezos_signer_core::config::SignerConfig;
use tezos_signer_core::explain;
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::record::Record;
use tezos_signer_operator::names::CONFIG_ANNOTATION;

/// The options of `explain`.
#[derive(Args)]
pub(crate) struct ExplainArguments {
    /// The payload in hexadecimal, as in the body of a signing request.
    #[arg(value_name = "HEX")]
    payload: String,
    /// The TezosSigner whose keys would answer. Default: none; only the payload is decoded.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Show the answer of this key only. Default: of all keys of the TezosSigner.
    #[arg(long, value_name = "ADDRESS", requires = "name")]
    key: Option<PublicKeyHash>,
}

/// Prints what the payload is, and the answers.
pub(crate) async fn run(
    connection: &ConnectionArguments,
    arguments: &ExplainArguments,
    output: Output,
) -> Result<(), PluginError> {
    let text = arguments.payload.trim().trim_matches('"');
    let text = text.strip_prefix("0x").unwrap_or(text);
    let payload = hex::decode(text).map_err(|error| {
        PluginError::Argument(format!(
            "the payload is not hexadecimal: {error}. Give the body of a signing request, such as 117a06a770…"
        ))
    })?;
    let answers = match &arguments.name {
        None => Vec::new(),
        Some(name) => answers(&connection.connect().await?, name, arguments.key, text, &payload).await?,
    };
    if output == Output::Json {
        let mut all = explain::json(&payload)?;
        let of = |answer: &Answer| json!({ "status": answer.status, "reason": answer.reason });
        all["answer"] = answers.first().map_or(Value::Null, of);
        all["keys"] =
            answers.iter().map(|answer| json!({ "publicKeyHash": answer.key, "answer": of(answer) })).collect();
        return output::print_json(&all);
    }
    let fields: Vec<Vec<String>> =
        explain::fields(&payload)?.into_iter().map(|(field, value)| vec![field, value]).collect();
    let mut text = table(&["PAYLOAD", ""], &fields, None);
    if arguments.name.is_some() {
        let status = |answer: &Answer| answer.status.map_or_else(|| "?".to_owned(), |status| status.to_string());
        let rows: Vec<Vec<String>> =
            answers.iter().map(|answer| vec![answer.key.clone(), status(answer), answer.reason.clone()]).collect();
        text = format!("{text}\n{}", table(&["KEY", "STATUS", "REASON"], &rows, None));
    }
    output::print(&text)
}

async fn answers(
    cluster: &Cluster,
    name: &str,
    only: Option<PublicKeyHash>,
    text: &str,
    payload: &[u8],
) -> Result<Vec<Answer>, PluginError> {
    let signer = cluster.known_signer(&cluster.namespace, name).await?;
    // One that does not run has a configuration too.
    let pods = cluster.pods(&crate::status::identity(&signer)?).await?;
    let (pod, config_map) = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .find_map(|pod| Some((pod, pod.annotations().get(CONFIG_ANNOTATION)?)))
        .ok_or_else(|| {
            PluginError::Argument(format!(
                "the TezosSigner {name} has no pod: kubectl tezos-signer status {name} says why"
            ))
        })?;
    let config = configuration(cluster, pod, config_map).await?;
    let keys: Vec<_> = config.keys.iter().filter(|key| only.is_none_or(|only| only == key.hash())).collect();
    if let (Some(only), []) = (only, keys.as_slice()) {
        return Err(PluginError::Argument(format!("the TezosSigner {name} has no key {only}")));
    }
    let mut answers = Vec::new();
    for key in keys {
        let record = match cluster.record(key.record_name().as_str()).await {
            Ok(record) => Record::from_data(&record.data.unwrap_or_default())
                .map_err(|error| NoRecord::Unusable(error.to_string())),
            Err(PluginError::NotFound(_)) => {
                Err(NoRecord::Unusable("the watermark record is missing: nothing is signed with this key".to_owned()))
            }
            Err(error @ PluginError::Denied(_)) => {
                // The signer may read it.
                if let Some(answer) = by_signer(cluster, &signer, &key.hash().to_string(), text).await {
                    answers.push(answer);
                    continue;
                }
                Err(NoRecord::Unknown(format!(
                    "{error}; and neither could tezos-signer explain be run in the signer's container (get,create pods/exec)"
                )))
            }
            Err(error) => Err(NoRecord::Unknown(error.to_string())),
        };
        answers.push(answer(key, record, payload));
    }
    Ok(answers)
}

/// The configuration that `pod` runs with: a ConfigMap that never changes.
async fn configuration(cluster: &Cluster, pod: &Pod, config_map: &str) -> Result<SignerConfig, PluginError> {
    let object = cluster.config_map(&cluster.namespace, config_map).await?;
    let path = configuration_file(pod)?;
    let file = path.rsplit('/').next().unwrap_or_default();
    let text = object.data.as_ref().and_then(|data| data.get(file)).map_or("", String::as_str);
    SignerConfig::from_yaml(text).map_err(|error| PluginError::Request {
        what: format!("reading the configuration {config_map}"),
        reason: format!("{error}. Is the signer of another release than the plugin?"),
    })
}

/// The answer of the signer in a pod; `None` if it cannot be asked.
async fn by_signer(
    cluster: &Cluster,
    signer: &tezos_signer_operator::api::TezosSigner,
    key: &str,
    text: &str,
) -> Option<Answer> {
    let pod = running_pods(cluster, signer, None).await.ok()?.into_iter().next()?;
    let file = configuration_file(&pod).ok()?;
    let command =
        ["tezos-signer", "explain", "--config", &file, "--key", key, "--output", "json", text].map(str::to_owned);
    let ended = cluster.run(&cluster.namespace, &pod.name_any(), &command).await.ok()?;
    let all: Value = serde_json::from_str(&ended.stdout).ok()?;
    Some(Answer {
        key: key.to_owned(),
        status: all["answer"]["status"].as_u64().and_then(|status| status.try_into().ok()),
        reason: all["answer"]["reason"].as_str()?.to_owned(),
    })
}
