//! The command line of the plugin.

use crate::cluster::ConnectionArguments;
use crate::error::PluginError;
use crate::output::Output;
use crate::{bundle, check, completion, explain, rotate, sidecar, status, suspend, watermarks};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;

/// The state of TezosSigners for people, and the verbs of an emergency. It has the rights of its caller, and no others.
#[derive(Parser)]
#[command(
    name = "kubectl-tezos_signer",
    bin_name = "kubectl tezos-signer",
    version,
    max_term_width = 120,
    after_help = "\
Examples:
  kubectl tezos-signer status --all-namespaces --watch
  kubectl tezos-signer suspend baker-one
  kubectl tezos-signer watermarks --namespace bakers
  kubectl tezos-signer explain 117a06a770… baker-one
  kubectl tezos-signer rotate baker-one --baker tz1…
  kubectl tezos-signer support-bundle --namespace bakers

Exit status: 0 if the command did what it says; 1 if not, with the reason on standard error."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args)]
struct OutputArguments {
    /// The output format.
    #[arg(short, long, value_enum, global = true, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
}

#[derive(Subcommand)]
enum Command {
    /// Show one line for each key: whether it signs, who holds it, its last block and vote, and why it does not sign.
    #[command(after_help = "\
Examples:
  kubectl tezos-signer status
  kubectl tezos-signer status --all-namespaces --watch
  kubectl tezos-signer status baker-one --node-endpoint http://127.0.0.1:8732 --output json

BEHIND is the number of levels from the last signature to the head of the chain, SIGNED the age of the last signature. >N: nothing was signed yet, and
nothing at or below level N will be.")]
    Status(status::StatusArguments),
    /// Stop all keys of TezosSigners: nothing is signed from then on.
    #[command(after_help = "\
Examples:
  kubectl tezos-signer suspend baker-one
  kubectl tezos-signer suspend --all --namespace bakers
  kubectl tezos-signer suspend baker-one --break-glass       while the operator is away

It sets spec.suspend, and waits until the operator has written it to the watermark records.")]
    Suspend(suspend::SuspendArguments),
    /// Let the keys of suspended TezosSigners sign again.
    #[command(after_help = "\
Examples:
  kubectl tezos-signer resume baker-one
  kubectl tezos-signer resume baker-one --break-glass        also a record that somebody has suspended by hand

It removes spec.suspend, and waits until the operator has lifted it in the watermark records.")]
    Resume(suspend::SuspendArguments),
    /// Show the watermark records: at or below which level nothing is signed.
    #[command(after_help = "\
Examples:
  kubectl tezos-signer watermarks
  kubectl tezos-signer watermarks baker-one --output json
  kubectl tezos-signer watermarks --all-namespaces --as \"$USER\" --as-group tezos-signer:break-glass

Without the right to read the records, the rows are those that the signers or the operator report: SOURCE says which.")]
    Watermarks(watermarks::WatermarksArguments),
    /// Have the signers check everything that signing needs: token, keys, records, time to sign.
    #[command(after_help = "\
Example:
  kubectl tezos-signer check baker-one

It runs tezos-signer check in the signer's container, which needs the right to exec.")]
    Check(check::CheckArguments),
    /// Decode a payload, and show what the keys would answer, and why. Nothing is signed.
    #[command(after_help = "\
Examples:
  kubectl tezos-signer explain 117a06a770…                   what it is; asks no cluster
  kubectl tezos-signer explain 117a06a770… baker-one         and what its keys would answer
  kubectl tezos-signer explain 037a06a7… baker-one --key tz3… --output json

The answer follows the configuration that the pod runs with, and the watermark record. Authentication, HSM and lease are not checked.")]
    Explain(explain::ExplainArguments),
    /// Lead through a change of a baker's consensus key: what is done, what is next, and when the old key may go.
    #[command(after_help = "\
Examples:
  kubectl tezos-signer rotate baker-one --baker tz1…
  kubectl tezos-signer rotate baker-one --baker tz1… --new-key p2pk…
  kubectl tezos-signer rotate baker-one --baker tz1… --node-endpoint http://127.0.0.1:8732

It changes nothing. Run it again after each step: it reads from chain and cluster how far the change is.")]
    Rotate(rotate::RotateArguments),
    /// Print the sidecar of a TezosSigner with spec.inject, for a pod template on a cluster that does not add it by itself.
    #[command(after_help = "\
Examples:
  kubectl tezos-signer sidecar baker-one
  kubectl tezos-signer sidecar baker-one --patch StatefulSet/tezos-baking-node > sidecar.yaml

Since Kubernetes 1.36 the label signer.tezos.io/inject alone is enough. After each change of the TezosSigner, print it again.")]
    Sidecar(sidecar::SidecarArguments),
    /// Write a tar file with what a maintainer needs: resources, conditions, events, logs, metrics, the end of the audit log. No Secret is read.
    #[command(after_help = "\
Examples:
  kubectl tezos-signer support-bundle --namespace bakers
  kubectl tezos-signer support-bundle baker-one --file bundle.tar

The file contents.json in it lists what could not be read, and the right that is missing.")]
    SupportBundle(bundle::BundleArguments),
    /// Print what completes commands in a shell.
    #[command(after_help = "\
Examples:
  kubectl-tezos_signer completion bash > /etc/bash_completion.d/kubectl-tezos_signer
  kubectl tezos-signer completion kubectl > ~/.local/bin/kubectl_complete-tezos_signer && chmod +x ~/.local/bin/kubectl_complete-tezos_signer

kubectl itself completes «kubectl tezos-signer» by the second one, which must be in PATH.")]
    Completion(completion::CompletionArguments),
    /// What kubectl asks for while somebody types.
    #[command(name = "__complete", hide = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Runs one command to its end.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, PluginError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(PluginError::Runtime)?.block_on(run_command(arguments))
}

async fn run_command(Arguments { command, connection, output }: Arguments) -> Result<ExitCode, PluginError> {
    let output = output.output;
    match command {
        Command::Status(arguments) => status::run(&connection.connect().await?, &arguments, output).await?,
        Command::Suspend(arguments) => suspend::run(&connection, &arguments, true, output).await?,
        Command::Resume(arguments) => suspend::run(&connection, &arguments, false, output).await?,
        Command::Watermarks(arguments) => {
            Box::pin(watermarks::run(&connection.connect().await?, &arguments, output)).await?;
        }
        Command::Check(arguments) => check::run(&connection.connect().await?, &arguments, output).await?,
        Command::Explain(arguments) => explain::run(&connection, &arguments, output).await?,
        Command::Rotate(arguments) => rotate::run(&connection.connect().await?, &arguments, output).await?,
        Command::Sidecar(arguments) => sidecar::run(&connection.connect().await?, &arguments, output).await?,
        Command::SupportBundle(arguments) => bundle::run(&connection.connect().await?, &arguments, output).await?,
        Command::Completion(arguments) => completion::print(Arguments::command(), &arguments)?,
        Command::Complete { words } => completion::complete(&Arguments::command(), &words, &connection).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_each_verb_has_an_example() {
        Arguments::command().debug_assert();
        for verb in Arguments::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{}", verb.get_name());
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
        }
    }

    #[test]
    fn the_options_of_kubectl_are_understood() {
        for line in [
            "x status -A -w -o json",
            "x -n bakers --context c status a b",
            "x suspend a --as me --as-group tezos-signer:break-glass",
            "x rotate a --baker tz1burnburnburnburnburnburnburjAYjjX",
        ] {
            Arguments::try_parse_from(line.split(' ')).map_err(|error| format!("{line}: {error}")).map(drop).unwrap();
        }
        for line in ["x suspend", "x status -A a", "x suspend a --all", "x explain"] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
