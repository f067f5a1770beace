//! The checks of a signing request that need no watermark record, in their order: authentication, magic byte, decoding,
//! policy.
//!
//! The signing path and `explain` call the same function. [`decide`](crate::watermark::decide) accepts only its result, so
//! the digest and the payload of a decision cannot come from two requests.

use crate::authentication::{AuthorizedKeys, Unauthenticated};
use crate::key::{Curve, Digest, Message, PublicKeyHash, Signature};
use crate::payload::{self, DecodeError, Payload, UnknownSuffix};
use crate::policy::{Forbidden, Permitted, Policy};

/// The rules by which a key admits requests.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionRules<'a> {
    /// The clients that may ask. Empty: whoever reaches the port.
    pub authorized_keys: &'a AuthorizedKeys,
    /// What the key may sign.
    pub policy: &'a Policy,
    /// What becomes of blocks and votes with bytes that this release does not know.
    pub unknown_suffix: UnknownSuffix,
}

/// A request as the client sent it.
#[derive(Debug, Clone, Copy)]
pub struct SigningRequest<'a> {
    /// The key that is to sign.
    pub key: PublicKeyHash,
    /// The bytes to sign.
    pub payload: &'a [u8],
    /// The client's signature over the request, if it sent one.
    pub authentication: Option<&'a Signature>,
    /// The version of Octez' signatures that the client asks for; `None`: the newest.
    pub version: Option<SignatureVersion>,
}

/// The versions of Octez' signatures (`Signature.version_arg`). For tz1, tz2 and tz3 keys they are all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub enum SignatureVersion {
    /// Has no tz4 keys.
    #[serde(rename = "0")]
    V0,
    /// Signatures of tz4 keys with message augmentation.
    #[serde(rename = "1")]
    V1,
    /// Signatures of tz4 keys in the proof of possession scheme, as the protocol wants them since Seoul.
    #[serde(rename = "2")]
    V2,
    /// The same as 2 for the keys of this signer.
    #[serde(rename = "3")]
    V3,
}

/// A request that passed every check. Only [`admit`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    key: PublicKeyHash,
    message: Message,
    permitted: Permitted,
}

impl Admitted {
    /// The key that is to sign.
    pub fn key(&self) -> PublicKeyHash {
        self.key
    }

    /// What it is to sign.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The digest of the bytes to sign.
    pub fn digest(&self) -> Digest {
        *self.message.digest()
    }

    /// The payload as the policy permitted it: a block or vote with its position, or a generic operation.
    pub fn permitted(&self) -> Permitted {
        self.permitted
    }
}

/// The client asks for a tz4 signature of an early version, which no protocol accepts since Seoul. A retry does not help: use another client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the query asks for version {0} of signatures, and a tz4 (BLS) key signs in version 2 or later only: use a client of Octez 23 or later"
)]
pub struct UnsupportedVersion(u8);

/// Why a request is not admitted. A retry of the same request does not help before the client, the configuration or this release is another
/// one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No client that is authorized has made the request: 401.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// The client asks for a signature of a version that the key does not sign in: 400.
    #[error(transparent)]
    Version(#[from] UnsupportedVersion),
    /// The payload cannot be decoded: 400.
    #[error("the payload is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The key's policy does not allow the payload: 403.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
}

/// What the checks found out before one of them failed, for the audit log and the metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestFacts {
    /// The key of the client, where clients are authenticated.
    pub authenticated_key: Option<PublicKeyHash>,
    /// The digest of the payload; `None` for a client that is not authorized.
    pub digest: Option<Digest>,
    /// What the payload is; `None` where it was not decoded.
    pub payload: Option<PayloadFacts>,
}

/// What is known of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadFacts {
    /// A generic operation by its magic byte, not decoded because the key signs none.
    UndecodedOperation,
    /// The payload was decoded to its last byte.
    Decoded(Payload),
}

/// Checks `request` by `rules`. `facts` has, also after an error, what was found out until then.
pub fn admit(
    rules: &AdmissionRules<'_>,
    request: &SigningRequest<'_>,
    facts: &mut RequestFacts,
) -> Result<Admitted, Rejection> {
    facts.authenticated_key =
        rules.authorized_keys.authenticate(&request.key, request.payload, request.authentication)?;
    let message = Message::new(request.payload);
    facts.digest = Some(*message.digest());
    let scheme = request.key.curve();
    // INVARIANT D9: Another version is another cipher suite.
    if let (Curve::Bls12381, Some(version @ (SignatureVersion::V0 | SignatureVersion::V1))) = (scheme, request.version)
    {
        return Err(UnsupportedVersion(version as u8).into());
    }
    rules
        .policy
        .check_magic(request.payload)
        .inspect_err(|_| facts.payload = Some(PayloadFacts::UndecodedOperation))?;
    let payload = payload::decode(request.payload, scheme, rules.unknown_suffix)?;
    let permitted = rules.policy.check(&payload);
    facts.payload = Some(PayloadFacts::Decoded(payload));
    Ok(Admitted { key: request.key, message, permitted: permitted? })
}

#[cfg(test)]
mod tests;
