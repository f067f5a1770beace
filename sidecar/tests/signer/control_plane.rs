//! An etcd and an API server of one test's own, made of `target/tools/kube`, whose data can be put back to what it was. Ended by
//! their ids when dropped, also by a panic.

use rcgen::KeyPair;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that a start may take. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// In files of the directory only.
const TOKEN: &str = "of-a-test";

pub(crate) struct ControlPlane {
    directory: TempDir,
    program: PathBuf,
    etcd_port: u16,
    api_port: u16,
    etcd: Child,
    api_server: Child,
}

impl ControlPlane {
    /// Nothing, and a word about it, where `make tools` has not been called.
    pub(crate) fn start() -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/kube");
        if !program.exists() {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            eprintln!("SKIPPED {test}: there is no {}, `make tools` builds it", program.display());
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let keys = KeyPair::generate().unwrap();
        std::fs::write(directory.path().join("accounts.key"), keys.serialize_pem()).unwrap();
        std::fs::write(directory.path().join("accounts.pub"), keys.public_key_pem()).unwrap();
        std::fs::write(directory.path().join("tokens"), format!("{TOKEN},admin,admin,\"system:masters\"\n")).unwrap();
        let [etcd_port, peer_port, api_port] = free_ports();
        let etcd = start_etcd(&program, directory.path(), etcd_port, peer_port);
        let api_server = start_api_server(&program, directory.path(), etcd_port, api_port);
        let plane = Self { directory, program, etcd_port, api_port, etcd, api_server };
        std::fs::write(plane.kubeconfig(), plane.kubeconfig_text()).unwrap();
        plane.wait_until_ready();
        Some(plane)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Copies all that etcd has, which is stopped meanwhile: etcd's own programs for it are not among our tools.
    pub(crate) fn back_up(&mut self) {
        end(&mut self.etcd);
        copy(&self.data(), &self.backup());
        self.start_etcd_again();
        self.wait_until_ready();
    }

    /// Puts the copy in the place of what there is, with neither etcd nor API server running, as etcd's documentation asks.
    pub(crate) fn restore(&mut self) {
        end(&mut self.api_server);
        end(&mut self.etcd);
        std::fs::remove_dir_all(self.data()).unwrap();
        copy(&self.backup(), &self.data());
        self.start_etcd_again();
        self.api_server = start_api_server(&self.program, self.directory.path(), self.etcd_port, self.api_port);
        self.wait_until_ready();
    }

    fn start_etcd_again(&mut self) {
        let [peer_port] = free_ports();
        self.etcd = start_etcd(&self.program, self.directory.path(), self.etcd_port, peer_port);
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("etcd")
    }

    fn backup(&self) -> PathBuf {
        self.directory.path().join("backup")
    }

    fn kubeconfig_text(&self) -> String {
        // JSON is YAML.
        serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.api_port), "insecure-skip-tls-verify": true,
            }}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        })
        .to_string()
    }

    fn wait_until_ready(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut asked = Command::new(&self.program);
            asked.args(["kubectl", "get", "--raw", "/readyz", "--kubeconfig"]).arg(self.kubeconfig());
            if asked.output().unwrap().status.success() {
                return;
            }
            assert!(Instant::now() < end, "no API server after {PATIENCE:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("kube-apiserver.log")).unwrap_or_default();
        log.chars().rev().take(2000).collect::<Vec<_>>().into_iter().rev().collect()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for process in [&mut self.api_server, &mut self.etcd] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn start_etcd(program: &Path, directory: &Path, client: u16, peer: u16) -> Child {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    start(
        program,
        directory,
        "etcd",
        &[
            format!("--data-dir={}", directory.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ],
    )
}

fn start_api_server(program: &Path, directory: &Path, etcd: u16, port: u16) -> Child {
    let file = |name: &str| directory.join(name).display().to_string();
    start(
        program,
        directory,
        "kube-apiserver",
        &[
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", file("certificates")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            format!("--service-account-key-file={}", file("accounts.pub")),
            format!("--token-auth-file={}", file("tokens")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.99.0.0/24".to_owned(),
        ],
    )
}

fn start(program: &Path, directory: &Path, component: &str, flags: &[String]) -> Child {
    let log = || File::options().create(true).append(true).open(directory.join(format!("{component}.log"))).unwrap();
    Command::new(program).arg(component).args(flags).stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().unwrap()
}

/// In peace, so that all that it has is in its files.
fn end(process: &mut Child) {
    kill_process(Pid::from_child(process), Signal::TERM).unwrap();
    process.wait().unwrap();
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// Outside the range from which the system gives ports to others, so that they are still free when they are used.
fn free_ports<const N: usize>() -> [u16; N] {
    let random = uuid::Uuid::new_v4().as_u128();
    let first = 12_000 + u16::try_from(random % 16_000).unwrap();
    let mut free = (first..).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    std::array::from_fn(|_| free.next().unwrap())
}
