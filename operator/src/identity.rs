//! The identity of a TezosSigner. The names and the ownership of everything that the operator makes follow from it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tezos_signer_core::record::Owner;

/// Namespace, name and UID of a TezosSigner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The namespace of the TezosSigner.
    pub namespace: String,
    /// Its name, at most 40 characters without dots.
    pub name: String,
    /// The `metadata.uid`, which tells it from a later TezosSigner of the same name.
    pub uid: String,
}

/// The metadata does not say which TezosSigner it is of. The API server sets all three fields, so a retry helps if anything does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("namespace, name or uid is missing")]
pub struct MissingIdentity;

impl From<&Identity> for Owner {
    fn from(Identity { namespace, name, uid }: &Identity) -> Self {
        Self { namespace: namespace.clone(), name: name.clone(), uid: uid.clone() }
    }
}

impl Identity {
    /// Reads the identity from the metadata of a TezosSigner.
    pub fn of(metadata: &ObjectMeta) -> Result<Self, MissingIdentity> {
        let (Some(namespace), Some(name), Some(uid)) = (&metadata.namespace, &metadata.name, &metadata.uid) else {
            return Err(MissingIdentity);
        };
        Ok(Self { namespace: namespace.clone(), name: name.clone(), uid: uid.clone() })
    }
}
