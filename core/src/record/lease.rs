//! The lease of a record, and the annotations that store it. The rules are in [`crate::lease`].

use super::annotations::{HOLDER_ADDRESS_ANNOTATION, LEASE_ANNOTATION};
use super::text::RecordError;
use crate::cause::Cause;
use crate::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Who serves a record, and until when nobody else should try. For liveness only: what keeps two signers apart is that
/// every write is conditional on the state it was decided on.
///
/// The field names are those of client-go's `LeaderElectionRecord`. Times are written for people; no signer decides by them.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The UID of the holding pod; empty when nobody holds it.
    pub holder_identity: String,
    /// After how many seconds without a change another may take over.
    pub lease_duration_seconds: u32,
    /// When the holder became the holder.
    pub acquire_time: Option<jiff::Timestamp>,
    /// When the holder last renewed or signed.
    pub renew_time: Option<jiff::Timestamp>,
    /// How often the holder changed.
    pub leader_transitions: u64,
    /// Who should hold it: the holder lets go when it is not itself. Set by the operator when a node is lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preferred_holder: String,
    /// Where the holder's peer port is, in [`HOLDER_ADDRESS_ANNOTATION`]; `None` where nobody can forward to it.
    #[serde(skip)]
    pub holder_address: Option<SocketAddr>,
}

impl Lease {
    /// Reads the annotations of a record; without any, nobody ever held it.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Result<Self, RecordError> {
        let Some(text) = annotations.get(LEASE_ANNOTATION) else { return Ok(Self::default()) };
        let lease: Self = json::from_str(text).map_err(|error| RecordError::Lease(Cause::of(error)))?;
        // An address that cannot be read is none: nobody forwards there, and signing does not depend on it.
        let address = annotations.get(HOLDER_ADDRESS_ANNOTATION).and_then(|address| address.parse().ok());
        Ok(Self { holder_address: address.filter(|_| !lease.holder_identity.is_empty()), ..lease })
    }

    /// Puts it into the annotations of a record, and takes out what stood there of an earlier holder. The chart's admission
    /// policies know the text of the first and accept no other: who changes a field changes `records-policy.yaml` as well, and
    /// installs that chart first.
    pub fn write_to(&self, annotations: &mut BTreeMap<String, String>) {
        // A struct of strings and numbers always serialises.
        annotations.insert(LEASE_ANNOTATION.to_owned(), serde_json::to_string(self).unwrap_or_default());
        match self.holder_address.filter(|_| !self.holder_identity.is_empty()) {
            Some(address) => annotations.insert(HOLDER_ADDRESS_ANNOTATION.to_owned(), address.to_string()),
            None => annotations.remove(HOLDER_ADDRESS_ANNOTATION),
        };
    }

    /// The same with nobody as the holder.
    #[must_use]
    pub fn let_go(&self) -> Self {
        Self { holder_identity: String::new(), holder_address: None, ..self.clone() }
    }
}
