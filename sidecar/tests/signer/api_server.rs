//! The API server that `E2E_KUBECONFIG` names, with a namespace of one test's own, and a connection to it that breaks when
//! the test says so.

use crate::scripted_api::ScriptedApi;
use crate::test_env::{TestEnv, permit};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use std::future::pending;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A namespace, deleted when dropped.
pub(crate) struct ApiServer {
    pub(crate) namespace: String,
    kubeconfig: Kubeconfig,
}

/// The kubeconfig of the API server that `E2E_KUBECONFIG` names, as `make cluster-test` does. Without it, of a stand-in of each test
/// process, which answers as an API server does.
pub(crate) fn named() -> PathBuf {
    real().unwrap_or_else(ScriptedApi::of_process)
}

/// A real one, where one is named.
pub(crate) fn real() -> Option<PathBuf> {
    std::env::var_os("E2E_KUBECONFIG").map(PathBuf::from)
}

impl ApiServer {
    pub(crate) async fn with_namespace(kubeconfig: PathBuf) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let namespace = format!("signer-test-{}", uuid::Uuid::new_v4().simple());
        let object = Namespace {
            metadata: ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        namespaces(kubeconfig.clone()).await.create(&PostParams::default(), &object).await.unwrap();
        Self { namespace, kubeconfig }
    }

    /// The ConfigMaps of the namespace.
    pub(crate) async fn config_maps(&self) -> Api<ConfigMap> {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options).await.unwrap();
        Api::namespaced(Client::try_from(config).unwrap(), &self.namespace)
    }

    /// Changes `data` of a ConfigMap as `kubectl patch --type merge` does: `null` takes a row out.
    pub(crate) async fn patch_data(&self, name: &str, data: serde_json::Value) {
        let patch = Patch::Merge(serde_json::json!({"data": data}));
        self.config_maps().await.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Makes it the one that this process finds, directly.
    pub(crate) fn offer(&self, env: &TestEnv) {
        write(env, &self.kubeconfig);
    }

    /// Makes it the one that this process finds, behind a connection that can be broken.
    pub(crate) async fn offer_through_proxy(&self, env: &TestEnv) -> Proxy {
        let mut kubeconfig = self.kubeconfig.clone();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        let url: reqwest::Url = cluster.server.as_ref().unwrap().parse().unwrap();
        let host = url.host_str().unwrap().to_owned();
        let server = format!("{host}:{}", url.port_or_known_default().unwrap());
        let proxy = Proxy::start(server).await;
        cluster.server = Some(format!("{}://{}", url.scheme(), proxy.address));
        cluster.tls_server_name = Some(host);
        write(env, &kubeconfig);
        proxy
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let (kubeconfig, name) = (self.kubeconfig.clone(), self.namespace.clone());
        // A thread with a runtime of its own, since this may be dropped by a panic within another.
        let deletion = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime
                .block_on(async { namespaces(kubeconfig).await.delete(&name, &DeleteParams::default()).await })
                .unwrap();
        });
        let _ = deletion.join();
    }
}

async fn namespaces(kubeconfig: Kubeconfig) -> Api<Namespace> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Api::all(Client::try_from(config).unwrap())
}

fn write(env: &TestEnv, kubeconfig: &Kubeconfig) {
    // JSON is YAML.
    let path = env.path.join("kubeconfig");
    std::fs::write(&path, serde_json::to_string(kubeconfig).unwrap()).unwrap();
    permit(&path, 0o600);
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq)]
enum ConnectionFault {
    Works,
    /// Nothing more comes through, and nobody says so.
    Stalled,
    /// Requests come through; with the first answer it breaks.
    AnswerCut,
}

/// Carries connections to a server.
pub(crate) struct Proxy {
    address: std::net::SocketAddr,
    /// Of the connections since the last fault.
    fault: Arc<Mutex<watch::Sender<ConnectionFault>>>,
    counts: Arc<Counts>,
}

/// What has happened to the connections.
struct Counts {
    accepted: watch::Sender<usize>,
    /// Answers are held back until there have been so many connections.
    awaited_connections: AtomicUsize,
    /// Requests that went into a connection that was stalled.
    lost_requests: AtomicUsize,
}

/// A TLS record that ends a connection is shorter than this, and a request is longer: bytes.
const SHORTEST_REQUEST: usize = 64;

impl Proxy {
    async fn start(server: String) -> Self {
        let listener = crate::ports::async_listener().await;
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(Mutex::new(watch::Sender::new(ConnectionFault::Works)));
        let (awaited_connections, lost_requests) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let counts = Arc::new(Counts { accepted: watch::Sender::new(0), awaited_connections, lost_requests });
        let proxy = Self { address, fault: fault.clone(), counts: counts.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counts.accepted.send_modify(|accepted| *accepted += 1);
                let fault = fault.lock().unwrap().subscribe();
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, fault, counts.clone()));
            }
        });
        proxy
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        *self.counts.accepted.borrow()
    }

    /// No answer comes through before there have been so many connections: whoever asks meanwhile needs one of its own.
    pub(crate) fn hold_answers_until(&self, connections: usize) {
        self.counts.awaited_connections.store(connections, Ordering::SeqCst);
    }

    /// How many requests went into a connection that was dead.
    pub(crate) fn lost_requests(&self) -> usize {
        self.counts.lost_requests.load(Ordering::SeqCst)
    }

    /// Every connection that exists is dead, and does not show it; new ones work.
    pub(crate) fn stall(&self) {
        self.fail_existing(ConnectionFault::Stalled);
    }

    /// Every connection that exists breaks when the next answer comes, before it is passed on; new ones work.
    pub(crate) fn cut_next_answer(&self) {
        self.fail_existing(ConnectionFault::AnswerCut);
    }

    fn fail_existing(&self, fault: ConnectionFault) {
        let existing = std::mem::replace(&mut *self.fault.lock().unwrap(), watch::Sender::new(ConnectionFault::Works));
        existing.send_replace(fault);
    }
}

async fn carry(client: TcpStream, server: TcpStream, fault: watch::Receiver<ConnectionFault>, counts: Arc<Counts>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            if *fault.borrow() == ConnectionFault::Stalled {
                if read >= SHORTEST_REQUEST {
                    counts.lost_requests.fetch_add(1, Ordering::SeqCst);
                }
                pending::<()>().await;
            }
            if to_server.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            let awaited_connections = counts.awaited_connections.load(Ordering::SeqCst);
            let _ = counts.accepted.subscribe().wait_for(|accepted| *accepted >= awaited_connections).await;
            let fault = *fault.borrow();
            match fault {
                ConnectionFault::Works => {}
                ConnectionFault::Stalled => pending().await,
                ConnectionFault::AnswerCut => break,
            }
            if to_client.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    // Whichever ends first ends both, and so the connection.
    tokio::select! { () = up => {}, () = down => {} }
}
