//! The port of the operator's own pod: `/healthz` while the process answers, `/readyz` once it knows all TezosSigners, `/metrics` for
//! Prometheus.

use crate::api::Guarded;
use crate::metrics::Metrics;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kube::runtime::reflector::Store;
use std::net::SocketAddr;
use tokio::sync::watch;

/// Serves the port until the process ends. `signers` are the TezosSigners that the controller knows.
pub async fn serve(
    address: SocketAddr,
    ready: watch::Receiver<bool>,
    metrics: Metrics,
    signers: Vec<Store<Guarded>>,
) -> std::io::Result<()> {
    let readyz = move || async move {
        if *ready.borrow() {
            (StatusCode::OK, "ready\n")
        } else {
            let reason = "the TezosSigners are not listed yet: is the CRD installed (helm: crds.enabled), and may the \
                          operator's ServiceAccount list them?\n";
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    };
    let scrape = move || async move { answer(metrics.text(signers.iter().flat_map(Store::state))) };
    let router = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape));
    axum::serve(tokio::net::TcpListener::bind(address).await?, router).await
}

fn answer(text: Result<String, prometheus::Error>) -> Response {
    match text {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
