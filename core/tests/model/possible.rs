//! What must be possible: a model in which nothing was ever signed would keep every promise.

use crate::requests::Request::{self, Attestation, AttestationWithDal, Block, Operation, Preattestation};
use crate::rules::Rules;
use crate::scenario::{Edit, Scenario};
use crate::scenarios as in_;
use crate::search::reaches;
use crate::world::{Cluster, World};
use tezos_signer_core::key::Curve;

/// Whether clients can get signatures of all of `requests` in one run, each from the cluster that stands beside it.
fn can_sign(scenario: Scenario, requests: &[(Request, usize)]) -> bool {
    reaches(&Cluster::new(scenario, Rules::ALL), |world| {
        let has = |(request, cluster): &(Request, usize)| {
            world.released.iter().any(|(signature, from)| (signature.request, *from) == (*request, *cluster))
        };
        requests.iter().all(has)
    })
}

#[test]
fn every_kind_is_signed_and_each_higher_round() {
    assert!(can_sign(
        in_::KINDS,
        &[(Attestation(11, 0, 'a'), 0), (Block(12, 1, 'a'), 0), (Preattestation(12, 0, 'a'), 0)]
    ));
    assert!(can_sign(in_::BLOCKS, &[(Block(11, 0, 'a'), 0), (Block(11, 1, 'b'), 0)]));
    assert!(can_sign(in_::ROUNDS, &[(Attestation(11, 0, 'a'), 0), (Attestation(11, 1, 'b'), 0)]));
    assert!(can_sign(in_::TAGS, &[(AttestationWithDal(11, 0, 'a'), 0)]));
    let operation_is_committed = |world: &World| world.asks.last() == Some(&0) && world.processes[0].task.is_none();
    assert_eq!(in_::OPERATOR.asks.last(), Some(&(Operation, 1)));
    assert!(reaches(&Cluster::new(in_::OPERATOR, Rules::ALL), operation_is_committed));
}

#[test]
fn a_key_of_each_scheme_signs() {
    for scheme in Curve::ALL {
        let votes = [(Preattestation(11, 1, 'a'), 0), (Attestation(11, 0, 'a'), 0), (Attestation(11, 1, 'b'), 0)];
        assert!(can_sign(in_::ROUNDS.of(scheme), &votes), "{scheme}");
        assert!(can_sign(in_::BLOCKS.of(scheme), &[(Block(11, 0, 'a'), 0), (Block(11, 1, 'b'), 0)]), "{scheme}");
    }
}

/// After the hand-over the destination signs above the ceiling, and the source signs up to it and nothing above.
#[test]
fn after_a_hand_over_the_destination_signs_above_the_ceiling_and_the_source_does_not() {
    let (at, above, another_above) = (Attestation(11, 0, 'a'), Attestation(12, 0, 'a'), Attestation(12, 0, 'b'));
    assert!(can_sign(in_::HAND_OVER, &[(at, 0), (above, 1)]));
    assert!(can_sign(in_::HAND_OVER, &[(another_above, 1)]));
    assert!(!can_sign(in_::HAND_OVER, &[(at, 1)]));
    assert!(!can_sign(in_::HAND_OVER, &[(above, 0), (above, 1)]));
    assert!(!can_sign(in_::HAND_OVER, &[(another_above, 0), (above, 1)]));
}

#[test]
fn a_standby_takes_over_and_signs() {
    let taken_over = |world: &World| world.stores[0].is_some_and(|object| object.holder == Some(1));
    assert!(reaches(&Cluster::new(in_::PAUSES, Rules::ALL), |world| taken_over(world) && world.released.len() == 1));
    let named = |world: &World| taken_over(world) && world.edits.is_empty() && world.processes[0].task.is_none();
    assert_eq!(in_::DISPLACED.edits, [Edit::Name]);
    assert!(reaches(&Cluster::new(in_::DISPLACED, Rules::ALL), named));
}

/// Who suspends a key stops it, and who resumes it lets it sign again.
#[test]
fn a_resumed_key_signs() {
    let resumed = |world: &World| world.edits.is_empty() && world.released.len() == 1 && world.committed.len() == 1;
    assert!(reaches(&Cluster::new(in_::RESUMED, Rules::ALL), resumed));
}
