//! What may happen in one search, and how often. Small numbers are enough: a rule that can fail, fails in a small world.

use crate::requests::Request;
use crate::world::Left;
use tezos_signer_core::key::Curve;

/// The record at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// `initialise --level N`.
    Above(u32),
    /// `initialise --fresh`.
    Fresh,
    /// Another signer signed this, and its signature is not known.
    Imported(Request),
}

/// What somebody does to the record, each once at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Edit {
    Suspend,
    /// Takes `suspend` away again.
    Resume,
    Ceiling(u32),
    Raise(u32),
    /// Signer 1 becomes the preferred holder.
    Name,
    /// The signature in it is another one now.
    Forge,
    DeleteRow,
    DeleteRecord,
    /// An old copy, as a new version, beside signers that have all seen more, and go on.
    Restore,
    /// The same beside signers that may have seen nothing.
    RestoreUnseen,
    /// Another installation, or the same manifest again.
    Create,
    /// The record of the first cluster into the second, once it has a ceiling.
    Import,
}

/// The bounds of one search.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Of the key.
    pub(crate) scheme: Curve,
    /// Of the first cluster.
    pub(crate) processes: usize,
    /// Whether there is a second one, with one process and no record.
    pub(crate) second_cluster: bool,
    pub(crate) start: Start,
    /// What clients ask for, of any process, and how often at most.
    pub(crate) asks: &'static [(Request, u8)],
    /// Without it every process serves: what keeps them apart must not be the lease.
    pub(crate) lease: bool,
    pub(crate) left: Left,
    pub(crate) edits: &'static [Edit],
    /// Whether the HSM may return a wrong signature.
    pub(crate) hsm_lies: bool,
    /// Whether an answer may have an empty resourceVersion.
    pub(crate) empty_versions: bool,
    /// Whether connections may die.
    pub(crate) connections_die: bool,
    /// Whether a process that starts again has its audit log.
    pub(crate) audit_log: bool,
}

impl Scenario {
    /// Nothing goes wrong.
    pub(crate) const QUIET: Self = Self {
        name: "",
        scheme: Curve::Secp256k1,
        processes: 1,
        second_cluster: false,
        start: Start::Above(10),
        asks: &[],
        lease: false,
        left: Left { faults: 0, crashes: 0, disconnects: 0, releases_of_lease: 0 },
        edits: &[],
        hsm_lies: false,
        empty_versions: false,
        connections_die: false,
        audit_log: false,
    };

    /// The same with a key of `scheme`.
    pub(crate) const fn of(self, scheme: Curve) -> Self {
        Self { scheme, ..self }
    }
}
