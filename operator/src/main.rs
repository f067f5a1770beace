//! `tezos-signer-operator`: the command line around the library.

use clap::{Parser, Subcommand};
use futures::future::try_join_all;
use kube::runtime::reflector::Store;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use tezos_signer_operator::controller::scope::{Namespace, Scope};
use tezos_signer_operator::metrics::Metrics;
use tezos_signer_operator::{api, controller, health, uninstall};
use tokio::sync::watch;

/// Runs Tezos signers, with keys in an HSM, beside bakers on Kubernetes.
#[derive(Parser)]
#[command(name = "tezos-signer-operator", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watches TezosSigners and makes them true, until SIGTERM.
    #[command(after_help = "Example:\n  tezos-signer-operator run --signer-image registry.example/tezos-signer:0.1.0")]
    Run {
        /// The image of signers whose TezosSigner does not name one.
        #[arg(long, env = "SIGNER_IMAGE")]
        signer_image: String,
        /// Where the operator's own probes are answered, and its metrics.
        #[arg(long, default_value = "[::]:8080")]
        health_address: SocketAddr,
        /// Watches TezosSigners in this namespace and in no other; several: given several times, or with commas between.
        /// Without it: in every namespace.
        #[arg(long = "namespace", env = "WATCH_NAMESPACES", value_delimiter = ',')]
        namespaces: Vec<Namespace>,
    },
    /// Fails while there are TezosSigners: what the chart asks before it is uninstalled.
    #[command(after_help = "Example:\n  tezos-signer-operator check-uninstall --namespace bakers")]
    CheckUninstall {
        /// As for `run`.
        #[arg(long = "namespace", env = "WATCH_NAMESPACES", value_delimiter = ',')]
        namespaces: Vec<Namespace>,
    },
    /// Prints the definition of the TezosSigner (CRD).
    #[command(after_help = "Example:\n  tezos-signer-operator crd | kubectl apply -f -")]
    Crd {
        /// As a template of the Helm chart.
        #[arg(long)]
        helm: bool,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Crd { helm } => print_crd(helm),
        Command::CheckUninstall { namespaces } => check_uninstall(&Scope::all(namespaces)),
        Command::Run { signer_image, health_address, namespaces } => {
            run(signer_image, health_address, &Scope::all(namespaces))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tezos-signer-operator: {error}");
            ExitCode::FAILURE
        }
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn print_crd(helm: bool) -> Result<(), AnyError> {
    print!("{}", if helm { api::helm_template()? } else { api::crd_yaml()? });
    Ok(())
}

#[tokio::main]
async fn check_uninstall(scopes: &BTreeSet<Scope>) -> Result<(), AnyError> {
    Ok(uninstall::check(&kube::Client::try_default().await?, scopes).await?)
}

#[tokio::main]
async fn run(signer_image: String, health_address: SocketAddr, scopes: &BTreeSet<Scope>) -> Result<(), AnyError> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false).with_env_filter(filter).init();

    let mut config = kube::Config::infer().await?;
    // Every error goes to the TezosSigner that it is about, which has a back-off of its own.
    config.default_retry = false;
    let client = kube::Client::try_from(config)?;
    let version = client.apiserver_version().await?;
    let watching: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    tracing::info!(kubernetes = version.git_version, signer_image, watching = watching.join(","), "starting");

    let http = controller::observe::http_client()?;
    let metrics = Metrics::new()?;
    let (stores, controller) = controller::run(&client, http, signer_image, metrics.clone(), scopes);
    let known = stores.clone();
    let (ready, readiness) = watch::channel(false);
    let listed = async move {
        // An error means that the controller has ended.
        if try_join_all(stores.iter().map(Store::wait_until_ready)).await.is_ok() {
            ready.send_replace(true);
            tracing::info!(signers = stores.iter().map(Store::len).sum::<usize>(), "ready");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = controller => tracing::info!("stopped"),
        served = health::serve(health_address, readiness, metrics, known) => served?,
        () = listed => {}
    }
    Ok(())
}
