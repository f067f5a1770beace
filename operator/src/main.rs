//! `tezos-signer-operator`: the command line around the library.

use clap::{Parser, Subcommand};
use futures::future::try_join_all;
use kube::runtime::reflector::Store;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tezos_signer_operator::metrics::Metrics;
use tezos_signer_operator::scope::{Namespace, Scope};
use tezos_signer_operator::{api, client, controller, health, http, uninstall};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Kubernetes operator that runs remote signers for Tezos bakers, with keys in an HSM.
#[derive(Parser)]
#[command(
    name = "tezos-signer-operator",
    version,
    about,
    max_term_width = 120,
    after_help = "\
Examples:
  tezos-signer-operator crd | kubectl apply -f -
  tezos-signer-operator run --signer-image registry.example/tezos-signer:0.2.1
  tezos-signer-operator run --signer-image registry.example/tezos-signer:0.2.1 --namespace bakers --namespace bakers-two"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reconcile TezosSigners until SIGTERM.
    #[command(after_help = "Example:\n  tezos-signer-operator run --signer-image registry.example/tezos-signer:0.2.1")]
    Run {
        /// The signer's image for TezosSigners without spec.image.
        #[arg(long, env = "SIGNER_IMAGE")]
        signer_image: String,
        /// The address of the operator's probes and metrics.
        #[arg(long, default_value = "[::]:8080")]
        health_address: SocketAddr,
        /// The namespace to watch. May be repeated, or contain several namespaces separated by commas. Default: all namespaces.
        #[arg(long = "namespace", env = "WATCH_NAMESPACES", value_delimiter = ',')]
        namespaces: Vec<Namespace>,
    },
    /// Fail while TezosSigners exist. The chart runs this before it is uninstalled.
    #[command(after_help = "Example:\n  tezos-signer-operator check-uninstall --namespace bakers")]
    CheckUninstall {
        /// The namespace to check, as for `run`. Default: all namespaces.
        #[arg(long = "namespace", env = "WATCH_NAMESPACES", value_delimiter = ',')]
        namespaces: Vec<Namespace>,
    },
    /// Print the CRDs: of the TezosSigner, and of the TezosSignerSidecar, which the operator writes for spec.inject.
    #[command(after_help = "Example:\n  tezos-signer-operator crd | kubectl apply -f -")]
    Crd {
        /// The only CRD to print.
        #[arg(value_name = "RESOURCE", conflicts_with = "helm")]
        resource: Option<api::Definition>,
        /// Print them as a template of the Helm chart.
        #[arg(long)]
        helm: bool,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Crd { resource, helm } => print_crd(resource, helm),
        Command::CheckUninstall { namespaces } => check_uninstall(&Scope::all(namespaces)),
        Command::Run { signer_image, health_address, namespaces } => {
            run(&signer_image, health_address, &Scope::all(namespaces))
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

fn print_crd(resource: Option<api::Definition>, helm: bool) -> Result<(), AnyError> {
    let resources = resource.map_or(api::Definition::ALL.to_vec(), |resource| vec![resource]);
    print!("{}", if helm { api::helm_template()? } else { api::crd_yaml(&resources)? });
    Ok(())
}

#[tokio::main]
async fn check_uninstall(scopes: &BTreeSet<Scope>) -> Result<(), AnyError> {
    Ok(uninstall::check(&client::client().await?, scopes).await?)
}

#[tokio::main]
async fn run(signer_image: &str, health_address: SocketAddr, scopes: &BTreeSet<Scope>) -> Result<(), AnyError> {
    let levels =
        std::env::var("RUST_LOG").ok().filter(|levels| !levels.is_empty()).unwrap_or_else(|| "info".to_owned());
    // The first directives, so that RUST_LOG can override them. watch::events logs failing watches, once a minute and not twice a second.
    // kube's client logs each answer of 5xx without its words, among them the refusal of a mistyped field. Status and events have the words.
    let quiet = "kube_runtime::watcher=error,kube_client::client::builder=off";
    let filter: Targets = format!("{quiet},{levels}").parse()?;
    let log = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
    tracing_subscriber::registry().with(filter).with(log).init();

    let client = client::client().await?;
    let watching: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), signer_image, watching = watching.join(","), "starting");

    let (http, metrics) = (http::http_client()?, Metrics::new()?);
    let (stop, stopping) = watch::channel(false);
    let (stores, controller) = controller::run(&client, &http, signer_image, &metrics, scopes, &stopping);
    let (ready, readiness) = watch::channel(false);
    let known = stores.clone();
    let listed = async {
        // An error means that the controller has ended.
        if try_join_all(stores.iter().map(Store::wait_until_ready)).await.is_ok() {
            ready.send_replace(true);
            tracing::info!(signers = stores.iter().map(Store::len).sum::<usize>(), "ready");
        }
        std::future::pending::<()>().await;
    };
    let ended = async {
        termination().await?;
        stop.send_replace(true);
        // An operator that could not list TezosSigners has no reconcile to wait for.
        if *readiness.borrow() {
            tokio::time::sleep(LAST_RECONCILES).await;
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        () = controller => {}
        ended = ended => ended?,
        served = health::serve(health_address, readiness.clone(), metrics, known) => served?,
        () = listed => {}
    }
    tracing::info!("stopped");
    Ok(())
}

/// How long the reconciles that have begun may take when the process is to end. Each may be cut off anywhere: the next operator
/// reconciles everything.
const LAST_RECONCILES: Duration = Duration::from_secs(5);

/// Waits for SIGTERM or SIGINT.
async fn termination() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
