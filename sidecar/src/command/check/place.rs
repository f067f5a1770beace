//! What `check` finds where the private keys are: in a token, or in AWS KMS. The one place of the command that knows the kinds.

use super::Finding;
use crate::command::CommandError;
use std::collections::BTreeMap;
use std::time::Duration;
use tezos_signer::keystore::{aws_kms, open, pkcs11};
use tezos_signer_core::config::{AwsKmsConfig, HsmConfig, KeyConfig, KeystoreConfig, SignerConfig};
use tezos_signer_core::key::PublicKeyHash;

/// What was tried.
pub(super) struct Place {
    pub(super) finding: Finding,
    /// Of each key: how long a signature takes, or why there is none.
    pub(super) signed: BTreeMap<PublicKeyHash, Result<Duration, String>>,
    /// Whether a call of a library has not returned, so that the process must not end as others do.
    pub(super) hangs: bool,
}

pub(super) async fn examine(config: &SignerConfig) -> Result<Place, CommandError> {
    let mut place = match &config.keystore {
        KeystoreConfig::Pkcs11(hsm) => examine_token(hsm, &config.keys)?,
        KeystoreConfig::AwsKms(kms) => examine_kms(kms, &config.keys).await,
    };
    if place.finding.fit {
        place.signed.extend(open::examine_sealed(config).await);
    }
    Ok(place)
}

fn examine_token(hsm: &HsmConfig, keys: &[KeyConfig]) -> Result<Place, CommandError> {
    let pkcs11::Examination { keys: examined, hangs } = pkcs11::examine(hsm, keys).map_err(CommandError::Runtime)?;
    let error = examined.as_ref().err().map(ToString::to_string);
    let signed = match &examined {
        Ok(examined) => {
            let of_key = |examined: &pkcs11::Examined| examined.time_to_sign.clone().map_err(|error| error.to_string());
            examined.iter().map(|examined| (examined.key, of_key(examined))).collect()
        }
        Err(_) => keys.iter().map(|key| (key.hash(), Err("the token cannot be used".to_owned()))).collect(),
    };
    let fit = error.is_none();
    let message = error.unwrap_or_else(|| hsm.token.to_string());
    Ok(Place { finding: Finding { what: "token", fit, message }, signed, hangs })
}

/// KMS as a whole is well where a key of it is, or where nothing but the keys is wrong.
async fn examine_kms(kms: &AwsKmsConfig, keys: &[KeyConfig]) -> Place {
    let examined = aws_kms::examine(kms, keys).await;
    let all = examined.values().filter_map(|key| key.as_ref().err()).flatten();
    let of_all = all.into_iter().find(|error| !error.is_of_one_key()).map(ToString::to_string);
    let signed = examined.iter().map(|(key, result)| {
        let sentences = |errors: &Vec<aws_kms::KmsError>| {
            let mut sentences: Vec<_> = errors.iter().map(ToString::to_string).collect();
            sentences.dedup();
            sentences.join("; ")
        };
        (*key, result.as_ref().map(|time| *time).map_err(sentences))
    });
    let signed = signed.collect();
    let fit = of_all.is_none();
    let message =
        of_all.unwrap_or_else(|| format!("in {}; only the keys of the configuration were asked about", kms.region));
    Place { finding: Finding { what: "awsKms", fit, message }, signed, hangs: false }
}
