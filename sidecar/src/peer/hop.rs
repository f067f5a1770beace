//! The asking side: connections to the replica that serves a key, kept for the next request, and one request on its way there.

use super::{CLIENT_HEADER, HOLDER_HEADER};
use crate::custody::Holder;
use crate::http::body::MAX_BODY;
use crate::http::listener::prepare;
use crate::http::tls::Tls;
use crate::signer::Request;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{self, HeaderValue, header};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::key::Signature;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long the connection may take, with its TLS handshake: replicas are near each other.
const CONNECT: Duration = Duration::from_millis(300);

/// How many idle connections to one holder are kept.
const MAX_IDLE: usize = 64;

/// What may come of a request that is forwarded: the values of the metric's label.
pub const FORWARDED: [&str; 6] = ["signed", "refused", "unavailable", "unreachable", "failed", "displaced"];

/// Why the holder gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HopError {
    /// It has told nobody where it is.
    #[error("its address is not in the record")]
    NoAddress,
    /// No connection; nothing was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The connection broke, or what came is no answer.
    #[error("no answer: {0}")]
    Broken(String),
    /// The deadline has passed.
    #[error("it did not answer in time")]
    TimedOut,
    /// 200 with something else than the signature.
    #[error("its answer is no signature of this key for this request")]
    Signature,
    /// Another has taken over meanwhile.
    #[error("another has taken over")]
    Displaced,
}

impl HopError {
    /// Whether the request has not left.
    pub fn is_before_sending(&self) -> bool {
        matches!(self, Self::NoAddress | Self::Unreachable(_))
    }

    /// In one word, of [`FORWARDED`].
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::NoAddress | Self::Unreachable(_) => "unreachable",
            Self::Broken(_) | Self::TimedOut | Self::Signature => "failed",
            Self::Displaced => "displaced",
        }
    }
}

/// What the holder has answered, to be passed on as it is.
#[derive(Debug, Clone)]
pub struct PeerAnswer {
    /// Who it is.
    pub holder: Holder,
    /// The HTTP status.
    pub status: u16,
    /// Of the body.
    pub content_type: Option<HeaderValue>,
    /// All of it.
    pub body: Bytes,
}

impl PeerAnswer {
    /// An error where the status says that there is a signature, and none is there that `verifies`.
    pub fn checked(self, verifies: impl FnOnce(&Signature) -> bool) -> Result<Self, HopError> {
        #[derive(serde::Deserialize)]
        struct Signed {
            signature: Signature,
        }
        if self.status != 200 {
            return Ok(self);
        }
        match serde_json::from_slice::<Signed>(&self.body) {
            Ok(Signed { signature }) if verifies(&signature) => Ok(self),
            _ => Err(HopError::Signature),
        }
    }

    /// In one word, of [`FORWARDED`].
    pub fn outcome(&self) -> &'static str {
        match self.status {
            200 => "signed",
            502 => "unavailable",
            _ => "refused",
        }
    }
}

/// The other replicas. Which of them serves a key, and where it is, is in the record.
pub struct Peers {
    tls: Option<Arc<Tls>>,
    idle: Mutex<HashMap<SocketAddr, Vec<SendRequest<Body>>>>,
}

impl Peers {
    /// Reached with or without TLS.
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Self { tls, idle: Mutex::default() }
    }

    /// Asks `holder` what this signer was asked. An answer, whatever it says, ends it.
    pub async fn ask(&self, holder: &Holder, request: &Request, deadline: Instant) -> Result<PeerAnswer, HopError> {
        let address = holder.address.ok_or(HopError::NoAddress)?;
        if let Some(connection) = self.take(address) {
            let answer = self.exchange(connection, address, holder, request, deadline).await;
            // A connection that was kept may be dead since. What became of the request, if it arrived, stands in the record.
            if !matches!(answer, Err(HopError::Broken(_))) {
                return answer;
            }
        }
        let until = deadline.min(Instant::now() + CONNECT);
        let connection = tokio::time::timeout_at(until.into(), self.connect(address)).await;
        let connection = connection.map_err(|_| HopError::Unreachable("it took too long".to_owned()))??;
        self.exchange(connection, address, holder, request, deadline).await
    }

    async fn connect(&self, address: SocketAddr) -> Result<SendRequest<Body>, HopError> {
        let failed = |error: std::io::Error| HopError::Unreachable(error.to_string());
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        prepare(&stream).map_err(failed)?;
        match self.tls.as_ref().and_then(|tls| tls.connector()) {
            None => open(stream).await,
            Some((config, name)) => open(TlsConnector::from(config).connect(name, stream).await.map_err(failed)?).await,
        }
    }

    /// One request and its answer. The connection is kept only after a whole one; after a failure none to this address is.
    async fn exchange(
        &self,
        mut connection: SendRequest<Body>,
        address: SocketAddr,
        holder: &Holder,
        request: &Request,
        deadline: Instant,
    ) -> Result<PeerAnswer, HopError> {
        let unless_whole = Forget { peers: self, address, whole: false };
        let broken = |error: &dyn std::error::Error| HopError::Broken(innermost(error));
        let exchanged = async {
            let request = message(address, holder, request)?;
            connection.ready().await.map_err(|error| broken(&error))?;
            let answer = connection.send_request(request).await.map_err(|error| broken(&error))?;
            let (parts, body) = answer.into_parts();
            let body = to_bytes(Body::new(body), MAX_BODY).await.map_err(|error| broken(&error))?;
            let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
            let closes = parts.headers.get(header::CONNECTION).is_some_and(|value| value == "close");
            Ok((PeerAnswer { holder: holder.clone(), status: parts.status.as_u16(), content_type, body }, closes))
        };
        let exchanged = tokio::time::timeout_at(deadline.into(), exchanged).await;
        let (answer, closes) = exchanged.map_err(|_| HopError::TimedOut)??;
        unless_whole.defuse();
        if !closes {
            self.keep(address, connection);
        }
        Ok(answer)
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<SendRequest<Body>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, address: SocketAddr) -> Option<SendRequest<Body>> {
        let mut idle = self.idle();
        let connections = idle.get_mut(&address)?;
        connections.retain(|connection| !connection.is_closed());
        connections.pop()
    }

    fn keep(&self, address: SocketAddr, connection: SendRequest<Body>) {
        let mut idle = self.idle();
        // Those to an earlier holder.
        idle.retain(|other, connections| *other == address || connections.iter().any(|it| !it.is_closed()));
        let connections = idle.entry(address).or_default();
        if connections.len() < MAX_IDLE {
            connections.push(connection);
        }
    }
}

/// Forgets all connections to an address, unless an answer was whole. Also where nobody waits for it any more.
struct Forget<'a> {
    peers: &'a Peers,
    address: SocketAddr,
    whole: bool,
}

impl Forget<'_> {
    fn defuse(mut self) {
        self.whole = true;
    }
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if !self.whole {
            self.peers.idle().remove(&self.address);
        }
    }
}

async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<SendRequest<Body>, HopError> {
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| HopError::Unreachable(innermost(&error)))?;
    // It ends with its sender, or when the other side closes it.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to another replica broke");
        }
    });
    Ok(sender)
}

/// The request as the client sent it, with who is meant and who has asked.
fn message(address: SocketAddr, holder: &Holder, request: &Request) -> Result<http::Request<Body>, HopError> {
    // What was accepted as an authentication is Base58: nothing that has to be escaped.
    let plain = |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let query = request.authentication.as_ref().filter(plain);
    let query = query.map_or_else(String::new, |authentication| format!("?authentication={authentication}"));
    http::Request::post(format!("/keys/{}{query}", request.key))
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header(HOLDER_HEADER, &holder.identity)
        .header(CLIENT_HEADER, printable(&request.client))
        .body(Body::from(format!("\"{}\"", hex::encode(&request.payload))))
        .map_err(|error| HopError::Unreachable(format!("the record's holder cannot be named: {error}")))
}

/// What a header can carry: a certificate's subject may have any letters.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if matches!(letter, ' '..='~') { letter } else { '?' }).collect()
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
