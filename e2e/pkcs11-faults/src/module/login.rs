//! `C_Login` and `C_Logout`: wrong PINs that are counted, a keypad, and logins for one signature.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use super::call::{About, begin_in, below, get};
use cryptoki_sys::*;

pub(super) unsafe extern "C" fn login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    length: CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_Login", About::Session(session)));
    let habits = call.module.inner().control.habits.clone();
    let entered = match (&habits.keypad, pin.is_null()) {
        (Some(entered), true) => entered.clone().into_bytes(),
        // Without a keypad, and at one where somebody passes a PIN nevertheless.
        (None, true) | (Some(_), false) => return CKR_ARGUMENTS_BAD,
        (None, false) => {
            unsafe { std::slice::from_raw_parts(pin, usize::try_from(length).unwrap_or_default()) }.to_vec()
        }
    };
    if entered.is_empty() {
        let mut inner = call.module.inner();
        call.module.violation(&mut inner, "C_Login with an empty PIN".to_owned());
    }
    if habits.tries.is_some_and(|tries| call.module.inner().state.wrong_pins >= tries) {
        return habits.wrong_pin.unwrap_or(CKR_PIN_LOCKED);
    }
    let code = if user == CKU_CONTEXT_SPECIFIC && habits.always_authenticate {
        // The token below does not know of it.
        let mut inner = call.module.inner();
        let is_right = inner.pin == entered;
        if let Some(open) = inner.handles.get(session) {
            open.has_shown_pin |= is_right;
        }
        if is_right { CKR_OK } else { CKR_PIN_INCORRECT }
    } else {
        let mut given = entered.clone();
        below!(call, C_Login, real, user, given.as_mut_ptr(), given.len() as CK_ULONG)
    };
    let mut inner = call.module.inner();
    match code {
        CKR_OK => {
            inner.state.wrong_pins = 0;
            inner.pin = entered;
        }
        CKR_PIN_INCORRECT => inner.state.wrong_pins += 1,
        _ => {}
    }
    call.module.publish(&mut inner);
    drop(inner);
    if code == CKR_PIN_INCORRECT { habits.wrong_pin.unwrap_or(code) } else { code }
}

pub(super) unsafe extern "C" fn logout(session: CK_SESSION_HANDLE) -> CK_RV {
    let (call, real) = get!(begin_in("C_Logout", About::Session(session)));
    below!(call, C_Logout, real)
}
