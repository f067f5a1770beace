//! `C_GetTokenInfo`: what tokens write into it, and what they leave out.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use super::call::{begin, below, get};
use crate::control::{Habits, Padding};
use cryptoki_sys::*;

/// The one before all others.
pub(super) const OTHER_SLOT: CK_SLOT_ID = 0x0074_e300;

pub(super) unsafe extern "C" fn get_token_info(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    let call = get!(begin("C_GetTokenInfo"));
    let (habits, wrong_pins) = {
        let inner = call.module.inner();
        (inner.control.habits.clone(), inner.state.wrong_pins)
    };
    if slot == OTHER_SLOT {
        return habits.other_slot.unwrap_or(CKR_SLOT_ID_INVALID);
    }
    let code = below!(call, C_GetTokenInfo, slot, info);
    if code == CKR_OK && !info.is_null() {
        let info = unsafe { &mut *info };
        if habits.utc_time_is_no_text {
            info.flags |= CKF_CLOCK_ON_TOKEN;
            info.utcTime = [0xff; 16];
        }
        pad(&mut info.label, habits.padding);
        pad(&mut info.serialNumber, habits.padding);
        if habits.hides_tries {
            info.flags &= !(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
        }
        info.flags |= flags(&habits, wrong_pins);
    }
    code
}

fn flags(habits: &Habits, wrong_pins: u64) -> CK_FLAGS {
    let mut flags = habits.token_flags;
    if habits.keypad.is_some() {
        flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
    }
    if habits.write_protected {
        flags |= CKF_WRITE_PROTECTED;
    }
    if let Some(tries) = habits.tries
        && !habits.hides_tries
    {
        flags |= match tries.saturating_sub(wrong_pins) {
            0 => CKF_USER_PIN_LOCKED,
            1 => CKF_USER_PIN_FINAL_TRY,
            left if left < tries => CKF_USER_PIN_COUNT_LOW,
            _ => 0,
        };
    }
    flags
}

fn pad(field: &mut [CK_UTF8CHAR], padding: Padding) {
    let end = field.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    match (padding, &mut field[end..]) {
        (Padding::Blanks, _) | (_, []) => {}
        (Padding::Nuls, rest) => rest.fill(0),
        (Padding::NulAndRubbish, rest) => {
            rest.fill(b'x');
            rest[0] = 0;
        }
    }
}
