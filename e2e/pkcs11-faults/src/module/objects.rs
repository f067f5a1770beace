//! The functions about objects: searches, attributes, key pairs.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use super::call::{About, Call, begin_in, below, get};
use super::shown::{self, Form};
use crate::handles;
use cryptoki_sys::*;
use std::ptr;

pub(super) unsafe extern "C" fn find_objects_init(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_FindObjectsInit", About::Search(session, template, count)));
    below!(call, C_FindObjectsInit, real, template, count)
}

pub(super) unsafe extern "C" fn find_objects(
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
        let hides_public_keys = call.module.inner().control.habits.hides_public_keys;
        let mut shown = 0;
        for i in 0..usize::try_from(unsafe { *count }).unwrap_or_default() {
            let object = unsafe { *objects.add(i) };
            if !(hides_public_keys && class_of(&call, real, object) == Some(CKO_PUBLIC_KEY)) {
                unsafe { *objects.add(shown) = handles::give(session, object) };
                shown += 1;
            }
        }
        unsafe { *count = shown as CK_ULONG };
    }
    code
}

pub(super) unsafe extern "C" fn find_objects_final(session: CK_SESSION_HANDLE) -> CK_RV {
    let (call, real) = get!(begin_in("C_FindObjectsFinal", About::Session(session)));
    below!(call, C_FindObjectsFinal, real)
}

/// The handle below of an object that the caller names in `session`.
pub(super) fn object_below(
    call: &Call,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
) -> Option<CK_OBJECT_HANDLE> {
    let mut inner = call.module.inner();
    let found = handles::take(session, object, inner.control.handles_per_session);
    if found.is_none() {
        call.module.violation(&mut inner, format!("object {object:x} in session {session}: found in another one"));
    }
    found
}

pub(super) unsafe extern "C" fn get_attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let (call, real) = get!(begin_in("C_GetAttributeValue", About::Object(session, object)));
    let Some(object) = object_below(&call, session, object) else { return CKR_OBJECT_HANDLE_INVALID };
    let control = {
        let inner = call.module.inner();
        if inner.control.habits.always_authenticate && asks_for(template, count, CKA_ALWAYS_AUTHENTICATE) {
            return unsafe { always_authenticates(template) };
        }
        inner.control.clone()
    };
    let attributes = unsafe { std::slice::from_raw_parts_mut(template, usize::try_from(count).unwrap_or_default()) };
    let forms: Vec<_> =
        attributes.iter().map(|attribute| shown::form(&call, &control, real, object, attribute.type_)).collect();
    if forms.iter().all(|form| *form == Form::AsItIs) {
        return below!(call, C_GetAttributeValue, real, object, template, count);
    }
    // The place for what is shown instead is for that: the module below is only asked for its length.
    let places: Vec<_> = attributes.iter().map(|attribute| (attribute.pValue, attribute.ulValueLen)).collect();
    for (attribute, _) in attributes.iter_mut().zip(&forms).filter(|(_, form)| **form != Form::AsItIs) {
        attribute.pValue = ptr::null_mut();
    }
    let code = below!(call, C_GetAttributeValue, real, object, template, count);
    for (attribute, (place, _)) in attributes.iter_mut().zip(&places) {
        attribute.pValue = *place;
    }
    if !matches!(code, CKR_OK | CKR_ATTRIBUTE_TYPE_INVALID) {
        return code;
    }
    let mut missing = false;
    for ((attribute, (place, length)), form) in attributes.iter_mut().zip(places).zip(forms) {
        match form {
            Form::AsItIs => {}
            Form::Missing => attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION,
            Form::Value(value) => {
                if !place.is_null() {
                    if length < value.len() as CK_ULONG {
                        return CKR_BUFFER_TOO_SMALL;
                    }
                    unsafe { ptr::copy_nonoverlapping(value.as_ptr(), place.cast(), value.len()) };
                }
                attribute.ulValueLen = value.len() as CK_ULONG;
            }
        }
        missing |= attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION;
    }
    if missing { CKR_ATTRIBUTE_TYPE_INVALID } else { CKR_OK }
}

/// Whether this is the one attribute that is asked for.
fn asks_for(template: *const CK_ATTRIBUTE, count: CK_ULONG, kind: CK_ULONG) -> bool {
    count == 1 && unsafe { (*template).type_ } == kind
}

unsafe fn always_authenticates(template: *mut CK_ATTRIBUTE) -> CK_RV {
    let attribute = unsafe { &mut *template };
    if !attribute.pValue.is_null() {
        unsafe { *attribute.pValue.cast::<CK_BBOOL>() = CK_TRUE };
    }
    attribute.ulValueLen = 1;
    CKR_OK
}

pub(super) fn attribute(
    call: &Call,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    kind: CK_ULONG,
) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; 256];
    let mut template = CK_ATTRIBUTE { type_: kind, pValue: bytes.as_mut_ptr().cast(), ulValueLen: 256 };
    if below!(call, C_GetAttributeValue, session, object, &raw mut template, 1) != CKR_OK {
        return None;
    }
    bytes.truncate(template.ulValueLen.try_into().ok()?);
    Some(bytes)
}

pub(super) fn class_of(call: &Call, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Option<CK_OBJECT_CLASS> {
    let bytes = attribute(call, session, object, CKA_CLASS)?;
    Some(CK_OBJECT_CLASS::from_ne_bytes(bytes.try_into().ok()?))
}

/// The objects of a class, in a session where no search is active.
pub(super) fn objects(
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

pub(super) unsafe extern "C" fn set_attribute_value(
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

pub(super) unsafe extern "C" fn generate_key_pair(
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
    let longest = call.module.inner().control.habits.longest_label.unwrap_or(CK_ULONG::MAX);
    for (template, count) in [(public_template, public_count), (private_template, private_count)] {
        let attributes =
            unsafe { std::slice::from_raw_parts_mut(template, usize::try_from(count).unwrap_or_default()) };
        for label in attributes.iter_mut().filter(|attribute| attribute.type_ == CKA_LABEL) {
            label.ulValueLen = label.ulValueLen.min(longest);
        }
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
