//! The words of a command line, in which parts may not be known: variables that nothing sets here, specifiers of systemd, the output of
//! other commands.

use std::collections::BTreeMap;

/// A word of a command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its text. What is not known stands in it as it is written.
    pub(super) text: String,
    /// The first part that is not known, as it is written.
    pub(super) unknown: Option<String>,
    /// Whether the part that is not known may be several words, or none.
    pub(super) is_list: bool,
}

impl Word {
    pub(super) fn known(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Words in the place of a variable that is not known.
    pub(super) fn list(written: &str) -> Self {
        Self { text: written.to_owned(), unknown: Some(written.to_owned()), is_list: true }
    }

    pub(super) fn push_unknown(&mut self, written: &str) {
        self.text.push_str(written);
        self.unknown.get_or_insert_with(|| written.to_owned());
    }

    /// Another word without a blank between the two.
    pub(super) fn push_word(&mut self, other: &Self) {
        self.text.push_str(&other.text);
        self.unknown = self.unknown.take().or_else(|| other.unknown.clone());
    }

    /// Its text, if all of it is known.
    pub(super) fn value(&self) -> Option<&str> {
        self.unknown.is_none().then_some(self.text.as_str())
    }

    /// Its text in a message. A command in it is not repeated; `$(NAME)` is a variable of Kubernetes.
    pub(super) fn shown(&self) -> String {
        let is_command = |part: &str| !part.split_once(')').is_some_and(|(name, _)| is_name(name));
        let has_command = self.text.split("$(").skip(1).any(is_command) || self.text.contains('`');
        if has_command { "the output of a command".to_owned() } else { self.text.clone() }
    }

    /// The name of a file, without its directory.
    pub(super) fn file_name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// The program that a word of this text starts.
    pub(super) fn program(&self) -> Option<Program> {
        match self.file_name() {
            "octez-signer" => Some(Program::Octez),
            "tezos-signer" => Some(Program::BeforeOctez15),
            "tezos-signer-start" | "octez-signer-start" => Some(Program::TezosPackaging),
            _ => None,
        }
    }
}

/// A program that is octez-signer, or starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Octez,
    /// `tezos-signer`, as it was called before Octez 15. The program of this project has the same name.
    BeforeOctez15,
    /// `tezos-signer-start`, the script of serokell's packages, which takes options from its environment.
    TezosPackaging,
}

/// The variables that a command is started with.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    /// `None` for one that is set, nobody knows to what. The text of others may have parts that are not known.
    variables: BTreeMap<String, Option<Word>>,
    /// Why a variable that is not in it may be set nevertheless.
    pub(super) unread: Vec<String>,
}

impl Environment {
    pub(super) fn set(&mut self, name: &str, value: Option<Word>) {
        self.variables.insert(name.to_owned(), value);
    }

    pub(super) fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// No value is known any more.
    pub(super) fn forget(&mut self) {
        self.variables.values_mut().for_each(|value| *value = None);
    }

    /// What is known of a variable.
    pub(super) fn word(&self, name: &str) -> Option<&Word> {
        self.variables.get(name)?.as_ref()
    }

    /// The value of a variable, if all of it is known.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.word(name)?.value()
    }

    /// Whether it is certain that a variable is not set.
    pub(super) fn lacks(&self, name: &str) -> bool {
        self.unread.is_empty() && !self.variables.contains_key(name)
    }
}

/// Whether a text is the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The length of the name that a text begins with.
pub(super) fn name_length(text: &str) -> usize {
    let end = text.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let name = &text[..end.unwrap_or(text.len())];
    if is_name(name) { name.len() } else { 0 }
}
