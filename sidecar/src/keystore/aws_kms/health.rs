//! What is known of the keys: with which KMS signs, and with which it does not, since when and why. Only signatures count as evidence that
//! it does.

use super::error::KmsError;
use super::metrics::KmsMetrics;
use crate::keystore::causes_of;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::PublicKeyHash;

/// Another reason is not logged more often.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// What is known of all keys.
pub(super) struct Health {
    keys: Mutex<BTreeMap<PublicKeyHash, KeyHealth>>,
    metrics: KmsMetrics,
}

enum KeyHealth {
    NotTriedYet,
    Signs { last: Instant },
    Fails { since: Instant, error: Box<KmsError>, logged: Instant },
}

impl KeyHealth {
    fn cause(&self) -> Option<Cause> {
        match self {
            Self::Signs { .. } => None,
            Self::NotTriedYet => Some(Cause::of(KmsError::NotAskedYet)),
            Self::Fails { error, .. } => Some(Cause::of((**error).clone())),
        }
    }
}

impl Health {
    pub(super) fn new(metrics: KmsMetrics) -> Self {
        Self { keys: Mutex::default(), metrics }
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<PublicKeyHash, KeyHealth>> {
        // Each change is whole before anything could panic.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is this key from now on, which was not tried yet.
    pub(super) fn joins(&self, key: PublicKeyHash) {
        self.metrics.key(&key, false);
        self.keys().insert(key, KeyHealth::NotTriedYet);
    }

    /// The key is not configured any more.
    pub(super) fn leaves(&self, key: &PublicKeyHash) {
        self.metrics.forget_key(key);
        self.keys().remove(key);
    }

    /// KMS has signed with a key.
    pub(super) fn signs(&self, key: &PublicKeyHash) {
        let mut keys = self.keys();
        // One that was taken out of the configuration meanwhile counts for nothing.
        let Some(health) = keys.get_mut(key) else { return };
        if !matches!(health, KeyHealth::Signs { .. }) {
            self.metrics.key(key, true);
            tracing::info!(%key, "AWS KMS signs");
        }
        *health = KeyHealth::Signs { last: Instant::now() };
    }

    /// KMS has not signed with a key, though it was asked at `asked`. Nothing is wrong if it has signed for somebody else since.
    pub(super) fn fails(&self, key: &PublicKeyHash, error: &KmsError, asked: Instant) {
        let mut keys = self.keys();
        let Some(health) = keys.get_mut(key) else { return };
        if matches!(health, KeyHealth::Signs { last } if *last > asked) {
            return;
        }
        let now = Instant::now();
        let (since, is_logged) = match health {
            KeyHealth::Fails { since, error: known, logged } => {
                (*since, logged.elapsed() < LOG_PERIOD || known.to_string() == error.to_string())
            }
            KeyHealth::NotTriedYet | KeyHealth::Signs { .. } => {
                self.metrics.key(key, false);
                (now, false)
            }
        };
        let logged = match health {
            KeyHealth::Fails { logged, .. } if is_logged => *logged,
            _ => {
                tracing::warn!(%key, reason = %error, "AWS KMS does not sign");
                now
            }
        };
        *health = KeyHealth::Fails { since, error: Box::new(error.clone()), logged };
    }

    /// When KMS signed last with a key, if it still does.
    pub(super) fn last_signature(&self, key: &PublicKeyHash) -> Option<Instant> {
        match self.keys().get(key)? {
            KeyHealth::Signs { last } => Some(*last),
            KeyHealth::NotTriedYet | KeyHealth::Fails { .. } => None,
        }
    }

    /// Why KMS does not sign with `key`; `None` if it does.
    pub(super) fn cause(&self, key: &PublicKeyHash) -> Option<Cause> {
        self.keys().get(key)?.cause()
    }

    /// Why KMS does not sign with some keys, one sentence for each reason.
    pub(super) fn causes(&self) -> Vec<Cause> {
        let keys = self.keys();
        let failing: Vec<(&PublicKeyHash, Cause)> =
            keys.iter().filter_map(|(key, health)| Some((key, health.cause()?))).collect();
        causes_of(&failing, keys.len())
    }

    /// For how long KMS has not signed with `key`; `None` if it does, or was not asked yet.
    pub(super) fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration> {
        match self.keys().get(key)? {
            KeyHealth::Fails { since, .. } => Some(since.elapsed()),
            KeyHealth::NotTriedYet | KeyHealth::Signs { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tezos_signer_core::key::SigningPublicKey;

    #[test]
    fn a_key_is_well_when_it_has_signed_and_what_is_wrong_with_all_is_said_once() {
        let [a, b] = [
            "p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24",
            "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk",
        ]
        .map(|key| key.parse::<SigningPublicKey>().unwrap().hash());
        let health = Health::new(KmsMetrics::new().unwrap());
        health.joins(a);
        health.joins(b);
        assert_eq!(health.causes(), [Cause::of(KmsError::NotAskedYet)]);
        assert_eq!(health.failing_for(&a), None, "it was not asked yet");
        health.signs(&a);
        health.fails(&b, &KmsError::Timeout, Instant::now());
        assert_eq!(health.causes(), [Cause::from(format!("{b}: {}", KmsError::Timeout))]);
        assert!(health.failing_for(&b).is_some() && health.cause(&a).is_none());
        let since = health.failing_for(&b).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        health.fails(&b, &KmsError::Throttled("x".into()), Instant::now());
        assert!(health.failing_for(&b).unwrap() > since, "since the first failure");
        health.fails(&a, &KmsError::Throttled("x".into()), Instant::now());
        assert_eq!(health.causes(), [Cause::of(KmsError::Throttled("x".into()))]);
        health.leaves(&b);
        health.signs(&b);
        assert_eq!(health.cause(&b), None, "it is no longer configured");
        let asked = Instant::now();
        health.signs(&a);
        assert!(health.causes().is_empty());
        health.fails(&a, &KmsError::Timeout, asked);
        assert!(health.causes().is_empty(), "it has signed since it was asked");
    }
}
