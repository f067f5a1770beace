//! Why a command of the plugin failed: what happened, and what to do.

use kube::config::KubeconfigError;
use std::fmt;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    /// There is no usable kubeconfig.
    #[error(
        "the kubeconfig cannot be used: {0}. Check --kubeconfig, --context and the variable KUBECONFIG; kubectl config view shows it"
    )]
    Kubeconfig(#[source] KubeconfigError),
    /// The kubeconfig cannot be turned into a client.
    #[error("the kubeconfig cannot be used: {0}. kubectl get --raw /version shows whether kubectl can use it")]
    Client(#[source] Box<kube::Error>),
    /// The caller lacks a right.
    #[error("{0}")]
    Denied(Right),
    /// The API server does not know who asks.
    #[error(
        "the API server does not accept your credentials: {0}. Log in again; kubectl auth whoami shows who you are"
    )]
    Unauthenticated(String),
    /// The definition of the TezosSigner is missing.
    #[error(
        "this cluster has no TezosSigners: the chart tezos-signer-operator is not installed, or --context names another cluster"
    )]
    NoDefinition,
    /// An object does not exist.
    #[error("there is no {0}. Check the name, --namespace and --context")]
    NotFound(String),
    /// A request failed in another way.
    #[error("{what} failed: {reason}")]
    Request {
        /// What was asked.
        what: String,
        /// What the API server, or the connection to it, said.
        reason: String,
    },
    /// There was no answer in time.
    #[error(
        "{what} got no answer within {seconds} s. Run the command again; kubectl get --raw /readyz shows whether the API server answers"
    )]
    Timeout {
        /// What was asked.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Arguments that contradict each other, or the cluster.
    #[error("{0}")]
    Argument(String),
    /// A verb did what it could, and printed already what is wrong.
    #[error("{0}")]
    Incomplete(String),
    /// A file cannot be written.
    #[error("{path} cannot be written: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The standard output is closed.
    #[error("the output cannot be written: {0}")]
    Stdout(#[source] std::io::Error),
    /// A value has no JSON form: a bug.
    #[error("the output has no JSON form: {0}")]
    Json(#[from] serde_json::Error),
    /// A value has no YAML form: a bug.
    #[error("the output has no YAML form: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// The runtime did not start.
    #[error("a thread could not be started: {0}")]
    Runtime(#[source] std::io::Error),
}

/// A right of Kubernetes' RBAC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    /// The verb, such as `list`, or several: `get,create`.
    pub(crate) verb: &'static str,
    /// The resource with its subresource, and its group if it is not the core group: `pods/log`, `tezossigners.signer.tezos.io`.
    pub(crate) resource: String,
    /// The namespace; `None` for the whole cluster.
    pub(crate) namespace: Option<String>,
}

impl Right {
    pub(crate) fn new(verb: &'static str, resource: &str, namespace: Option<&str>) -> Self {
        Self { verb, resource: resource.to_owned(), namespace: namespace.map(str::to_owned) }
    }

    pub(crate) fn inside(verb: &'static str, resource: &str, namespace: &str) -> Self {
        Self::new(verb, resource, Some(namespace))
    }

    /// What was asked, for the message of an error.
    pub(crate) fn asked(&self) -> String {
        let place =
            self.namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |name| format!("the namespace {name}"));
        format!("{} {} in {place}", self.verb, self.resource)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "you have no right to {}: ask for a role with this verb and resource, as ", self.asked())?;
        let (verb, resource) = (self.verb, &self.resource);
        match &self.namespace {
            Some(namespace) => {
                write!(
                    f,
                    "kubectl create role NAME --namespace {namespace} --verb {verb} --resource {resource} makes it"
                )
            }
            None => write!(f, "kubectl create clusterrole NAME --verb {verb} --resource {resource} makes it"),
        }
    }
}

impl PluginError {
    /// From an answer to a request that needs `right`; `object` is what is missing if the answer is 404.
    pub(crate) fn of(error: kube::Error, right: Right, object: &str) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status.code, status.message, right, object),
            // The API server's own words do not come with the answer to a request for a stream.
            kube::Error::UpgradeConnection(kube::client::UpgradeConnectionError::ProtocolSwitch(code)) => {
                Self::of_status(code.as_u16(), format!("the API server answered {code}"), right, object)
            }
            error => Self::Request { what: right.asked(), reason: causes(&error) },
        }
    }

    fn of_status(code: u16, message: String, mut right: Right, object: &str) -> Self {
        match code {
            401 => Self::Unauthenticated(message),
            // An admission policy refuses with its own words, which name the remedy.
            403 if message.contains("denied request") || message.contains("denied the request") => {
                Self::Request { what: right.asked(), reason: message }
            }
            403 => {
                if let Some(of) = impersonated(&message) {
                    right = Right::new("impersonate", of, None);
                }
                Self::Denied(right)
            }
            404 if object.is_empty() => Self::NoDefinition,
            404 => Self::NotFound(object.to_owned()),
            _ => Self::Request { what: right.asked(), reason: format!("{message} ({code})") },
        }
    }

    /// The right that is missing.
    pub(crate) fn denied(&self) -> Option<&Right> {
        if let Self::Denied(right) = self { Some(right) } else { None }
    }
}

/// What the caller may not impersonate, if that is what the API server refuses.
fn impersonated(message: &str) -> Option<&'static str> {
    let words = message.split_once("cannot impersonate resource")?.1;
    ["users", "groups", "serviceaccounts", "uids"].into_iter().find(|of| words.contains(&format!("\"{of}\"")))
}

/// An error with its causes, for a library whose errors do not repeat them.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, message: &str) -> PluginError {
        let right = Right::inside("list", "tezossigners.signer.tezos.io", "bakers");
        PluginError::of_status(code, message.to_owned(), right, "TezosSigner a")
    }

    #[test]
    fn a_missing_right_is_a_sentence_with_verb_resource_namespace_and_remedy() {
        let words = r#"tezossigners.signer.tezos.io is forbidden: User "eve" cannot list resource "tezossigners" in API group "signer.tezos.io""#;
        assert_eq!(
            answered(403, words).to_string(),
            "you have no right to list tezossigners.signer.tezos.io in the namespace bakers: ask for a role with this verb and resource, as kubectl \
             create role NAME --namespace bakers --verb list --resource tezossigners.signer.tezos.io makes it"
        );
        let everywhere = Right::new("list", "pods", None).to_string();
        assert!(
            everywhere.contains("list pods in all namespaces") && everywhere.contains("clusterrole"),
            "{everywhere}"
        );
    }

    #[test]
    fn a_right_to_impersonate_is_named_as_such() {
        let words = r#"groups "tezos-signer:break-glass" is forbidden: User "eve" cannot impersonate resource "groups" in API group """#;
        assert_eq!(answered(403, words).denied(), Some(&Right::new("impersonate", "groups", None)));
    }

    #[test]
    fn a_refusal_of_an_admission_policy_keeps_its_words() {
        let words =
            "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: a ceiling is lifted by break-glass only";
        let said = answered(403, words).to_string();
        assert!(said.contains("a ceiling is lifted by break-glass only"), "{said}");
        assert!(answered(403, words).denied().is_none());
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(answered(404, "").to_string().starts_with("there is no TezosSigner a."));
        assert!(answered(401, "Unauthorized").to_string().contains("Log in again"));
        assert!(answered(500, "etcd is away").to_string().contains("etcd is away (500)"));
    }
}
