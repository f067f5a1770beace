//! What helps against an error of the token: the classification of the codes. Codes say little of what is really wrong, and
//! for CloudHSM nobody has published which ones come when, so this only says where the ladder begins. Where one step does not
//! help the next one is taken, whatever the code.

use super::HsmError;
use cryptoki::error::RvError;

/// The steps of the ladder, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remedy {
    /// None that this process could take: what was asked or configured is wrong.
    Nothing,
    /// Another try on the same session, a little later: the HSM is busy.
    Wait,
    /// A new session, with its keys found anew.
    Session,
    /// A new session; and where that does not help, the library initialised anew.
    Library,
}

impl HsmError {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Call { code, .. } => of_code(*code),
            Self::NoToken { .. } => Remedy::Library,
            Self::BadSignature(_) | Self::Nonsense(_) => Remedy::Session,
            _ => Remedy::Nothing,
        }
    }

    /// Whether, where a key was looked for, it may be that key's matter only, so that the session is good for the others.
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

fn of_code(code: RvError) -> Remedy {
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
        | RvError::UserPinNotInitialized => Remedy::Nothing,

        // CloudHSM returns CKR_FUNCTION_FAILED where it throttles.
        RvError::FunctionFailed | RvError::DeviceMemory | RvError::HostMemory | RvError::SessionCount => Remedy::Wait,

        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::BufferTooSmall
        | RvError::ObjectHandleInvalid
        | RvError::KeyHandleInvalid
        | RvError::UserNotLoggedIn => Remedy::Session,

        // CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR, CKR_TOKEN_NOT_PRESENT, CKR_SLOT_ID_INVALID,
        // CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_CANCELED, what a vendor defines, and what nobody has thought of.
        _ => Remedy::Library,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    #[test]
    fn the_ladder_begins_where_the_code_says() {
        let remedy = |code| HsmError::Call { function: Function::Sign, code }.remedy();
        for (begin, codes) in [
            (Remedy::Nothing, &[RvError::ArgumentsBad, RvError::MechanismInvalid, RvError::PinLocked][..]),
            (Remedy::Wait, &[RvError::FunctionFailed, RvError::DeviceMemory, RvError::SessionCount]),
            (Remedy::Session, &[RvError::SessionHandleInvalid, RvError::KeyHandleInvalid, RvError::UserNotLoggedIn]),
            (Remedy::Library, &[RvError::DeviceError, RvError::TokenNotPresent, RvError::CryptokiNotInitialized]),
            // What a vendor or a later specification defines may be anything.
            (Remedy::Library, &[RvError::VendorDefined(0x8000_0001), RvError::UnknownErrorCode(0x7fff)]),
        ] {
            for code in codes {
                assert_eq!(remedy(*code), begin, "{code:?}");
            }
        }
    }
}
