//! JSON without duplicate names. Parsers differ in which of two equal names they use, and the lower one of two watermarks
//! could lead to a second signature, so a text with a duplicate name is rejected.

use crate::text;
use serde::de::{Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

/// Reads `text` as a `T`. The error of a repeated name has that name, its line and its column, however deep it stands. A byte order mark
/// is an error.
pub fn from_str<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    text::check_mark(text).map_err(serde_json::Error::custom)?;
    serde_json::from_str::<NamedOnce>(text)?;
    serde_json::from_str(text)
}

/// `text` in quotation marks, as it can be typed in JSON and YAML: what cannot be seen in it is escaped.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // `escape_debug` knows which characters cannot be seen.
            '\'' => quoted.push(c),
            _ if c.escape_debug().count() > 1 => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(quoted, "\\u{unit:04x}");
                }
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `text` as it is, or [`quoted`] where it could be mistaken for another.
pub fn typable(text: &str) -> String {
    let quoted = quoted(text);
    let is_plain = !text.is_empty() && text.trim() == text && quoted[1..quoted.len() - 1] == *text;
    if is_plain { text.to_owned() } else { quoted }
}

/// Any value in which no object has a name twice. Nothing of it is kept.
pub(crate) struct NamedOnce;

impl<'de> Deserialize<'de> for NamedOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for NamedOnce {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while map.next_key_seed(NewName(&mut names))?.is_some() {
            map.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// A name that is not among those of its object so far. It is rejected while it is read, so that the error has its place.
struct NewName<'a>(&'a mut BTreeSet<String>);

impl<'de> DeserializeSeed<'de> for NewName<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewName<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if self.0.insert(name.to_owned()) {
            return Ok(());
        }
        Err(E::custom(format_args!("the name {name:?} occurs twice in one object: remove one of the two")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_name_that_stands_twice_in_one_object_is_an_error_however_deep() {
        for (text, name) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"a": {"b": 1, "c": 2, "b": 3}}"#, "b"),
            (r#"[0, {"a": [{"x": null, "x": true}]}]"#, "x"),
            // The same name, written in another way.
            (r#"{"block": "1", "\u0062lock": "2"}"#, "block"),
        ] {
            let error = from_str::<Value>(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?} occurs twice")) && error.contains("line 1 column"), "{error}");
        }
    }

    #[test]
    fn a_text_is_quoted_so_that_it_can_be_typed() {
        for (text, typed) in [
            ("baker-one", r#""baker-one""#),
            ("Bäcker's \"one\" ", r#""Bäcker's \"one\" ""#),
            ("one\0", r#""one\u0000""#),
            ("tab\tline\n", r#""tab\tline\n""#),
            ("zero\u{200b}width", r#""zero\u200bwidth""#),
            (r"back\slash", r#""back\\slash""#),
        ] {
            assert_eq!(quoted(text), typed);
            assert_eq!(serde_json::from_str::<String>(typed).unwrap(), text);
        }
        let plain = ["baker-one", "Bäcker's eins"];
        assert_eq!(plain.map(typable), plain);
        assert_eq!(["", " a", "a\0"].map(typable), [r#""""#, r#"" a""#, r#""a\u0000""#]);
    }

    #[test]
    fn everything_else_is_read_as_it_is() {
        for text in [r#"{"a": {"a": [1, -1, 1.5, "x", null, true]}, "b": {"a": {}}}"#, "[]", "\"a\"", "7", "null"] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(from_str::<Value>(text).unwrap(), expected);
        }
        for text in ["", "{", "{\"a\": }", "{} {}"] {
            assert!(from_str::<Value>(text).is_err(), "{text}");
        }
        let marked = from_str::<Value>("\u{feff}{}").unwrap_err().to_string();
        assert!(marked.contains("byte order mark"), "{marked}");
    }
}
