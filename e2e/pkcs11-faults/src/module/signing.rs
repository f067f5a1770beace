//! `C_SignInit` and `C_Sign`: throttled, with another key, or with a wrong signature, as the control file says.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use super::call::{About, begin_in, below, get};
use super::objects::{attribute, object_below, objects};
use crate::control::{SizeQuery, WrongSignature};
use crate::signature;
use cryptoki_sys::*;
use std::time::{Duration, Instant};

pub(super) unsafe extern "C" fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_SignInit", About::Object(session, key)));
    let Some(mut key) = object_below(&call, session, key) else { return CKR_KEY_HANDLE_INVALID };
    let mut eddsa = CK_MECHANISM { mechanism: CKM_ECDSA, pParameter: std::ptr::null_mut(), ulParameterLen: 0 };
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
        let number = if mechanism.is_null() { None } else { Some(unsafe { (*mechanism).mechanism }) };
        let own_eddsa = inner.control.habits.eddsa.unwrap_or(CKM_EDDSA);
        match number {
            Some(CKM_ECDSA) => {}
            Some(number) if number == own_eddsa => eddsa.mechanism = CKM_EDDSA,
            Some(CKM_EDDSA) => return CKR_MECHANISM_INVALID,
            _ => call
                .module
                .violation(&mut inner, "C_SignInit with a mechanism that is neither ECDSA nor EdDSA".to_owned()),
        }
        if let Some(open) = inner.handles.get(session) {
            open.has_shown_pin = false;
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
    let mechanism = if eddsa.mechanism == CKM_EDDSA { &raw mut eddsa } else { mechanism };
    below!(call, C_SignInit, real, mechanism, key)
}

pub(super) unsafe extern "C" fn sign(
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
    let (habits, has_shown_pin) = {
        let mut inner = call.module.inner();
        (inner.control.habits.clone(), inner.handles.get(session).is_some_and(|open| open.has_shown_pin))
    };
    // What ends the operation is a signature that nobody gets.
    let end = || {
        let (mut nobodys, mut room) = ([0; 256], 256);
        below!(call, C_Sign, real, data, length, nobodys.as_mut_ptr(), &raw mut room);
    };
    if habits.always_authenticate && !has_shown_pin {
        end();
        return CKR_USER_NOT_LOGGED_IN;
    }
    let room = unsafe { *signature_length };
    let code = below!(call, C_Sign, real, data, length, signature, signature_length);
    if signature.is_null() {
        match habits.size_query {
            SizeQuery::Answers => {}
            SizeQuery::EndsTheOperation => end(),
            SizeQuery::Fails(code) => {
                end();
                return code;
            }
        }
    }
    if habits.der && code == CKR_OK && !signature.is_null() {
        let raw = unsafe { std::slice::from_raw_parts(signature, 64) };
        let der = signature::der(raw);
        if room < der.len() as CK_ULONG {
            return CKR_BUFFER_TOO_SMALL;
        }
        unsafe {
            std::ptr::copy_nonoverlapping(der.as_ptr(), signature, der.len());
            *signature_length = der.len() as CK_ULONG;
        }
        return code;
    }
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
