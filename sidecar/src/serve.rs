//! A signing process, from its configuration to its orderly end.

use crate::audit::{AuditError, AuditLog};
use crate::custody::{Custody, LeaseTerms};
use crate::hsm::Hsm;
use crate::http::{admin, signing};
use crate::lease;
use crate::metrics::Metrics;
use crate::signer::{Key, Signer};
use crate::store::{ConfigMapStore, FileStore, Store, StoreError};
use axum::Router;
use axum::serve::ListenerExt as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::config::{SignerConfig, WatermarkConfig};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long requests of other hosts are still answered (with 502) after the leases were let go, until nobody sends any.
const LINGER: Duration = Duration::from_secs(10);

/// Why the process cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration lacks something.
    #[error("{0}")]
    Config(&'static str),
    /// A listener.
    #[error("cannot listen on {address} ({field} in the configuration): {source}")]
    Listen {
        /// The field.
        field: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The system.
    #[error("the system refused a thread or a signal handler: {0}")]
    System(#[from] std::io::Error),
    /// The metrics.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The store of the configuration, and the terms of its leases.
pub async fn open_store(config: &WatermarkConfig) -> Result<(Arc<dyn Store>, Option<Duration>), StoreError> {
    Ok(match config {
        WatermarkConfig::File(directory) => (Arc::new(FileStore::open(directory)?), None),
        WatermarkConfig::ConfigMap(config) => {
            (Arc::new(ConfigMapStore::connect(&config.namespace).await?), Some(config.lease_duration()))
        }
    })
}

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: SignerConfig) -> Result<(), ServeError> {
    let watermarks = config.watermarks.as_ref().ok_or(ServeError::Config(
        "watermarks is missing in the configuration: say where the records are (file: <directory>, or configMap: {})",
    ))?;
    if config.keys.is_empty() {
        return Err(ServeError::Config("keys is empty in the configuration: there is nothing to sign with"));
    }
    // The pod's UID: a restarted container is the same holder, a replaced pod is another.
    let identity = std::env::var("POD_UID").unwrap_or_else(|_| uuid::Uuid::new_v4().to_string());
    let (store, lease_duration) = open_store(watermarks).await?;
    let terms = lease_duration.map(|duration| LeaseTerms { identity: identity.clone(), duration });
    let keys = config.keys.iter().map(|key| {
        let custody = Custody::new(key.record_name(), store.clone(), terms.clone());
        Key::new(key.clone(), custody, config.authorized_keys_of(key).clone())
    });
    let deadline = Duration::from_millis(config.request_deadline_milliseconds.into());
    let audit = AuditLog::start(&config.audit, &identity)?;
    let hsm = Hsm::start(&config.hsm, &config.keys)?;
    let signer = Arc::new(Signer::new(keys, hsm, audit, Metrics::new()?, deadline));
    let admin = Arc::new(admin::Admin::new(signer.clone(), identity));

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = watch::channel(false);
    let listeners = [
        listen("admin", config.admin, admin::router(admin), stopped.clone()).await?,
        listen("listen", config.listen, signing::router(signer.clone()), stopped).await?,
    ];
    let leases = tokio::spawn(lease::keep(signer.clone()));
    tracing::info!(keys = config.keys.len(), "serving");

    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    tracing::info!("ending: no new signatures, letting the leases go");
    signer.close();
    let _ = leases.await;
    lease::release(&signer).await;
    // On loopback every client is a container of this pod or a process of this host: in a pod they have ended before us.
    if !config.listen.ip().is_loopback() {
        tokio::time::sleep(LINGER).await;
    }
    let _ = stop.send(true);
    for listener in listeners {
        let _ = tokio::time::timeout(Duration::from_secs(1), listener).await;
    }
    signer.audit().end(Duration::from_secs(1)).await;
    Ok(())
}

/// Serves `router` on `address` in a task of its own, until `stopped`.
async fn listen(
    field: &'static str,
    address: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> Result<tokio::task::JoinHandle<()>, ServeError> {
    let failed = |source| ServeError::Listen { field, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    // Port 0 is a free one that the system chose.
    tracing::info!(field, address = %listener.local_addr().map_err(failed)?, "listening");
    let listener = listener.tap_io(|stream| {
        // Without it an answer waits for the client's delayed acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY refused");
        }
    });
    Ok(tokio::spawn(async move {
        let stop = async move {
            // The sender lives until it has sent.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
            tracing::error!(field, %error, "a listener ended");
        }
    }))
}
