//! The signer as a process, asked over HTTP as a baker and a kubelet ask it. Ended by its id when dropped, also by a panic.

use crate::home::Home;
use reqwest::blocking::{Client, RequestBuilder};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Digest, Signature};

/// The longest that anything waited for may take. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) struct Signer {
    child: Child,
    log: PathBuf,
    signing: String,
    admin: String,
    client: Client,
}

impl Signer {
    /// Starts, and waits until it can sign.
    pub(crate) fn start(home: &Home) -> Self {
        let signer = Self::start_unready(home);
        wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
        signer
    }

    /// Starts, and waits until it listens.
    pub(crate) fn start_unready(home: &Home) -> Self {
        Self::start_with(home, &[])
    }

    pub(crate) fn start_with(home: &Home, environment: &[(&str, &str)]) -> Self {
        let mut signer = Self::spawn(home, environment);
        signer.signing = signer.address("listen");
        signer.admin = signer.address("admin");
        signer
    }

    /// Starts one that must end by itself, and returns what it had to say.
    pub(crate) fn start_in_vain(home: &Home, environment: &[(&str, &str)]) -> String {
        let mut signer = Self::spawn(home, environment);
        assert_eq!(signer.ended().code(), Some(1), "{}", signer.log());
        signer.log()
    }

    fn spawn(home: &Home, environment: &[(&str, &str)]) -> Self {
        let log = tempfile::Builder::new().suffix(".log").tempfile_in(&home.path).unwrap().into_temp_path();
        let log = log.keep().unwrap();
        let mut command = home.command();
        command.args(["serve", "--config"]).arg(home.config_file()).envs(environment.iter().copied());
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self { child, log, signing: String::new(), admin: String::new(), client }
    }

    /// Where the listener of a configuration field really listens.
    fn address(&mut self, field: &str) -> String {
        wait_for(field, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the signer ended with {status}: {}", self.log());
            }
            let lines: Vec<Value> = self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let line = lines.iter().find(|line| line["message"] == "listening" && line["field"] == field)?;
            Some(format!("http://{}", line["address"].as_str()?))
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Where the signing port is, in TCP.
    pub(crate) fn signing_address(&self) -> SocketAddr {
        socket_address(&self.signing)
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        socket_address(&self.admin)
    }

    /// Where the peer port is.
    pub(crate) fn peer_address(&mut self) -> SocketAddr {
        socket_address(&self.address("peer"))
    }

    /// The value of a counter or gauge, by its name and labels as they stand in `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        let text = self.admin("/metrics").body;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// The sum of the counters of a name that have a label.
    pub(crate) fn metric_sum(&self, name: &str, label: &str) -> u64 {
        let text = self.admin("/metrics").body;
        let with_label = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
        with_label.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
    }

    pub(crate) fn admin(&self, path: &str) -> Answer {
        Answer::of(self.client.get(format!("{}{path}", self.admin)))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::of(self.client.get(format!("{}{path}", self.signing)))
    }

    /// Posts a body as it is.
    pub(crate) fn post(&self, path: &str, body: impl Into<String>) -> Answer {
        Answer::of(self.post_request(path, body))
    }

    fn post_request(&self, path: &str, body: impl Into<String>) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.signing));
        request.header("content-type", "application/json").body(body.into())
    }

    /// Asks for a signature.
    pub(crate) fn sign(&self, key: &KeyConfig, payload: &[u8]) -> Answer {
        self.post(&format!("/keys/{}", key.hash()), format!("\"{}\"", hex::encode(payload)))
    }

    /// Like [`Signer::sign`]; nothing where the connection broke.
    pub(crate) fn try_sign(&self, key: &KeyConfig, payload: &[u8]) -> Option<Answer> {
        let body = format!("\"{}\"", hex::encode(payload));
        Answer::try_of(self.post_request(&format!("/keys/{}", key.hash()), body)).ok()
    }

    /// Asks for a signature that must be given, and verifies it.
    pub(crate) fn signature(&self, key: &KeyConfig, payload: &[u8]) -> String {
        self.sign(key, payload).signature(key, payload)
    }

    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Asks it to read its configuration again.
    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    pub(crate) fn kill(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
    }

    /// How many threads it has that sessions of the HSM belong to.
    pub(crate) fn session_threads(&self) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("hsm-session")).count()
    }

    /// Whether it runs no more; how it ended is left for [`Signer::ended`].
    pub(crate) fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.child)), look).unwrap().is_some()
    }

    /// Stops it where it is; it can go on.
    pub(crate) fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_for("the signer's end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).unwrap()
    }

    fn try_of(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let answer = request.send()?;
        Ok(Self { status: answer.status().as_u16(), body: answer.text()? })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The signature; it must be there and be right.
    pub(crate) fn signature(&self, key: &KeyConfig, payload: &[u8]) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let text = self.json()["signature"].as_str().unwrap().to_owned();
        let signature: Signature = text.parse().unwrap();
        assert!(key.public_key.verify(&Digest::of(payload), &signature), "{self:?}");
        text
    }

    /// The message of a refusal with this status, in the form that Octez understands.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let errors = self.json();
        let [error] = &errors.as_array().unwrap()[..] else { panic!("{self:?}") };
        let kind = if status == 502 { "temporary" } else { "permanent" };
        assert_eq!(error["kind"], kind, "{self:?}");
        assert!(error["id"].is_string(), "{self:?}");
        error["msg"].as_str().unwrap().to_owned()
    }
}

fn socket_address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}
