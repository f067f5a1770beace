//! `support-bundle`: a tar file with what a maintainer needs. Secrets are never read, and what may be one in what is read is taken out.

mod archive;
mod collect;
mod redact;

use crate::cluster::Cluster;
use crate::error::PluginError;
use crate::output::{self, Output};
use crate::status;
use archive::Archive;
use clap::Args;
use collect::Collector;
use jiff::Timestamp;
use std::path::PathBuf;

/// The options of `support-bundle`.
#[derive(Args)]
pub(crate) struct BundleArguments {
    /// The names of TezosSigners. Default: all of the namespace.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The TezosSigners of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["names", "namespace"])]
    all_namespaces: bool,
    /// The file to write. Default: tezos-signer-support-TIME.tar in the current directory.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The number of lines of each log.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(i64).range(1..), value_name = "LINES")]
    lines: i64,
}

/// Writes the bundle.
pub(crate) async fn run(cluster: &Cluster, arguments: &BundleArguments, output: Output) -> Result<(), PluginError> {
    let scope = status::scope(cluster, &arguments.names, arguments.all_namespaces);
    let signers = cluster.signers(&scope).await?;
    let now = Timestamp::now();
    let name = now.strftime("tezos-signer-support-%Y%m%d-%H%M%S").to_string();
    let path = arguments.file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar")));
    let mut collector = Collector::new(cluster, arguments.lines);
    collector.collect(&signers).await;
    let archive: Archive = collector.finish(now);
    let report = archive.write(&path, &name).map_err(|source| PluginError::Write { path: path.clone(), source })?;
    match output {
        Output::Json => output::print_json(&report),
        Output::Table => output::print(&report.to_string()),
    }
}
