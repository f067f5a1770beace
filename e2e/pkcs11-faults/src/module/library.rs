//! The functions about the library, its slots and sessions.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use super::call::{About, begin, begin_in, below, get};
use super::token_info::OTHER_SLOT;
use super::{CLOUD_HSM_SESSIONS, module};
use cryptoki_sys::*;
use std::ffi::c_void;

pub(super) unsafe extern "C" fn initialize(arguments: *mut c_void) -> CK_RV {
    let call = get!(begin("C_Initialize"));
    let wants_locks =
        !arguments.is_null() && unsafe { (*arguments.cast::<CK_C_INITIALIZE_ARGS>()).flags } & CKF_OS_LOCKING_OK != 0;
    if call.module.inner().control.habits.cannot_lock && wants_locks {
        return CKR_CANT_LOCK;
    }
    let code = below!(call, C_Initialize, arguments);
    if code == CKR_OK {
        call.module.inner().dead = false;
    }
    code
}

pub(super) unsafe extern "C" fn finalize(reserved: *mut c_void) -> CK_RV {
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

pub(super) unsafe extern "C" fn get_info(info: *mut CK_INFO) -> CK_RV {
    let call = get!(begin("C_GetInfo"));
    below!(call, C_GetInfo, info)
}

pub(super) unsafe extern "C" fn get_slot_list(
    present: CK_BBOOL,
    slots: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    let call = get!(begin("C_GetSlotList"));
    if call.empty {
        unsafe { *count = 0 };
        return CKR_OK;
    }
    if call.module.inner().control.habits.other_slot.is_none() {
        return below!(call, C_GetSlotList, present, slots, count);
    }
    let room = unsafe { *count };
    let mut others: [CK_SLOT_ID; 64] = [0; 64];
    let mut number = 64;
    let code = below!(call, C_GetSlotList, present, others.as_mut_ptr(), &raw mut number);
    if code != CKR_OK {
        return code;
    }
    unsafe { *count = number + 1 };
    if slots.is_null() {
        return CKR_OK;
    }
    if room <= number {
        return CKR_BUFFER_TOO_SMALL;
    }
    unsafe {
        *slots = OTHER_SLOT;
        std::ptr::copy_nonoverlapping(others.as_ptr(), slots.add(1), usize::try_from(number).unwrap_or_default());
    }
    CKR_OK
}

pub(super) unsafe extern "C" fn get_slot_info(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    let call = get!(begin("C_GetSlotInfo"));
    below!(call, C_GetSlotInfo, slot, info)
}

pub(super) unsafe extern "C" fn get_mechanism_list(
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> CK_RV {
    let call = get!(begin("C_GetMechanismList"));
    let code = below!(call, C_GetMechanismList, slot, list, count);
    let (own, hides) = {
        let inner = call.module.inner();
        (inner.control.habits.eddsa, inner.control.habits.hides_eddsa)
    };
    let shown = if hides { Some(CKM_ECDSA) } else { own };
    if let Some(shown) = shown
        && code == CKR_OK
        && !list.is_null()
        && !count.is_null()
    {
        // As many as the function below has just said.
        let Ok(length) = usize::try_from(unsafe { *count }) else { return CKR_GENERAL_ERROR };
        let mechanisms = unsafe { std::slice::from_raw_parts_mut(list, length) };
        mechanisms.iter_mut().filter(|number| **number == CKM_EDDSA).for_each(|number| *number = shown);
    }
    code
}

pub(super) unsafe extern "C" fn get_mechanism_info(
    slot: CK_SLOT_ID,
    kind: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    let call = get!(begin("C_GetMechanismInfo"));
    below!(call, C_GetMechanismInfo, slot, kind, info)
}

pub(super) unsafe extern "C" fn open_session(
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
        if inner.control.habits.write_protected && flags & CKF_RW_SESSION != 0 {
            return CKR_TOKEN_WRITE_PROTECTED;
        }
        if inner.control.habits.max_sessions.is_some_and(|most| inner.handles.len() >= most) {
            return CKR_SESSION_COUNT;
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

pub(super) unsafe extern "C" fn close_session(session: CK_SESSION_HANDLE) -> CK_RV {
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

pub(super) unsafe extern "C" fn close_all_sessions(slot: CK_SLOT_ID) -> CK_RV {
    let call = get!(begin("C_CloseAllSessions"));
    let code = below!(call, C_CloseAllSessions, slot);
    let mut inner = call.module.inner();
    inner.handles.close_all();
    call.module.publish(&mut inner);
    drop(inner);
    code
}

pub(super) unsafe extern "C" fn get_session_info(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> CK_RV {
    let (call, real) = get!(begin_in("C_GetSessionInfo", About::Session(session)));
    below!(call, C_GetSessionInfo, real, info)
}
