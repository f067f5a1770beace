//! The annotation `signer.tezos.io/paused` of a TezosSigner. While it is set, the operator does not change the TezosSigner's objects, except
//! that it suspends records if the spec requires it. Deletion works during a pause.
//!
//! Also finds other annotations with the same prefix, which have no effect and may be typing errors.

use super::TezosSigner;
use kube::ResourceExt;

/// The annotation that pauses a TezosSigner.
pub const PAUSED_ANNOTATION: &str = "signer.tezos.io/paused";

/// The prefix of the project's annotations.
const PREFIX: &str = "signer.tezos.io/";

const PAUSING: [&str; 4] = ["true", "yes", "on", "1"];
const NOT_PAUSING: [&str; 4] = ["false", "no", "off", "0"];

/// The value of the annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// The annotation is missing or false.
    Off,
    /// The annotation is true.
    On,
    /// The annotation has an unknown value. It counts as a pause, because the intention is not known.
    Unclear(String),
}

/// Parses the annotation of `signer`, ignoring case.
pub fn pause(signer: &impl ResourceExt) -> Pause {
    let Some(value) = signer.annotations().get(PAUSED_ANNOTATION) else { return Pause::Off };
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| value.trim().eq_ignore_ascii_case(word));
    if is_one_of(PAUSING) {
        Pause::On
    } else if is_one_of(NOT_PAUSING) {
        Pause::Off
    } else {
        Pause::Unclear(value.clone())
    }
}

/// Whether `signer` is paused.
pub fn is_paused(signer: &impl ResourceExt) -> bool {
    pause(signer) != Pause::Off
}

impl Pause {
    /// A message about an unknown value, with the values that are expected.
    pub fn complaint(&self) -> Option<String> {
        let Self::Unclear(value) = self else { return None };
        Some(format!(
            "the annotation {PAUSED_ANNOTATION} is {value:?}, which counts as true: expected {} (paused), or {} (not paused)",
            PAUSING.join(", "),
            NOT_PAUSING.join(", ")
        ))
    }
}

/// The annotations of `signer` that have the prefix but no effect.
pub fn unknown_annotations(signer: &TezosSigner) -> Vec<String> {
    let names = signer.annotations().keys();
    names.filter(|name| name.starts_with(PREFIX) && *name != PAUSED_ANNOTATION).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::tests::example;

    fn with(name: &str, value: &str) -> TezosSigner {
        let mut signer = example();
        signer.annotations_mut().insert(name.to_owned(), value.to_owned());
        signer
    }

    #[test]
    fn every_value_pauses_or_does_not_or_is_complained_of() {
        let of = |value: &str| pause(&with(PAUSED_ANNOTATION, value));
        for value in ["true", "True", "TRUE", "yes", "on", "1"] {
            assert_eq!(of(value), Pause::On, "{value}");
        }
        for value in ["false", "False", "no", "off", "0"] {
            assert_eq!(of(value), Pause::Off, "{value}");
        }
        for value in ["", "ture", "2", "paused"] {
            let complaint = of(value).complaint().unwrap();
            for part in [PAUSED_ANNOTATION, &format!("{value:?}"), "true, yes, on, 1", "false, no, off, 0"] {
                assert!(complaint.contains(part), "{part} is missing in: {complaint}");
            }
            assert!(is_paused(&with(PAUSED_ANNOTATION, value)), "{value}");
        }
        assert_eq!(pause(&example()), Pause::Off);
    }

    #[test]
    fn an_annotation_that_means_nothing_is_found() {
        assert_eq!(unknown_annotations(&with("signer.tezos.io/pause", "true")), ["signer.tezos.io/pause"]);
        assert!(unknown_annotations(&with(PAUSED_ANNOTATION, "true")).is_empty());
        assert!(unknown_annotations(&with("example.org/pause", "true")).is_empty());
    }
}
