//! The PKCS#11 library and its token: loading, finding the slot, opening sessions, logging in. Everything here happens one
//! at a time, under one lock; what happens on an open session is in [`super::worker`].

use super::HsmError;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tezos_signer_core::config::{HsmConfig, TokenSelector};

/// A token, whether it can be reached or not.
pub struct Token {
    config: HsmConfig,
    state: Mutex<State>,
    /// Counts the sessions that are open: the library is finalized only when there is none.
    sessions: Arc<()>,
}

#[derive(Default)]
struct State {
    library: Option<Pkcs11>,
    /// The token's slot, which stays the same while the library is initialised. Not looked up again: CloudHSM asks its HSMs
    /// for it, and SoftHSM2 on a read-only file system has forgotten the label after the first login.
    slot: Option<Slot>,
    /// When the PIN file that the token refused was last written, and what the token said.
    refused_pin: Option<(Option<SystemTime>, HsmError)>,
}

/// A logged-in read-write session. CloudHSM knows no read-only ones.
pub struct OpenSession {
    session: Session,
    _counted: Arc<()>,
}

impl Deref for OpenSession {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Token {
    /// Nothing is loaded before the first session is opened.
    pub fn new(config: HsmConfig) -> Self {
        Self { config, state: Mutex::default(), sessions: Arc::new(()) }
    }

    /// Opens a session and logs in. Where nothing of the library is in use and its token has vanished, the library is
    /// initialised anew: many libraries look for tokens only then.
    pub fn open(&self) -> Result<OpenSession, HsmError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.open_locked(&mut state);
        let unused = Arc::strong_count(&self.sessions) == 1;
        if unused
            && matches!(result, Err(HsmError::NoToken { .. } | HsmError::Call { .. }))
            && let Some(library) = state.library.take()
        {
            state.slot = None;
            if let Err(error) = library.finalize() {
                tracing::warn!(error = %call_error(error), "the PKCS#11 library could not be finalized");
            }
        }
        result
    }

    fn open_locked(&self, state: &mut State) -> Result<OpenSession, HsmError> {
        let library = self.library(state)?;
        let slot = match state.slot {
            Some(slot) => slot,
            None => *state.slot.insert(self.find_slot(&library)?),
        };
        let session = library.open_rw_session(slot).map_err(call_error)?;
        self.log_in(state, &session)?;
        Ok(OpenSession { session, _counted: self.sessions.clone() })
    }

    fn library(&self, state: &mut State) -> Result<Pkcs11, HsmError> {
        if let Some(library) = &state.library {
            return Ok(library.clone());
        }
        let library = Pkcs11::new(&self.config.module)
            .map_err(|error| HsmError::Library { module: self.config.module.clone(), reason: error.to_string() })?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(call_error(error)),
        }
        // Unloading a library that has threads of its own crashes; one clone is kept for the life of the process.
        std::mem::forget(library.clone());
        state.library = Some(library.clone());
        Ok(library)
    }

    fn find_slot(&self, library: &Pkcs11) -> Result<Slot, HsmError> {
        let mut seen = Vec::new();
        let mut found = Vec::new();
        for slot in library.get_slots_with_initialized_token().map_err(call_error)? {
            let token = library.get_token_info(slot).map_err(call_error)?;
            if match &self.config.token {
                TokenSelector::Label(label) => token.label() == label,
                TokenSelector::Serial(serial) => token.serial_number() == serial,
            } {
                found.push(slot);
            }
            seen.push(format!("{:?} (serial number {:?})", token.label(), token.serial_number()));
        }
        match found[..] {
            [slot] => Ok(slot),
            [] => {
                let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
                Err(HsmError::NoToken { token: self.config.token.clone(), seen })
            }
            _ => Err(HsmError::AmbiguousToken(self.config.token.clone())),
        }
    }

    /// One login serves all sessions of the process. A refused PIN is not tried again before its file changes.
    fn log_in(&self, state: &mut State, session: &Session) -> Result<(), HsmError> {
        let path = &self.config.pin_file;
        let unreadable = |error: std::io::Error| HsmError::PinFile { path: path.clone(), reason: error.to_string() };
        let written = std::fs::metadata(path).map_err(unreadable)?.modified().ok();
        if let Some((refused, error)) = &state.refused_pin
            && *refused == written
        {
            return Err(error.clone());
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let pin = AuthPin::new(text.trim_end_matches(['\r', '\n']).into());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                state.refused_pin = None;
                Ok(())
            }
            Err(Error::Pkcs11(
                code @ (RvError::PinIncorrect
                | RvError::PinLocked
                | RvError::PinExpired
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::UserPinNotInitialized),
                _,
            )) => {
                let error = HsmError::PinRefused(code_name(&code));
                state.refused_pin = Some((written, error.clone()));
                Err(error)
            }
            Err(error) => Err(call_error(error)),
        }
    }
}

/// What failed, by the names of the PKCS#11 specification. `Display` of cryptoki's error is a paragraph of it.
pub(super) fn call_error(error: Error) -> HsmError {
    match error {
        Error::Pkcs11(code, function) => HsmError::Call { function: function_name(function), code: code_name(&code) },
        other => HsmError::Call { function: "the PKCS#11 library".to_owned(), code: other.to_string() },
    }
}

fn function_name(function: Function) -> String {
    format!("C_{function:?}")
}

/// `DeviceError` → `CKR_DEVICE_ERROR`.
fn code_name(code: &RvError) -> String {
    let mut name = "CKR".to_owned();
    for c in format!("{code:?}").chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
