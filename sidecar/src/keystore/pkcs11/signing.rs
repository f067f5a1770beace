//! One signature of the token: `C_SignInit`, the login that a key may ask for, `C_Sign`.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::token::OpenSession;
use crate::keystore::pkcs11::worker_slot::CallClock;
use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use tezos_signer_core::key::{Curve, Digest};

/// Room for a signature in any form. The token is not asked for the length: that is a call more, and some tokens answer it with
/// an error, or end the operation by it.
const ROOM: usize = 256;

/// `CKM_EDDSA`.
const STANDARD_EDDSA: u32 = 0x1057;

/// `CKM_CLOUDHSM_EDDSA`, as it is expected: AWS documents the number in a header of its library only.
const CLOUDHSM_EDDSA: u64 = 0x8000_1057;

/// A private key, in the session that has found it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PrivateKey {
    pub(super) handle: ObjectHandle,
    mechanism: SignatureMechanism,
    /// The token wants the PIN with each signature, `CKA_ALWAYS_AUTHENTICATE`.
    asks_for_login: bool,
}

/// By which mechanism a token signs. Each signs the 32 bytes of a digest as they are: the variants that hash would hash them again.
#[derive(Debug, Clone, Copy)]
enum SignatureMechanism {
    /// `CKM_ECDSA`.
    Ecdsa,
    /// Pure Ed25519: `CKM_EDDSA` without parameters, or a vendor's own.
    Eddsa(MechanismType),
}

impl SignatureMechanism {
    fn of(session: &OpenSession, curve: Curve, clock: &CallClock) -> Result<Self, HsmError> {
        if curve == Curve::Ed25519 { eddsa(session, clock).map(Self::Eddsa) } else { Ok(Self::Ecdsa) }
    }

    fn mechanism(self) -> Mechanism<'static> {
        match self {
            Self::Ecdsa => Mechanism::Ecdsa,
            Self::Eddsa(MechanismType::EDDSA) => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
            Self::Eddsa(vendor) => Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(vendor, None)),
        }
    }
}

/// The mechanism for Ed25519: that of the configuration, or the first that the token lists.
fn eddsa(session: &OpenSession, clock: &CallClock) -> Result<MechanismType, HsmError> {
    if let Some(configured) = session.eddsa_mechanism() {
        let number = u64::from(configured.get());
        return match MechanismType::new_vendor_defined(number) {
            _ if configured.get() == STANDARD_EDDSA => Ok(MechanismType::EDDSA),
            Ok(vendor) => Ok(vendor),
            Err(_) => Err(HsmError::EddsaMechanism(configured)),
        };
    }
    let listed = session.mechanisms(clock)?;
    let vendor = MechanismType::new_vendor_defined(CLOUDHSM_EDDSA).ok();
    let mut candidates = [Some(MechanismType::EDDSA), vendor].into_iter().flatten();
    candidates.find(|mechanism| listed.contains(mechanism)).ok_or(HsmError::NoEddsa)
}

impl PrivateKey {
    /// The key on `curve` with this handle. For Ed25519 the token's mechanism is looked for.
    pub(super) fn new(
        session: &OpenSession,
        handle: ObjectHandle,
        curve: Curve,
        clock: &CallClock,
    ) -> Result<Self, HsmError> {
        Ok(Self { handle, mechanism: SignatureMechanism::of(session, curve, clock)?, asks_for_login: false })
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
        match clock.call(|| session.sign_init(&self.mechanism.mechanism(), self.handle)) {
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
