//! Requests to KMS, each within a deadline. What may pass by itself is tried again until then; and an attempt that stays silent gets company:
//! the first answer counts.
//!
//! The retries of the SDK are off: it does not know the deadline, and it would wait for a connection that is dead.

use super::credentials::{KeptCredentials, Provider, Source};
use super::error::{Action, KmsError};
use super::metrics::KmsMetrics;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{
    AppName, BehaviorVersion, Config, IdentityCache, Region, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tezos_signer_core::aws::KmsKey;
use tezos_signer_core::config::AwsKmsConfig;
use tezos_signer_core::key::{Curve, Message, SigningPublicKey, VerifiedSignature};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The longest that a connection may take, with TLS.
const CONNECT: Duration = Duration::from_secs(1);

/// When a second attempt joins one that is silent. KMS answers in some tens of milliseconds; a connection that a firewall has forgotten
/// never does.
const SILENCE: Duration = Duration::from_millis(400);

/// Before an attempt that follows a failure; doubled each time.
const PAUSE: Duration = Duration::from_millis(50);

/// How many times credentials may be refused, each time renewed, before that is the answer.
const REFUSALS: u32 = 5;

/// KMS in one region, with one role. Clones share everything.
#[derive(Clone)]
pub(super) struct KmsClient {
    shared: Arc<SharedClient>,
}

struct SharedClient {
    region: String,
    credentials: Arc<KeptCredentials>,
    /// Everything but the connections.
    config: Config,
    connections: Mutex<Connections>,
    /// None in commands.
    metrics: Option<KmsMetrics>,
}

/// A client with its pool of connections. They are replaced together, because what has killed one has often killed all of them.
#[derive(Clone)]
struct Connections {
    number: u64,
    client: Client,
}

/// What KMS says of an asymmetric key.
pub(super) struct PublicKeyAnswer {
    pub(super) spec: String,
    pub(super) usage: String,
    pub(super) is_for_signing: bool,
    pub(super) der: Vec<u8>,
}

/// The names and values that a ciphertext is bound to.
pub(super) type EncryptionContext = [(&'static str, String); 2];

fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc)).build_https()
}

impl Connections {
    fn new(number: u64, config: &Config) -> Self {
        Self { number, client: Client::from_conf(config.to_builder().http_client(http_client()).build()) }
    }
}

impl KmsClient {
    /// Begins to load the credentials; connects when it is asked for something.
    pub(super) fn start(config: &AwsKmsConfig, metrics: Option<KmsMetrics>) -> Self {
        let region = Region::new(config.region.to_string());
        let source =
            Source { region: region.clone(), file: config.credentials_file.clone(), http_client: http_client() };
        let credentials = Arc::new(KeptCredentials::start(source));
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).build();
        let mut builder = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .credentials_provider(SharedCredentialsProvider::new(Provider(credentials.clone())))
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts);
        builder.set_app_name(AppName::new("tezos-signer").ok());
        builder.set_endpoint_url(config.endpoint.as_ref().map(ToString::to_string));
        let config_of_client = builder.build();
        let connections = Mutex::new(Connections::new(0, &config_of_client));
        let region = config.region.to_string();
        Self { shared: Arc::new(SharedClient { region, credentials, config: config_of_client, connections, metrics }) }
    }

    fn connections(&self) -> Connections {
        self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on there are new connections, unless that is so already.
    fn reconnect(&self, number: u64) {
        let mut connections = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if connections.number == number {
            *connections = Connections::new(number.wrapping_add(1), &self.shared.config);
        }
    }

    /// Asks until there is an answer, or a refusal that waiting does not change, or the deadline.
    async fn ask<'a, T: Send + 'a>(
        &'a self,
        action: Action,
        deadline: Instant,
        send: impl Fn(Client) -> BoxFuture<'a, Result<T, KmsError>> + Send + Sync,
    ) -> Result<T, KmsError> {
        let measured = || self.shared.metrics.as_ref().map(|metrics| metrics.begin(action));
        if let Err(error) = self.shared.credentials.ready(deadline).await {
            let refused = Err(error);
            if let Some(mut measured) = measured() {
                measured.answered(&refused);
            }
            return refused;
        }
        let mut attempts = FuturesUnordered::new();
        let (mut next, mut silence, mut pause) = (Instant::now(), SILENCE, PAUSE);
        let (mut last_error, mut last_number, mut refusals) = (KmsError::Timeout, 0, 0);
        loop {
            tokio::select! {
                biased;
                Some(ended) = attempts.next() => {
                    let (number, result): (u64, Result<T, KmsError>) = ended;
                    let error = match result {
                        Ok(answer) => return Ok(answer),
                        Err(error) if !error.may_pass() => return Err(error),
                        Err(error) => error,
                    };
                    if error.is_of_the_network() {
                        self.reconnect(number);
                    }
                    if matches!(error, KmsError::CredentialsRefused(_) | KmsError::CredentialsStale(_)) {
                        refusals += 1;
                        if refusals >= REFUSALS {
                            return Err(error);
                        }
                        self.shared.credentials.renew();
                    }
                    last_error = error;
                    next = next.min(Instant::now() + pause);
                    pause *= 2;
                }
                () = until(deadline.min(next)) => {
                    if !attempts.is_empty() {
                        self.reconnect(last_number);
                    }
                    if Instant::now() >= deadline {
                        return Err(last_error);
                    }
                    let Connections { number, client } = self.connections();
                    let answer = send(client);
                    let mut measured = measured();
                    attempts.push(async move {
                        let result = answer.await;
                        if let Some(measured) = &mut measured {
                            measured.answered(&result);
                        }
                        (number, result)
                    });
                    last_number = number;
                    next = Instant::now() + silence;
                    silence *= 2;
                }
            }
        }
    }

    /// Signs `message` with `key`, whose public key must be `public_key`.
    pub(super) async fn sign(
        &self,
        key: &KmsKey,
        public_key: &SigningPublicKey,
        message: &Message,
        deadline: Instant,
    ) -> Result<VerifiedSignature, KmsError> {
        // Of both kinds what is signed is the digest: ECDSA takes it as such, pure Ed25519 as a message, which it hashes in its own way.
        let (algorithm, message_type) = match public_key.curve() {
            Curve::Secp256k1 | Curve::P256 => (SigningAlgorithmSpec::EcdsaSha256, MessageType::Digest),
            Curve::Ed25519 => (SigningAlgorithmSpec::Ed25519Sha512, MessageType::Raw),
            curve @ Curve::Bls12381 => return Err(KmsError::Scheme(curve)),
        };
        let digest = Blob::new(message.digest().as_bytes());
        self.ask(Action::Sign, deadline, |client| {
            let request = client
                .sign()
                .key_id(key.to_string())
                .message(digest.clone())
                .message_type(message_type.clone())
                .signing_algorithm(algorithm.clone());
            Box::pin(async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| KmsError::of(Action::Sign, key, &self.shared.region, error))?;
                let signature = answer.signature().map(Blob::as_ref).unwrap_or_default();
                public_key
                    .accept_signature(message, signature)
                    .map_err(|cause| KmsError::Signature { key: key.clone(), cause })
            })
        })
        .await
    }

    /// The public key of `key`, and what it is for.
    pub(super) async fn public_key(&self, key: &KmsKey, deadline: Instant) -> Result<PublicKeyAnswer, KmsError> {
        self.ask(Action::GetPublicKey, deadline, |client| {
            let request = client.get_public_key().key_id(key.to_string());
            Box::pin(async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| KmsError::of(Action::GetPublicKey, key, &self.shared.region, error))?;
                let name = |text: Option<&str>| text.unwrap_or("(none)").to_owned();
                Ok(PublicKeyAnswer {
                    spec: name(answer.key_spec().map(KeySpec::as_str)),
                    usage: name(answer.key_usage().map(KeyUsageType::as_str)),
                    is_for_signing: answer.key_usage() == Some(&KeyUsageType::SignVerify),
                    der: answer.public_key().map(|der| der.as_ref().to_vec()).unwrap_or_default(),
                })
            })
        })
        .await
    }

    /// Encrypts `plaintext` with the symmetric key `key`, bound to `context`.
    pub(super) async fn encrypt(
        &self,
        key: &KmsKey,
        context: &EncryptionContext,
        plaintext: &[u8],
        deadline: Instant,
    ) -> Result<Vec<u8>, KmsError> {
        self.ask(Action::Encrypt, deadline, |client| {
            let request = client
                .encrypt()
                .key_id(key.to_string())
                .plaintext(Blob::new(plaintext))
                .set_encryption_context(Some(named(context)));
            Box::pin(async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| KmsError::of(Action::Encrypt, key, &self.shared.region, error))?;
                Ok(answer.ciphertext_blob().map(|blob| blob.as_ref().to_vec()).unwrap_or_default())
            })
        })
        .await
    }

    /// Decrypts `ciphertext`, which `key` must have made with the same `context`.
    pub(super) async fn decrypt(
        &self,
        key: &KmsKey,
        context: &EncryptionContext,
        ciphertext: &[u8],
        deadline: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.ask(Action::Decrypt, deadline, |client| {
            let request = client
                .decrypt()
                .key_id(key.to_string())
                .ciphertext_blob(Blob::new(ciphertext))
                .set_encryption_context(Some(named(context)));
            Box::pin(async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| KmsError::of(Action::Decrypt, key, &self.shared.region, error))?;
                Ok(Zeroizing::new(answer.plaintext.map(Blob::into_inner).unwrap_or_default()))
            })
        })
        .await
    }

    /// Random bytes of AWS' HSMs. A refusal names `key`, which they are for.
    pub(super) async fn random(
        &self,
        key: &KmsKey,
        length: usize,
        deadline: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.ask(Action::GenerateRandom, deadline, |client| {
            let request = client.generate_random().number_of_bytes(i32::try_from(length).unwrap_or(i32::MAX));
            Box::pin(async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| KmsError::of(Action::GenerateRandom, key, &self.shared.region, error))?;
                Ok(Zeroizing::new(answer.plaintext.map(Blob::into_inner).unwrap_or_default()))
            })
        })
        .await
    }
}

/// Waits until `instant`; a time that has come already costs nothing, where tokio's timer would take up to a millisecond.
async fn until(instant: Instant) {
    if instant > Instant::now() {
        tokio::time::sleep_until(instant).await;
    }
}

fn named(context: &EncryptionContext) -> HashMap<String, String> {
    context.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
