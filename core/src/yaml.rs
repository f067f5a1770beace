//! YAML without duplicate names, as [`json`](crate::json) is JSON without them.

use crate::json::NamedOnce;
use crate::text;
use serde::de::{DeserializeOwned, Error as _};

/// Reads `text` as a `T`. The error of a repeated name has that name, its line and its column, however deep it stands. A byte order mark
/// is an error.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    text::check_mark(text).map_err(serde_yaml::Error::custom)?;
    serde_yaml::from_str::<NamedOnce>(text)?;
    serde_yaml::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_name_that_stands_twice_is_an_error_with_its_line() {
        for (text, name, line) in [
            ("a: 1\nb: 2\na: 3\n", "a", 3),
            ("x:\n- {b: 1}\n- c: 1\n  b: 2\n  c: 3\n", "c", 5),
            ("{\"file\": 1,\n \"file\": 2}", "file", 2),
            ("1: a\n\"1\": b\n", "1", 2),
        ] {
            let error = from_str::<Value>(text).unwrap_err().to_string();
            let expected = format!("{name:?} occurs twice in one object");
            assert!(error.contains(&expected) && error.contains(&format!("line {line} column")), "{error}");
        }
        let value: Value = from_str("a: {b: ~, c: [1, -1, 1.5, x, true]}\nb: {c: }\n").unwrap();
        assert_eq!(value["a"]["c"][3], "x");
        let marked = from_str::<Value>("\u{feff}a: 1").unwrap_err().to_string();
        assert!(marked.contains("byte order mark"), "{marked}");
    }
}
