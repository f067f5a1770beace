//! `kubectl tezos-signer`: a person's view of many TezosSigners, and the verbs of an emergency. It has no rights but those of its caller.
//!
//! * [`arguments`] is the command line, and [`completion`] completes it.
//! * [`cluster`] asks the API server, with one sentence for each right that the caller lacks; [`http`] and [`node`] ask signers and Octez nodes.
//! * [`status`], [`suspend`], [`watermarks`], [`check`], [`explain`], [`rotate`], [`sidecar`] and [`bundle`] are the verbs, one each.
//! * [`output`] prints tables and JSON.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arguments;
mod bundle;
mod check;
mod cluster;
mod completion;
mod error;
mod explain;
mod http;
mod node;
mod output;
mod rotate;
mod sidecar;
mod status;
mod suspend;
mod user_agent;
mod watermarks;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match arguments::run(arguments::Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kubectl tezos-signer: {error}");
            ExitCode::FAILURE
        }
    }
}
