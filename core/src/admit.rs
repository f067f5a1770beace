//! The checks of a signing request that need no watermark record, in their order: authentication, magic byte, decoding,
//! policy.
//!
//! The signing path and `explain` call the same function. [`decide`](crate::watermark::decide) accepts only its result, so
//! the digest and the payload of a decision cannot come from two requests.

use crate::authentication::{AuthorizedKeys, Unauthenticated};
use crate::key::{Digest, PublicKeyHash, Signature};
use crate::payload::{self, DecodeError, Payload, UnknownSuffix};
use crate::policy::{Forbidden, Permitted, Policy};
use std::sync::Arc;

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
}

/// A request that passed every check. Only [`admit`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    key: PublicKeyHash,
    payload: Arc<[u8]>,
    digest: Digest,
    permitted: Permitted,
}

impl Admitted {
    /// The key that is to sign.
    pub fn key(&self) -> PublicKeyHash {
        self.key
    }

    /// The bytes to sign.
    pub fn payload(&self) -> &Arc<[u8]> {
        &self.payload
    }

    /// The digest of these bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The payload as the policy permitted it: a block or vote with its position, or a generic operation.
    pub fn permitted(&self) -> Permitted {
        self.permitted
    }
}

/// Why a request is not admitted. A retry of the same request does not help before the client, the configuration or this release is another
/// one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No client that is authorized has made the request: 401.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
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
    let digest = Digest::of(request.payload);
    facts.digest = Some(digest);
    rules
        .policy
        .check_magic(request.payload)
        .inspect_err(|_| facts.payload = Some(PayloadFacts::UndecodedOperation))?;
    let payload = payload::decode(request.payload, rules.unknown_suffix)?;
    let permitted = rules.policy.check(&payload);
    facts.payload = Some(PayloadFacts::Decoded(payload));
    Ok(Admitted { key: request.key, permitted: permitted?, payload: request.payload.into(), digest })
}

#[cfg(test)]
mod tests;
