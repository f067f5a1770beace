//! A server that answers as an API server does, for namespaces and ConfigMaps, and on demand as one in trouble does. It writes down what
//! it was asked, and over which connection. The real API server has the last word (`api_server`); this one makes faults that cannot be
//! ordered there, and needs nothing.

use crate::test_env::{TestEnv, permit};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

pub(crate) const NAMESPACE: &str = "records";

const NAMESPACES: &str = "/api/v1/namespaces";

/// What becomes of one request that is no watch.
pub(crate) enum Fault {
    /// It is refused unread, by this status and reason; with the seconds that the client should wait, where there are some.
    Refused(u16, &'static str, Option<u32>),
    /// It is done, and the answer is this status.
    DoneAndRefused(u16),
    /// It is done, and the answer has another object than the server keeps.
    AnswerEdited(fn(&mut Value)),
    /// It is done, and the connection ends before the answer.
    Cut,
    /// No answer ever comes.
    Hangs,
}

/// One request as it was asked.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
    pub(crate) user_agent: String,
    /// The connections are counted from 0.
    pub(crate) connection: usize,
}

#[derive(Default)]
struct State {
    /// By their paths.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Each change: the version that it made, the object's path, and what watchers are sent.
    changes: Vec<(u64, String, Value)>,
    faults: VecDeque<Fault>,
    asked: Vec<ReceivedRequest>,
}

pub(crate) struct ScriptedApi {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
}

impl ScriptedApi {
    /// Starts one, and makes it the one that this process finds.
    pub(crate) async fn offer(env: &TestEnv) -> Self {
        Self::start(&env.path.join("kubeconfig")).await
    }

    /// Starts one for as long as this process lives, and returns the kubeconfig that names it.
    pub(crate) fn of_process() -> PathBuf {
        static STARTED: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
        let (_, path) = STARTED.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("kubeconfig");
            let (started, wait) = std::sync::mpsc::channel();
            let kubeconfig = path.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let _api = Self::start(&kubeconfig).await;
                    started.send(()).unwrap();
                    pending::<()>().await;
                });
            });
            wait.recv().unwrap();
            (directory, path)
        });
        path.clone()
    }

    /// Starts one, and writes a kubeconfig that names it.
    async fn start(path: &Path) -> Self {
        let listener = crate::ports::async_listener().await;
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": format!("http://{}", listener.local_addr().unwrap())}}],
            "users": [{"name": "x", "user": {}}],
        });
        // JSON is YAML.
        std::fs::write(path, kubeconfig.to_string()).unwrap();
        permit(path, 0o600);
        let api = Self { state: Arc::default(), changed: Arc::new(watch::Sender::new(())) };
        let (state, changed) = (api.state.clone(), api.changed.clone());
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, connection, state.clone(), changed.clone()));
            }
        });
        api
    }

    /// What becomes of the next requests.
    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// From now on every request is answered as it should be.
    pub(crate) fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// What was asked since this was called last.
    pub(crate) fn asked(&self) -> Vec<ReceivedRequest> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// A ConfigMap of [`NAMESPACE`] as the server has it.
    pub(crate) fn object(&self, name: &str) -> Value {
        self.state.lock().unwrap().objects[&path_of(name)].clone()
    }

    /// Somebody else changes a ConfigMap of [`NAMESPACE`].
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state.lock().unwrap();
        let mut object = state.objects[&path_of(name)].clone();
        change(&mut object);
        state.put(path_of(name), object);
        drop(state);
        self.changed.send_replace(());
    }

    /// Watchers of a ConfigMap of [`NAMESPACE`] are sent an event that is no change: of this type, about this object.
    pub(crate) fn send_watch_event(&self, name: &str, kind: &str, object: &Value) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let event = (state.version, path_of(name), json!({"type": kind, "object": object}));
        state.changes.push(event);
        drop(state);
        self.changed.send_replace(());
    }
}

fn path_of(name: &str) -> String {
    format!("{NAMESPACES}/{NAMESPACE}/configmaps/{name}")
}

impl State {
    fn put(&mut self, path: String, mut object: Value) -> Value {
        self.version += 1;
        let current = self.objects.get(&path);
        let kind = if current.is_some() { "MODIFIED" } else { "ADDED" };
        let uid = current.map_or_else(|| format!("uid-{}", self.version).into(), |old| old["metadata"]["uid"].clone());
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.changes.push((self.version, path.clone(), json!({"type": kind, "object": object})));
        self.objects.insert(path, object.clone());
        object
    }

    /// Does what is asked, as an API server does.
    fn answer(&mut self, asked: &ReceivedRequest) -> (u16, Value) {
        let path = asked.path.clone();
        let current = self.objects.get(&path).cloned();
        match (asked.method.as_str(), current) {
            ("POST", _) => {
                let path = format!("{path}/{}", asked.body["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&path) {
                    return status(409, "AlreadyExists", None);
                }
                (201, self.put(path, asked.body.clone()))
            }
            (_, None) => status(404, "NotFound", None),
            ("GET", Some(current)) => (200, current),
            ("PUT", Some(current)) => {
                let (sent, kept) = (&asked.body["metadata"], &current["metadata"]);
                // These write whatever is there.
                let is_unconditional = matches!(sent["resourceVersion"].as_str(), None | Some("" | "0"));
                let is_current = is_unconditional || sent["resourceVersion"] == kept["resourceVersion"];
                if !is_current || (sent["uid"].is_string() && sent["uid"] != kept["uid"]) {
                    return status(409, "Conflict", None);
                }
                (200, self.put(path, asked.body.clone()))
            }
            ("PATCH", Some(mut object)) => {
                merge(&mut object, &asked.body);
                (200, self.put(path, object))
            }
            ("DELETE", Some(current)) => {
                self.version += 1;
                self.objects.remove(&path);
                self.changes.push((self.version, path, json!({"type": "DELETED", "object": current})));
                (200, current)
            }
            _ => status(405, "MethodNotAllowed", None),
        }
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}

fn status(code: u16, reason: &str, retry_after: Option<u32>) -> (u16, Value) {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("scripted {code}"), "reason": reason, "code": code,
    });
    if let Some(seconds) = retry_after {
        status["details"] = json!({"retryAfterSeconds": seconds});
    }
    (code, status)
}

/// Answers one connection's requests until it ends.
async fn serve(mut stream: TcpStream, connection: usize, state: Arc<Mutex<State>>, changed: Arc<watch::Sender<()>>) {
    while let Some(asked) = read_request(&mut stream, connection).await {
        if asked.query.contains("watch=true") {
            state.lock().unwrap().asked.push(asked.clone());
            return send_events(stream, &asked, &state, changed.subscribe()).await;
        }
        let fault = {
            let mut state = state.lock().unwrap();
            state.asked.push(asked.clone());
            state.faults.pop_front()
        };
        let done = || {
            let answer = state.lock().unwrap().answer(&asked);
            changed.send_replace(());
            answer
        };
        let (code, object) = match fault {
            None => done(),
            Some(Fault::Refused(code, reason, retry_after)) => status(code, reason, retry_after),
            Some(Fault::DoneAndRefused(code)) => {
                done();
                status(code, "InternalError", None)
            }
            Some(Fault::AnswerEdited(edit)) => {
                let (code, mut object) = done();
                edit(&mut object);
                (code, object)
            }
            Some(Fault::Cut) => {
                done();
                return;
            }
            Some(Fault::Hangs) => pending().await,
        };
        let body = object.to_string();
        let head = format!(
            "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Sends what has changed since the version that a watch asks from, and then each change.
async fn send_events(
    mut stream: TcpStream,
    asked: &ReceivedRequest,
    state: &Arc<Mutex<State>>,
    mut changed: watch::Receiver<()>,
) {
    let parameter = |name: &str| asked.query.split('&').find_map(|one| one.strip_prefix(name)).unwrap_or_default();
    let mut sent: u64 = parameter("resourceVersion=").parse().unwrap();
    let path = format!("{}/{}", asked.path, parameter("fieldSelector=metadata.name%3D"));
    let head = "HTTP/1.1 200 x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    loop {
        changed.borrow_and_update();
        let is_news = |(version, of, _): &&(u64, String, Value)| *version > sent && *of == path;
        let news: Vec<_> = state.lock().unwrap().changes.iter().filter(is_news).cloned().collect();
        for (version, _, event) in news {
            sent = version;
            let line = format!("{event}\n");
            if stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.is_err() {
                return;
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream, connection: usize) -> Option<ReceivedRequest> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        read_more(stream, &mut bytes).await?;
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    let (method, target) = lines.next().unwrap().rsplit_once(' ').unwrap().0.split_once(' ').unwrap();
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |wanted: &str| {
        let mut all =
            headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim());
        all.next().map(|first| all.fold(first.to_owned(), |all, one| format!("{all}, {one}")))
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let user_agent = header("user-agent").unwrap_or_default();
    while bytes.len() < head + 4 + length {
        read_more(stream, &mut bytes).await?;
    }
    let body = serde_json::from_slice(&bytes[head + 4..]).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    Some(ReceivedRequest { method, path, query, body, user_agent, connection })
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}
