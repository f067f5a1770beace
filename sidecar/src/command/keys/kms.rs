//! `keys list` and `keys generate` where the keys are in AWS KMS. The signer neither lists nor creates keys there: it needs no right to do so,
//! and who may do that is not the signer's affair.

use crate::command::{CommandError, Output, block_on, print_line, print_table};
use serde_json::json;
use tezos_signer::keystore::aws_kms::{self, key_spec};
use tezos_signer_core::aws::KmsKey;
use tezos_signer_core::config::{AwsKmsConfig, KeyConfig, KeySource};
use tezos_signer_core::key::{Curve, SigningPublicKey};

/// The keys of the configuration, and those that `named` has beside them.
pub(super) fn list(
    kms: &AwsKmsConfig,
    configured: &[KeyConfig],
    named: &[KmsKey],
    output: Output,
) -> Result<(), CommandError> {
    let of_configuration = configured.iter().filter_map(|key| match &key.source {
        KeySource::AwsKms(kms_key) => Some((kms_key.clone(), Some(key.public_key.clone()))),
        _ => None,
    });
    let wanted: Vec<_> = of_configuration.chain(named.iter().map(|key| (key.clone(), None))).collect();
    let keys: Vec<_> = wanted.iter().map(|(key, _)| key.clone()).collect();
    let found = block_on(async { Ok(aws_kms::public_keys(kms, &keys).await) })?;
    let rows = wanted.into_iter().zip(found).map(|((key, configured), found)| {
        let problem = match (&found, configured) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(found), Some(configured)) if *found != configured => {
                Some(format!("the configuration has the public key {configured}: correct publicKey or kmsKey"))
            }
            _ => None,
        };
        Row { key, public_key: found.ok(), problem }
    });
    let rows: Vec<_> = rows.collect();
    if output == Output::Json {
        let keys: Vec<_> = rows.iter().map(Row::json).collect();
        print_line!("{}", serde_json::to_string_pretty(&keys)?)?;
    } else {
        print_table(
            &["KMS KEY", "CURVE", "PUBLIC KEY HASH", "PUBLIC KEY", "PROBLEM"],
            &rows.iter().map(Row::cells).collect::<Vec<_>>(),
        )?;
        print_line!(
            "\nThese are the keys of the configuration and of --kms-key. The signer never lists the keys of an AWS account."
        )?;
    }
    if rows.iter().all(|row| row.public_key.is_none()) && !rows.is_empty() { Err(CommandError::Unfit) } else { Ok(()) }
}

struct Row {
    key: KmsKey,
    public_key: Option<SigningPublicKey>,
    problem: Option<String>,
}

impl Row {
    fn json(&self) -> serde_json::Value {
        let key = self.public_key.as_ref();
        let mut json = json!({
            "publicKey": key, "publicKeyHash": key.map(SigningPublicKey::hash), "curve": key.map(SigningPublicKey::curve), "label": null,
            "kmsKey": self.key,
        });
        if let Some(problem) = &self.problem {
            json["problem"] = problem.as_str().into();
        }
        json
    }

    fn cells(&self) -> Vec<String> {
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let key = self.public_key.as_ref();
        vec![
            self.key.to_string(),
            text(key.map(|key| key.curve().to_string())),
            text(key.map(|key| key.hash().to_string())),
            text(key.map(ToString::to_string)),
            self.problem.clone().unwrap_or_default(),
        ]
    }
}

/// Why no key is generated, with the commands that do it.
pub(super) fn refuse_to_generate(kms: &AwsKmsConfig, label: &str, curve: Curve) -> CommandError {
    let Some(spec) = key_spec(curve) else { return CommandError::NoKmsScheme(curve) };
    refusal(kms, label, &format!("--key-spec {spec} --key-usage SIGN_VERIFY"), |alias| {
        format!("tezos-signer keys list --kms-key {alias}` prints its public key for the configuration")
    })
}

/// The same for a key that seals others.
pub(super) fn refuse_to_generate_sealing_key(kms: &AwsKmsConfig, label: &str) -> CommandError {
    refusal(kms, label, "--key-spec SYMMETRIC_DEFAULT --key-usage ENCRYPT_DECRYPT", |alias| {
        format!("tezos-signer keys generate --curve bls12-381 --seal-with {alias}` makes a tz4 key and seals it")
    })
}

/// `next` is the rest of a sentence that a quote has begun.
fn refusal(kms: &AwsKmsConfig, label: &str, kind: &str, next: impl Fn(&str) -> String) -> CommandError {
    let alias = format!("alias/{label}").parse::<KmsKey>().map_or("alias/NAME".to_owned(), |alias| alias.to_string());
    let region = &kms.region;
    let commands = format!(
        "  aws kms create-key --region {region} {kind}\n  aws kms create-alias --region {region} --alias-name {alias} --target-key-id KEY-ID"
    );
    CommandError::KmsGenerates { commands, next: next(&alias) }
}
