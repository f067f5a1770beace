//! The signer as a process, asked over HTTP as a baker and a kubelet ask it. Ended by its id when dropped, also by a panic.

use crate::test_env::TestEnv;
use reqwest::blocking::{Client, RequestBuilder};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Message, Signature};
use tezos_signer_core::status::{KeyStatus, SignerStatus};

/// The longest that anything waited for may take. Generous: the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {TIMEOUT:?} for {what}");
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
    pub(crate) fn start(env: &TestEnv) -> Self {
        let signer = Self::start_unready(env);
        wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
        signer
    }

    /// Starts, and waits until it listens.
    pub(crate) fn start_unready(env: &TestEnv) -> Self {
        Self::start_with(env, &[])
    }

    pub(crate) fn start_with(env: &TestEnv, environment: &[(&str, &str)]) -> Self {
        Self::start_passed(env, environment, &[])
    }

    /// Starts with these sockets, at most two, passed as a service manager does: each with its name. Waits until it listens.
    pub(crate) fn start_passed(env: &TestEnv, environment: &[(&str, &str)], sockets: &[(String, OwnedFd)]) -> Self {
        Self::spawn(env, environment, sockets, Stdio::null()).listening()
    }

    fn listening(mut self) -> Self {
        let signer = &mut self;
        signer.signing = signer.address("listen");
        signer.admin = signer.address("admin");
        self
    }

    /// Starts one that must end by itself, and returns what it had to say.
    pub(crate) fn start_failing(env: &TestEnv, environment: &[(&str, &str)]) -> String {
        Self::start_passed_failing(env, environment, &[])
    }

    /// Like [`Self::start_failing`], with the sockets of [`Self::start_passed`].
    pub(crate) fn start_passed_failing(
        env: &TestEnv,
        environment: &[(&str, &str)],
        sockets: &[(String, OwnedFd)],
    ) -> String {
        let mut signer = Self::spawn(env, environment, sockets, Stdio::null());
        assert_eq!(signer.ended().code(), Some(1), "{}", signer.log());
        signer.log()
    }

    /// Starts one whose standard output, which is its audit log, nobody reads until [`Signer::output`].
    pub(crate) fn start_with_piped_output(env: &TestEnv, environment: &[(&str, &str)]) -> Self {
        Self::spawn(env, environment, &[], Stdio::piped()).listening()
    }

    /// What [`Signer::start_with_piped_output`] writes.
    pub(crate) fn output(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    fn spawn(env: &TestEnv, environment: &[(&str, &str)], sockets: &[(String, OwnedFd)], output: Stdio) -> Self {
        let log = tempfile::Builder::new().suffix(".log").tempfile_in(&env.path).unwrap().into_temp_path();
        let log = log.keep().unwrap();
        let mut command = env.command();
        command.args(["serve", "--config"]).arg(env.config_file()).envs(environment.iter().copied());
        command.stdout(output);
        if !sockets.is_empty() {
            command = passing(&command, sockets);
        }
        let child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        let client = Client::builder().timeout(TIMEOUT).build().unwrap();
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

    /// The answer to `/status`, read as the operator reads it. Nothing in it is lost by that.
    pub(crate) fn status(&self) -> SignerStatus {
        let answer = self.admin("/status");
        let status =
            SignerStatus::from_json(answer.body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        assert_eq!(serde_json::to_value(&status).unwrap(), answer.json());
        status
    }

    /// What `/status` has of a key.
    pub(crate) fn key_status(&self, key: &KeyConfig) -> KeyStatus {
        self.status().keys.into_iter().find(|shown| shown.public_key_hash == key.hash()).unwrap()
    }

    /// Why a key's record cannot be used, as `/status` has it.
    pub(crate) fn reason(&self, key: &KeyConfig) -> Option<String> {
        self.key_status(key).reason
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
    pub(crate) fn send_sighup(&self) {
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

    /// Whether it is stopped, and not only for a moment by a tracer.
    pub(crate) fn is_frozen(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_for("the signer's end", || self.child.try_wait().unwrap())
    }
}

/// `command` with sockets from file descriptor 3 on, by way of its standard input and output, and a shell that the command takes the
/// place of.
fn passing(command: &Command, sockets: &[(String, OwnedFd)]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"export LISTEN_PID=$$; exec "$0" "$@" 3<&0 4<&1 </dev/null >/dev/null"#]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let names: Vec<_> = sockets.iter().map(|(name, _)| name.as_str()).collect();
    shell.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    let copy = |index: usize| sockets.get(index).map(|(_, socket)| Stdio::from(socket.try_clone().unwrap()));
    assert!(sockets.len() <= 2, "there are two ways");
    shell.stdin(copy(0).unwrap_or_else(Stdio::null)).stdout(copy(1).unwrap_or_else(Stdio::null));
    shell
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
        assert!(key.public_key.verify(&Message::new(payload), &signature), "{self:?}");
        text
    }

    /// The message of a refusal with this status, in the form that Octez understands.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let errors = self.json();
        let [error] = &errors.as_array().unwrap()[..] else { panic!("{self:?}") };
        // Octez knows this id with this kind only; any other pair reaches people as JSON.
        assert_eq!((&error["kind"], &error["id"]), (&"temporary".into(), &"failure".into()), "{self:?}");
        error["msg"].as_str().unwrap().to_owned()
    }
}

fn socket_address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}
