//! `tezos-signer-operator`: the command line around the library.

use clap::{Parser, Subcommand};
use futures::future::try_join_all;
use kube::runtime::reflector::Store;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tezos_signer_operator::controller::scope::{Namespace, Scope};
use tezos_signer_operator::metrics::Metrics;
use tezos_signer_operator::{api, controller, health, uninstall};
use tokio::signal::unix::{SignalKind, signal};
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

fn print_crd(helm: bool) -> Result<(), AnyError> {
    print!("{}", if helm { api::helm_template()? } else { api::crd_yaml()? });
    Ok(())
}

#[tokio::main]
async fn check_uninstall(scopes: &BTreeSet<Scope>) -> Result<(), AnyError> {
    Ok(uninstall::check(&kube::Client::try_default().await?, scopes).await?)
}

#[tokio::main]
async fn run(signer_image: &str, health_address: SocketAddr, scopes: &BTreeSet<Scope>) -> Result<(), AnyError> {
    let levels =
        std::env::var("RUST_LOG").ok().filter(|levels| !levels.is_empty()).unwrap_or_else(|| "info".to_owned());
    // First, so that whoever names it is heard. What cannot be watched is said by the controller, once and not twice a second.
    let filter = tracing_subscriber::EnvFilter::try_new(format!("kube_runtime::watcher=error,{levels}"))?;
    tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false).with_env_filter(filter).init();

    let mut config = kube::Config::infer().await?;
    // Every error goes to the TezosSigner that it is about, which has a back-off of its own.
    config.default_retry = false;
    let client = kube::Client::try_from(config)?;
    let watching: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), signer_image, watching = watching.join(","), "starting");

    let (http, metrics) = (controller::observe::http_client()?, Metrics::new()?);
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
        // What has not begun has nothing to end: an operator that cannot list TezosSigners.
        if *readiness.borrow() {
            tokio::time::sleep(LAST_LOOKS).await;
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

/// How long the looks that have begun may take when the process is to end. Each may be cut off anywhere: the next operator looks
/// at everything.
const LAST_LOOKS: Duration = Duration::from_secs(5);

/// Waits until somebody wants the process to end.
async fn termination() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
