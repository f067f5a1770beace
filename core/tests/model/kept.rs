//! With all rules on no promise is broken: in no state of any scenario.

use crate::disk::Disk;
use crate::promises::Promise;
use crate::rules::Rules;
use crate::scenarios as in_;
use crate::search::{Found, Model, search};
use crate::world::Cluster;
use std::time::Instant;

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
    kept("files on a disk", &Disk::new(Rules::ALL));
}

fn kept(name: &str, model: &impl Model) {
    let started = Instant::now();
    let Found { states, transitions, depth, counterexample } = search(model, &Promise::ALL);
    if let Some(trace) = counterexample {
        panic!("{name}:\n{trace}");
    }
    let seconds = started.elapsed().as_secs_f32();
    println!("{name:<48} {states:>8} states {transitions:>9} transitions {depth:>3} deep {seconds:>5.1} s");
}
