//! The owner of a record: the TezosSigner that has claimed it.

use super::annotations::OWNER_ANNOTATION;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The TezosSigner that a record belongs to. Text: `<namespace>/<name>/<uid>`, none of the three empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The namespace of the TezosSigner.
    pub namespace: String,
    /// The name of the TezosSigner.
    pub name: String,
    /// Its UID: another TezosSigner of the same name is another owner.
    pub uid: String,
}

/// A text is not that of an [`Owner`]. A retry does not help: the operator writes it, so that somebody has edited this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its annotation {OWNER_ANNOTATION} is {0:?}, expected <namespace>/<name>/<uid>")]
pub struct OwnerError(String);

impl Owner {
    /// Reads the annotations of a record; `None` for a record that nobody has claimed.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Result<Option<Self>, OwnerError> {
        annotations.get(OWNER_ANNOTATION).map(|text| text.parse()).transpose()
    }

    /// Puts it into the annotations of a record, in place of an earlier owner.
    pub fn write_to(&self, annotations: &mut BTreeMap<String, String>) {
        annotations.insert(OWNER_ANNOTATION.to_owned(), self.to_string());
    }
}

impl FromStr for Owner {
    type Err = OwnerError;
    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [namespace, name, uid] if parts.iter().all(|part| !part.is_empty()) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() })
            }
            _ => Err(OwnerError(text.to_owned())),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_three_parts_and_one_text() {
        let owner = Owner { namespace: "a".to_owned(), name: "b".to_owned(), uid: "c".to_owned() };
        assert_eq!(owner.to_string(), "a/b/c");
        assert_eq!("a/b/c".parse(), Ok(owner));
        for wrong in ["", "a", "a/b", "a/b/", "/b/c", "a//c", "a/b/c/d"] {
            assert_eq!(wrong.parse::<Owner>(), Err(OwnerError(wrong.to_owned())), "{wrong}");
        }
    }

    #[test]
    fn an_owner_replaces_another_and_a_record_without_one_is_nobodys() {
        let mut annotations = BTreeMap::from([("of/another".to_owned(), "stays".to_owned())]);
        assert_eq!(Owner::from_annotations(&annotations), Ok(None));
        let owner = |uid: &str| Owner { namespace: "a".to_owned(), name: "b".to_owned(), uid: uid.to_owned() };
        owner("c").write_to(&mut annotations);
        owner("d").write_to(&mut annotations);
        assert_eq!(Owner::from_annotations(&annotations), Ok(Some(owner("d"))));
        assert_eq!(annotations["of/another"], "stays");
        annotations.insert(OWNER_ANNOTATION.to_owned(), "a/b".to_owned());
        assert!(Owner::from_annotations(&annotations).is_err());
    }
}
