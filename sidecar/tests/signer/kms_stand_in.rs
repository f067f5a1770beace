//! A stand-in for AWS KMS that does what no real one does on demand: every error, wrong signatures, silence, broken connections. It speaks
//! KMS' JSON over HTTP, has Ed25519 keys, and can hold requests to a policy of IAM. Ended when dropped.

mod faults;
mod keys;
mod policy;

pub(crate) use faults::Fault;
pub(crate) use keys::{KeyState, Spec};

use crate::certificates::Certificate;
use crate::kms_stand_in::keys::StandInKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tezos_signer_core::key::SigningPublicKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) const REGION: &str = "eu-west-1";
const ACCOUNT: &str = "111122223333";

/// What an answer is: a status and a JSON text, or nothing but a broken connection.
type Outcome = Result<(StatusCode, String), Broken>;

#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
struct Broken;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `Sign`.
    pub(crate) operation: String,
    pub(crate) body: Value,
    /// Of the request's signature: who has signed it.
    pub(crate) access_key: String,
    pub(crate) token: String,
}

pub(crate) struct KmsStandIn {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    end: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Vec<StandInKey>,
    sealed: HashMap<Vec<u8>, (String, Value, Vec<u8>)>,
    /// Of all keys, or of one.
    faults: Vec<(Option<String>, Fault)>,
    /// How often each kind of fault was met.
    met: usize,
    delay: Duration,
    policy: Option<Value>,
    asked: Vec<Asked>,
    connections: usize,
    /// Requests on connections with a lower number are never answered.
    frozen_below: usize,
    in_flight: usize,
    most_in_flight: usize,
}

impl KmsStandIn {
    pub(crate) fn start() -> Self {
        let listener = crate::ports::listener();
        Self::on(listener)
    }

    fn on(listener: std::net::TcpListener) -> Self {
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { state: Mutex::default() });
        let (end, ended) = watch::channel(false);
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || serve(listener, &shared, ended)
        });
        Self { address, shared, end, thread: Some(thread) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Serves on this port of loopback too, for as long as the process lives.
    pub(crate) fn also_on(&self, port: u16) {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (shared, ended) = (self.shared.clone(), self.end.subscribe());
        std::thread::spawn(move || serve(listener, &shared, ended));
    }

    /// Serves by TLS too, for as long as the process lives, and returns where.
    pub(crate) fn tls_endpoint(&self, own: &Certificate) -> String {
        let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap())
                .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = crate::ports::listener();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let shared = self.shared.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    // One that fails is a client that does not trust us.
                    let Ok(stream) = acceptor.accept(stream).await else { continue };
                    tokio::spawn(serve_connection(stream, shared.clone()));
                }
            });
        });
        endpoint
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a key, and returns its ARN and public key.
    pub(crate) fn add_key(&self, name: &str, spec: Spec) -> (String, SigningPublicKey) {
        let key = StandInKey::new(&arn(name), spec);
        let made = (key.arn.clone(), key.public_key());
        self.state().keys.push(key);
        made
    }

    /// Makes a symmetric key, and returns its ARN.
    pub(crate) fn add_sealing_key(&self, name: &str) -> String {
        let key = StandInKey::symmetric(&arn(name));
        let made = key.arn.clone();
        self.state().keys.push(key);
        made
    }

    pub(crate) fn set_state(&self, arn: &str, state: KeyState) {
        self.state().keys.iter_mut().find(|key| key.arn == arn).unwrap().state = state;
    }

    /// From now on all requests meet this fault; `None`: none does.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.state().faults = fault.into_iter().map(|fault| (None, fault)).collect();
    }

    /// Requests for one key do.
    pub(crate) fn set_fault_of(&self, arn: &str, fault: Fault) {
        self.state().faults = vec![(Some(arn.to_owned()), fault)];
    }

    /// How often faults were met.
    pub(crate) fn met(&self) -> usize {
        self.state().met
    }

    /// Every answer takes so long.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Whoever asks has this policy of IAM, and no other.
    pub(crate) fn set_policy(&self, policy: Value) {
        self.state().policy = Some(policy);
    }

    /// What the connections of now carry is never answered; new ones are well.
    pub(crate) fn freeze(&self) {
        let mut state = self.state();
        state.frozen_below = state.connections;
    }

    /// All that was asked since the last time.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// How many requests were in flight at once since the last time, at most.
    pub(crate) fn take_most_in_flight(&self) -> usize {
        std::mem::take(&mut self.state().most_in_flight)
    }
}

impl Drop for KmsStandIn {
    fn drop(&mut self) {
        self.end.send_replace(true);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}")
}

fn serve(listener: std::net::TcpListener, shared: &Arc<Shared>, mut ended: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = ended.wait_for(|ended| *ended) => return,
            };
            let Ok((stream, _)) = accepted else { continue };
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve_connection(stream, shared.clone()));
        }
    });
}

async fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let number = {
        let mut state = shared.state();
        state.connections += 1;
        state.connections - 1
    };
    let service = service_fn(|request| shared.answer(number, request));
    // An error is a client that is gone, or a fault.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn answer(&self, connection: usize, request: Request<Incoming>) -> Result<Response<String>, Broken> {
        let header = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let operation = header("x-amz-target").strip_prefix("TrentService.").expect("an operation of KMS").to_owned();
        assert!(header("authorization").starts_with("AWS4-HMAC-SHA256 Credential="), "a request that is not signed");
        assert!(header("authorization").contains(&format!("/{REGION}/kms/aws4_request")));
        let access_key = header("authorization")["AWS4-HMAC-SHA256 Credential=".len()..].to_owned();
        let access_key = access_key.split('/').next().unwrap().to_owned();
        let token = header("x-amz-security-token");
        let body = axum::body::to_bytes(axum::body::Body::new(request.into_body()), 64 * 1024).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let asked = Asked { operation, body, access_key, token };
        let (delay, is_frozen) = {
            let mut state = self.state();
            state.asked.push(asked.clone());
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            (state.delay, connection < state.frozen_below)
        };
        if is_frozen {
            std::future::pending::<()>().await;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let outcome = self.outcome(&asked).await;
        self.state().in_flight -= 1;
        let (status, text) = outcome?;
        let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
        Ok(response.body(text).unwrap())
    }

    async fn outcome(&self, asked: &Asked) -> Outcome {
        let name = asked.body["KeyId"].as_str().unwrap_or_default().to_owned();
        let fault = {
            let mut state = self.state();
            let found = state.faults.iter().find(|(of, _)| of.as_ref().is_none_or(|of| *of == name));
            let found = found.map(|(_, fault)| fault.clone()).filter(|fault| fault.concerns(asked));
            state.met += usize::from(found.is_some());
            found
        };
        if let Some(fault) = &fault
            && let Some(outcome) = fault.instead_of_an_answer(&name).await
        {
            return outcome;
        }
        let mut state = self.state();
        if let Some(policy) = &state.policy
            && !policy::allows(policy, asked)
        {
            return denied(&asked.operation, &name);
        }
        state.answer(asked, &name, fault.as_ref())
    }
}

impl State {
    fn answer(&mut self, asked: &Asked, name: &str, fault: Option<&Fault>) -> Outcome {
        let body = &asked.body;
        let bytes = |field: &str| STANDARD.decode(body[field].as_str().unwrap_or_default()).unwrap();
        if asked.operation == "Decrypt" {
            let sealed = self.sealed.get(&bytes("CiphertextBlob")).cloned();
            let key = self.keys.iter().find(|key| key.is_named(name));
            if let Some(refusal) = key.and_then(StandInKey::refusal) {
                return refusal;
            }
            return match sealed {
                Some((arn, context, plain))
                    if key.is_some_and(|key| key.arn == arn) && context == body["EncryptionContext"] =>
                {
                    ok(
                        &json!({"KeyId": arn, "Plaintext": STANDARD.encode(plain), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
                    )
                }
                _ => error("InvalidCiphertextException", ""),
            };
        }
        if asked.operation == "GenerateRandom" {
            let bytes = [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat();
            assert_eq!(body["NumberOfBytes"], bytes.len());
            return ok(&json!({"Plaintext": STANDARD.encode(bytes)}));
        }
        let Some(key) = self.keys.iter().find(|key| key.is_named(name)) else {
            return error("NotFoundException", &format!("Key '{name}' does not exist"));
        };
        if let Some(refusal) = key.refusal() {
            return refusal;
        }
        let arn = key.arn.clone();
        match asked.operation.as_str() {
            "GetPublicKey" => key.get_public_key(fault),
            "Sign" => key.sign(body, &bytes("Message"), fault),
            "DescribeKey" => ok(&json!({"KeyMetadata": {"KeyId": arn, "Arn": arn, "KeySpec": key.spec.name()}})),
            "Encrypt" => {
                let blob = uuid::Uuid::new_v4().as_bytes().repeat(10);
                self.sealed.insert(blob.clone(), (arn.clone(), body["EncryptionContext"].clone(), bytes("Plaintext")));
                ok(
                    &json!({"KeyId": arn, "CiphertextBlob": STANDARD.encode(blob), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
                )
            }
            other => panic!("{other}: nobody should ask for this"),
        }
    }
}

#[allow(clippy::unnecessary_wraps, reason = "an outcome, as that of a connection that breaks")]
fn ok(body: &Value) -> Outcome {
    Ok((StatusCode::OK, body.to_string()))
}

#[allow(clippy::unnecessary_wraps, reason = "an outcome, as that of a connection that breaks")]
fn error(code: &str, message: &str) -> Outcome {
    Ok((StatusCode::BAD_REQUEST, json!({"__type": code, "message": message}).to_string()))
}

/// In the words of AWS.
fn denied(operation: &str, name: &str) -> Outcome {
    error(
        "AccessDeniedException",
        &format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/baker/session is not authorized to perform: kms:{operation} on resource: {name} \
             because no identity-based policy allows the kms:{operation} action"
        ),
    )
}
