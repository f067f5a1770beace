//! A call of one of the functions: what it is about, and the fault that meets it.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use super::objects::attribute;
use super::{Inner, Module, POLL_PERIOD, module};
use crate::control::Rule;
use crate::handles;
use cryptoki_sys::*;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// A call that is in the module now.
pub(super) struct Call {
    pub(super) module: &'static Module,
    pub(super) session: Option<CK_SESSION_HANDLE>,
    /// Whether it shall find nothing.
    pub(super) empty: bool,
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
pub(super) enum About {
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
pub(super) fn begin(function: &'static str) -> Result<Call, CK_RV> {
    let call = enter(function)?;
    fail(call, function, About::Library)
}

/// A call in a session: as [`begin`], and the session's handle below. The session is in use from now on, also while a fault
/// holds the call.
pub(super) fn begin_in(function: &'static str, about: About) -> Result<(Call, CK_SESSION_HANDLE), CK_RV> {
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
    if inner.in_flight > 1 && inner.control.habits.cannot_lock {
        module.violation(&mut inner, format!("{function} beside another call of a library that cannot lock"));
    }
    if inner.control.habits.prints {
        let _ = writeln!(std::io::stdout(), "INFO {function}");
    }
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
        std::thread::sleep(POLL_PERIOD);
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
pub(super) use below;

/// A value, or the code that the caller gets.
macro_rules! get {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(code) => return code,
        }
    };
}
pub(super) use get;
