//! Proofs of possession: that this signer has the secret of a tz4 key. A change of the consensus or companion key carries one. They say
//! nothing of a level, so no record is involved; each has its line in the audit log before it is given.

use super::Signer;
use crate::audit::AuditError;
use crate::keystore::KeystoreError;
use crate::request::Caller;
use crate::signing::concurrency_limit::Overloaded;
use tezos_signer_core::audit::{self, Event, Microseconds, Outcome};
use tezos_signer_core::key::{Curve, KeyError, PublicKey, PublicKeyHash, Signature};
use tokio::time::Instant;

/// What the kind of such a request is in the audit log.
const KIND: &str = "proof_of_possession";

/// Why no proof is given.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProofError {
    /// The signer has no such key.
    #[error("this signer has no key {0}")]
    UnknownKey(PublicKeyHash),
    /// In Octez' words. `allowProofOfPossession: true` allows it.
    #[error("Request to prove possession is not allowed.")]
    NotAllowed,
    /// Only keys of BLS have such proofs.
    #[error("{0} is no tz4 key: only tz4 keys have a proof of possession")]
    NoBls(PublicKeyHash),
    /// What the client wants to have proved is no public key.
    #[error("bls_pk: {0}")]
    Malformed(#[from] KeyError),
    /// A proof over another key would let its owner sign in this one's name.
    #[error("bls_pk is another key than {0}: a key proves the possession of itself only")]
    OtherKey(PublicKeyHash),
    /// Too many requests are being answered already.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The keystore did not sign.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// It could not be written to the audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl ProofError {
    /// The HTTP status. Octez retries only after 502.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::UnknownKey(_) => 404,
            Self::NotAllowed | Self::NoBls(_) | Self::OtherKey(_) => 403,
            Self::Overloaded(_) | Self::Keystore(_) | Self::Audit(_) => 502,
        }
    }

    fn outcome(&self) -> Outcome {
        match self.status() {
            400 => Outcome::Malformed,
            404 => Outcome::NotFound,
            403 => Outcome::Forbidden,
            _ => Outcome::Unavailable,
        }
    }
}

impl Signer {
    /// The proof for `hash`, where its configuration allows that. `over` is the public key that the client wants to have proved. Clients are
    /// not authenticated, as by Octez' signer: a proof becomes public.
    pub async fn prove_possession(
        &self,
        caller: Caller,
        hash: PublicKeyHash,
        over: Option<&str>,
    ) -> Result<Signature, ProofError> {
        let Caller { client, request_id } = caller;
        let request = audit::Request {
            request_id: Some(request_id),
            client,
            key: Some(hash),
            kind: Some(KIND.into()),
            ..audit::Request::default()
        };
        let proof = self.prove(&request, hash, over).await;
        if let Err(error) = &proof {
            let (status, reason, client) = (error.status(), error.to_string(), &request.client);
            tracing::info!(key = %hash, client, status, reason, "no proof of possession was given");
            let (outcome, microseconds) = (error.outcome(), Microseconds::default());
            self.audit.note(Event::Outcome {
                request,
                status,
                outcome,
                reason: Some(reason),
                intent: None,
                microseconds,
            });
        }
        proof
    }

    async fn prove(
        &self,
        request: &audit::Request,
        hash: PublicKeyHash,
        over: Option<&str>,
    ) -> Result<Signature, ProofError> {
        let key = self.key(&hash).ok_or(ProofError::UnknownKey(hash))?;
        if !key.config.allow_proof_of_possession {
            return Err(ProofError::NotAllowed);
        }
        if key.config.public_key.curve() != Curve::Bls12381 {
            return Err(ProofError::NoBls(hash));
        }
        let over = over.map(str::parse::<PublicKey>).transpose()?;
        if over.is_some_and(|over| over.hash() != hash) {
            return Err(ProofError::OtherKey(hash));
        }
        let _slot = self.slots.take()?;
        let deadline = Instant::now() + self.request_deadline;
        let proof = self.keystore.prove_possession(&hash, deadline).await?;
        self.audit.proof(request.clone(), deadline).await?;
        tracing::info!(key = %hash, client = request.client, "a proof of possession is given");
        Ok(proof)
    }
}
