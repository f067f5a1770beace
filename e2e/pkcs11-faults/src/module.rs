//! The functions of the module. Each first asks what shall go wrong ([`begin`]), then calls the module below.
//!
//! Safety: a caller of a PKCS#11 function promises what the specification asks of its pointers; they are passed on as they
//! are, and read here only where the function below has returned well and the specification says that they are written.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use crate::control::{Control, PointOn, Rule, State, WrongSignature};
use crate::handles::{self, Handles};
use crate::signature;
use cryptoki_sys::*;
use std::ffi::c_void;
use std::path::PathBuf;
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How often a hanging call looks whether it may go on.
const LOOK: Duration = Duration::from_millis(2);

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
        C_Initialize: Some(initialize),
        C_Finalize: Some(finalize),
        C_GetInfo: Some(get_info),
        C_GetFunctionList: Some(C_GetFunctionList),
        C_GetSlotList: Some(get_slot_list),
        C_GetSlotInfo: Some(get_slot_info),
        C_GetTokenInfo: Some(get_token_info),
        C_GetMechanismList: Some(get_mechanism_list),
        C_GetMechanismInfo: Some(get_mechanism_info),
        C_OpenSession: Some(open_session),
        C_CloseSession: Some(close_session),
        C_CloseAllSessions: Some(close_all_sessions),
        C_GetSessionInfo: Some(get_session_info),
        C_Login: Some(login),
        C_Logout: Some(logout),
        C_GetAttributeValue: Some(get_attribute_value),
        C_SetAttributeValue: Some(set_attribute_value),
        C_FindObjectsInit: Some(find_objects_init),
        C_FindObjects: Some(find_objects),
        C_FindObjectsFinal: Some(find_objects_final),
        C_SignInit: Some(sign_init),
        C_Sign: Some(sign),
        C_GenerateKeyPair: Some(generate_key_pair),
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
            unsafe { *list = (&raw const module.own).cast_mut() };
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

/// A call that is in the module now.
struct Call {
    module: &'static Module,
    session: Option<CK_SESSION_HANDLE>,
    /// Whether it shall find nothing.
    empty: bool,
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut inner = self.module.inner();
        inner.in_flight -= 1;
        if let Some(open) = self.session.and_then(|session| inner.handles.get(session)) {
            open.busy = false;
        }
    }
}

/// Whether a function asks the HSM, and not only the library.
fn asks_the_hsm(function: &str) -> bool {
    !matches!(function, "C_Initialize" | "C_Finalize" | "C_GetInfo" | "C_CloseSession")
}

/// What a call is about.
#[derive(Clone, Copy)]
enum About {
    /// No session.
    Library,
    /// A session, and the key that it last searched or signs with.
    Session(CK_SESSION_HANDLE),
    /// An object in a session, by the handle that the caller has.
    Object(CK_SESSION_HANDLE, CK_OBJECT_HANDLE),
    /// A search in a session, by the template that the caller has given.
    Search(CK_SESSION_HANDLE, *const CK_ATTRIBUTE, CK_ULONG),
}

impl About {
    fn session(self) -> Option<CK_SESSION_HANDLE> {
        match self {
            About::Library => None,
            About::Session(session) | About::Object(session, _) | About::Search(session, _, _) => Some(session),
        }
    }

    /// The label of the key, asked of the module below where it must be; kept for the calls that follow in the session.
    fn key(self, call: &Call, inner: &mut Inner) -> Option<String> {
        let open = inner.handles.get(self.session()?)?;
        let label = match self {
            About::Library => None,
            About::Session(_) => return open.key.clone(),
            About::Object(session, object) => {
                attribute(call, open.real, handles::take(session, object, false)?, CKA_LABEL)
            }
            About::Search(_, template, count) => (0..usize::try_from(count).unwrap_or_default())
                .map(|i| unsafe { &*template.add(i) })
                .find(|attribute| attribute.type_ == CKA_LABEL && !attribute.pValue.is_null())
                .map(|attribute| {
                    let length = usize::try_from(attribute.ulValueLen).unwrap_or_default();
                    unsafe { std::slice::from_raw_parts(attribute.pValue.cast::<u8>(), length) }.to_vec()
                }),
        };
        open.key = label.map(|label| String::from_utf8_lossy(&label).into_owned());
        open.key.clone()
    }
}

/// What becomes of a call of `function`: an error, or it goes on, perhaps later.
fn begin(function: &'static str) -> Result<Call, CK_RV> {
    let call = enter(function)?;
    fail(call, function, About::Library)
}

/// A call in a session: as [`begin`], and the session's handle below. The session is in use from now on, also while a fault
/// holds the call.
fn begin_in(function: &'static str, about: About) -> Result<(Call, CK_SESSION_HANDLE), CK_RV> {
    let mut call = enter(function)?;
    let session = about.session().unwrap_or_default();
    let mut inner = call.module.inner();
    let found = inner.handles.get(session).map(|open| (open.real, std::mem::replace(&mut open.busy, true)));
    let (what, code) = match found {
        Some((real, false)) => {
            drop(inner);
            call.session = Some(session);
            return Ok((fail(call, function, about)?, real));
        }
        None => ("which is not open", CKR_SESSION_HANDLE_INVALID),
        Some((_, true)) => ("where another call is", CKR_OPERATION_ACTIVE),
    };
    call.module.violation(&mut inner, format!("{function} in session {session}, {what}"));
    drop(inner);
    Err(code)
}

fn enter(function: &'static str) -> Result<Call, CK_RV> {
    let module = module()?;
    let mut inner = module.inner();
    module.read_control(&mut inner);
    inner.in_flight += 1;
    *inner.state.calls.entry(function.to_owned()).or_default() += 1;
    if matches!(function, "C_Initialize" | "C_Finalize" | "C_Login") {
        module.publish(&mut inner);
    }
    drop(inner);
    Ok(Call { module, session: None, empty: false })
}

/// The fault that meets the call, if one does.
fn fail(mut call: Call, function: &'static str, about: About) -> Result<Call, CK_RV> {
    let module = call.module;
    let mut inner = module.inner();
    let lost = inner.control.node_lost_for_ms.map(Duration::from_millis);
    let lost = lost.is_some_and(|time| inner.read_at.is_some_and(|at| at.elapsed() < time));
    if asks_the_hsm(function) && (lost || inner.dead) {
        inner.dead |= inner.control.needs_reinitialising;
        drop(inner);
        return Err(CKR_DEVICE_ERROR);
    }
    let by_key = inner.control.rules.iter().any(|rule| rule.key.is_some());
    let key = if by_key { about.key(&call, &mut inner) } else { None };
    let strikes = (0..inner.control.rules.len()).find(|&i| {
        let Inner { control, seen, state, .. } = &mut *inner;
        let rule = &control.rules[i];
        let fits = (rule.function == "*" || rule.function == function)
            && (rule.session.is_none() || rule.session == about.session())
            && (rule.key.is_none() || rule.key == key);
        seen[i] += u64::from(fits);
        fits && seen[i] % rule.every.max(1) == 0 && rule.count.is_none_or(|count| state.struck_by_rule[i] < count)
    });
    let Some(i) = strikes else {
        drop(inner);
        return Ok(call);
    };
    let rule = inner.control.rules[i].clone();
    inner.state.struck += 1;
    inner.state.struck_by_rule[i] += 1;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    inner.state.struck_at_us = now.as_micros().try_into().unwrap_or_default();
    inner.dead |= inner.control.needs_reinitialising && rule.code == CKR_DEVICE_ERROR;
    inner.state.hanging += u64::from(rule.hang);
    module.publish(&mut inner);
    drop(inner);
    call.empty = rule.empty;
    std::thread::sleep(Duration::from_millis(rule.delay_ms));
    if rule.hang {
        wait_until_gone(module, &rule);
    }
    if rule.code == CKR_OK { Ok(call) } else { Err(rule.code) }
}

fn wait_until_gone(module: &Module, rule: &Rule) {
    loop {
        let mut inner = module.inner();
        module.read_control(&mut inner);
        if !inner.control.rules.contains(rule) {
            inner.state.hanging -= 1;
            module.publish(&mut inner);
            return;
        }
        drop(inner);
        std::thread::sleep(LOOK);
    }
}

/// Calls a function of the module below.
macro_rules! below {
    ($call:expr, $function:ident, $($argument:expr),*) => {
        match $call.module.below.$function {
            Some(function) => unsafe { function($($argument),*) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}

/// A value, or the code that the caller gets.
macro_rules! get {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(code) => return code,
        }
    };
}

unsafe extern "C" fn initialize(arguments: *mut c_void) -> CK_RV {
    let call = get!(begin("C_Initialize"));
    let code = below!(call, C_Initialize, arguments);
    if code == CKR_OK {
        call.module.inner().dead = false;
    }
    code
}

unsafe extern "C" fn finalize(reserved: *mut c_void) -> CK_RV {
    let call = get!(begin("C_Finalize"));
    let mut inner = call.module.inner();
    if inner.in_flight > 1 {
        // The module below would crash.
        let what = format!("C_Finalize with {} calls in the module", inner.in_flight - 1);
        call.module.violation(&mut inner, what);
        drop(inner);
        return CKR_GENERAL_ERROR;
    }
    let code = below!(call, C_Finalize, reserved);
    if code == CKR_OK {
        inner.handles.close_all();
        call.module.publish(&mut inner);
    }
    drop(inner);
    code
}

unsafe extern "C" fn get_info(info: *mut CK_INFO) -> CK_RV {
    let call = get!(begin("C_GetInfo"));
    below!(call, C_GetInfo, info)
}

unsafe extern "C" fn get_slot_list(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG) -> CK_RV {
    let call = get!(begin("C_GetSlotList"));
    if call.empty {
        unsafe { *count = 0 };
        return CKR_OK;
    }
    below!(call, C_GetSlotList, present, slots, count)
}

unsafe extern "C" fn get_slot_info(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    let call = get!(begin("C_GetSlotInfo"));
    below!(call, C_GetSlotInfo, slot, info)
}

unsafe extern "C" fn get_token_info(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    let call = get!(begin("C_GetTokenInfo"));
    below!(call, C_GetTokenInfo, slot, info)
}

unsafe extern "C" fn get_mechanism_list(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG) -> CK_RV {
    let call = get!(begin("C_GetMechanismList"));
    below!(call, C_GetMechanismList, slot, list, count)
}

unsafe extern "C" fn get_mechanism_info(
    slot: CK_SLOT_ID,
    kind: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    let call = get!(begin("C_GetMechanismInfo"));
    below!(call, C_GetMechanismInfo, slot, kind, info)
}

unsafe extern "C" fn open_session(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    let call = get!(begin("C_OpenSession"));
    {
        let inner = call.module.inner();
        if inner.control.cloud_hsm {
            if notify.is_some() || !application.is_null() {
                return CKR_ARGUMENTS_BAD;
            }
            if flags & CKF_RW_SESSION == 0 {
                return CKR_FUNCTION_FAILED;
            }
            if inner.handles.len() >= CLOUD_HSM_SESSIONS {
                return CKR_SESSION_COUNT;
            }
        }
    }
    let code = below!(call, C_OpenSession, slot, flags, application, notify, session);
    if code == CKR_OK {
        let mut inner = call.module.inner();
        unsafe { *session = inner.handles.open(*session) };
        call.module.publish(&mut inner);
    }
    code
}

unsafe extern "C" fn close_session(session: CK_SESSION_HANDLE) -> CK_RV {
    let (call, real) = match begin_in("C_CloseSession", About::Session(session)) {
        Ok(begun) => begun,
        Err(code) => {
            if let Ok(module) = module() {
                let mut inner = module.inner();
                if let Some(open) = inner.handles.get(session) {
                    open.unclosed = true;
                }
                module.publish(&mut inner);
            }
            return code;
        }
    };
    let code = below!(call, C_CloseSession, real);
    let mut inner = call.module.inner();
    inner.handles.close(session);
    call.module.publish(&mut inner);
    drop(inner);
    code
}

unsafe extern "C" fn close_all_sessions(slot: CK_SLOT_ID) -> CK_RV {
    let call = get!(begin("C_CloseAllSessions"));
    let code = below!(call, C_CloseAllSessions, slot);
    let mut inner = call.module.inner();
    inner.handles.close_all();
    call.module.publish(&mut inner);
    drop(inner);
    code
}

unsafe extern "C" fn get_session_info(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> CK_RV {
    let (call, real) = get!(begin_in("C_GetSessionInfo", About::Session(session)));
    below!(call, C_GetSessionInfo, real, info)
}

unsafe extern "C" fn login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    length: CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_Login", About::Session(session)));
    below!(call, C_Login, real, user, pin, length)
}

unsafe extern "C" fn logout(session: CK_SESSION_HANDLE) -> CK_RV {
    let (call, real) = get!(begin_in("C_Logout", About::Session(session)));
    below!(call, C_Logout, real)
}

unsafe extern "C" fn find_objects_init(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_FindObjectsInit", About::Search(session, template, count)));
    below!(call, C_FindObjectsInit, real, template, count)
}

unsafe extern "C" fn find_objects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    most: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_FindObjects", About::Session(session)));
    if call.empty {
        unsafe { *count = 0 };
        return CKR_OK;
    }
    let code = below!(call, C_FindObjects, real, objects, most, count);
    if code == CKR_OK {
        for i in 0..usize::try_from(unsafe { *count }).unwrap_or_default() {
            let object = unsafe { &mut *objects.add(i) };
            *object = handles::give(session, *object);
        }
    }
    code
}

unsafe extern "C" fn find_objects_final(session: CK_SESSION_HANDLE) -> CK_RV {
    let (call, real) = get!(begin_in("C_FindObjectsFinal", About::Session(session)));
    below!(call, C_FindObjectsFinal, real)
}

/// The handle below of an object that the caller names in `session`.
fn object_below(call: &Call, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Option<CK_OBJECT_HANDLE> {
    let mut inner = call.module.inner();
    let found = handles::take(session, object, inner.control.handles_per_session);
    if found.is_none() {
        call.module.violation(&mut inner, format!("object {object:x} in session {session}: found in another one"));
    }
    found
}

unsafe extern "C" fn get_attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_GetAttributeValue", About::Object(session, object)));
    let Some(object) = object_below(&call, session, object) else { return CKR_OBJECT_HANDLE_INVALID };
    let (point_on, bare) = {
        let inner = call.module.inner();
        (inner.control.point, inner.control.point_bare)
    };
    if point_on == PointOn::Public && !bare {
        return below!(call, C_GetAttributeValue, real, object, template, count);
    }
    // The place for the point is for the one that is shown: the module below is only asked for its length.
    let attributes = unsafe { std::slice::from_raw_parts_mut(template, usize::try_from(count).unwrap_or_default()) };
    let places: Vec<_> = attributes.iter().map(|attribute| (attribute.pValue, attribute.ulValueLen)).collect();
    for attribute in attributes.iter_mut().filter(|attribute| attribute.type_ == CKA_EC_POINT) {
        attribute.pValue = ptr::null_mut();
    }
    let code = below!(call, C_GetAttributeValue, real, object, template, count);
    for (attribute, (place, _)) in attributes.iter_mut().zip(&places) {
        attribute.pValue = *place;
    }
    if !matches!(code, CKR_OK | CKR_ATTRIBUTE_TYPE_INVALID) {
        return code;
    }
    let is_private = class_of(&call, real, object) == Some(CKO_PRIVATE_KEY);
    let shows = matches!((point_on, is_private), (PointOn::Public, false) | (PointOn::Private, true));
    let point = if shows { point_of(&call, real, object, is_private) } else { None };
    let mut missing = false;
    for (attribute, (place, length)) in attributes.iter_mut().zip(places) {
        if attribute.type_ == CKA_EC_POINT {
            match &point {
                None => attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION,
                Some(point) => {
                    let point = if bare { &point[2..] } else { &point[..] };
                    if !place.is_null() {
                        if length < point.len() as CK_ULONG {
                            return CKR_BUFFER_TOO_SMALL;
                        }
                        unsafe { ptr::copy_nonoverlapping(point.as_ptr(), place.cast(), point.len()) };
                    }
                    attribute.ulValueLen = point.len() as CK_ULONG;
                }
            }
        }
        missing |= attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION;
    }
    if missing { CKR_ATTRIBUTE_TYPE_INVALID } else { CKR_OK }
}

fn attribute(call: &Call, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, kind: CK_ULONG) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; 256];
    let mut template = CK_ATTRIBUTE { type_: kind, pValue: bytes.as_mut_ptr().cast(), ulValueLen: 256 };
    if below!(call, C_GetAttributeValue, session, object, &raw mut template, 1) != CKR_OK {
        return None;
    }
    bytes.truncate(template.ulValueLen.try_into().ok()?);
    Some(bytes)
}

fn class_of(call: &Call, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Option<CK_OBJECT_CLASS> {
    let bytes = attribute(call, session, object, CKA_CLASS)?;
    Some(CK_OBJECT_CLASS::from_ne_bytes(bytes.try_into().ok()?))
}

/// The objects of a class, in a session where no search is active.
fn objects(
    call: &Call,
    session: CK_SESSION_HANDLE,
    mut class: CK_OBJECT_CLASS,
    id: Option<&mut Vec<u8>>,
) -> Vec<CK_OBJECT_HANDLE> {
    let size = size_of::<CK_OBJECT_CLASS>() as CK_ULONG;
    let mut template = vec![CK_ATTRIBUTE { type_: CKA_CLASS, pValue: (&raw mut class).cast(), ulValueLen: size }];
    if let Some(id) = id {
        let length = id.len() as CK_ULONG;
        template.push(CK_ATTRIBUTE { type_: CKA_ID, pValue: id.as_mut_ptr().cast(), ulValueLen: length });
    }
    let (mut found, mut count) = ([0; 64], 0);
    if below!(call, C_FindObjectsInit, session, template.as_mut_ptr(), template.len() as CK_ULONG) != CKR_OK {
        return Vec::new();
    }
    let code = below!(call, C_FindObjects, session, found.as_mut_ptr(), 64, &raw mut count);
    below!(call, C_FindObjectsFinal, session);
    if code == CKR_OK { found[..usize::try_from(count).unwrap_or_default()].to_vec() } else { Vec::new() }
}

/// The wrapped point of a key pair, of which `object` is one half.
fn point_of(call: &Call, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, is_private: bool) -> Option<Vec<u8>> {
    if !is_private {
        return attribute(call, session, object, CKA_EC_POINT);
    }
    let mut id = attribute(call, session, object, CKA_ID)?;
    let public = *objects(call, session, CKO_PUBLIC_KEY, Some(&mut id)).first()?;
    attribute(call, session, public, CKA_EC_POINT)
}

unsafe extern "C" fn set_attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_SetAttributeValue", About::Object(session, object)));
    if call.module.inner().control.cloud_hsm {
        return CKR_FUNCTION_NOT_SUPPORTED;
    }
    let Some(object) = object_below(&call, session, object) else { return CKR_OBJECT_HANDLE_INVALID };
    below!(call, C_SetAttributeValue, real, object, template, count)
}

unsafe extern "C" fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_SignInit", About::Object(session, key)));
    let Some(mut key) = object_below(&call, session, key) else { return CKR_KEY_HANDLE_INVALID };
    let wrong = {
        let mut inner = call.module.inner();
        if inner.control.key_unavailable {
            return CKR_FUNCTION_FAILED;
        }
        if let Some(limit) = inner.control.throttle_per_second {
            inner.signed.retain(|at| at.elapsed() < Duration::from_secs(1));
            if inner.signed.len() >= limit as usize {
                return CKR_FUNCTION_FAILED;
            }
            inner.signed.push(Instant::now());
        }
        // Read only where the caller has given one.
        if mechanism.is_null() || unsafe { (*mechanism).mechanism } != CKM_ECDSA {
            call.module.violation(&mut inner, "C_SignInit with another mechanism than CKM_ECDSA".to_owned());
        }
        inner.control.signature
    };
    if wrong.is_some() {
        let params = attribute(&call, real, key, CKA_EC_PARAMS);
        if let Some(open) = call.module.inner().handles.get(session) {
            open.is_secp256k1 = params.is_some_and(|oid| oid.len() == 7);
        }
    }
    if wrong == Some(WrongSignature::OtherKey)
        && let Some(other) = objects(&call, real, CKO_PRIVATE_KEY, None).into_iter().find(|other| *other != key)
    {
        key = other;
    }
    below!(call, C_SignInit, real, mechanism, key)
}

unsafe extern "C" fn sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    length: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_length: *mut CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_Sign", About::Session(session)));
    if length != 32 {
        let mut inner = call.module.inner();
        call.module.violation(&mut inner, format!("C_Sign of {length} bytes"));
    }
    let code = below!(call, C_Sign, real, data, length, signature, signature_length);
    let (wrong, is_secp256k1) = {
        let mut inner = call.module.inner();
        let is_secp256k1 = inner.handles.get(session).is_some_and(|open| open.is_secp256k1);
        (inner.control.signature, is_secp256k1)
    };
    if code == CKR_OK
        && !signature.is_null()
        && let Some(wrong) = wrong
    {
        let length = usize::try_from(unsafe { *signature_length }).unwrap_or_default();
        let bytes = unsafe { std::slice::from_raw_parts_mut(signature, length) };
        unsafe { *signature_length = signature::spoil(bytes, wrong, is_secp256k1) as CK_ULONG };
    }
    code
}

unsafe extern "C" fn generate_key_pair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public_template: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private_template: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public: *mut CK_OBJECT_HANDLE,
    private: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_GenerateKeyPair", About::Session(session)));
    if call.module.inner().control.cloud_hsm && has(public_template, public_count, CKA_PRIVATE) {
        return CKR_TEMPLATE_INCONSISTENT;
    }
    let code = below!(
        call,
        C_GenerateKeyPair,
        real,
        mechanism,
        public_template,
        public_count,
        private_template,
        private_count,
        public,
        private
    );
    if code == CKR_OK {
        for object in [public, private] {
            unsafe { *object = handles::give(session, *object) };
        }
    }
    code
}

/// Whether a template that the caller has given has an attribute.
fn has(template: *const CK_ATTRIBUTE, count: CK_ULONG, kind: CK_ULONG) -> bool {
    (0..usize::try_from(count).unwrap_or_default()).any(|i| unsafe { (*template.add(i)).type_ } == kind)
}
