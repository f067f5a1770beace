//! The command line of `tezos-signer`. What the commands do is in `command/`.

mod command;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run(command::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tezos-signer: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}
