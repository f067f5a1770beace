//! A signing process, from its configuration to its orderly end.

use crate::audit::{AuditError, AuditLog};
use crate::chain_check;
use crate::config_file::ConfigFile;
use crate::exit;
use crate::file_permissions;
use crate::file_permissions::Exposure;
use crate::http::{self, admin, routes};
use crate::keyring::registry::Records;
use crate::keystore::open::{self, OpenError};
use crate::lease;
use crate::metrics::Metrics;
use crate::metrics::connections::{ConnectionMetrics, TlsMetrics};
use crate::net::connection_error::{ConnectionError, ConnectionErrorObserver};
use crate::net::kept_sockets::{LISTEN, Origin, PassedSocketError, PassedSockets, SigningSockets, UNIX_SOCKET};
use crate::net::listener::{Listener, Service, UnixSocketError};
use crate::net::tls::{Tls, TlsError};
use crate::peer::Peers;
use crate::readiness;
use crate::records::session::LeaseTerms;
use crate::reload::Reload;
use crate::request::Caller;
use crate::signing::Signer;
use crate::store::{ConfigMapStore, FileStore, Store, StoreError};
use crate::systemd;
use axum::Router;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::audit::Outcome;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{SignerConfig, SocketPath, WatermarkConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests of other hosts are still answered after the leases were released, forwarded or with 502.
const LINGER: Duration = Duration::from_secs(10);

/// How long the release of the leases may take before the process exits.
const RELEASE: Duration = Duration::from_secs(2);

/// What the names of the signing port's metrics begin with.
const PREFIX: &str = "tezos_signer";

/// What the names of the peer port's metrics begin with.
const PEER_PREFIX: &str = "tezos_signer_peer";

/// How many connections the admin port keeps open: the kubelet, Prometheus and the operator have a few.
const ADMIN_CONNECTIONS: u16 = 64;

/// The longest that requests in flight may take where the sockets are left to the next process, which others wait for meanwhile. A longer
/// `requestDeadlineMilliseconds` is not waited for.
const DRAIN: Duration = Duration::from_secs(5);

/// How long each thing that ends may take to do so.
const HURRY: Duration = Duration::from_secs(1);

/// Why the process cannot start, or had to end. A new start helps for [`HsmGivenUp`](Self::HsmGivenUp), and for the others once somebody has done
/// what the message says.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration or the environment lacks something.
    #[error("{0}")]
    Config(&'static str),
    /// A port cannot be listened on: another process does, or the address is none of this host.
    #[error("cannot listen on {address} ({field} in the configuration): {source}")]
    Listen {
        /// The field of the configuration.
        field: &'static str,
        /// The address that cannot be used.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The Unix socket cannot be listened on.
    #[error(transparent)]
    UnixSocket(#[from] UnixSocketError),
    /// A socket that systemd passed cannot be listened on.
    #[error(transparent)]
    PassedSocket(#[from] PassedSocketError),
    /// The certificates of the signing port, or of that between replicas, cannot be used.
    #[error("the configuration's TLS files cannot be used: {0}")]
    Tls(#[from] TlsError),
    /// The store of the records cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Other users can access a file with which they could sign without the watermarks.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Exposed(Vec<Exposure>),
    /// The HSM cannot be used, and nothing helps that this process could do.
    #[error("{0}; exiting, because a new process may reach the HSM")]
    HsmGivenUp(#[source] Cause),
    /// There is no such keystore.
    #[error(transparent)]
    Keystore(#[from] OpenError),
    /// The system refused a thread or a signal handler.
    #[error("a thread could not be started, or a signal handler not be installed: {0}")]
    System(#[from] std::io::Error),
    /// The metrics cannot be registered: a bug.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl ServeError {
    /// The status that the process ends with: what a supervisor sees.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::HsmGivenUp(_) => exit::TRY_AGAIN,
            _ => 1,
        }
    }
}

/// The store of the configuration, and the terms of its leases.
async fn open_store(config: &WatermarkConfig) -> Result<(Arc<dyn Store>, Option<Duration>), StoreError> {
    Ok(match config {
        WatermarkConfig::File(directory) => (Arc::new(FileStore::open(directory)?), None),
        WatermarkConfig::ConfigMap(config) => {
            (Arc::new(ConfigMapStore::connect(&config.namespace).await?), Some(config.lease_duration()))
        }
    })
}

/// Serves until SIGTERM or SIGINT by the configuration of a file, which is read again at SIGHUP; on the `sockets` that an earlier
/// process has listened on, where they are those of the configuration.
pub async fn serve(from: ConfigFile, sockets: PassedSockets) -> Result<(), ServeError> {
    let config = from.config.clone();
    let sockets = sockets.claim(&config)?;
    let watermarks = config.watermarks.as_ref().ok_or(ServeError::Config(
        "watermarks is missing in the configuration: set the store of the records (file: <directory>, or configMap: {})",
    ))?;
    if config.keys.is_empty() {
        return Err(ServeError::Config("keys is empty in the configuration: there is nothing to sign with"));
    }
    refuse_exposed(&from)?;
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
            "this host is named localhost, and the other host may be too: set POD_UID to a unique name, which identifies the holder \
             of a record",
        ));
    }
    let (store, lease_duration) = open_store(watermarks).await?;
    let terms = lease_duration.map(|duration| LeaseTerms {
        identity: identity.clone(),
        address: peers.as_ref().and_then(|peers| peers.address),
        duration,
    });
    let audit = AuditLog::start(&config.audit, &identity)?;
    let mut records = Records::new(store, terms, audit.evidence_found().clone());
    let keys = records.keys_of(&config);
    let deadline = Duration::from_millis(config.request_deadline_milliseconds.into());
    let keystore = open::keystore(&config, metrics.registry())?;
    let signer = Signer::new(keys, keystore, audit, metrics, deadline).limited_to(config.max_concurrent_requests);
    let signer = Arc::new(match &peers {
        Some(peers) => signer.forwarding_to(Peers::new(peers.tls.clone())),
        None => signer,
    });
    let reload = Reload::new(from.file.path, config.clone(), records, signer.clone());
    let served = serve_until_terminated(&config, &signer, reload, identity, Listening { tls, sockets, peers }).await;
    signer.audit().end(HURRY).await;
    let is_out_of_the_library = signer.keystore().stop(HURRY).await;
    let status = served.as_ref().map_or_else(ServeError::exit_status, |()| 0);
    if !is_out_of_the_library {
        if let Err(error) = &served {
            tracing::error!(%error, "ending");
        }
        exit::end(status);
    }
    served
}

/// Whoever has the PIN can sign without the watermarks, and so can whoever can change the records or their place. If other users of this
/// host can do that, the process does not start. Other unsafe permissions are logged.
fn refuse_exposed(from: &ConfigFile) -> Result<(), ServeError> {
    if file_permissions::are_of_a_pod() {
        return Ok(());
    }
    let exposed = file_permissions::examine(&from.config, &from.file).into_iter().filter_map(|file| file.exposure);
    let (dangerous, others): (Vec<_>, Vec<_>) = exposed.partition(|exposure| exposure.is_dangerous);
    for exposure in others {
        tracing::warn!(reason = %exposure, "a file has unsafe permissions");
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

/// What the listeners are made of, beside the configuration.
struct Listening {
    tls: Option<Arc<Tls>>,
    sockets: SigningSockets,
    peers: Option<PeerListener>,
}

/// From the first listener to the last answer.
async fn serve_until_terminated(
    config: &SignerConfig,
    signer: &Arc<Signer>,
    reload: Reload,
    identity: String,
    Listening { tls, sockets, peers }: Listening,
) -> Result<(), ServeError> {
    let forwards = peers.is_some();
    let peer_tls = peers.as_ref().and_then(|peers| peers.tls.clone());
    let admin = Arc::new(admin::Admin::new(signer.clone(), identity.clone(), tls.clone(), peer_tls));

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let (stop, stopped) = watch::channel(false);
    let mut listeners = vec![serve_admin(config.admin, admin::router(admin.clone()), stopped.clone()).await?];
    if let Some(peers) = peers {
        listeners.push(serve_peers(config, signer, peers, &identity, &stopped)?);
    }
    // Last, because clients may have connected to it before this process began: after this the start cannot fail.
    let mut signing = serve_signing(config, signer, tls, sockets).await?;
    let leases = tokio::spawn(lease::keep(signer.clone()));
    if let Some(endpoint) = &config.node_endpoint {
        tokio::spawn(chain_check::compare_all(signer.clone(), signer.keys().collect(), endpoint.clone()));
    }
    tokio::spawn(readiness::report(admin, reload.refusal()));
    let reload = tokio::spawn(reload.at_each(hangup));
    tracing::info!(keys = config.keys.len(), "serving");

    let given_up = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        reason = signer.keystore().given_up() => Some(reason),
    };
    tracing::info!("ending");
    systemd::stopping();
    reload.abort();
    // From now on, new requests wait in the sockets for the next process. Not if another replica answers sooner, nor if the HSM was given
    // up and the requests in flight can only time out.
    if signing.outlive_us && !forwards && given_up.is_none() {
        signing.stop(signer.request_deadline().min(DRAIN) + HURRY).await;
    }
    signer.close();
    tracing::info!("refusing new signatures and releasing the leases");
    let _ = leases.await;
    let let_go = lease::release(signer, RELEASE).await;
    // On loopback every client is a container of this pod or a process of this host: in a pod they have ended before us. And
    // where the HSM was given up, the sooner the next process begins the better, unless another replica signs meanwhile.
    let has_clients = forwards || !(config.listen.ip().is_loopback() || signing.outlive_us);
    if has_clients && (given_up.is_none() || signer.is_served_elsewhere()) {
        let linger = tokio::time::sleep(LINGER);
        if !let_go {
            lease::release(signer, LINGER).await;
        }
        linger.await;
    }
    let _ = stop.send(true);
    signing.stop(HURRY).await;
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
    let observer: ConnectionErrorObserver =
        Arc::new(|client, fault| tracing::debug!(%client, %fault, "a connection to the admin port failed"));
    Ok(tokio::spawn(listener.serve(Service { router, observer, max_connections: ADMIN_CONNECTIONS }, stopped)))
}

/// The listeners of the signing port while they serve.
struct SigningListeners {
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    /// Whether the next process gets the sockets, so that clients which this one does not accept wait for it.
    outlive_us: bool,
}

impl SigningListeners {
    /// Stops accepting connections, and lets the requests in flight finish within `patience`.
    async fn stop(&mut self, patience: Duration) {
        self.stop.send_replace(true);
        let ended = futures::future::join_all(self.tasks.iter_mut().filter(|task| !task.is_finished()));
        let _ = tokio::time::timeout(patience, ended).await;
    }
}

/// Serves the protocol on each of its listeners, in tasks of their own.
async fn serve_signing(
    config: &SignerConfig,
    signer: &Arc<Signer>,
    tls: Option<Arc<Tls>>,
    mut sockets: SigningSockets,
) -> Result<SigningListeners, ServeError> {
    let failed = |source| ServeError::Listen { field: LISTEN, address: config.listen, source };
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().keep_fresh());
    }
    let (tcp, origin) = match sockets.tcp.take() {
        Some((socket, origin)) => (Listener::passed_tcp(socket, tls).map_err(failed)?, origin),
        None => (Listener::tcp(config.listen, tls).await.map_err(failed)?, Origin::Bound),
    };
    let outlive_us = origin.keep(LISTEN, &tcp);
    log_listening(LISTEN, &tcp.address().map_err(failed)?);
    let (observer, router) = (observer(signer, PREFIX)?, routes::router(signer, config));
    let mut listeners = vec![tcp];
    if let Some(path) = config.unix_socket.as_ref().map(SocketPath::as_path) {
        let (mut unix, origin) = match sockets.take_unix()? {
            Some((socket, origin)) => (Listener::passed_unix(socket, path)?, origin),
            None => (Listener::unix(path)?, Origin::Bound),
        };
        if origin.keep(UNIX_SOCKET, &unix) {
            unix.leave_to_next_process();
        }
        log_listening(UNIX_SOCKET, &path.display());
        listeners.push(unix);
    }
    let (stop, stopped) = watch::channel(false);
    let serve = |listener: Listener| {
        let (router, observer) = (router.clone(), observer.clone());
        let service = Service { router, observer, max_connections: config.max_connections };
        tokio::spawn(listener.serve(service, stopped.clone()))
    };
    Ok(SigningListeners { tasks: listeners.into_iter().map(serve).collect(), stop, outlive_us })
}

/// The listener of the peer port, before it serves.
struct PeerListener {
    listener: Listener,
    tls: Option<Arc<Tls>>,
    /// The address that other replicas use.
    address: Option<SocketAddr>,
}

/// Listens first, because the port is written into the record with the first lease.
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
            Some(text.parse().map_err(|_| ServeError::Config("the environment variable POD_IP is not an IP address"))?)
        }
        Err(_) => Some(peer.listen.ip()).filter(|ip| !ip.is_unspecified()),
    };
    if ip.is_none() {
        tracing::warn!("no other replica can forward to this one: neither peer.listen nor POD_IP has an address");
    }
    Ok(Some(PeerListener { listener, tls, address: ip.map(|ip| SocketAddr::new(ip, port)) }))
}

/// Serves other replicas, until `stopped`.
fn serve_peers(
    config: &SignerConfig,
    signer: &Arc<Signer>,
    peers: PeerListener,
    identity: &str,
    stopped: &watch::Receiver<bool>,
) -> Result<JoinHandle<()>, ServeError> {
    if let Some(tls) = peers.tls {
        tokio::spawn(tls.keep_fresh());
    }
    let router = http::peer::router(signer, identity);
    let service = Service { router, observer: observer(signer, PEER_PREFIX)?, max_connections: config.max_connections };
    Ok(tokio::spawn(peers.listener.serve(service, stopped.clone())))
}

/// Counts what never becomes a request, under names that begin with `prefix`.
fn observer(signer: &Arc<Signer>, prefix: &str) -> Result<ConnectionErrorObserver, ServeError> {
    let metrics = ConnectionMetrics::register(signer.metrics().registry(), prefix, &ConnectionError::labels())?;
    let signer = signer.clone();
    Ok(Arc::new(move |client, fault| {
        metrics.observe(fault.label());
        // These two were answered. The others never asked anything.
        if matches!(fault, ConnectionError::Malformed(_) | ConnectionError::HeadTimeout) {
            signer.not_asked(Caller::new(client.to_string()), 400, Outcome::Malformed, &fault.to_string());
        }
        // Not at a higher level: any client that can connect could fill the disk with it.
        tracing::debug!(%client, %fault, "connection ended");
    }))
}

/// The address with the port that the system chose, if the configured port is 0.
fn log_listening(field: &'static str, address: &dyn std::fmt::Display) {
    tracing::info!(field, %address, "listening");
}
