//! A keystore of a kind that exists in tests only: keys in memory. The signing path serves it as it serves PKCS#11, unchanged: this file is
//! all that a new kind needs.

use crate::faulty_store::deadline;
use crate::own_process::in_own_process;
use crate::payload::{attestation, block};
use crate::test_env::FLOOR;
use async_trait::async_trait;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tezos_signer::audit::AuditLog;
use tezos_signer::keyring::Key;
use tezos_signer::keystore::{Keystore, KeystoreError};
use tezos_signer::metrics::Metrics;
use tezos_signer::records::session::RecordSession;
use tezos_signer::request::{Caller, Origin, Request};
use tezos_signer::signing::{Answer, SignError, Signer};
use tezos_signer::store::{FileStore, Store as _};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{AuditConfig, KeyConfig};
use tezos_signer_core::key::{Curve, Message, PublicKeyHash, SigningPublicKey, VerifiedSignature};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::Record;
use tezos_signer_core::watermark::Refusal;
use tokio::time::Instant;

/// One key, and with which addresses it signs now.
pub(crate) struct InMemory {
    secret: SigningKey,
    pub(crate) public_key: SigningPublicKey,
    configured: Mutex<BTreeSet<PublicKeyHash>>,
}

#[derive(Debug, thiserror::Error)]
enum InMemoryError {
    #[error("the memory has no key {0}")]
    NoKey(PublicKeyHash),
}

impl InMemory {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        let secret = SigningKey::from_slice(&secret).unwrap();
        let point = secret.verifying_key().to_sec1_point(true);
        let public_key = SigningPublicKey::from_bytes(Curve::P256, point.as_bytes()).unwrap();
        Self { secret, public_key, configured: Mutex::default() }
    }

    fn has(&self, key: &PublicKeyHash) -> bool {
        self.configured.lock().unwrap().contains(key)
    }
}

#[async_trait]
impl Keystore for InMemory {
    async fn sign(
        &self,
        key: PublicKeyHash,
        message: &Message,
        _deadline: Instant,
    ) -> Result<VerifiedSignature, KeystoreError> {
        if !self.has(&key) {
            return Err(KeystoreError::new(InMemoryError::NoKey(key), false));
        }
        let raw: p256::ecdsa::Signature = self.secret.sign_prehash(message.digest().as_bytes()).unwrap();
        Ok(self.public_key.accept_signature(message, &raw.to_bytes()).unwrap())
    }

    async fn try_candidate(&self, candidate: &KeyConfig, _deadline: Instant) -> Result<(), KeystoreError> {
        let is_ours = candidate.public_key == self.public_key;
        if is_ours { Ok(()) } else { Err(KeystoreError::new(InMemoryError::NoKey(candidate.hash()), false)) }
    }

    fn configure(&self, keys: &[KeyConfig]) {
        *self.configured.lock().unwrap() = keys.iter().map(KeyConfig::hash).collect();
    }

    fn reason(&self, key: &PublicKeyHash) -> Option<String> {
        (!self.has(key)).then(|| InMemoryError::NoKey(*key).to_string())
    }

    fn reasons(&self) -> Vec<String> {
        Vec::new()
    }

    fn failing_for(&self, _key: &PublicKeyHash) -> Option<Duration> {
        None
    }

    async fn given_up(&self) -> Cause {
        pending().await
    }

    async fn stop(&self, _patience: Duration) -> bool {
        true
    }
}

#[test]
fn keys_of_another_kind_of_keystore_sign_by_the_same_rules() {
    in_own_process(async |env| {
        let keystore = Arc::new(InMemory::new([7; 32]));
        let key = KeyConfig { public_key: keystore.public_key.clone(), ..env.tz3() };
        let store = Arc::new(FileStore::open(&env.records()).unwrap());
        let floor = Record::starting_above(Level::try_from(i64::from(FLOOR)).unwrap());
        store.create(&key.record_name(), &floor).await.unwrap();
        let record = Arc::new(RecordSession::new(key.record_name(), store.clone(), None));
        let keys = [Key::new(key.clone(), record, AuthorizedKeys::default())];
        let audit = AuditLog::start(&AuditConfig::default(), "a-test").unwrap();
        let patience = Duration::from_secs(2);
        let signer = Arc::new(Signer::new(keys, keystore, audit, Metrics::new().unwrap(), patience));
        let sign = async |payload: &[u8]| {
            let (caller, payload) = (Caller::new("a test".to_owned()), payload.to_vec());
            let (key, authentication) = (key.hash(), None);
            match signer
                .sign(Request { caller, key, payload, authentication, version: None, origin: Origin::Client })
                .await
            {
                Ok(Answer::Signature(signature)) => Ok(*signature.signature()),
                Ok(Answer::Forwarded(answer)) => panic!("there are no others: {answer:?}"),
                Err(error) => Err(error),
            }
        };

        let (vote, other) = (attestation(FLOOR + 1, 0, 1), attestation(FLOOR + 1, 0, 2));
        let unknown = sign(&vote).await.unwrap_err();
        assert_eq!((unknown.status(), unknown.to_string()), (502, format!("the memory has no key {}", key.hash())));
        let before = store.read(&key.record_name(), deadline()).await.unwrap().record;
        assert_eq!(before, floor, "nothing is committed without a signature");

        signer.keystore().configure(std::slice::from_ref(&key));
        let signature = sign(&vote).await.unwrap();
        assert!(key.public_key.verify(&Message::new(&vote), &signature));
        assert_eq!(sign(&vote).await.unwrap(), signature);
        let refused = sign(&other).await.unwrap_err();
        assert!(matches!(refused, SignError::Watermark(Refusal::Conflict { .. })), "{refused}");
        sign(&block(FLOOR + 1, 0, 1)).await.unwrap();
    });
}
