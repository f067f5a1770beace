//! One task for each key: it compares the public key once, and makes a trial signature at the start, after failures, and when nobody has
//! asked for a signature for long.

use super::client::KmsClient;
use super::error::KmsError;
use super::health::Health;
use super::public_key;
use crate::keystore::TRIAL;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::aws::KmsKey;
use tezos_signer_core::key::{Message, SigningPublicKey};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The longest that one check may take.
const CHECK: Duration = Duration::from_secs(5);

/// After a failure; doubled each time, up to the longer one.
const PAUSE: Duration = Duration::from_millis(250);
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// How long a key may be idle before a trial signature shows whether KMS still signs with it. A month of them costs about 65 cents.
const IDLE: Duration = Duration::from_mins(1);

/// A configured key, and the place of its secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct WatchedKey {
    pub(super) public_key: SigningPublicKey,
    pub(super) kms_key: KmsKey,
}

impl WatchedKey {
    /// Whether KMS has this key, with the right spec and usage.
    pub(super) async fn compare(&self, client: &KmsClient, deadline: Instant) -> Result<(), KmsError> {
        let (key, curve) = (self.kms_key.clone(), self.public_key.curve());
        let spec = super::key_spec(curve).ok_or(KmsError::Scheme(curve))?;
        let answer = client.public_key(&key, deadline).await?;
        if answer.spec != spec || !answer.is_for_signing {
            return Err(KmsError::WrongSpec { key, spec: answer.spec, usage: answer.usage, curve });
        }
        match public_key::from_spki(&answer.der) {
            Ok(found) if found == self.public_key => Ok(()),
            Ok(found) => Err(KmsError::WrongPublicKey { key, found }),
            Err(cause) => Err(KmsError::PublicKey { key, cause }),
        }
    }

    /// A trial signature, which is forgotten.
    pub(super) async fn try_to_sign(&self, client: &KmsClient, deadline: Instant) -> Result<(), KmsError> {
        client.sign(&self.kms_key, &self.public_key, &Message::new(TRIAL), deadline).await.map(|_| ())
    }
}

/// Watches one key, for ever.
pub(super) async fn watch(key: WatchedKey, client: KmsClient, health: Arc<Health>, failed: Arc<Notify>) {
    let hash = key.public_key.hash();
    let (mut is_compared, mut pause) = (false, PAUSE);
    loop {
        let asked = Instant::now();
        let deadline = asked + CHECK;
        match check(&key, &client, deadline, &mut is_compared).await {
            Ok(()) => {
                health.signs(&hash);
                pause = PAUSE;
                idle(&hash, &health, &failed).await;
            }
            Err(error) => {
                health.fails(&hash, &error, asked.into_std());
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONG_PAUSE);
            }
        }
    }
}

/// Waits until a request has failed, or there was none for long.
async fn idle(hash: &tezos_signer_core::key::PublicKeyHash, health: &Health, failed: &Notify) {
    while let Some(last) = health.last_signature(hash) {
        tokio::select! {
            () = failed.notified() => {}
            () = tokio::time::sleep_until((last + IDLE).into()) => {
                if health.last_signature(hash) == Some(last) {
                    return;
                }
            }
        }
    }
}

async fn check(
    key: &WatchedKey,
    client: &KmsClient,
    deadline: Instant,
    is_compared: &mut bool,
) -> Result<(), KmsError> {
    let compared = if *is_compared { Ok(()) } else { key.compare(client, deadline).await };
    match compared {
        Ok(()) => *is_compared = true,
        // What the key is, only a signature shows then.
        Err(error @ KmsError::Denied { .. }) => {
            key.try_to_sign(client, deadline).await?;
            tracing::warn!(key = %key.public_key.hash(), reason = %error, "the public key could not be compared");
            *is_compared = true;
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    key.try_to_sign(client, deadline).await
}
