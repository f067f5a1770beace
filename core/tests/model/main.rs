//! An exhaustive model of the watermark rules: whatever crashes, waits, gets lost, comes twice or too late, and whoever else
//! writes, in every order within the bounds of a scenario.
//!
//! The decision, the record and its text, keys and signatures are the real code of `core`. The signing path, the record in
//! a process's hands, the lease and both stores are modelled after `sidecar/src`. Each rule is a switch: with all of them on
//! no promise is broken in any scenario, and with one taken out there is a counterexample, so that no rule is there for
//! nothing and none is modelled in a way that cannot fail.
//!
//! Not modelled: that a standby takes over at all and when (`sidecar/tests`), the API server's own guard (`e2e`), policy and
//! authentication, which come before, and the forwarding between replicas, which gives the holder one more client.
//!
//! `cargo test -p tezos-signer-core --test model -- --nocapture --test-threads 1` prints the tables and the traces.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod counterexamples;
mod disk;
mod promises;
mod rules;
mod scenario;
mod scenarios;
mod search;
mod signing;
mod surroundings;
mod symbols;
mod world;

use disk::Disk;
use promises::Promise;
use rules::Rules;
use search::{Found, Model, search};
use std::time::Instant;
use world::Cluster;

#[test]
fn with_all_rules_no_promise_is_broken() {
    println!("{:<48} {:>8} {:>11} {:>6} {:>7}  result", "scenario", "states", "transitions", "depth", "time");
    row("files on a disk", &Disk::new(Rules::ALL));
    for scenario in scenarios::ALL {
        row(scenario.name, &Cluster::new(*scenario, Rules::ALL));
    }
}

fn row(name: &str, model: &impl Model) {
    let started = Instant::now();
    let Found { states, transitions, depth, counterexample } = search(model, &Promise::ALL);
    let result = if counterexample.is_none() { "kept" } else { "BROKEN" };
    let seconds = started.elapsed().as_secs_f32();
    println!("{name:<48} {states:>8} {transitions:>11} {depth:>6} {seconds:>5.1} s  {result}");
    if let Some(trace) = counterexample {
        panic!("{name}:\n{trace}");
    }
}
