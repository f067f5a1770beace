//! What is tried: each code from each function, for each length of time.

/// The rows: a code of each class, and all of them.
pub(super) const CODES: [(&str, u64); 33] = [
    // The caller is wrong, or the configuration.
    ("CKR_ARGUMENTS_BAD", 0x07),
    ("CKR_MECHANISM_INVALID", 0x70),
    ("CKR_MECHANISM_PARAM_INVALID", 0x71),
    ("CKR_DATA_INVALID", 0x20),
    ("CKR_DATA_LEN_RANGE", 0x21),
    ("CKR_KEY_FUNCTION_NOT_PERMITTED", 0x68),
    ("CKR_KEY_TYPE_INCONSISTENT", 0x63),
    ("CKR_PIN_INCORRECT", 0xa0),
    ("CKR_PIN_LOCKED", 0xa4),
    ("CKR_PIN_EXPIRED", 0xa3),
    ("CKR_USER_PIN_NOT_INITIALIZED", 0x102),
    // Busy.
    ("CKR_FUNCTION_FAILED", 0x06),
    ("CKR_DEVICE_MEMORY", 0x31),
    ("CKR_HOST_MEMORY", 0x02),
    ("CKR_SESSION_COUNT", 0xb1),
    // The session is dead.
    ("CKR_SESSION_HANDLE_INVALID", 0xb3),
    ("CKR_SESSION_CLOSED", 0xb0),
    ("CKR_OPERATION_ACTIVE", 0x90),
    ("CKR_OPERATION_NOT_INITIALIZED", 0x91),
    ("CKR_BUFFER_TOO_SMALL", 0x150),
    // A handle is.
    ("CKR_OBJECT_HANDLE_INVALID", 0x82),
    ("CKR_KEY_HANDLE_INVALID", 0x60),
    // The login is lost.
    ("CKR_USER_NOT_LOGGED_IN", 0x101),
    // The library is dead, or the HSM.
    ("CKR_DEVICE_ERROR", 0x30),
    ("CKR_DEVICE_REMOVED", 0x32),
    ("CKR_GENERAL_ERROR", 0x05),
    ("CKR_TOKEN_NOT_PRESENT", 0xe0),
    ("CKR_SLOT_ID_INVALID", 0x03),
    ("CKR_CRYPTOKI_NOT_INITIALIZED", 0x190),
    ("CKR_FUNCTION_CANCELED", 0x50),
    ("vendor's 0x80000001", 0x8000_0001),
    ("unknown 0x7fff", 0x7fff),
    // No error: the function has found nothing.
    ("CKR_OK, nothing found", NOTHING_FOUND),
];

pub(super) const NOTHING_FOUND: u64 = 0;

/// The columns: every function on the way to a signature, and what makes the signer call it.
pub(super) const FUNCTIONS: [(&str, Trigger); 13] = [
    ("C_Finalize", Trigger::Library),
    ("C_Initialize", Trigger::Library),
    ("C_GetSlotList", Trigger::Library),
    ("C_GetTokenInfo", Trigger::Library),
    ("C_OpenSession", Trigger::Session),
    ("C_GetSessionInfo", Trigger::Session),
    ("C_Login", Trigger::Login),
    ("C_FindObjectsInit", Trigger::Session),
    ("C_FindObjects", Trigger::Session),
    ("C_FindObjectsFinal", Trigger::Session),
    ("C_CloseSession", Trigger::Session),
    ("C_SignInit", Trigger::Request),
    ("C_Sign", Trigger::Request),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A request for a signature.
    Request,
    /// Every session is invalid.
    Session,
    /// The HSM has forgotten the login.
    Login,
    /// A library that fails until it is initialised again.
    Library,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    Once,
    Burst,
    Until,
}

pub(super) const LENGTHS: [Length; 3] = [Length::Once, Length::Burst, Length::Until];

pub(super) const BURST: u64 = 5;
