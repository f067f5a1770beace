//! The API server that `E2E_KUBECONFIG` names, with a namespace of one test's own, and a connection to it that breaks when it
//! is told to.

use crate::home::{Home, permit};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use std::future::pending;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A namespace, deleted when dropped.
pub(crate) struct ApiServer {
    pub(crate) namespace: String,
    kubeconfig: Kubeconfig,
}

/// `None`, and a word about it, where no API server is named.
pub(crate) fn named() -> Option<PathBuf> {
    let path = std::env::var_os("E2E_KUBECONFIG").map(PathBuf::from);
    if path.is_none() {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        eprintln!("SKIPPED the ConfigMap half of {test}: E2E_KUBECONFIG names no API server");
    }
    path
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
    pub(crate) fn offer(&self, home: &Home) {
        write(home, &self.kubeconfig);
    }

    /// Makes it the one that this process finds, behind a connection that can be broken.
    pub(crate) async fn offer_through_proxy(&self, home: &Home) -> Proxy {
        let mut kubeconfig = self.kubeconfig.clone();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        let url: reqwest::Url = cluster.server.as_ref().unwrap().parse().unwrap();
        let host = url.host_str().unwrap().to_owned();
        let server = format!("{host}:{}", url.port_or_known_default().unwrap());
        let proxy = Proxy::start(server).await;
        cluster.server = Some(format!("https://{}", proxy.address));
        cluster.tls_server_name = Some(host);
        write(home, &kubeconfig);
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

fn write(home: &Home, kubeconfig: &Kubeconfig) {
    // JSON is YAML.
    let path = home.path.join("kubeconfig");
    std::fs::write(&path, serde_json::to_string(kubeconfig).unwrap()).unwrap();
    permit(&path, 0o600);
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
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
    fate: Arc<Mutex<watch::Sender<Fate>>>,
    accepted: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fate = Arc::new(Mutex::new(watch::Sender::new(Fate::Works)));
        let accepted = Arc::new(AtomicUsize::new(0));
        let proxy = Self { address, fate: fate.clone(), accepted: accepted.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let fate = fate.lock().unwrap().subscribe();
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, fate));
            }
        });
        proxy
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Every connection that exists is dead, and does not show it; new ones work.
    pub(crate) fn stall(&self) {
        self.doom(Fate::Stalled);
    }

    /// Every connection that exists breaks when the next answer comes, before it is passed on; new ones work.
    pub(crate) fn cut_next_answer(&self) {
        self.doom(Fate::AnswerCut);
    }

    fn doom(&self, fate: Fate) {
        let existing = std::mem::replace(&mut *self.fate.lock().unwrap(), watch::Sender::new(Fate::Works));
        existing.send_replace(fate);
    }
}

async fn carry(client: TcpStream, server: TcpStream, fate: watch::Receiver<Fate>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            if *fate.borrow() == Fate::Stalled {
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
            let fate = *fate.borrow();
            match fate {
                Fate::Works => {}
                Fate::Stalled => pending().await,
                Fate::AnswerCut => break,
            }
            if to_client.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    // Whichever ends first ends both, and so the connection.
    tokio::select! { () = up => {}, () = down => {} }
}
