//! An object of another signer's configuration, read so that nothing of it is lost in silence: what a reader does not take is listed.

use super::{Draft, MigrateError};
use serde::de::IgnoredAny;
use serde_yaml::Value;
use tezos_signer_core::{json, text, yaml};

/// The fields of an object that are not taken yet.
pub(super) struct Object<'a> {
    path: String,
    fields: Vec<(String, &'a Value)>,
}

/// What [`Object::read`] gives its reader.
type Reading<R> = Result<R, MigrateError>;

impl<'a> Object<'a> {
    /// Reads `value` by `reader`, and lists the fields that it leaves. An object that is absent or null has no fields. `path` is where it
    /// stands: empty, `server`, or `tz3…:` for what belongs to a key.
    pub(super) fn read<R>(
        draft: &mut Draft,
        path: &str,
        value: Option<&'a Value>,
        reader: impl FnOnce(&mut Draft, &mut Self) -> Reading<R>,
    ) -> Reading<R> {
        let mapping = match value {
            None | Some(Value::Null) => None,
            Some(Value::Mapping(mapping)) => Some(mapping),
            Some(_) => return Err(wrong(path, "is not an object")),
        };
        let fields = mapping.into_iter().flatten().map(|(name, value)| (scalar(name).unwrap_or_default(), value));
        let mut object = Self { path: path.to_owned(), fields: fields.collect() };
        let read = reader(draft, &mut object)?;
        for number in 0..object.fields.len() {
            let name = shown(&object.fields[number].0);
            draft.lose(object.at(&name), "unknown setting");
        }
        Ok(read)
    }

    /// The path of a field.
    pub(super) fn at(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path if path.ends_with(':') => format!("{path} {name}"),
            path => format!("{path}.{name}"),
        }
    }

    /// Takes a field.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Value> {
        let at = self.fields.iter().position(|(other, _)| other == name)?;
        Some(self.fields.remove(at).1)
    }

    /// Takes a field that is not taken over, if it is there.
    pub(super) fn lose(&mut self, draft: &mut Draft, name: &str, why: &str) {
        if self.take(name).is_some() {
            draft.lose(self.at(name), why);
        }
    }

    /// Takes the fields that are left, in their order.
    pub(super) fn rest(&mut self) -> Vec<(String, &'a Value)> {
        std::mem::take(&mut self.fields)
    }

    /// Takes a text, if it is there. A number or a Boolean is the text that it was written as.
    pub(super) fn text(&mut self, name: &str) -> Reading<Option<String>> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) if number.is_f64() => {
                Err(wrong(&self.at(name), "is read as a number with a fraction or an exponent: write it in quotes"))
            }
            Some(value) => scalar(value).map(Some).ok_or_else(|| wrong(&self.at(name), "is not a text")),
        }
    }

    /// Takes a list of texts, if it is there.
    pub(super) fn texts(&mut self, name: &str) -> Reading<Option<Vec<String>>> {
        self.take(name).filter(|value| !value.is_null()).map(|value| texts(&self.at(name), value)).transpose()
    }

    /// Takes a list, if it is there.
    pub(super) fn list(&mut self, name: &str) -> Reading<Option<&'a Vec<Value>>> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Sequence(all)) => Ok(Some(all)),
            Some(_) => Err(wrong(&self.at(name), "is not a list")),
        }
    }

    /// Whether a field is there and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(other, value)| other == name && !value.is_null())
    }
}

/// The texts of a list; none if it is null.
pub(super) fn texts(path: &str, value: &Value) -> Reading<Vec<String>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Sequence(all) => all
            .iter()
            .map(|value| scalar(value).ok_or_else(|| wrong(path, "has an entry that is not a text")))
            .collect(),
        _ => Err(wrong(path, "is not a list")),
    }
}

fn wrong(path: &str, what: &str) -> MigrateError {
    let path = if path.is_empty() { "the file" } else { path };
    MigrateError(format!("{path} {what}").into())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The name of a field that is not known, unless it could be a secret.
pub(super) fn shown(name: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-. ".contains(&byte);
    match name {
        name if name.is_empty() || name.len() > 40 || !name.bytes().all(is_word) => {
            "(a name that is not repeated here)".to_owned()
        }
        name if name.contains(' ') => format!("{name:?}"),
        name => name.to_owned(),
    }
}

/// The value of a JSON text. Errors have the line and not the parser's words, which may quote a secret.
pub(super) fn json_value(text: &str) -> Reading<Value> {
    text::check_mark(text).map_err(|error| MigrateError(error.to_string().into()))?;
    let at = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| MigrateError(format!("it is not JSON: {}", at(&error)).into()))?;
    json::from_str(text).map_err(|error| {
        MigrateError(format!("a name occurs twice in one object: {}. Remove one of the two", at(&error)).into())
    })
}

/// The value of a YAML text, with its merge keys applied.
pub(super) fn yaml_value(text: &str) -> Reading<Value> {
    let text = text::without_mark(text);
    let at = |error: &serde_yaml::Error| {
        error.location().map_or_else(String::new, |at| format!(": line {}, column {}", at.line(), at.column()))
    };
    serde_yaml::from_str::<IgnoredAny>(text)
        .map_err(|error| MigrateError(format!("it is not YAML{}", at(&error)).into()))?;
    let mut value: Value = yaml::from_str(text).map_err(|error| {
        MigrateError(format!("a name occurs twice in one object{}. Remove one of the two", at(&error)).into())
    })?;
    value.apply_merge().map_err(|_| MigrateError("its merge keys (<<) cannot be applied".into()))?;
    Ok(value)
}
