//! Changes of objects that otherwise stay as the user wrote them: JSON, because a typed object would lose fields that this release does
//! not know.
//!
//! `value[name]` adds a missing field, and panics on anything but an object: `validate` has checked that a template is one.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// An object of Kubernetes as JSON. Every one has such a form.
pub(super) fn json<T: Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// Sets fields of an object, which is made if it is not there.
pub(super) fn set<'a, T: Into<Value>>(object: &mut Value, fields: impl IntoIterator<Item = (&'a str, T)>) {
    for (name, value) in fields {
        object[name] = value.into();
    }
}

/// The fields of a map of texts.
pub(super) fn texts(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Sets a field that the user has not set.
pub(super) fn set_default(object: &mut Value, name: &str, value: impl Into<Value>) {
    if object[name].is_null() {
        object[name] = value.into();
    }
}

/// Adds items to the list at `name`, which is made if it is not there.
pub(super) fn extend(object: &mut Value, name: &str, items: impl IntoIterator<Item = Value>) {
    let mut all = items_of(object, name);
    all.extend(items);
    if !all.is_empty() {
        object[name] = Value::Array(all);
    }
}

/// Inserts items before those of the list at `name`.
pub(super) fn prepend(object: &mut Value, name: &str, items: impl IntoIterator<Item = Value>) {
    let all: Vec<Value> = items.into_iter().chain(items_of(object, name)).collect();
    if !all.is_empty() {
        object[name] = Value::Array(all);
    }
}

/// The items of the list at `name`; none if there is no list.
pub(super) fn items_of(object: &Value, name: &str) -> Vec<Value> {
    object.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}
