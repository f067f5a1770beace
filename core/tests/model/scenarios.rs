//! The searches with every rule on. Each is small; together they have everything that the model knows to happen.

use crate::requests::Request::{Attestation, AttestationWithDal, Block, Operation, Preattestation};
use crate::scenario::{Edit, Scenario, Start};
use crate::world::Left;
use tezos_signer_core::key::Curve;

const NOTHING: Left = Scenario::QUIET.left;

pub(crate) const CALM: Scenario = Scenario {
    name: "one signer, nothing goes wrong",
    asks: &[(Attestation(11, 0, 'a'), 2), (Attestation(11, 0, 'b'), 1), (Attestation(12, 0, 'a'), 1)],
    ..Scenario::QUIET
};

/// Two signers that both serve, clients that ask for two different votes of one level, and one of them twice.
pub(crate) const RIVALS: Scenario = Scenario {
    name: "two signers, two votes for one level",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 2), (Attestation(11, 0, 'b'), 1)],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const FAULTS: Scenario = Scenario {
    name: "one signer, three faults, two crashes",
    asks: &[(Attestation(11, 0, 'a'), 2), (Attestation(11, 0, 'b'), 1), (Attestation(12, 0, 'a'), 1)],
    left: Left { faults: 3, crashes: 2, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const THREE: Scenario = Scenario {
    name: "three signers, three votes for one level",
    processes: 3,
    asks: &[(Attestation(11, 0, 'a'), 1), (Attestation(11, 0, 'b'), 1), (Attestation(11, 0, 'c'), 1)],
    ..Scenario::QUIET
};

pub(crate) const KINDS: Scenario = Scenario {
    name: "two signers, three kinds, two levels",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 1), (Block(12, 1, 'a'), 1), (Preattestation(12, 0, 'a'), 1)],
    left: Left { faults: 1, ..NOTHING },
    ..Scenario::QUIET
};

/// Higher and lower rounds of one level, of blocks: two payloads for the higher round, and a lower one that may come at any time.
pub(crate) const BLOCKS: Scenario = Scenario {
    name: "two signers, rounds of one block",
    processes: 2,
    asks: &[(Block(11, 0, 'a'), 1), (Block(11, 1, 'a'), 1), (Block(11, 1, 'b'), 1)],
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const BLOCKS_WITH_A_FAULT: Scenario = Scenario {
    name: "two signers, rounds of one block, a fault",
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    ..BLOCKS
};

/// The same of votes, by one signer with a fault, which may be asked once more.
pub(crate) const ROUNDS: Scenario = Scenario {
    name: "rounds of one level, two kinds of votes",
    asks: &[
        (Attestation(11, 1, 'a'), 2),
        (Attestation(11, 0, 'a'), 1),
        (Attestation(11, 1, 'b'), 1),
        (Preattestation(11, 1, 'a'), 1),
    ],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const TAGS: Scenario = Scenario {
    name: "attestations with DAL and without",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 2), (AttestationWithDal(11, 0, 'a'), 2)],
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

/// Two votes of a key whose votes have no slot. The record is fresh, so that no level is too high.
pub(crate) const TZ4: Scenario = Scenario {
    name: "two signers, two votes of a tz4 key",
    scheme: Curve::Bls12381,
    processes: 2,
    start: Start::Fresh,
    asks: &[(Attestation(11, 0, 'a'), 2), (Attestation(11, 0, 'b'), 1)],
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

/// Time passes at any moment: whoever is then in the middle of something has been paused, or waits for a slow HSM.
pub(crate) const PAUSES: Scenario = Scenario {
    name: "a lease, pauses and take-overs",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 1), (Attestation(11, 0, 'b'), 1)],
    lease: true,
    ..Scenario::QUIET
};

pub(crate) const CRASHES: Scenario = Scenario {
    name: "a lease, pauses and a crash",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 1)],
    lease: true,
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const LEASE_FAULTS: Scenario = Scenario {
    name: "a lease, with a fault, let go once",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 1)],
    lease: true,
    left: Left { faults: 1, releases_of_lease: 1, ..NOTHING },
    ..Scenario::QUIET
};

/// Two standbys that both find the holder silent: what one of them did, the other must read before it signs.
pub(crate) const THREE_HOLDERS: Scenario = Scenario {
    name: "three signers, a lease and take-overs",
    processes: 3,
    asks: &[(Attestation(11, 0, 'a'), 1)],
    lease: true,
    ..Scenario::QUIET
};

/// The holder dies with a write on its way, which is done when another replica has taken over, or never.
pub(crate) const COMMITTED_AFTER_ALL: Scenario = Scenario {
    name: "a lease and a crash, two votes",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 1), (Attestation(11, 0, 'b'), 1)],
    lease: true,
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const COMMITTED_AFTER_ALL_WITH_A_FAULT: Scenario = Scenario {
    name: "a lease, a fault and a crash, two votes",
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    ..COMMITTED_AFTER_ALL
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
    asks: &[(Attestation(11, 0, 'a'), 1), (Block(12, 0, 'a'), 1), (Operation, 1)],
    left: Left { faults: 1, ..NOTHING },
    edits: &[Edit::Suspend, Edit::Raise(11), Edit::Ceiling(11)],
    ..Scenario::QUIET
};

pub(crate) const SUSPENDED: Scenario = Scenario {
    name: "two signers, suspended beside a vote",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 1), (Operation, 2)],
    left: Left { faults: 1, ..NOTHING },
    edits: &[Edit::Suspend],
    ..Scenario::QUIET
};

pub(crate) const RESUMED: Scenario = Scenario {
    name: "suspended, and resumed",
    asks: &[(Attestation(11, 0, 'a'), 2), (Operation, 1)],
    left: Left { faults: 1, ..NOTHING },
    edits: &[Edit::Suspend, Edit::Resume],
    ..Scenario::QUIET
};

pub(crate) const DAMAGE: Scenario = Scenario {
    name: "the record is forged, loses a row, is deleted",
    asks: &[(Attestation(11, 0, 'a'), 2), (Attestation(11, 0, 'b'), 1)],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    edits: &[Edit::Forge, Edit::DeleteRow, Edit::DeleteRecord],
    ..Scenario::QUIET
};

pub(crate) const RESTORE: Scenario = Scenario {
    name: "an old copy is restored",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 1), (Attestation(11, 0, 'b'), 1)],
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
    asks: &[(Attestation(11, 0, 'a'), 1), (Attestation(11, 0, 'b'), 1)],
    left: Left { crashes: 1, ..NOTHING },
    edits: &[Edit::Create],
    ..Scenario::QUIET
};

/// The other signer's answer is not known here: any signature of the same is a second one.
pub(crate) const IMPORTED: Scenario = Scenario {
    name: "imported: a digest without a signature",
    processes: 2,
    start: Start::Imported(Attestation(11, 0, 'a')),
    asks: &[(Attestation(11, 0, 'a'), 2), (Attestation(11, 0, 'b'), 1), (Attestation(12, 0, 'a'), 1)],
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const ABSURD: Scenario = Scenario {
    name: "an absurd level",
    asks: &[(Attestation(11, 0, 'a'), 1), (Preattestation(12, 0, 'a'), 1), (Attestation(1_000_000, 0, 'a'), 1)],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const FRESH: Scenario = Scenario {
    name: "a fresh record",
    processes: 2,
    start: Start::Fresh,
    asks: &[(Attestation(5000, 0, 'a'), 2), (Attestation(5000, 0, 'b'), 1), (Preattestation(5001, 0, 'a'), 1)],
    left: Left { crashes: 1, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const HAND_OVER: Scenario = Scenario {
    name: "handed over to a second cluster",
    second_cluster: true,
    asks: &[
        (Attestation(11, 0, 'a'), 1),
        (Attestation(11, 0, 'b'), 1),
        (Attestation(12, 0, 'a'), 1),
        (Attestation(12, 0, 'b'), 1),
    ],
    left: Left { faults: 1, ..NOTHING },
    edits: &[Edit::Ceiling(11), Edit::Import],
    ..Scenario::QUIET
};

pub(crate) const CLIENTS_GO: Scenario = Scenario {
    name: "clients go away",
    asks: &[(Attestation(11, 0, 'a'), 2), (Attestation(11, 0, 'b'), 1)],
    left: Left { faults: 1, crashes: 1, disconnects: 2, ..NOTHING },
    ..Scenario::QUIET
};

pub(crate) const DEAD_CONNECTION: Scenario = Scenario {
    name: "a connection dies",
    asks: &[(Attestation(11, 0, 'a'), 2), (Attestation(12, 0, 'a'), 2)],
    left: Left { faults: 1, crashes: 1, ..NOTHING },
    connections_die: true,
    ..Scenario::QUIET
};

pub(crate) const LYING_HSM: Scenario = Scenario {
    name: "the HSM returns a wrong signature",
    asks: &[(Attestation(11, 0, 'a'), 2), (Operation, 1)],
    left: Left { faults: 1, ..NOTHING },
    hsm_lies: true,
    ..Scenario::QUIET
};

pub(crate) const EMPTY_VERSION: Scenario = Scenario {
    name: "an answer has an empty resourceVersion",
    processes: 2,
    asks: &[(Attestation(11, 0, 'a'), 1), (Attestation(11, 0, 'b'), 1)],
    left: Left { faults: 1, ..NOTHING },
    empty_versions: true,
    ..Scenario::QUIET
};
