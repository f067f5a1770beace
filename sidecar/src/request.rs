//! A signing request: its contents, its client, and how it arrived.

use tezos_signer_core::admit::{SignatureVersion, SigningRequest};
use tezos_signer_core::audit::RequestId;
use tezos_signer_core::key::{PublicKeyHash, Signature};

/// What a client asks.
#[derive(Debug, Clone)]
pub struct Request {
    /// The client or replica that sent the request.
    pub caller: Caller,
    /// The key that is to sign.
    pub key: PublicKeyHash,
    /// What it is to sign.
    pub payload: Vec<u8>,
    /// The signature that authenticates the client.
    pub authentication: Option<Signature>,
    /// The version of signatures that the client asks for.
    pub version: Option<SignatureVersion>,
    /// How it came here.
    pub origin: Origin,
}

impl Request {
    pub(crate) fn to_admit(&self) -> SigningRequest<'_> {
        SigningRequest {
            key: self.key,
            payload: &self.payload,
            authentication: self.authentication.as_ref(),
            version: self.version,
        }
    }
}

/// The client of a request, and the id of the request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The address and port, or the name of a socket, with the identity of the certificate. For a forwarded request also the replica.
    pub client: String,
    /// The id of the request.
    pub request_id: RequestId,
}

impl Caller {
    /// A client whose request gets a new id.
    pub fn new(client: String) -> Self {
        Self { client, request_id: new_request_id() }
    }
}

/// A request id of 64 random bits.
pub(crate) fn new_request_id() -> RequestId {
    // The half without the version.
    let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
    RequestId::from_bytes(random.to_be_bytes())
}

/// How a request came to this signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Sent by the client itself.
    Client,
    /// Forwarded by another replica. It is not forwarded again.
    Peer,
}
