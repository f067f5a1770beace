//! The cause that an error carries where its type is not one: some errors are caused by an error of another library, others by nothing
//! but what a sentence says, and many have to be `Clone` and comparable, which the errors of libraries are not.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A text for people and, where another error is behind it, that error as its [`source`](Error::source).
///
/// The text has all that the error says, so that whoever shows an error shows its `Display` and never walks the chain. Two causes are
/// equal if their texts are.
///
/// ```
/// use std::error::Error as _;
/// use tezos_signer_core::cause::Cause;
///
/// let error = "x".parse::<u8>().unwrap_err();
/// let cause = Cause::of(error).map_text(|error| format!("line 3: {error}"));
/// assert_eq!(cause.to_string(), "line 3: invalid digit found in string");
/// assert!(cause.source().unwrap().is::<std::num::ParseIntError>());
/// assert!(Cause::from("it is empty").source().is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Cause {
    text: String,
    error: Option<Arc<dyn Error + Send + Sync>>,
}

impl Cause {
    /// `error` with its own text.
    pub fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self { text: error.to_string(), error: Some(Arc::new(error)) }
    }

    /// `error` with the text of the innermost error of its chain: "connection refused", and not the layers around it, for an error
    /// whose own text does not say why it occurred.
    pub fn innermost(error: impl Error + Send + Sync + 'static) -> Self {
        let mut innermost: &dyn Error = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self { text: innermost.to_string(), error: Some(Arc::new(error)) }
    }

    /// The same error in other words, which are made of the text so far.
    #[must_use]
    pub fn map_text(self, text: impl FnOnce(&str) -> String) -> Self {
        Self { text: text(&self.text), error: self.error }
    }
}

/// A sentence that no other error is behind.
impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self { text, error: None }
    }
}

/// A sentence that no other error is behind.
impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_deref().map(|error| error as &(dyn Error + 'static))
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_innermost_text_is_shown_and_the_whole_error_is_kept() {
        let cause = Cause::innermost(Outer(std::io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(cause.to_string(), "connection refused");
        let outer = cause.source().unwrap().downcast_ref::<Outer>().unwrap();
        assert_eq!(outer.0.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(cause, Cause::from("connection refused"));
    }
}
