//! Why an object could not be read, applied or deleted.

use crate::api_message::api_message;
use kube::Resource;
use tezos_signer_core::cause::Cause;

/// Why an object could not be read, applied or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An object of that name has another owner. A retry helps once it is deleted or renamed.
    #[error(
        "the {kind} {name} in this namespace does not belong to this TezosSigner and is not overwritten: delete or rename it, or \
         give the TezosSigner another name"
    )]
    NotOurs {
        /// The kind of the object, such as `Deployment`.
        kind: String,
        /// The name of the object.
        name: String,
    },
    /// The API server refused the object. A retry may help: admission policies and quotas change.
    #[error("the API server rejects the {kind} {name}: {cause}")]
    Refused {
        /// The kind of the object, such as `Deployment`.
        kind: String,
        /// The name of the object.
        name: String,
        /// The API server's words.
        #[source]
        cause: Cause,
    },
    /// The API server did not do it. A retry may help.
    #[error("cannot {doing} the {kind} {name}: {}", api_message(.source))]
    Api {
        /// The verb of the call that failed, for the message.
        doing: &'static str,
        /// The kind of the object, such as `Deployment`.
        kind: String,
        /// The name of the object.
        name: String,
        /// The error of the client.
        #[source]
        source: Box<kube::Error>,
    },
}

pub(crate) fn api_error<K: Resource<DynamicType = ()>>(
    doing: &'static str,
    name: &str,
) -> impl FnOnce(kube::Error) -> ApplyError {
    let (kind, name) = (K::kind(&()).into_owned(), name.to_owned());
    move |source| match source {
        kube::Error::Api(status)
            if doing == "apply" && (status.is_invalid() || status.is_forbidden() || status.code == 400) =>
        {
            let message = status.message.clone();
            ApplyError::Refused { kind, name, cause: Cause::of(kube::Error::Api(status)).map_text(|_| message) }
        }
        source => ApplyError::Api { doing, kind, name, source: Box::new(source) },
    }
}
