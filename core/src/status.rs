//! `GET /status` of a signer, as a type: the sidecar serialises it, the operator reads it. Besides the configuration file and the watermark
//! record it is the third contract between the two programs, and people and scripts read it too.
//!
//! How it may change: a new field is added, and no reader minds it, because unknown fields are ignored. A field is neither renamed nor
//! removed, and its meaning stays: an operator of one release reads signers of others during an upgrade. Every signer since 0.2.0 writes
//! every field that is here, `null` where there is no value, so that a field that is missing is an error and never a `false`. A field
//! that is added later needs a documented meaning for signers that do not write it.

mod key;

pub use key::{AttestationTimes, KeyStatus, SealedStatus, SignedRows};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of a signer. One JSON object, whatever the state: the HTTP status is always 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerStatus {
    /// Whether each key can be signed with now: by this signer, or by the holder that it forwards requests to. False also while the audit
    /// log cannot be written, while answers are late, and from the beginning of a shutdown.
    pub ready: bool,
    /// Whether each key could be signed with at least once since the start of the process. It stays true.
    pub started: bool,
    /// The name of this signer as a holder of leases: the UID of its pod, or the name of its host.
    pub identity: String,
    /// The state of the HSM.
    pub hsm: HsmStatus,
    /// The certificate of the signing port; `null` without TLS.
    #[serde(deserialize_with = "Option::deserialize")]
    pub tls: Option<TlsStatus>,
    /// The certificate of the port that other replicas ask; `null` without TLS or without such a port.
    #[serde(deserialize_with = "Option::deserialize")]
    pub peer_tls: Option<TlsStatus>,
    /// The configured keys, in the order of their hashes.
    pub keys: Vec<KeyStatus>,
    /// Why `ready` is false, and what else somebody should do something about: one sentence each, for people.
    pub reasons: Vec<String>,
}

/// The state of the HSM as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HsmStatus {
    /// Whether it signs with every configured key.
    pub ready: bool,
    /// Why it does not, for people; `null` if it does.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
}

/// The state of the certificate of one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// When the certificate that is served expires: RFC 3339, in UTC.
    pub not_after: Timestamp,
    /// Why somebody should do something about it, for people: it has expired, or changed files cannot be used. Else `null`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
}

/// Why a text is not the status of a signer. It says nothing of the signer's state; another try helps only if something else answers then.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// A field is missing, of another type, or out of its range.
    #[error("{path}: {source}")]
    Field {
        /// The path of the field, such as `keys[0].held`. If a field is missing, the path of the object without it (`status` for the
        /// outermost), and `source` has the name.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl SignerStatus {
    /// Reads the body of an answer to `GET /status`.
    pub fn from_json(json: &[u8]) -> Result<Self, StatusError> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let status = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let source = error.into_inner();
            if !source.is_data() {
                return StatusError::Syntax(source);
            }
            StatusError::Field { path: if path == "." { "status".to_owned() } else { path }, source }
        })?;
        reader.end().map_err(StatusError::Syntax)?;
        Ok(status)
    }
}
