//! Why the token did not sign, with the PKCS#11 function and code. The recovery is in [`crate::keystore::pkcs11::recovery`].

use crate::keystore::pkcs11::unsent_pin::{PinGuard, PinProblem};
use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use std::path::PathBuf;
use std::sync::Arc;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{MechanismNumber, TokenSelector};
use tezos_signer_core::json::quoted;
use tezos_signer_core::key::{PublicKeyHash, ReturnedSignatureError};

/// Why the token did not sign, or cannot. The worker threads try again by themselves, by the steps of
/// [`recovery`](crate::keystore::pkcs11::recovery); where only a person can help, the message says what to do. No error has a PIN or a part
/// of the PIN file.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HsmError {
    /// The PKCS#11 library cannot be loaded. A retry helps once it is installed.
    #[error("the PKCS#11 library {module} cannot be loaded ({source}): {}", how_to_load(source))]
    Library {
        /// The path of the configuration.
        module: PathBuf,
        /// The error of the dynamic linker.
        source: Arc<Error>,
    },
    /// A PKCS#11 function failed. Whether a retry helps depends on the code.
    #[error("{} returned {}{}", function_name(*.function), code_name(*.code), advice(*.function, *.code))]
    Call {
        /// The function that failed.
        function: Function,
        /// The code that it returned.
        code: RvError,
    },
    /// What a PKCS#11 function returned with success makes no sense. A retry on a new session may help.
    #[error("the PKCS#11 library returned an invalid result: {0}")]
    Nonsense(#[source] Cause),
    /// There is no such token, or it is not reachable now. A retry helps once it is.
    #[error(
        "no token with {token}; the library lists {seen}: check that the HSM is reachable, and hsm.token or hsm.serial"
    )]
    NoToken {
        /// The token of the configuration.
        token: TokenSelector,
        /// Those that are there, and slots that cannot be read.
        seen: String,
        /// Of the first slot that cannot be read.
        #[source]
        unreadable: Option<Arc<HsmError>>,
    },
    /// More than one token has the label. A retry does not help before the configuration is changed.
    #[error("more than one token has {0}: set hsm.serial, its serial number, instead of hsm.token")]
    AmbiguousToken(TokenSelector),
    /// The PIN file cannot be read. A retry helps once its permissions allow it.
    #[error("the PIN file {path} cannot be read ({source}): check hsm.pinFile and its permissions")]
    PinFile {
        /// The path of the configuration.
        path: PathBuf,
        /// What the system says, which has nothing of the file's content.
        source: Arc<std::io::Error>,
    },
    /// The PIN file holds what no PIN has, so it is not sent. A retry helps once it is corrected.
    #[error("the PIN file {} {source}; it was not sent to the token", path.display())]
    PinContent {
        /// The path of the configuration.
        path: PathBuf,
        /// What is wrong, without a part of it.
        source: PinProblem,
    },
    /// The token refused the PIN; it is not sent again, so that the user is not locked. A retry helps once the file has changed.
    #[error(
        "the token refused the PIN (C_Login returned {}{}){}; it is not tried again until the PIN file changes, because the user could \
         be locked",
        code_name(*code),
        if *counted { ", and the token's flags show that it has counted a wrong PIN" } else { "" },
        with_remark(*remark)
    )]
    PinRefused {
        /// What `C_Login` returned.
        code: RvError,
        /// Whether the token's flags show since then that the PIN was wrong.
        counted: bool,
        /// What is striking about the PIN file.
        remark: Option<&'static str>,
    },
    /// The token refused the PIN when a sealed key was to be opened. A retry helps once the file has changed.
    #[error("{0}")]
    PinRefusedElsewhere(#[source] Cause),
    /// The PIN is not sent, because it may be wrong. Another call than `C_Login` may show meanwhile that the HSM is away.
    #[error(
        "the PIN was sent, and the answer may mean that it is wrong, so it is not sent again for now: check the PIN; a changed PIN file is \
         tried at once"
    )]
    LoginHeld,
    /// The PIN may be wrong, or the HSM failing. It is sent again as [`login_policy`](super::login_policy) says.
    #[error(
        "the token did not accept the PIN (C_Login returned {}){}, which may mean that it is wrong, or that the HSM fails: check the PIN. So that \
         the user is not locked, {}; a changed PIN file is tried at once",
        code_name(*code), with_remark(*remark), next_try(*times)
    )]
    PinUnclear {
        /// What `C_Login` returned.
        code: RvError,
        /// How often it was sent.
        times: u32,
        /// What is striking about the PIN file.
        remark: Option<&'static str>,
    },
    /// The token says that a PIN that is wrong would be one too many. A retry helps once the token says so no more.
    #[error("{0}")]
    PinGuarded(#[from] PinGuard),
    /// A key of the configuration is not in the token. A retry helps once it is there.
    #[error("key {key} ({selector}) is not in the token, or not visible to the user")]
    NoKey {
        /// The address of the key.
        key: PublicKeyHash,
        /// The label or id of the search.
        selector: String,
    },
    /// More than one key of the token fits. A retry does not help before one is removed, or found by its id.
    #[error("more than one key of the token has {0}: the key is ambiguous, so none signs")]
    AmbiguousKey(String),
    /// The token's key is another one than configured. A retry does not help before either is corrected.
    #[error("the key with {selector} in the token is {found}, the configuration says {expected}")]
    WrongKey {
        /// The label or id of the search.
        selector: String,
        /// The configured address.
        expected: PublicKeyHash,
        /// The address of the token's key.
        found: String,
    },
    /// The token's list of mechanisms has none for Ed25519. A retry does not help before the configuration names one.
    #[error(
        "the token lists no mechanism for Ed25519 (CKM_EDDSA, or CloudHSM's CKM_CLOUDHSM_EDDSA): it cannot sign with tz1 keys, or set \
         hsm.eddsaMechanism to the number of its mechanism"
    )]
    NoEddsa,
    /// The configured number is no mechanism that can be used here. A retry does not help before the configuration is changed.
    #[error(
        "hsm.eddsaMechanism is {0}, which is neither CKM_EDDSA (0x00001057) nor the number of a vendor (0x80000000 and above)"
    )]
    EddsaMechanism(MechanismNumber),
    /// A key that was to be generated exists already.
    #[error("the token already has a key with label {label}: choose another label; nothing was generated", label = quoted(.0))]
    LabelTaken(String),
    /// A key was generated, and is not what it was to be. A retry does not help: the token is of another make than expected.
    #[error(
        "the token generated a key with label {label}, but {problem}. See `tezos-signer keys list`, and remove the key from the token",
        label = quoted(.label)
    )]
    Generated {
        /// The label that it was to have.
        label: String,
        /// Why it cannot be used.
        problem: String,
    },
    /// The sealing key of a sealed key is not in the token. A retry helps once it is there.
    #[error(
        "the token has no AES key with label {label}, which the sealed key names{}: restore the sealing key, or its label, or make one with \
         `tezos-signer keys generate-sealing-key` and seal the key again",
        other.as_ref().map(|other| format!(" (what has this label is {other})")).unwrap_or_default(),
        label = quoted(label)
    )]
    NoSealingKey {
        /// The label of the search.
        label: String,
        /// What else has the label.
        other: Option<String>,
    },
    /// More than one AES key has the label. A retry does not help before one is removed.
    #[error("more than one AES key of the token has label {label}: which one has sealed is not known, so none is used", label = quoted(.0))]
    AmbiguousSealingKey(String),
    /// The sealing key works, and does not open this text. A retry does not help.
    #[error(
        "the sealing key with label {label} does not open this sealed text ({}): the text is of another publicKey, was altered, or was \
         sealed by another key with the same label. Copy it again from where it was made, or seal the key again",
        code_name(*code),
        label = quoted(label)
    )]
    NotAuthentic {
        /// The label of the sealing key.
        label: String,
        /// What `C_Decrypt` returned.
        code: RvError,
    },
    /// The token encrypts with the zeros that it should have replaced.
    #[error(
        "the token accepts no initialisation vector of ours, and does not write one of its own: it cannot be used to seal; nothing was \
         sealed"
    )]
    ZeroNonce,
    /// The token signed, but not what it was asked to. A retry on a new session may help.
    #[error("{0}; it was not released")]
    BadSignature(#[from] ReturnedSignatureError),
    /// A thread has been in the library for so long that nobody waits for it any more. Another one, or the next process, tries again.
    #[error("the PKCS#11 library does not return from {0}")]
    Hangs(&'static str),
    /// Another session is being opened, which takes long. A retry helps.
    #[error("another session is being opened")]
    OpeningElsewhere,
    /// There is no session that could be asked. A retry helps once what is said is over.
    #[error("the HSM cannot be used: {0}")]
    Unusable(#[source] Cause),
    /// The token has not answered in time. A retry may help.
    #[error("the token has not answered in time")]
    Timeout,
    /// All sessions are busy, and the queue is full. A retry helps.
    #[error("all sessions of the token are busy")]
    Busy,
    /// The threads of the sessions have ended. A retry does not help: restart the signer.
    #[error("the signing threads have exited, which is a bug: restart the signer")]
    Gone,
}

impl HsmError {
    /// Whether the error concerns only one key of the configuration.
    pub(super) fn is_of_one_key(&self) -> bool {
        matches!(
            self,
            Self::NoKey { .. }
                | Self::AmbiguousKey(_)
                | Self::WrongKey { .. }
                | Self::NoEddsa
                | Self::EddsaMechanism(_)
        )
    }

    /// The names of the PKCS#11 function that failed and of the code that it returned. `None` for other errors.
    pub(super) fn call(&self) -> Option<(String, String)> {
        match self {
            Self::Call { function, code } => Some((function_name(*function), code_name(*code))),
            Self::PinRefused { code, .. } | Self::PinUnclear { code, .. } => {
                Some((function_name(Function::Login), code_name(*code)))
            }
            Self::NoToken { unreadable: Some(error), .. } => error.call(),
            _ => None,
        }
    }
}

/// `Display` of cryptoki's error is a paragraph of the specification.
impl From<Error> for HsmError {
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(code, function) => Self::Call { function, code },
            other => Self::Nonsense(Cause::of(other)),
        }
    }
}

/// What the library lacks, by the error of loading it.
fn how_to_load(error: &Error) -> &'static str {
    match error {
        Error::LibraryLoading(error) if error.to_string().contains("version `GLIBC") => {
            "it was built for a newer C library than this system has. Use the library of a package for this system, or an image with the \
             library's own C library (images/cloudhsm, --target signer)"
        }
        Error::LibraryLoading(_) => "check hsm.module, and the libraries that it links",
        Error::MissingSymbol(_) => "hsm.module is no PKCS#11 library",
        _ => {
            "it may lack its configuration file, or an environment variable that names it (CloudHSM: cloudhsm-pkcs11.cfg, SoftHSM2: SOFTHSM2_CONF)"
        }
    }
}

/// What to check after an error that a library without its configuration returns.
fn advice(function: Function, code: RvError) -> &'static str {
    match (function, code) {
        (
            Function::Initialize,
            RvError::GeneralError | RvError::FunctionFailed | RvError::ArgumentsBad | RvError::DeviceError,
        ) => {
            ": check that the HSM is reachable, and that the library has its configuration file (CloudHSM: cloudhsm-pkcs11.cfg, SoftHSM2: \
             SOFTHSM2_CONF)"
        }
        _ => "",
    }
}

fn with_remark(remark: Option<&'static str>) -> String {
    remark.map(|remark| format!("; {remark}")).unwrap_or_default()
}

fn next_try(times: u32) -> &'static str {
    if times == 1 {
        "it is sent once more after a minute, and else only after the HSM was seen to be away"
    } else {
        "it is sent again only after the HSM was seen to be away"
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
