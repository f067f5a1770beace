//! Attributes that are shown in another form than the module below has them.

#![allow(clippy::wildcard_imports)] // of a crate of constants, each with its prefix

use super::call::Call;
use super::objects::{attribute, class_of, objects};
use crate::control::{Control, PointOn};
use cryptoki_sys::*;

/// How an object shows an attribute.
#[derive(PartialEq, Eq)]
pub(super) enum Form {
    AsItIs,
    Missing,
    Value(Vec<u8>),
}

/// How an object shows its attribute `kind`.
pub(super) fn form(
    call: &Call,
    control: &Control,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    kind: CK_ULONG,
) -> Form {
    let is_private = class_of(call, session, object) == Some(CKO_PRIVATE_KEY);
    let point = match control.point {
        _ if kind != CKA_EC_POINT => Form::AsItIs,
        PointOn::Public if !control.point_bare => Form::AsItIs,
        place if (place == PointOn::Private) != is_private || place == PointOn::Nowhere => Form::Missing,
        _ => match point_of(call, session, object, is_private) {
            Some(point) if control.point_bare => Form::Value(point[2..].to_vec()),
            Some(point) => Form::Value(point),
            None => Form::Missing,
        },
    };
    let is_of = |key: &String| attribute(call, session, object, CKA_LABEL).is_some_and(|label| label == key.as_bytes());
    let shown = control.habits.shown.iter().find(|shown| {
        shown.attribute == kind && shown.on_private == is_private && shown.key.as_ref().is_none_or(is_of)
    });
    let Some(shown) = shown else { return point };
    if shown.missing {
        return Form::Missing;
    }
    let real = match point {
        Form::AsItIs => attribute(call, session, object, kind).unwrap_or_default(),
        Form::Missing => Vec::new(),
        Form::Value(point) => point,
    };
    let kept = &real[real.len().min(usize::try_from(shown.skip).unwrap_or(usize::MAX))..];
    Form::Value([&shown.before, kept, &shown.after].concat())
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
