//! Completion in shells: of the program by itself, and of `kubectl tezos-signer`, for which kubectl runs `kubectl_complete-tezos_signer`.

use crate::cluster::{ConnectionArguments, Scope};
use crate::error::PluginError;
use crate::output;
use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use kube::ResourceExt;

/// The verbs whose arguments are names of TezosSigners.
const WITH_NAMES: [&str; 7] = ["status", "suspend", "resume", "watermarks", "check", "rotate", "support-bundle"];

/// What kubectl is told after the words: complete no files (as cobra's `ShellCompDirectiveNoFileComp`).
const NO_FILES: &str = ":4\n";

/// The options of `completion`.
#[derive(Args)]
pub(crate) struct CompletionArguments {
    /// The shell, or kubectl for its plugin completion.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Completed,
}

#[derive(Clone, Copy, ValueEnum)]
enum Completed {
    Bash,
    Elvish,
    Fish,
    /// The program kubectl_complete-tezos_signer.
    Kubectl,
    #[value(name = "powershell")]
    PowerShell,
    Zsh,
}

/// Prints the completion of `command` for a shell.
pub(crate) fn print(command: Command, arguments: &CompletionArguments) -> Result<(), PluginError> {
    let shell = match arguments.shell {
        Completed::Kubectl => return output::print("#!/bin/sh\nexec kubectl-tezos_signer __complete \"$@\"\n"),
        Completed::Bash => Shell::Bash,
        Completed::Elvish => Shell::Elvish,
        Completed::Fish => Shell::Fish,
        Completed::PowerShell => Shell::PowerShell,
        Completed::Zsh => Shell::Zsh,
    };
    let mut script = Vec::new();
    // The name of the program, and not the words after which kubectl runs it.
    let mut command = command.bin_name("kubectl-tezos_signer");
    clap_complete::generate(shell, &mut command, "kubectl-tezos_signer", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Prints what the last of `words` after `command` may become.
pub(crate) async fn complete(
    command: &Command,
    words: &[String],
    connection: &ConnectionArguments,
) -> Result<(), PluginError> {
    let mut found = candidates(command, words);
    let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let verb = before.iter().find(|word| !word.starts_with('-'));
    if !last.starts_with('-') && verb.is_some_and(|verb| WITH_NAMES.contains(&verb.as_str())) {
        // Without a cluster there are no names, and typing goes on.
        if let Ok(cluster) = connection.connect().await
            && let Ok(signers) =
                cluster.signers(&Scope::Namespace(namespace(words).unwrap_or(&cluster.namespace).to_owned())).await
        {
            found.extend(signers.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(last)));
        }
    }
    found.push(NO_FILES.to_owned());
    output::print(&found.join("\n"))
}

/// The value of --namespace among the words.
fn namespace(words: &[String]) -> Option<&str> {
    let after = words.iter().zip(words.iter().skip(1)).find(|(word, _)| *word == "-n" || *word == "--namespace");
    after.map(|(_, value)| value.as_str()).or_else(|| words.iter().find_map(|word| word.strip_prefix("--namespace=")))
}

/// The verbs and options that begin with the last of `words`.
fn candidates(command: &Command, words: &[String]) -> Vec<String> {
    let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let verb = before.iter().find_map(|word| command.find_subcommand(word));
    if last.starts_with('-') {
        let options = command.get_arguments().filter(|option| option.is_global_set());
        let own = verb.into_iter().flat_map(Command::get_arguments);
        let names = options.chain(own).filter_map(|option| option.get_long()).map(|name| format!("--{name}"));
        return names.chain(["--help".to_owned()]).filter(|name| name.starts_with(last)).collect();
    }
    if verb.is_some() {
        return Vec::new();
    }
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name().starts_with(last));
    verbs.map(|verb| verb.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::CommandFactory as _;

    fn of(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        candidates(&Arguments::command(), &words)
    }

    #[test]
    fn verbs_and_options_are_completed() {
        assert_eq!(of(&["su"]), ["suspend", "support-bundle"]);
        assert!(of(&[""]).contains(&"status".to_owned()) && !of(&[""]).contains(&"__complete".to_owned()));
        assert_eq!(of(&["status", "--all"]), ["--all-namespaces"]);
        assert!(of(&["suspend", "--"]).contains(&"--break-glass".to_owned()));
        assert!(of(&["status", "--n"]).contains(&"--namespace".to_owned()));
        assert!(of(&["status", ""]).is_empty());
    }
}
