//! Which namespaces the operator watches: all of them, or those that are named, so that it needs no right in any other.

use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The name of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace(String);

/// A text is not the name of a namespace. A retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a namespace: expected at most 63 lower-case letters, digits and dashes, beginning and ending with a \
     letter or digit"
)]
pub struct NotANamespace(String);

impl FromStr for Namespace {
    type Err = NotANamespace;

    fn from_str(text: &str) -> Result<Self, NotANamespace> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=63).contains(&text.len()) && text.chars().all(known);
        if !fits || text.starts_with('-') || text.ends_with('-') {
            return Err(NotANamespace(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one controller watches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The TezosSigners of all namespaces.
    Cluster,
    /// The TezosSigners of one namespace.
    Namespace(Namespace),
}

impl Scope {
    /// One scope for each namespace that is named, or the whole cluster if none is.
    pub fn all(named: Vec<Namespace>) -> BTreeSet<Self> {
        if named.is_empty() {
            return BTreeSet::from([Self::Cluster]);
        }
        named.into_iter().map(Self::Namespace).collect()
    }

    /// Whether the scope contains `namespace`.
    pub(crate) fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(Namespace(name)) => name == namespace,
        }
    }

    /// The API of the objects of kind `K` in this scope.
    pub(crate) fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(Namespace(name)) => Api::namespaced(client.clone(), name),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("every namespace"),
            Self::Namespace(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_named_is_everywhere_and_a_name_counts_once() {
        assert_eq!(Scope::all(Vec::new()), BTreeSet::from([Scope::Cluster]));
        let name: Namespace = "bakers-1".parse().unwrap();
        assert_eq!(Scope::all(vec![name.clone(), name.clone()]), BTreeSet::from([Scope::Namespace(name)]));
    }

    #[test]
    fn an_empty_name_does_not_mean_everywhere() {
        let long = "a".repeat(64);
        for wrong in ["", "Bakers", "a.b", "-a", "a-", "a b", long.as_str()] {
            let error = wrong.parse::<Namespace>().unwrap_err();
            assert!(error.to_string().contains("not the name of a namespace"), "{error}");
        }
    }
}
