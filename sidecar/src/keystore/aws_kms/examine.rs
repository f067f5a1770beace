//! For the commands: what the keys of KMS are, and what each configured one can be used for.

use super::client::KmsClient;
use super::error::{Action, KmsError};
use super::{public_key, watched};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tezos_signer_core::aws::KmsKey;
use tezos_signer_core::config::{AwsKmsConfig, KeyConfig};
use tezos_signer_core::key::{PublicKeyHash, SigningPublicKey};

/// The longest that one of the requests for a key may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often is signed, of which the median counts.
const TRIALS: usize = 5;

fn deadline() -> tokio::time::Instant {
    tokio::time::Instant::now() + PATIENCE
}

/// Compares the public key of each key that is in KMS, and signs with it: the median of some trial signatures, or all that is wrong, so that
/// every missing right is said at once.
pub async fn examine(
    config: &AwsKmsConfig,
    keys: &[KeyConfig],
) -> BTreeMap<PublicKeyHash, Result<Duration, Vec<KmsError>>> {
    let client = KmsClient::start(config, None);
    let examined = keys.iter().filter_map(watched).map(async |key| {
        let compared = key.compare(&client, deadline()).await;
        let (mut times, mut signed) = (Vec::new(), Ok(()));
        while signed.is_ok() && times.len() < TRIALS {
            let begin = Instant::now();
            signed = key.try_to_sign(&client, deadline()).await;
            times.push(begin.elapsed());
        }
        let problems: Vec<_> = [compared, signed].into_iter().filter_map(Result::err).collect();
        times.sort_unstable();
        (key.public_key.hash(), if problems.is_empty() { Ok(times[TRIALS / 2]) } else { Err(problems) })
    });
    futures::future::join_all(examined).await.into_iter().collect()
}

/// The public key of each of these keys, or why it is none that signs for Tezos.
pub async fn public_keys(config: &AwsKmsConfig, keys: &[KmsKey]) -> Vec<Result<SigningPublicKey, KmsError>> {
    let client = KmsClient::start(config, None);
    let asked = keys.iter().map(async |key| {
        let answer = client.public_key(key, deadline()).await?;
        if !answer.is_for_signing {
            let cause = format!("its key usage is {}, not SIGN_VERIFY", answer.usage).into();
            return Err(KmsError::WrongUsage { action: Action::Sign, key: key.clone(), cause });
        }
        let unusable = |cause| KmsError::PublicKey { key: key.clone(), cause };
        public_key::from_spki(&answer.der).map_err(unusable)
    });
    futures::future::join_all(asked).await
}
