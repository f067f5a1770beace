//! The probes of the operator's own pod: `/healthz` while the process answers, `/readyz` once it knows all TezosSigners.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use std::net::SocketAddr;
use tokio::sync::watch;

/// Serves the probes until the process ends.
pub async fn serve(address: SocketAddr, ready: watch::Receiver<bool>) -> std::io::Result<()> {
    let readyz = move || async move {
        if *ready.borrow() {
            (StatusCode::OK, "ready\n")
        } else {
            let reason = "the TezosSigners are not listed yet: is the CRD installed (helm: crds.enabled), and may the \
                          operator's ServiceAccount list them?\n";
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    };
    let router = Router::new().route("/healthz", get(async || "alive\n")).route("/readyz", get(readyz));
    axum::serve(tokio::net::TcpListener::bind(address).await?, router).await
}
