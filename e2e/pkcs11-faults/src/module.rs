//! The module: its state, its control file, and the list of its functions. Each function first asks what shall go wrong
//! ([`call::begin`]), then calls the module below.
//!
//! Safety: a caller of a PKCS#11 function promises what the specification asks of its pointers; they are passed on as they
//! are, and read here only where the function below has returned well and the specification says that they are written.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

mod call;
mod library;
mod login;
mod objects;
mod sealing;
mod shown;
mod signing;
mod token_info;

use crate::control::{Control, State};
use crate::handles::Handles;
use cryptoki_sys::*;
use std::path::PathBuf;
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often a hanging call reads the control file, to see whether its rule is gone.
const POLL_PERIOD: Duration = Duration::from_millis(2);

/// CloudHSM's limit of sessions for one application.
const CLOUD_HSM_SESSIONS: u64 = 1024;

#[derive(Default)]
struct Inner {
    control: Control,
    text: Vec<u8>,
    read_at: Option<Instant>,
    /// How many calls each rule was for.
    seen: Vec<u64>,
    dead: bool,
    handles: Handles,
    in_flight: u64,
    signed: Vec<Instant>,
    /// The PIN that the token below has accepted last.
    pin: Vec<u8>,
    state: State,
}

struct Module {
    below: CK_FUNCTION_LIST,
    own: CK_FUNCTION_LIST,
    control: PathBuf,
    inner: Mutex<Inner>,
}

// The lists hold function pointers, which are the same in all threads.
unsafe impl Sync for Module {}
unsafe impl Send for Module {}

static MODULE: OnceLock<Option<Module>> = OnceLock::new();

/// The module below, with its functions; `None` if it cannot be loaded.
fn load() -> Option<Module> {
    let path = std::env::var_os("PKCS11_FAULTS_MODULE").unwrap_or_else(|| "/usr/lib/softhsm/libsofthsm2.so".into());
    let control = std::env::var_os("PKCS11_FAULTS_CONTROL")?.into();
    let mut list = ptr::null_mut();
    // Leaked: it is used until the process ends.
    let library: &'static Pkcs11 = Box::leak(Box::new(unsafe { Pkcs11::new(path) }.ok()?));
    if unsafe { library.C_GetFunctionList(&raw mut list) } != CKR_OK || list.is_null() {
        return None;
    }
    let below = unsafe { *list };
    Some(Module { below, own: own_functions(below.version), control, inner: Mutex::default() })
}

fn module() -> Result<&'static Module, CK_RV> {
    MODULE.get_or_init(load).as_ref().ok_or(CKR_GENERAL_ERROR)
}

/// What is not here is not supported: its handles would be the wrong ones.
fn own_functions(version: CK_VERSION) -> CK_FUNCTION_LIST {
    CK_FUNCTION_LIST {
        version,
        C_Initialize: Some(library::initialize),
        C_Finalize: Some(library::finalize),
        C_GetInfo: Some(library::get_info),
        C_GetFunctionList: Some(C_GetFunctionList),
        C_GetSlotList: Some(library::get_slot_list),
        C_GetSlotInfo: Some(library::get_slot_info),
        C_GetTokenInfo: Some(token_info::get_token_info),
        C_GetMechanismList: Some(library::get_mechanism_list),
        C_GetMechanismInfo: Some(library::get_mechanism_info),
        C_OpenSession: Some(library::open_session),
        C_CloseSession: Some(library::close_session),
        C_CloseAllSessions: Some(library::close_all_sessions),
        C_GetSessionInfo: Some(library::get_session_info),
        C_Login: Some(login::login),
        C_Logout: Some(login::logout),
        C_GetAttributeValue: Some(objects::get_attribute_value),
        C_SetAttributeValue: Some(objects::set_attribute_value),
        C_FindObjectsInit: Some(objects::find_objects_init),
        C_FindObjects: Some(objects::find_objects),
        C_FindObjectsFinal: Some(objects::find_objects_final),
        C_SignInit: Some(signing::sign_init),
        C_Sign: Some(signing::sign),
        C_GenerateKeyPair: Some(objects::generate_key_pair),
        C_GenerateKey: Some(sealing::generate_key),
        C_GenerateRandom: Some(sealing::generate_random),
        C_EncryptInit: Some(sealing::encrypt_init),
        C_Encrypt: Some(sealing::encrypt),
        C_DecryptInit: Some(sealing::decrypt_init),
        C_Decrypt: Some(sealing::decrypt),
        ..CK_FUNCTION_LIST::default()
    }
}

/// The one symbol of the module.
///
/// # Safety
/// `list` is null or may be written.
#[unsafe(no_mangle)]
#[allow(non_snake_case, unreachable_pub)] // reached by its name
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    match module() {
        Ok(_) if list.is_null() => CKR_ARGUMENTS_BAD,
        Ok(module) => {
            let mut inner = module.inner();
            module.read_control(&mut inner);
            let own = if inner.control.habits.no_function_list { std::ptr::null() } else { &raw const module.own };
            unsafe { *list = own.cast_mut() };
            CKR_OK
        }
        Err(code) => code,
    }
}

impl Module {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the control file. Counts begin anew where it has changed.
    fn read_control(&self, inner: &mut Inner) {
        let text = std::fs::read(&self.control).unwrap_or_default();
        if text != inner.text || inner.read_at.is_none() {
            let read = if text.is_empty() { Ok(Control::default()) } else { serde_json::from_slice(&text) };
            inner.control = read.unwrap_or_else(|error| {
                self.violation(inner, format!("{} is no control file: {error}", self.control.display()));
                Control::default()
            });
            inner.seen = vec![0; inner.control.rules.len()];
            inner.state.serial = inner.control.serial;
            inner.state.struck = 0;
            inner.state.struck_by_rule = inner.seen.clone();
            inner.read_at = Some(Instant::now());
            inner.dead &= inner.control.needs_reinitialising;
            inner.text = text;
            self.publish(inner);
        }
    }

    /// Brings what was seen to the state file.
    fn publish(&self, inner: &mut Inner) {
        inner.state.open = inner.handles.list();
        inner.state.sessions = inner.handles.len();
        inner.state.unclosed = inner.handles.unclosed();
        inner.state.most_sessions = inner.state.most_sessions.max(inner.state.sessions);
        let path = State::path(&self.control);
        let new = path.with_extension("state-new");
        let written = serde_json::to_vec(&inner.state).map(|text| std::fs::write(&new, text));
        if matches!(written, Ok(Ok(()))) {
            let _ = std::fs::rename(new, path);
        }
    }

    fn violation(&self, inner: &mut Inner, what: String) {
        if inner.state.violations.len() < 20 {
            inner.state.violations.push(what);
        }
        self.publish(inner);
    }
}
