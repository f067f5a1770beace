//! `tezos-signer-operator`: the command line around the library.

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::process::ExitCode;
use tezos_signer_operator::{api, controller, health};
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
        /// Where the operator's own probes are answered.
        #[arg(long, default_value = "[::]:8080")]
        health_address: SocketAddr,
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
        Command::Run { signer_image, health_address } => run(signer_image, health_address),
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
async fn run(signer_image: String, health_address: SocketAddr) -> Result<(), AnyError> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false).with_env_filter(filter).init();

    let mut config = kube::Config::infer().await?;
    // Every error goes to the TezosSigner that it is about, which has a back-off of its own.
    config.default_retry = false;
    let client = kube::Client::try_from(config)?;
    let version = client.apiserver_version().await?;
    tracing::info!(kubernetes = version.git_version, signer_image, "starting");

    let (store, controller) = controller::run(client, controller::observe::http_client()?, signer_image);
    let (ready, readiness) = watch::channel(false);
    let listed = async move {
        // An error means that the controller has ended.
        if store.wait_until_ready().await.is_ok() {
            ready.send_replace(true);
            tracing::info!(signers = store.len(), "ready");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = controller => tracing::info!("stopped"),
        served = health::serve(health_address, readiness) => served?,
        () = listed => {}
    }
    Ok(())
}
