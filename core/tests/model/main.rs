//! An exhaustive model of the watermark rules: whatever crashes, waits, gets lost, comes twice or too late, and whoever else
//! writes, in every order within the bounds of a scenario.
//!
//! The decision, the policy, the record and its text, the rules of the lease, the proofs of an audit log, exports, keys of all four
//! schemes and their signatures are the real code of `core`. The signing path, the record in a process's hands and both stores are
//! modelled after `sidecar/src`. Each rule is a switch: with all of them on no promise is broken in any scenario, and with one taken out
//! there is a counterexample, so that no rule is there for nothing and none is modelled in a way that cannot fail. What must be possible
//! is searched for as well (`possible`). The promises are checked by what clients sent and got and by the record's words (`checks`),
//! and not by what `core` decides.
//!
//! Not modelled: how long anything takes (`sidecar/tests`), the API server's own guard (`e2e`), authentication, which comes
//! before, and the forwarding between replicas, which gives the holder one more client.
//!
//! `cargo test -p tezos-signer-core --test model -- --nocapture --test-threads 1` prints the searches and the traces. With
//! `--include-ignored`, or by `make model`, those with large bounds are searched too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod admitted;
mod checks;
mod counterexamples;
mod disk;
mod kept;
mod leases;
mod possible;
mod promises;
mod released;
mod requests;
mod rules;
mod scenario;
mod scenarios;
mod search;
mod secret;
mod signing;
mod slots;
mod surroundings;
mod symbols;
mod world;
