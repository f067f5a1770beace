//! What the claim stage hands on: objects whose records are claimed and remembered.

use super::record::ClaimedRecord;
use crate::build::Built;

/// The objects of a TezosSigner, every record of which is claimed and remembered in the status that the API server has.
///
/// INVARIANT O11: Only the claim stage constructs this type, after that status was written, and objects can be applied only with it. So a
/// record is remembered before anything runs that could sign with it. A record that was forgotten could be created anew, below what was signed with it.
#[derive(Debug)]
pub struct Claimed {
    built: Built,
    records: Vec<ClaimedRecord>,
}

impl Claimed {
    pub(super) fn new(built: Built, records: Vec<ClaimedRecord>) -> Self {
        Self { built, records }
    }

    /// The objects to apply.
    pub fn built(&self) -> &Built {
        &self.built
    }

    /// The records, one for each key of the spec.
    pub fn records(&self) -> &[ClaimedRecord] {
        &self.records
    }

    /// What was built, and the records.
    pub fn into_parts(self) -> (Built, Vec<ClaimedRecord>) {
        (self.built, self.records)
    }
}
