//! One signature of the token: `C_SignInit`, the login that a key may ask for, `C_Sign`.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::token::OpenSession;
use crate::keystore::pkcs11::worker_slot::CallClock;
use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use tezos_signer_core::key::Digest;

/// Room for a signature in any form. The token is not asked for the length: that is a call more, and some tokens answer it with
/// an error, or end the operation by it.
const ROOM: usize = 256;

/// A private key, in the session that has found it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PrivateKey {
    pub(super) handle: ObjectHandle,
    /// The token wants the PIN with each signature, `CKA_ALWAYS_AUTHENTICATE`.
    asks_for_login: bool,
}

impl PrivateKey {
    pub(super) fn new(handle: ObjectHandle) -> Self {
        Self { handle, asks_for_login: false }
    }

    /// What the token returns for `digest`, as it is.
    pub(super) fn sign(
        &mut self,
        session: &OpenSession,
        digest: &Digest,
        clock: &CallClock,
    ) -> Result<Vec<u8>, HsmError> {
        match self.sign_once(session, digest, clock) {
            // The attribute is asked for only now: CloudHSM does not have it, and would be asked in vain for each key.
            Err(HsmError::Call { function: Function::Sign, code: RvError::UserNotLoggedIn })
                if !self.asks_for_login && self.always_authenticates(session, clock) =>
            {
                self.asks_for_login = true;
                self.sign_once(session, digest, clock)
            }
            signed => signed,
        }
    }

    fn sign_once(&self, session: &OpenSession, digest: &Digest, clock: &CallClock) -> Result<Vec<u8>, HsmError> {
        // CKM_ECDSA signs the 32 bytes as they are; the variants that hash would hash the digest again.
        match clock.call(|| session.sign_init(&Mechanism::Ecdsa, self.handle)) {
            // The operation of a signature whose login failed.
            Err(Error::Pkcs11(RvError::OperationActive, _)) if self.asks_for_login => {}
            begun => begun?,
        }
        if self.asks_for_login {
            session.log_in_for_signature(clock)?;
        }
        let mut signature = [0; ROOM];
        let length = clock.call(|| session.sign_into(digest.as_bytes(), &mut signature))?;
        Ok(signature[..length].to_vec())
    }

    fn always_authenticates(&self, session: &OpenSession, clock: &CallClock) -> bool {
        let read = clock.call(|| session.get_attributes(self.handle, &[AttributeType::AlwaysAuthenticate]));
        read.is_ok_and(|attributes| attributes.contains(&Attribute::AlwaysAuthenticate(true)))
    }
}
