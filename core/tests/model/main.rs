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
//! `cargo test -p tezos-signer-core --test model -- --nocapture --test-threads 1` prints the searches and the traces.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod counterexamples;
mod disk;
mod kept;
mod promises;
mod rules;
mod scenario;
mod scenarios;
mod search;
mod signing;
mod surroundings;
mod symbols;
mod world;
