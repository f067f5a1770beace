//! With all rules on no promise is broken: in no state of any scenario, with a key of any scheme.

use crate::disk::Disk;
use crate::promises::Promise;
use crate::requests::Request;
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::scenarios as in_;
use crate::search::{Found, Model, search};
use crate::slots::Slots;
use crate::world::Cluster;
use std::time::Instant;
use tezos_signer_core::key::Curve;

/// One test for each scenario, so that they are searched side by side.
macro_rules! kept {
    ($($(#[$attribute:meta])* $test:ident: $scenario:ident;)+) => {$(
        $(#[$attribute])*
        #[test]
        fn $test() {
            kept(in_::$scenario.name, &Cluster::new(in_::$scenario, Rules::ALL));
        }
    )+};
}

kept! {
    calm: CALM;
    rivals: RIVALS;
    faults: FAULTS;
    three: THREE;
    kinds: KINDS;
    blocks: BLOCKS;
    rounds: ROUNDS;
    tags: TAGS;
    tz4: TZ4;
    pauses: PAUSES;
    crashes: CRASHES;
    lease_faults: LEASE_FAULTS;
    three_holders: THREE_HOLDERS;
    committed_after_all: COMMITTED_AFTER_ALL;
    #[ignore = "takes minutes: make model"]
    committed_after_all_with_a_fault: COMMITTED_AFTER_ALL_WITH_A_FAULT;
    #[ignore = "takes minutes: make model"]
    blocks_with_a_fault: BLOCKS_WITH_A_FAULT;
    displaced: DISPLACED;
    operator: OPERATOR;
    suspended: SUSPENDED;
    resumed: RESUMED;
    damage: DAMAGE;
    restore: RESTORE;
    restore_logged: RESTORE_LOGGED;
    again: AGAIN;
    imported: IMPORTED;
    absurd: ABSURD;
    fresh: FRESH;
    hand_over: HAND_OVER;
    clients_go: CLIENTS_GO;
    dead_connection: DEAD_CONNECTION;
    lying_hsm: LYING_HSM;
    empty_version: EMPTY_VERSION;
}

#[test]
fn disk() {
    kept("files on a disk", &Disk::new(Rules::ALL, Curve::Secp256k1));
}

#[test]
fn slots() {
    for scheme in [Curve::Ed25519, Curve::Secp256k1, Curve::P256, Curve::Bls12381] {
        kept(&format!("{scheme}: slots on a disk"), &Slots::new(Rules::ALL, scheme));
    }
}

/// The scenarios above with a key of another scheme. The first have small bounds.
const SMALL: [Scenario; 15] = [
    in_::CALM,
    in_::RIVALS,
    in_::BLOCKS,
    in_::ROUNDS,
    in_::TAGS,
    in_::RESUMED,
    in_::DAMAGE,
    in_::RESTORE_LOGGED,
    in_::AGAIN,
    in_::IMPORTED,
    in_::ABSURD,
    in_::CLIENTS_GO,
    in_::DEAD_CONNECTION,
    in_::LYING_HSM,
    in_::EMPTY_VERSION,
];

const LARGE: [Scenario; 15] = [
    in_::FAULTS,
    in_::THREE,
    in_::KINDS,
    in_::PAUSES,
    in_::CRASHES,
    in_::LEASE_FAULTS,
    in_::THREE_HOLDERS,
    in_::COMMITTED_AFTER_ALL,
    in_::BLOCKS_WITH_A_FAULT,
    in_::DISPLACED,
    in_::OPERATOR,
    in_::SUSPENDED,
    in_::RESTORE,
    in_::FRESH,
    in_::HAND_OVER,
];

fn kept_by(scheme: Curve, scenarios: &[Scenario]) {
    // Votes of tz4 keys have no DAL part.
    let has_dal = |scenario: &Scenario| {
        scenario.asks.iter().any(|(request, _)| matches!(request, Request::AttestationWithDal(..)))
    };
    for scenario in scenarios.iter().filter(|scenario| scheme != Curve::Bls12381 || !has_dal(scenario)) {
        kept(&format!("{scheme}: {}", scenario.name), &Cluster::new(scenario.of(scheme), Rules::ALL));
    }
}

/// Two tests for each of the other schemes.
macro_rules! kept_by {
    ($($small:ident, $large:ident: $scheme:ident;)+) => {$(
        #[test]
        fn $small() {
            kept_by(Curve::$scheme, &SMALL);
        }

        #[test]
        #[ignore = "takes minutes: make model"]
        fn $large() {
            kept_by(Curve::$scheme, &LARGE);
            kept(&format!("{}: files on a disk", Curve::$scheme), &Disk::new(Rules::ALL, Curve::$scheme));
        }
    )+};
}

kept_by! {
    small_of_ed25519, large_of_ed25519: Ed25519;
    small_of_p256, large_of_p256: P256;
    small_of_bls12_381, large_of_bls12_381: Bls12381;
}

fn kept(name: &str, model: &impl Model) {
    let started = Instant::now();
    let Found { states, transitions, depth, counterexample } = search(model, &Promise::ALL);
    if let Some(trace) = counterexample {
        panic!("{name}:\n{trace}");
    }
    let seconds = started.elapsed().as_secs_f32();
    println!("{name:<60} {states:>8} states {transitions:>9} transitions {depth:>3} deep {seconds:>5.1} s");
}
