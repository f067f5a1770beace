//! `status`: one line for each key. What the signers say now comes first, then their logs, then what the operator has reported.

mod live;
mod screen;
mod view;

pub(crate) use live::{audit_lines, chain_id, identity, look, node, runs_signer};
pub(crate) use view::SignerView as Shown;
#[cfg(test)]
pub(crate) use view::tests::example_signer;

use crate::cluster::{Cluster, Scope};
use crate::error::PluginError;
use crate::output::{self, Output};
use clap::Args;
use futures::future::join_all;
use jiff::Timestamp;
use std::io::IsTerminal as _;
use std::time::Duration;
use tezos_signer_operator::api::TezosSigner;
use view::SignerView;

/// The options of `status`.
#[derive(Args)]
pub(crate) struct StatusArguments {
    /// The names of TezosSigners. Default: all of the namespace.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show the TezosSigners of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["names", "namespace"])]
    all_namespaces: bool,
    /// Show the status again and again, until it is interrupted.
    #[arg(short, long)]
    watch: bool,
    /// With --watch: the number of seconds between two looks.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..), value_name = "SECONDS")]
    interval: u64,
    /// The Octez node whose head is compared, as it is reached from here: http://HOST:PORT. Default: the node of each TezosSigner, through the
    /// cluster.
    #[arg(long, value_name = "URL")]
    node_endpoint: Option<String>,
    /// Do not cut lines to the width of the screen.
    #[arg(long)]
    full: bool,
}

/// Prints the status, once or again and again.
pub(crate) async fn run(cluster: &Cluster, arguments: &StatusArguments, output: Output) -> Result<(), PluginError> {
    let scope = scope(cluster, &arguments.names, arguments.all_namespaces);
    let node = arguments.node_endpoint.as_deref();
    let is_screen = std::io::stdout().is_terminal();
    loop {
        match views(cluster, &scope, node).await {
            Ok(views) => show(&views, &scope, arguments, output, is_screen)?,
            // A watch survives an API server that is away for a while, but not a right that is missing.
            Err(error @ (PluginError::Request { .. } | PluginError::Timeout { .. })) if arguments.watch => {
                eprintln!("kubectl tezos-signer: {error}");
            }
            Err(error) => return Err(error),
        }
        if !arguments.watch {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(arguments.interval)).await;
    }
}

fn show(
    views: &[SignerView],
    scope: &Scope,
    arguments: &StatusArguments,
    output: Output,
    is_screen: bool,
) -> Result<(), PluginError> {
    if output == Output::Json {
        // While it watches, one line for each look.
        let text = if arguments.watch { serde_json::to_string(views)? } else { serde_json::to_string_pretty(views)? };
        return output::print(&(text + "\n"));
    }
    let width = if arguments.full { None } else { output::screen_width() };
    let mut text = screen::draw(views, matches!(scope, Scope::Everywhere), width, Timestamp::now());
    if arguments.watch {
        // Home, and what was on the screen is cleared.
        text = if is_screen { format!("\u{1b}[H\u{1b}[2J{text}") } else { text + "\n" };
    }
    output::print(&text)
}

/// The TezosSigners that the arguments of a command mean.
pub(crate) fn scope(cluster: &Cluster, names: &[String], everywhere: bool) -> Scope {
    match (everywhere, names) {
        (true, _) => Scope::Everywhere,
        (false, []) => Scope::Namespace(cluster.namespace.clone()),
        (false, names) => Scope::Named(cluster.namespace.clone(), names.to_vec()),
    }
}

async fn views(cluster: &Cluster, scope: &Scope, node: Option<&str>) -> Result<Vec<SignerView>, PluginError> {
    let signers = cluster.signers(scope).await?;
    let views = signers.iter().map(async |signer| match &signer.0 {
        Ok(signer) => view::of_signer(signer, &look(cluster, signer, node).await, Timestamp::now()),
        Err(invalid) => view::of_unreadable(&invalid.metadata, &invalid.error),
    });
    Ok(join_all(views).await)
}

/// What `status` shows of `signer`, without the head of the chain.
pub(crate) async fn shown(cluster: &Cluster, signer: &TezosSigner) -> SignerView {
    view::of_signer(signer, &live::look_without_node(cluster, signer).await, Timestamp::now())
}
