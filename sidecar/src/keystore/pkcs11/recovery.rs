//! Classifies the errors of the token by the recovery step to begin with. Error codes are no reliable diagnosis, and for
//! CloudHSM their causes are not documented, so a code only determines the first step. If a step does not help, the next one
//! follows, whatever the code.

use crate::keystore::pkcs11::HsmError;
use cryptoki::error::RvError;

/// The steps of the ladder, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Recovery {
    /// No recovery by this process: the request or the configuration is wrong.
    Nothing,
    /// Another try on the same session, a little later: the HSM is busy.
    Wait,
    /// A new session, which finds its keys again.
    Session,
    /// A new session and, if that does not help, the library initialised again.
    Library,
}

impl HsmError {
    pub(super) fn recovery(&self) -> Recovery {
        match self {
            Self::Call { code, .. } => of_code(*code),
            Self::NoToken { .. } => Recovery::Library,
            Self::BadSignature(_) | Self::Nonsense(_) => Recovery::Session,
            _ => Recovery::Nothing,
        }
    }

    /// Whether an error of the search for a key may concern that key only, so that the session can be used for the others.
    pub(super) fn may_concern_one_key(&self) -> bool {
        match self {
            // CloudHSM returns CKR_FUNCTION_FAILED for a key that is on too few HSMs.
            Self::Call { code, .. } => matches!(
                code,
                RvError::FunctionFailed
                    | RvError::KeyHandleInvalid
                    | RvError::KeyFunctionNotPermitted
                    | RvError::KeyTypeInconsistent
            ),
            error => error.is_of_one_key(),
        }
    }
}

fn of_code(code: RvError) -> Recovery {
    match code {
        RvError::ArgumentsBad
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::KeyFunctionNotPermitted
        | RvError::KeyTypeInconsistent
        | RvError::PinIncorrect
        | RvError::PinLocked
        | RvError::PinExpired
        | RvError::UserPinNotInitialized => Recovery::Nothing,

        // CloudHSM returns CKR_FUNCTION_FAILED when it throttles.
        RvError::FunctionFailed | RvError::DeviceMemory | RvError::HostMemory | RvError::SessionCount => Recovery::Wait,

        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::BufferTooSmall
        | RvError::ObjectHandleInvalid
        | RvError::KeyHandleInvalid
        | RvError::UserNotLoggedIn => Recovery::Session,

        // CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR, CKR_TOKEN_NOT_PRESENT, CKR_SLOT_ID_INVALID,
        // CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_CANCELED, vendor-defined and unknown codes.
        _ => Recovery::Library,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    #[test]
    fn the_ladder_begins_where_the_code_says() {
        let recovery = |code| HsmError::Call { function: Function::Sign, code }.recovery();
        for (begin, codes) in [
            (Recovery::Nothing, &[RvError::ArgumentsBad, RvError::MechanismInvalid, RvError::PinLocked][..]),
            (Recovery::Wait, &[RvError::FunctionFailed, RvError::DeviceMemory, RvError::SessionCount]),
            (Recovery::Session, &[RvError::SessionHandleInvalid, RvError::KeyHandleInvalid, RvError::UserNotLoggedIn]),
            (Recovery::Library, &[RvError::DeviceError, RvError::TokenNotPresent, RvError::CryptokiNotInitialized]),
            // What a vendor or a later specification defines may be anything.
            (Recovery::Library, &[RvError::VendorDefined(0x8000_0001), RvError::UnknownErrorCode(0x7fff)]),
        ] {
            for code in codes {
                assert_eq!(recovery(*code), begin, "{code:?}");
            }
        }
    }
}
