//! The token of a test environment behind a network, as a CloudHSM cluster is: SoftHSM2 served by `p11-kit remote` in a network namespace,
//! and reached through a [`FaultProxy`] by p11-kit-client.so, which blocks without any timeout. Needs the Debian packages p11-kit and
//! p11-kit-modules.

use crate::fault_proxy::FaultProxy;
use crate::namespace::Namespace;
use crate::process::{Signer, wait_for};
use crate::test_env::{SOFTHSM, TestEnv};
use rustix::net::shutdown;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub(crate) struct RemoteToken {
    pub(crate) network: Namespace,
    socket: PathBuf,
    softhsm_conf: PathBuf,
    server: Mutex<Option<Server>>,
    proxy: Option<FaultProxy>,
}

impl RemoteToken {
    /// Puts the network between the signer of `env` and its token; nothing is wrong with it yet.
    pub(crate) fn install(env: &TestEnv) -> Self {
        let mut token = Self::install_without_proxy(env);
        token.connect();
        token
    }

    /// Where not even the socket is there that the library connects to.
    pub(crate) fn install_without_proxy(env: &TestEnv) -> Self {
        let client = format!("/usr/lib/{}-linux-gnu/pkcs11/p11-kit-client.so", std::env::consts::ARCH);
        assert!(Path::new(&client).exists(), "{client} of the Debian package p11-kit-modules");
        env.edit_config(SOFTHSM, &client);
        let token = Self {
            network: Namespace::new(),
            socket: env.path.join("hsm.sock"),
            softhsm_conf: env.softhsm_conf(),
            server: Mutex::default(),
            proxy: None,
        };
        token.start_server();
        token
    }

    pub(crate) fn connect(&mut self) {
        self.proxy = Some(FaultProxy::new(&self.socket, self.address()));
    }

    pub(crate) fn proxy(&self) -> &FaultProxy {
        self.proxy.as_ref().unwrap()
    }

    /// The signer of `env` with it, not waited for.
    pub(crate) fn start(&self, env: &TestEnv) -> Signer {
        let address = format!("unix:path={}", self.socket.display());
        Signer::start_with(env, &[("P11_KIT_SERVER_ADDRESS", &address)])
    }

    /// The same, once it can sign.
    pub(crate) fn start_ready(&self, env: &TestEnv) -> Signer {
        let signer = self.start(env);
        wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
        signer
    }

    pub(crate) fn start_server(&self) {
        let (address, softhsm_conf) = (self.address(), self.softhsm_conf.clone());
        *self.server.lock().unwrap() = Some(self.network.run(move || Server::new(address, softhsm_conf)));
    }

    /// Kills it, and all that it served; nobody listens any more.
    pub(crate) fn stop_server(&self) {
        self.server.lock().unwrap().take();
    }

    fn address(&self) -> SocketAddr {
        (self.network.address(), 2223).into()
    }
}

/// A `p11-kit remote` for each connection, which has that as its standard input and output.
struct Server {
    listener: Arc<TcpListener>,
    serving: Arc<Mutex<Vec<Child>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    fn new(address: SocketAddr, softhsm_conf: PathBuf) -> Self {
        let listener = Arc::new(TcpListener::bind(address).unwrap());
        let serving = Arc::new(Mutex::new(Vec::<Child>::new()));
        let accepting = std::thread::spawn({
            let (listener, serving) = (listener.clone(), serving.clone());
            move || {
                while let Ok((connection, _)) = listener.accept() {
                    connection.set_nodelay(true).unwrap();
                    let input = OwnedFd::from(connection);
                    let output = input.try_clone().unwrap();
                    let served = Command::new("p11-kit")
                        .args(["remote", "--provider", SOFTHSM, "pkcs11:token=test"])
                        .env("SOFTHSM2_CONF", &softhsm_conf)
                        .stdin(input)
                        .stdout(output)
                        .spawn()
                        .expect("p11-kit of the Debian package p11-kit");
                    let mut serving = serving.lock().unwrap();
                    serving.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
                    serving.push(served);
                }
            }
        });
        Self { listener, serving, accepting: Some(accepting) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = shutdown(&self.listener, rustix::net::Shutdown::Both);
        self.accepting.take().map(JoinHandle::join);
        for child in &mut *self.serving.lock().unwrap() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
