//! A signing process, from its configuration to its orderly end.

use crate::audit::{AuditError, AuditLog, tail};
use crate::custody::LeaseTerms;
use crate::ending;
use crate::files::{self, Exposure};
use crate::hsm::{Hsm, HsmMetrics};
use crate::http::fault::{Fault, FaultObserver};
use crate::http::listener::{Listener, Service, UnixSocketError};
use crate::http::port_metrics::{ConnectionMetrics, TlsMetrics};
use crate::http::slots::Slots;
use crate::http::tls::{Tls, TlsError};
use crate::http::{admin, port};
use crate::lease;
use crate::metrics::Metrics;
use crate::node;
use crate::peer::{self, Peers};
use crate::records::Records;
use crate::reload::Reload;
use crate::service_manager;
use crate::signer::Signer;
use crate::store::{ConfigMapStore, FileStore, Store, StoreError};
use axum::Router;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::audit::Outcome;
use tezos_signer_core::config::{SignerConfig, WatermarkConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests of other hosts are still answered after the leases were let go, forwarded or with 502, until nobody sends any.
const LINGER: Duration = Duration::from_secs(10);

/// How long letting the leases go may take before a process ends that nobody asks any more.
const RELEASE: Duration = Duration::from_secs(2);

/// What the names of the signing port's metrics begin with.
const PREFIX: &str = "tezos_signer";

/// What the names of the peer port's metrics begin with.
const PEER_PREFIX: &str = "tezos_signer_peer";

/// How many connections the admin port keeps open: the kubelet, Prometheus and the operator have a few.
const ADMIN_CONNECTIONS: u16 = 64;

/// How long each thing that ends may take to do so.
const HURRY: Duration = Duration::from_secs(1);

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
    /// The Unix socket.
    #[error(transparent)]
    UnixSocket(#[from] UnixSocketError),
    /// The certificates.
    #[error("the configuration's TLS files cannot be used: {0}")]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A file is open to others who could sign past the watermarks by it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Exposed(Vec<Exposure>),
    /// The HSM cannot be used, and nothing helps that this process could do.
    #[error("{0}; ending, a new process may reach the HSM")]
    HsmGivenUp(String),
    /// The system.
    #[error("the system refused a thread or a signal handler: {0}")]
    System(#[from] std::io::Error),
    /// The metrics.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl ServeError {
    /// The status that the process ends with: what a supervisor sees.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::HsmGivenUp(_) => ending::TRY_AGAIN,
            _ => 1,
        }
    }
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

/// Serves until SIGTERM or SIGINT by `config`, which was read from `path`, and is read again there at SIGHUP.
pub async fn serve(config: SignerConfig, path: PathBuf) -> Result<(), ServeError> {
    let watermarks = config.watermarks.as_ref().ok_or(ServeError::Config(
        "watermarks is missing in the configuration: say where the records are (file: <directory>, or configMap: {})",
    ))?;
    if config.keys.is_empty() {
        return Err(ServeError::Config("keys is empty in the configuration: there is nothing to sign with"));
    }
    refuse_exposed(&config, &path)?;
    raise_file_limit();
    let metrics = Metrics::new()?;
    let tls = match &config.tls {
        Some(tls) => Some(Arc::new(Tls::load(tls, TlsMetrics::register(metrics.registry(), PREFIX)?)?)),
        None => None,
    };
    let peers = listen_to_peers(&config, &metrics).await?;
    // The pod's UID, or the host's name: a restarted container is the same holder, a replaced pod is another.
    let named = std::env::var("POD_UID").ok().filter(|name| !name.is_empty());
    let identity = named.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    if identity == "localhost" && matches!(watermarks, WatermarkConfig::ConfigMap(_)) {
        return Err(ServeError::Config(
            "this host is called localhost, as the other one may be: give it a name, by which it holds the records (POD_UID)",
        ));
    }
    let (store, lease_duration) = open_store(watermarks).await?;
    let terms = lease_duration.map(|duration| LeaseTerms {
        identity: identity.clone(),
        address: peers.as_ref().and_then(|peers| peers.address),
        duration,
    });
    let witness = tail::read(&config.audit)?;
    let mut records = Records::new(store, terms, witness);
    let keys = records.keys_of(&config);
    let deadline = Duration::from_millis(config.request_deadline_milliseconds.into());
    let audit = AuditLog::start(&config.audit, &identity)?;
    let hsm = Hsm::start(&config.hsm, &config.keys, HsmMetrics::new()?.register(metrics.registry())?)?;
    let signer = Signer::new(keys, hsm, audit, metrics, deadline);
    let signer = Arc::new(match &peers {
        Some(peers) => signer.forwarding_to(Peers::new(peers.tls.clone())),
        None => signer,
    });
    let reload = Reload::new(path, config.clone(), records, signer.clone());
    let served = serve_until_terminated(&config, &signer, reload, identity, tls, peers).await;
    signer.audit().end(HURRY).await;
    let is_out_of_the_library = signer.hsm().stop(HURRY).await;
    let status = served.as_ref().map_or_else(ServeError::exit_status, |()| 0);
    if !is_out_of_the_library {
        if let Err(error) = &served {
            tracing::error!(%error, "ending");
        }
        ending::end(status);
    }
    served
}

/// Who has the PIN signs past every watermark, and so does who can change the records or say where they are: on a host with other
/// users nothing is signed then. What else is not as it should be is told.
fn refuse_exposed(config: &SignerConfig, path: &Path) -> Result<(), ServeError> {
    if files::are_of_a_pod() {
        return Ok(());
    }
    let exposed = files::examine(config, path).into_iter().filter_map(|file| file.exposure);
    let (dangerous, others): (Vec<_>, Vec<_>) = exposed.partition(|exposure| exposure.is_dangerous);
    for exposure in others {
        tracing::warn!(reason = %exposure, "a file is not as it should be");
    }
    if dangerous.is_empty() { Ok(()) } else { Err(ServeError::Exposed(dangerous)) }
}

/// As many open files as the system lets this process have. A usual soft limit, 1024, is reached by the connections of two full
/// listeners; and some PKCS#11 libraries keep a file for each attempt to reach an HSM that is not there.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// From the first listener to the last answer.
async fn serve_until_terminated(
    config: &SignerConfig,
    signer: &Arc<Signer>,
    reload: Reload,
    identity: String,
    tls: Option<Arc<Tls>>,
    peers: Option<PeerListener>,
) -> Result<(), ServeError> {
    let (slots, forwards) = (Slots::new(config.max_concurrent_requests), peers.is_some());
    let peer_tls = peers.as_ref().and_then(|peers| peers.tls.clone());
    let admin = Arc::new(admin::Admin::new(signer.clone(), identity.clone(), tls.clone(), peer_tls));

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let (stop, stopped) = watch::channel(false);
    let mut listeners = vec![serve_admin(config.admin, admin::router(admin.clone()), stopped.clone()).await?];
    listeners.extend(serve_signing(config, signer, tls, slots.clone(), &stopped).await?);
    if let Some(peers) = peers {
        listeners.push(serve_peers(config, signer, peers, &identity, slots, &stopped)?);
    }
    let leases = tokio::spawn(lease::keep(signer.clone()));
    if let Some(endpoint) = &config.node_endpoint {
        tokio::spawn(node::compare_all(signer.clone(), signer.keys().collect(), endpoint.clone()));
    }
    tokio::spawn(service_manager::accompany(admin, reload.refusal()));
    let reload = tokio::spawn(reload.at_each(hangup));
    tracing::info!(keys = config.keys.len(), "serving");

    let given_up = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        reason = signer.hsm().given_up() => Some(reason),
    };
    tracing::info!("ending: no new signatures, letting the leases go");
    service_manager::stopping();
    reload.abort();
    signer.close();
    let _ = leases.await;
    let let_go = lease::release(signer, RELEASE).await;
    // On loopback every client is a container of this pod or a process of this host: in a pod they have ended before us. And
    // where the HSM was given up, the sooner the next process begins the better, unless another replica signs meanwhile.
    let has_clients = forwards || !config.listen.ip().is_loopback();
    if has_clients && (given_up.is_none() || signer.is_served_elsewhere()) {
        let linger = tokio::time::sleep(LINGER);
        if !let_go {
            lease::release(signer, LINGER).await;
        }
        linger.await;
    }
    let _ = stop.send(true);
    for listener in listeners {
        let _ = tokio::time::timeout(HURRY, listener).await;
    }
    given_up.map_or(Ok(()), |reason| Err(ServeError::HsmGivenUp(reason)))
}

/// Serves probes, Prometheus and the operator, until `stopped`. Anybody in the network may connect there, so its connections are as
/// few and its heads as small as those of the signing port: memory that others fill would end the signer.
async fn serve_admin(
    address: SocketAddr,
    router: Router,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, ServeError> {
    let failed = |source| ServeError::Listen { field: "admin", address, source };
    let listener = Listener::tcp(address, None).await.map_err(failed)?;
    log_listening("admin", &listener.address().map_err(failed)?);
    let observer: FaultObserver =
        Arc::new(|client, fault| tracing::debug!(%client, %fault, "connection to the admin port ended"));
    Ok(tokio::spawn(listener.serve(Service { router, observer, max_connections: ADMIN_CONNECTIONS }, stopped)))
}

/// Serves the protocol on each of its listeners, in tasks of their own, until `stopped`.
async fn serve_signing(
    config: &SignerConfig,
    signer: &Arc<Signer>,
    tls: Option<Arc<Tls>>,
    slots: Slots,
    stopped: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, ServeError> {
    let failed = |source| ServeError::Listen { field: "listen", address: config.listen, source };
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().keep_fresh());
    }
    let tcp = Listener::tcp(config.listen, tls).await.map_err(failed)?;
    log_listening("listen", &tcp.address().map_err(failed)?);
    let mut listeners = vec![tcp];
    if let Some(path) = &config.unix_socket {
        listeners.push(Listener::unix(path.as_path())?);
        log_listening("unixSocket", &path.as_path().display());
    }
    let observer = observer(signer, PREFIX)?;
    let router = port::router(signer, config, slots);
    let serve = |listener: Listener| {
        let (router, observer) = (router.clone(), observer.clone());
        let service = Service { router, observer, max_connections: config.max_connections };
        tokio::spawn(listener.serve(service, stopped.clone()))
    };
    Ok(listeners.into_iter().map(serve).collect())
}

/// The listener of the peer port, before it serves.
struct PeerListener {
    listener: Listener,
    tls: Option<Arc<Tls>>,
    /// What others are told.
    address: Option<SocketAddr>,
}

/// Listens first, because others are told the port with the first lease.
async fn listen_to_peers(config: &SignerConfig, metrics: &Metrics) -> Result<Option<PeerListener>, ServeError> {
    let Some(peer) = &config.peer else { return Ok(None) };
    let tls = match &peer.tls {
        Some(tls) => Some(Arc::new(Tls::load_of_peers(tls, TlsMetrics::register(metrics.registry(), PEER_PREFIX)?)?)),
        None => None,
    };
    let failed = |source| ServeError::Listen { field: "peer.listen", address: peer.listen, source };
    let listener = Listener::tcp(peer.listen, tls.clone()).await.map_err(failed)?;
    let bound = listener.address().map_err(failed)?;
    log_listening("peer", &bound);
    let port = bound.parse().map_or(peer.listen.port(), |bound: SocketAddr| bound.port());
    let ip: Option<IpAddr> = match std::env::var("POD_IP") {
        Ok(text) => {
            Some(text.parse().map_err(|_| ServeError::Config("the environment variable POD_IP is no IP address"))?)
        }
        Err(_) => Some(peer.listen.ip()).filter(|ip| !ip.is_unspecified()),
    };
    if ip.is_none() {
        tracing::warn!("no other replica can forward to this one: peer.listen names no address, nor does POD_IP");
    }
    Ok(Some(PeerListener { listener, tls, address: ip.map(|ip| SocketAddr::new(ip, port)) }))
}

/// Serves other replicas, until `stopped`.
fn serve_peers(
    config: &SignerConfig,
    signer: &Arc<Signer>,
    peers: PeerListener,
    identity: &str,
    slots: Slots,
    stopped: &watch::Receiver<bool>,
) -> Result<JoinHandle<()>, ServeError> {
    if let Some(tls) = peers.tls {
        tokio::spawn(tls.keep_fresh());
    }
    let router = peer::port::router(signer, identity, slots);
    let service = Service { router, observer: observer(signer, PEER_PREFIX)?, max_connections: config.max_connections };
    Ok(tokio::spawn(peers.listener.serve(service, stopped.clone())))
}

/// Counts what never becomes a request, under names that begin with `prefix`.
fn observer(signer: &Arc<Signer>, prefix: &str) -> Result<FaultObserver, ServeError> {
    let metrics = ConnectionMetrics::register(signer.metrics().registry(), prefix)?;
    let signer = signer.clone();
    Ok(Arc::new(move |client, fault| {
        metrics.observe(fault);
        // These two were answered. The others never asked anything.
        if matches!(fault, Fault::Malformed(_) | Fault::HeadTimeout) {
            signer.not_asked(client.to_string(), 400, Outcome::Malformed, fault.to_string());
        }
        // Not louder: who can connect could fill the disk with it.
        tracing::debug!(%client, %fault, "connection ended");
    }))
}

/// Port 0 is a free one that the system chose: this is where it is found.
fn log_listening(field: &'static str, address: &dyn std::fmt::Display) {
    tracing::info!(field, %address, "listening");
}
