//! The searches with every rule on. Each is small; together they have everything that the model knows to happen.

use crate::scenario::{Edit, Scenario, Start};
use crate::symbols::Request::{Attestation, AttestationWithDal, Operation, Preattestation};
use crate::world::Left;

const NOTHING: Left = Scenario::QUIET.left;

pub(crate) const CALM: Scenario = Scenario {
    name: "one signer, nothing goes wrong",
    asks: &[(Attestation(11, 'a'), 2), (Attestation(11, 'b'), 1), (Attestation(12, 'a'), 1)],
    ..Scenario::QUIET
};

/// Two signers that both serve, clients that ask for two different votes of one level, and one of them twice.
pub(crate) const RIVALS: Scenario = Scenario {
    name: "two signers, two votes for one level",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 2), (Attestation(11, 'b'), 1)],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const FAULTS: Scenario = Scenario {
    name: "one signer, three faults, two crashes",
    asks: &[(Attestation(11, 'a'), 2), (Attestation(11, 'b'), 1), (Attestation(12, 'a'), 1)],
    left: Left { faults: 3, crashes: 2, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const THREE: Scenario = Scenario {
    name: "three signers, three votes for one level",
    processes: 3,
    asks: &[(Attestation(11, 'a'), 1), (Attestation(11, 'b'), 1), (Attestation(11, 'c'), 1)],
    ..Scenario::QUIET
};

pub(crate) const KINDS: Scenario = Scenario {
    name: "two signers, two kinds, two levels",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 1), (Attestation(12, 'a'), 1), (Preattestation(12, 'a'), 1)],
    left: Left { faults: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const TAGS: Scenario = Scenario {
    name: "attestations with DAL and without",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 2), (AttestationWithDal(11, 'a'), 2)],
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

/// Time passes at any moment: whoever is then in the middle of something has been paused, or waits for a slow HSM.
pub(crate) const PAUSES: Scenario = Scenario {
    name: "a lease, pauses and take-overs",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 1), (Attestation(11, 'b'), 1)],
    lease: true,
    ..Scenario::QUIET
};

pub(crate) const CRASHES: Scenario = Scenario {
    name: "a lease, pauses and a crash",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 1)],
    lease: true,
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const LEASE_FAULTS: Scenario = Scenario {
    name: "a lease, with a fault, let go once",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 1)],
    lease: true,
    left: Left { faults: 1, releases_of_lease: 1, ..NOTHING },
    ..Scenario::QUIET
};

/// Two standbys that both find the holder silent: what one of them did, the other must read before it signs.
pub(crate) const THREE_HOLDERS: Scenario = Scenario {
    name: "three signers, a lease and take-overs",
    processes: 3,
    asks: &[(Attestation(11, 'a'), 1)],
    lease: true,
    ..Scenario::QUIET
};

/// The holder dies with a write on its way, which is done when another has taken over, or never.
pub(crate) const COMMITTED_AFTER_ALL: Scenario = Scenario {
    name: "a lease, a fault and a crash, two votes",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 1), (Attestation(11, 'b'), 1)],
    lease: true,
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const DISPLACED: Scenario = Scenario {
    name: "a lease, and an operation of who has lost it",
    processes: 2,
    asks: &[(Operation, 2)],
    lease: true,
    edits: &[Edit::Name],
    ..Scenario::QUIET
};

pub(crate) const OPERATOR: Scenario = Scenario {
    name: "an operator suspends, raises, sets a ceiling",
    asks: &[(Attestation(11, 'a'), 1), (Attestation(12, 'a'), 1), (Operation, 1)],
    left: Left { faults: 1, ..NOTHING },
    edits: &[Edit::Suspend, Edit::Raise(11), Edit::Ceiling(11)],
    ..Scenario::QUIET
};

pub(crate) const SUSPENDED: Scenario = Scenario {
    name: "two signers, suspended beside a vote",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 1), (Operation, 2)],
    left: Left { faults: 1, ..NOTHING },
    edits: &[Edit::Suspend],
    ..Scenario::QUIET
};

pub(crate) const DAMAGE: Scenario = Scenario {
    name: "the record is forged, loses a row, is deleted",
    asks: &[(Attestation(11, 'a'), 2), (Attestation(11, 'b'), 1)],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    edits: &[Edit::Forge, Edit::DeleteRow, Edit::DeleteRecord],
    ..Scenario::QUIET
};

pub(crate) const RESTORE: Scenario = Scenario {
    name: "an old copy is restored",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 1), (Attestation(11, 'b'), 1)],
    lease: true,
    edits: &[Edit::Restore],
    ..Scenario::QUIET
};

/// Not among those in which every promise is kept.
pub(crate) const RESTORE_UNSEEN: Scenario = Scenario {
    name: "an old copy is restored, and a signer restarts",
    left: Left { crashes: 1, ..NOTHING },
    edits: &[Edit::RestoreUnseen],
    lease: false,
    processes: 1,
    ..RESTORE
};

/// What nobody has seen who lives, the audit log has.
pub(crate) const RESTORE_LOGGED: Scenario =
    Scenario { name: "an old copy is restored, but not of the audit log", audit_log: true, ..RESTORE_UNSEEN };

pub(crate) const AGAIN: Scenario = Scenario {
    name: "the record is created again",
    asks: &[(Attestation(11, 'a'), 1), (Attestation(11, 'b'), 1)],
    left: Left { crashes: 1, ..NOTHING },
    edits: &[Edit::Create],
    ..Scenario::QUIET
};

/// The other signer's answer is not known here: any signature of the same is a second one.
pub(crate) const IMPORTED: Scenario = Scenario {
    name: "imported: a digest without a signature",
    processes: 2,
    start: Start::Imported(Attestation(11, 'a')),
    asks: &[(Attestation(11, 'a'), 2), (Attestation(11, 'b'), 1), (Attestation(12, 'a'), 1)],
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const ABSURD: Scenario = Scenario {
    name: "an absurd level",
    asks: &[(Attestation(11, 'a'), 1), (Preattestation(12, 'a'), 1), (Attestation(1_000_000, 'a'), 1)],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const FRESH: Scenario = Scenario {
    name: "a fresh record",
    processes: 2,
    start: Start::Fresh,
    asks: &[(Attestation(5000, 'a'), 2), (Attestation(5000, 'b'), 1), (Preattestation(5001, 'a'), 1)],
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const HAND_OVER: Scenario = Scenario {
    name: "handed over to a second cluster",
    second_cluster: true,
    asks: &[(Attestation(11, 'a'), 1), (Attestation(11, 'b'), 1), (Attestation(12, 'a'), 1)],
    left: Left { faults: 1, ..NOTHING },
    edits: &[Edit::Ceiling(11), Edit::Import],
    ..Scenario::QUIET
};

pub(crate) const CLIENTS_GO: Scenario = Scenario {
    name: "clients go away",
    asks: &[(Attestation(11, 'a'), 2), (Attestation(11, 'b'), 1)],
    left: Left { faults: 1, crashes: 1, disconnects: 2, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const DEAD_CONNECTION: Scenario = Scenario {
    name: "a connection dies",
    asks: &[(Attestation(11, 'a'), 2), (Attestation(12, 'a'), 2)],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    connections_die: true,
    ..Scenario::QUIET
};

pub(crate) const LYING_HSM: Scenario = Scenario {
    name: "the HSM returns a wrong signature",
    asks: &[(Attestation(11, 'a'), 2), (Operation, 1)],
    left: Left { faults: 1, ..NOTHING },
    hsm_lies: true,
    ..Scenario::QUIET
};

pub(crate) const EMPTY_VERSION: Scenario = Scenario {
    name: "an answer has an empty resourceVersion",
    processes: 2,
    asks: &[(Attestation(11, 'a'), 1), (Attestation(11, 'b'), 1)],
    left: Left { faults: 1, ..NOTHING },
    empty_versions: true,
    ..Scenario::QUIET
};
