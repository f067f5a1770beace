//! AES-GCM, the generation of its keys, and random numbers: with CloudHSM's rule for initialisation vectors, or with wrong plaintexts, as
//! the control file says.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use super::call::{About, Call, begin_in, below, get};
use super::objects::object_below;
use crate::control::WrongSignature;
use crate::handles;
use cryptoki_sys::*;

pub(super) unsafe extern "C" fn generate_key(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_GenerateKey", About::Session(session)));
    let code = below!(call, C_GenerateKey, real, mechanism, template, count, key);
    if code == CKR_OK {
        unsafe { *key = handles::give(session, *key) };
    }
    code
}

pub(super) unsafe extern "C" fn generate_random(
    session: CK_SESSION_HANDLE,
    random: *mut CK_BYTE,
    length: CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_GenerateRandom", About::Session(session)));
    below!(call, C_GenerateRandom, real, random, length)
}

pub(super) unsafe extern "C" fn encrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_EncryptInit", About::Object(session, key)));
    let Some(key) = object_below(&call, session, key) else { return CKR_KEY_HANDLE_INVALID };
    let (cloud_hsm, leaves_iv) = {
        let inner = call.module.inner();
        (inner.control.cloud_hsm, inner.control.habits.leaves_iv)
    };
    if cloud_hsm && let Some(iv) = unsafe { iv_of(mechanism) } {
        if iv.iter().any(|byte| *byte != 0) {
            return CKR_MECHANISM_PARAM_INVALID;
        }
        if !leaves_iv {
            let code = below!(call, C_GenerateRandom, real, iv.as_mut_ptr(), iv.len() as CK_ULONG);
            if code != CKR_OK {
                return code;
            }
        }
    }
    below!(call, C_EncryptInit, real, mechanism, key)
}

pub(super) unsafe extern "C" fn encrypt(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    length: CK_ULONG,
    encrypted: *mut CK_BYTE,
    encrypted_length: *mut CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_Encrypt", About::Session(session)));
    below!(call, C_Encrypt, real, data, length, encrypted, encrypted_length)
}

pub(super) unsafe extern "C" fn decrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_DecryptInit", About::Object(session, key)));
    let Some(key) = object_below(&call, session, key) else { return CKR_KEY_HANDLE_INVALID };
    if let Some(iv) = unsafe { iv_of(mechanism) }
        && iv.iter().all(|byte| *byte == 0)
    {
        let mut inner = call.module.inner();
        call.module.violation(&mut inner, "C_DecryptInit with an initialisation vector of zeros".to_owned());
    }
    below!(call, C_DecryptInit, real, mechanism, key)
}

pub(super) unsafe extern "C" fn decrypt(
    session: CK_SESSION_HANDLE,
    encrypted: *mut CK_BYTE,
    length: CK_ULONG,
    data: *mut CK_BYTE,
    data_length: *mut CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_Decrypt", About::Session(session)));
    let code = below!(call, C_Decrypt, real, encrypted, length, data, data_length);
    if code == CKR_OK && !data.is_null() {
        unsafe { spoil(&call, data, data_length) };
    }
    code
}

unsafe fn spoil(call: &Call, data: *mut CK_BYTE, length: *mut CK_ULONG) {
    let Some(wrong) = call.module.inner().control.plaintext else { return };
    let bytes = unsafe { std::slice::from_raw_parts_mut(data, usize::try_from(*length).unwrap_or_default()) };
    match wrong {
        WrongSignature::Zero => bytes.fill(0),
        WrongSignature::Short => unsafe { *length -= 1 },
        WrongSignature::BitFlip | WrongSignature::OtherKey | WrongSignature::HighS => bytes[0] ^= 1,
    }
}

/// The initialisation vector of a mechanism that is AES-GCM, where the caller has it.
unsafe fn iv_of<'a>(mechanism: *mut CK_MECHANISM) -> Option<&'a mut [u8]> {
    let mechanism = unsafe { mechanism.as_ref() }?;
    let is_gcm = mechanism.mechanism == CKM_AES_GCM
        && mechanism.ulParameterLen == size_of::<CK_GCM_PARAMS>() as CK_ULONG
        && !mechanism.pParameter.is_null();
    let parameters = is_gcm.then(|| unsafe { &*mechanism.pParameter.cast::<CK_GCM_PARAMS>() })?;
    let length = usize::try_from(parameters.ulIvLen).ok()?;
    (!parameters.pIv.is_null()).then(|| unsafe { std::slice::from_raw_parts_mut(parameters.pIv, length) })
}
