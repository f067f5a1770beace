//! What goes wrong between the signer and AWS KMS, in sentences that say what to grant or mend.

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::fmt;
use tezos_signer_core::aws::KmsKey;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::{Curve, PublicKeyHash, ReturnedSignatureError, SigningPublicKey};

/// A request of KMS, which is also the right to make it: `kms:Sign` in a policy of IAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// One signature.
    Sign,
    /// The public key, its key spec and its usage.
    GetPublicKey,
    /// Seals.
    Encrypt,
    /// Unseals.
    Decrypt,
    /// Random numbers, for a new key.
    GenerateRandom,
}

impl Action {
    /// All that the signer may ask KMS for.
    pub const ALL: [Self; 5] = [Self::Sign, Self::GetPublicKey, Self::Encrypt, Self::Decrypt, Self::GenerateRandom];

    /// The name of the operation, without that of the service.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sign => "Sign",
            Self::GetPublicKey => "GetPublicKey",
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::GenerateRandom => "GenerateRandom",
        }
    }
}

/// As policies have it.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kms:{}", self.name())
    }
}

/// Why KMS has not signed, or not done what else it was asked for. [`Self::may_pass`] says whether a retry helps by itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KmsError {
    /// There was no answer before the deadline.
    #[error("AWS KMS did not answer in time")]
    Timeout,
    /// No connection, or one that broke, or an answer that is not one of KMS.
    #[error("AWS KMS cannot be reached: {0}")]
    Unreachable(#[source] Cause),
    /// The account's quota is used up.
    #[error(
        "AWS KMS rejects requests above the quota of this account and region: {0}. If it lasts, find who else uses KMS there, or ask AWS \
         for a higher quota"
    )]
    Throttled(#[source] Cause),
    /// An error on the side of AWS.
    #[error("AWS KMS has an internal error: {0}")]
    Service(#[source] Cause),
    /// Nobody gave us credentials.
    #[error(
        "there are no AWS credentials: {0}. They come from EKS Pod Identity, IRSA, the instance profile, or the file of \
         awsKms.credentialsFile: see docs/kms.md"
    )]
    NoCredentials(#[source] Cause),
    /// AWS does not know the credentials: they were deleted, or are of another partition.
    #[error("AWS does not accept the credentials: {0}. Replace them; new ones are loaded by themselves")]
    CredentialsRefused(#[source] Cause),
    /// The credentials have ended, or the clock differs too much from that of AWS.
    #[error(
        "AWS does not accept the credentials now: {0}. They are loaded again by themselves; if that does not help, set the clock of this host"
    )]
    CredentialsStale(#[source] Cause),
    /// A right is missing.
    #[error(
        "AWS denies {action} on {key}: allow {action} on this key in the policy of the role or of the key (docs/kms.md). AWS says: {cause}"
    )]
    Denied {
        /// The right that is missing.
        action: Action,
        /// On which key.
        key: KmsKey,
        /// The words of AWS.
        cause: Cause,
    },
    /// Somebody has disabled the key.
    #[error("the KMS key {key} is disabled: enable it with `aws kms enable-key`. AWS says: {cause}")]
    Disabled {
        /// Which one.
        key: KmsKey,
        /// The words of AWS.
        cause: Cause,
    },
    /// Somebody has scheduled the deletion of the key.
    #[error(
        "the KMS key {key} is pending deletion: keep it with `aws kms cancel-key-deletion`, then enable it with `aws kms enable-key`. AWS \
         says: {cause}"
    )]
    PendingDeletion {
        /// Which one.
        key: KmsKey,
        /// The words of AWS.
        cause: Cause,
    },
    /// The key is in another state in which it does nothing.
    #[error("the KMS key {key} is in a state in which it cannot be used: {cause}")]
    State {
        /// Which one.
        key: KmsKey,
        /// The words of AWS.
        cause: Cause,
    },
    /// There is no such key, or it is elsewhere.
    #[error(
        "there is no KMS key {key} in {region}: correct kmsKey or awsKms.region, and check that the credentials are of the key's account. \
         AWS says: {cause}"
    )]
    NotFound {
        /// Which one.
        key: KmsKey,
        /// Where it was looked for.
        region: String,
        /// The words of AWS.
        cause: Cause,
    },
    /// A key that cannot do what it is for here.
    #[error("the KMS key {key} cannot be used for {action}: {cause}")]
    WrongUsage {
        /// What it was asked for.
        action: Action,
        /// Which one.
        key: KmsKey,
        /// The words of AWS.
        cause: Cause,
    },
    /// A key of another kind than `publicKey`.
    #[error(
        "the KMS key {key} has the key spec {spec} and the key usage {usage}, but publicKey is a key of {curve}: it needs a KMS key with the \
         key spec {} and the key usage SIGN_VERIFY", key_spec(*.curve).unwrap_or("(none)")
    )]
    WrongSpec {
        /// Which one.
        key: KmsKey,
        /// What it is.
        spec: String,
        /// What it is for.
        usage: String,
        /// What the configuration says.
        curve: Curve,
    },
    /// Another key than that of the configuration.
    #[error("the KMS key {key} has the public key {found} ({}), not the configured publicKey: correct kmsKey or publicKey", .found.hash())]
    WrongPublicKey {
        /// Which one.
        key: KmsKey,
        /// The public key that it has.
        found: SigningPublicKey,
    },
    /// A public key that is none.
    #[error("the public key that AWS KMS returned for {key} cannot be read: {cause}")]
    PublicKey {
        /// Of which key.
        key: KmsKey,
        /// What is wrong.
        cause: Cause,
    },
    /// A signature that is none of this key and message. It is dropped.
    #[error("AWS KMS, for {key}: {cause}")]
    Signature {
        /// Of which key.
        key: KmsKey,
        /// What is wrong.
        cause: ReturnedSignatureError,
    },
    /// A ciphertext that this key has not made, or not with this encryption context.
    #[error(
        "the KMS key {key} does not open this text: it was sealed by another KMS key, for another public key, or was altered. AWS says: {cause}"
    )]
    NotAuthentic {
        /// The key that was asked.
        key: KmsKey,
        /// The words of AWS.
        cause: Cause,
    },
    /// Another refusal.
    #[error("AWS refuses {action} with {key}: {cause}")]
    Refused {
        /// What was asked for.
        action: Action,
        /// With which key.
        key: KmsKey,
        /// The words of AWS.
        cause: Cause,
    },
    /// A sealed key of a token: a bug of ours, because the configuration refuses it.
    #[error("the key was not sealed by AWS KMS")]
    NotSealedHere,
    /// No KMS does signatures of this scheme.
    #[error("AWS KMS has no keys of {0}: use sealed in place of kmsKey")]
    Scheme(Curve),
    /// No such key is configured: a bug of ours.
    #[error("the key {0} is not configured for AWS KMS")]
    NotConfigured(PublicKeyHash),
    /// It was not tried since the start.
    #[error("AWS KMS has not been asked yet")]
    NotAskedYet,
    /// The process ends.
    #[error("the signer is ending")]
    Ending,
}

impl KmsError {
    /// What KMS, or the way to it, has answered.
    pub(super) fn of<E>(action: Action, key: &KmsKey, region: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        let message = error.message().unwrap_or_default().to_owned();
        match &error {
            SdkError::TimeoutError(_) => return Self::Timeout,
            SdkError::ServiceError(_) => {}
            // Before anything is sent: there is nothing to sign the request with.
            SdkError::ConstructionFailure(_) => return Self::NoCredentials(cause_chain(error)),
            _ => return Self::Unreachable(cause_chain(error)),
        }
        let words = match (code.as_str(), message.as_str()) {
            ("", "") => format!("the answer is none of KMS (HTTP status {})", status.unwrap_or_default()),
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        let cause = Cause::of(error).map_text(|_| words);
        let key = key.clone();
        match code.as_str() {
            "AccessDeniedException" => Self::Denied { action, key, cause },
            "DisabledException" => Self::Disabled { key, cause },
            "KMSInvalidStateException" if message.to_lowercase().contains("pending deletion") => {
                Self::PendingDeletion { key, cause }
            }
            "KMSInvalidStateException" => Self::State { key, cause },
            "NotFoundException" => Self::NotFound { key, region: region.to_owned(), cause },
            "InvalidKeyUsageException" | "UnsupportedOperationException" => Self::WrongUsage { action, key, cause },
            "InvalidCiphertextException" | "IncorrectKeyException" => Self::NotAuthentic { key, cause },
            "ThrottlingException"
            | "Throttling"
            | "LimitExceededException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException" => Self::Throttled(cause),
            "UnrecognizedClientException" | "InvalidClientTokenId" => Self::CredentialsRefused(cause),
            "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "RequestExpired" => Self::CredentialsStale(cause),
            "KeyUnavailableException" | "DependencyTimeoutException" | "KMSInternalException" => Self::Service(cause),
            _ if status == Some(429) => Self::Throttled(cause),
            _ if status.is_none_or(|status| status >= 500) => Self::Service(cause),
            // Not an error of KMS at all: a proxy's, or of another server.
            "" => Self::Unreachable(cause),
            _ => Self::Refused { action, key, cause },
        }
    }

    /// Whether it may pass by itself, soon: what is wrong with one key waits for a person, but for a signature that was spoilt once.
    pub(super) fn may_pass(&self) -> bool {
        !self.is_of_one_key() || matches!(self, Self::Signature { .. })
    }

    /// Whether it is about one key, and not about KMS or the way there.
    pub fn is_of_one_key(&self) -> bool {
        !matches!(
            self,
            Self::Timeout
                | Self::Unreachable(_)
                | Self::Throttled(_)
                | Self::Service(_)
                | Self::NoCredentials(_)
                | Self::CredentialsRefused(_)
                | Self::CredentialsStale(_)
        )
    }

    /// Whether new connections may help.
    pub(super) fn is_of_the_network(&self) -> bool {
        matches!(self, Self::Timeout | Self::Unreachable(_))
    }

    /// One word for the metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Throttled(_) => "throttled",
            Self::Service(_) => "service",
            Self::NoCredentials(_) | Self::CredentialsRefused(_) | Self::CredentialsStale(_) => "credentials",
            Self::Denied { .. } => "denied",
            Self::Disabled { .. } | Self::PendingDeletion { .. } | Self::State { .. } => "state",
            Self::NotFound { .. } => "not_found",
            Self::Signature { .. } => "signature",
            _ => "refused",
        }
    }
}

/// An error with the texts of all that is behind it, each once.
pub(super) fn cause_chain(error: impl Error + Send + Sync + 'static) -> Cause {
    let mut texts = vec![error.to_string()];
    let mut inner: &dyn Error = &error;
    while let Some(source) = inner.source() {
        let text = source.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        inner = source;
    }
    Cause::of(error).map_text(|_| texts.join(": "))
}

/// The key spec of the KMS keys that have this curve; `None` where KMS has no such keys.
pub fn key_spec(curve: Curve) -> Option<&'static str> {
    match curve {
        Curve::Ed25519 => Some("ECC_NIST_EDWARDS25519"),
        Curve::Secp256k1 => Some("ECC_SECG_P256K1"),
        Curve::P256 => Some("ECC_NIST_P256"),
        Curve::Bls12381 => None,
    }
}
