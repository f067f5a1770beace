//! Why the token did not sign, in words that name the PKCS#11 function and code. What helps against it is in
//! [`super::remedy`].

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use std::path::PathBuf;
use tezos_signer_core::config::TokenSelector;
use tezos_signer_core::key::{PublicKeyHash, TokenSignatureError};

/// Why the token did not sign, or cannot.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HsmError {
    /// The PKCS#11 library cannot be loaded.
    #[error(
        "the PKCS#11 library {module} cannot be loaded ({reason}): check hsm.module, and what the library itself links"
    )]
    Library {
        /// The path of the configuration.
        module: PathBuf,
        /// What the dynamic linker says.
        reason: String,
    },
    /// A PKCS#11 function failed.
    #[error("{} returned {}", function_name(*.function), code_name(*.code))]
    Call {
        /// Which.
        function: Function,
        /// What it returned.
        code: RvError,
    },
    /// What a PKCS#11 function returned with success makes no sense.
    #[error("the PKCS#11 library returned what it must not: {0}")]
    Nonsense(String),
    /// There is no such token, or it is not reachable now.
    #[error(
        "no token with {token}; the library shows {seen}: is the HSM reachable, and hsm.token or hsm.serial right?"
    )]
    NoToken {
        /// The configured one.
        token: TokenSelector,
        /// Those that are there.
        seen: String,
    },
    /// More than one token has the label.
    #[error("more than one token has {0}: give hsm.serial, its serial number, in place of hsm.token")]
    AmbiguousToken(TokenSelector),
    /// The PIN file cannot be read.
    #[error("the PIN file {path} cannot be read ({reason}): check hsm.pinFile and its permissions")]
    PinFile {
        /// The path of the configuration.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The token refused the PIN; it is not tried again, so that the user is not locked.
    #[error(
        "the token refused the PIN (C_Login returned {}); it is not tried again until the PIN file changes, so that the user is not locked",
        code_name(*.0)
    )]
    PinRefused(RvError),
    /// A key of the configuration is not in the token.
    #[error("key {key} ({selector}) is not in the token, or the user may not see it")]
    NoKey {
        /// Its address.
        key: PublicKeyHash,
        /// How it was looked for.
        selector: String,
    },
    /// More than one key of the token fits.
    #[error("more than one key of the token has {0}: which one would sign is chance, so none does")]
    AmbiguousKey(String),
    /// The token's key is another one than configured.
    #[error("the key with {selector} in the token is {found}, the configuration says {expected}")]
    WrongKey {
        /// How it was looked for.
        selector: String,
        /// The configured address.
        expected: PublicKeyHash,
        /// The token's.
        found: String,
    },
    /// There is such a key already.
    #[error("the token already has a key with label {0:?}: choose another label; nothing was generated")]
    LabelTaken(String),
    /// The token signed, but not what it was asked to.
    #[error("{0}; it was not released")]
    BadSignature(#[from] TokenSignatureError),
    /// A thread has been in the library for so long that nobody waits for it any more.
    #[error("the PKCS#11 library does not return from {0}")]
    Hangs(&'static str),
    /// Another session is being opened, and does not get ready.
    #[error("another session is being opened, and the PKCS#11 library does not return")]
    OpeningElsewhere,
    /// There is no session that could be asked.
    #[error("the HSM cannot be used: {0}")]
    Unusable(String),
    /// No answer in time.
    #[error("the token has not answered in time")]
    Timeout,
    /// All sessions are busy, and the queue is full.
    #[error("all sessions of the token are busy")]
    Busy,
    /// The threads of the sessions are gone.
    #[error("the signing threads have ended: a bug, restart the signer")]
    Gone,
}

impl HsmError {
    /// Whether what is wrong is how one key of the configuration fits to the token.
    pub(super) fn is_of_one_key(&self) -> bool {
        matches!(self, Self::NoKey { .. } | Self::AmbiguousKey(_) | Self::WrongKey { .. })
    }

    /// The PKCS#11 function that failed and what it returned, by their names; nothing where it was neither.
    pub(super) fn call(&self) -> Option<(String, String)> {
        match self {
            Self::Call { function, code } => Some((function_name(*function), code_name(*code))),
            Self::PinRefused(code) => Some((function_name(Function::Login), code_name(*code))),
            _ => None,
        }
    }
}

/// `Display` of cryptoki's error is a paragraph of the specification.
impl From<Error> for HsmError {
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(code, function) => Self::Call { function, code },
            other => Self::Nonsense(other.to_string()),
        }
    }
}

/// `Sign` → `C_Sign`.
fn function_name(function: Function) -> String {
    format!("C_{function:?}")
}

/// `DeviceError` → `CKR_DEVICE_ERROR`; a code without a name by its number.
fn code_name(code: RvError) -> String {
    match code {
        RvError::VendorDefined(number) => format!("CKR_VENDOR_DEFINED ({number:#x})"),
        RvError::UnknownErrorCode(number) => format!("an unknown code ({number:#x})"),
        named => {
            let mut name = "CKR".to_owned();
            for c in format!("{named:?}").chars() {
                if c.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(c.to_ascii_uppercase());
            }
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_function_and_code_by_their_names() {
        let told = |code| HsmError::Call { function: Function::SignInit, code }.to_string();
        assert_eq!(told(RvError::KeyHandleInvalid), "C_SignInit returned CKR_KEY_HANDLE_INVALID");
        assert_eq!(told(RvError::VendorDefined(0x8000_0001)), "C_SignInit returned CKR_VENDOR_DEFINED (0x80000001)");
        assert_eq!(told(RvError::UnknownErrorCode(0x7fff)), "C_SignInit returned an unknown code (0x7fff)");
    }
}
