//! The client side: kept-alive connections to the holder of a record, and the forwarding of one request.

use crate::net::body::MAX_BODY;
use crate::net::listener::prepare;
use crate::net::tls::Tls;
use crate::peer::{CLIENT_HEADER, HOLDER_HEADER, REQUEST_ID_HEADER};
use crate::records::session::Holder;
use crate::request::Request;
use crate::user_agent::USER_AGENT;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{self, HeaderValue, header};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::Signature;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// How long the connection may take, with its TLS handshake: replicas are near each other.
const CONNECT: Duration = Duration::from_millis(300);

/// How many idle connections to one holder are kept.
const MAX_IDLE: usize = 64;

/// Why the replica that holds a record gave no answer. The client is answered with 502, and its retry helps once the holder can be reached, or
/// another replica holds the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The record has no address of the holder: it runs without `peer`.
    #[error("its address is not in the record")]
    NoAddress,
    /// There is no connection, and nothing was sent: the holder has ended, or a network policy is in between.
    #[error("no connection: {0}")]
    Unreachable(#[source] Cause),
    /// The connection failed, or the response is invalid.
    #[error("no answer: {0}")]
    Broken(#[source] Cause),
    /// The holder has not answered within the deadline.
    #[error("it did not answer in time")]
    TimedOut,
    /// The holder answered 200 with something else than the signature. A retry does not help: another release, or another program.
    #[error("its answer is not a signature of this key for this request")]
    Signature,
    /// Another replica has taken over meanwhile. A retry helps.
    #[error("another replica has taken over")]
    Displaced,
}

impl PeerError {
    /// Whether the request has not left.
    pub fn is_before_sending(&self) -> bool {
        matches!(self, Self::NoAddress | Self::Unreachable(_))
    }

    /// In one word, of [`FORWARDED`](crate::metrics::FORWARDED).
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
    /// The replica that answered.
    pub holder: Holder,
    /// The HTTP status of its response.
    pub status: u16,
    /// The `Content-Type` of its response.
    pub content_type: Option<HeaderValue>,
    /// The whole body of its response.
    pub body: Bytes,
}

impl PeerAnswer {
    /// An error if the status is 200, but there is no signature that `verifies`.
    pub fn checked(self, verifies: impl FnOnce(&Signature) -> bool) -> Result<Self, PeerError> {
        #[derive(serde::Deserialize)]
        struct Signed {
            signature: Signature,
        }
        if self.status != 200 {
            return Ok(self);
        }
        match serde_json::from_slice::<Signed>(&self.body) {
            Ok(Signed { signature }) if verifies(&signature) => Ok(self),
            _ => Err(PeerError::Signature),
        }
    }

    /// In one word, of [`FORWARDED`](crate::metrics::FORWARDED).
    pub fn outcome(&self) -> &'static str {
        match self.status {
            200 => "signed",
            502 => "unavailable",
            _ => "refused",
        }
    }
}

/// The other replicas. The record names the holder and its address.
pub struct Peers {
    tls: Option<Arc<Tls>>,
    idle: Mutex<HashMap<SocketAddr, Vec<SendRequest<Body>>>>,
}

impl Peers {
    /// Reached with or without TLS.
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Self { tls, idle: Mutex::default() }
    }

    /// Forwards a request to `holder`. Any response ends it.
    pub async fn ask(&self, holder: &Holder, request: &Request, deadline: Instant) -> Result<PeerAnswer, PeerError> {
        let address = holder.address.ok_or(PeerError::NoAddress)?;
        if let Some(connection) = self.take(address) {
            let answer = self.exchange(connection, address, holder, request, deadline).await;
            // A kept connection may have died since. If the request arrived anyway, its result is in the record.
            if !matches!(answer, Err(PeerError::Broken(_))) {
                return answer;
            }
        }
        let until = deadline.min(Instant::now() + CONNECT);
        let connection = tokio::time::timeout_at(until, self.connect(address)).await;
        let connection = connection.map_err(|_| PeerError::Unreachable("it took too long".into()))??;
        self.exchange(connection, address, holder, request, deadline).await
    }

    async fn connect(&self, address: SocketAddr) -> Result<SendRequest<Body>, PeerError> {
        let failed = |error: std::io::Error| PeerError::Unreachable(Cause::of(error));
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
    ) -> Result<PeerAnswer, PeerError> {
        let unless_whole = Forget { peers: self, address, whole: false };
        let exchanged = async {
            let request = message(address, holder, request)?;
            connection.ready().await.map_err(broken)?;
            let answer = connection.send_request(request).await.map_err(broken)?;
            let (parts, body) = answer.into_parts();
            let body = to_bytes(Body::new(body), MAX_BODY).await.map_err(broken)?;
            let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
            let closes = parts.headers.get(header::CONNECTION).is_some_and(|value| value == "close");
            Ok((PeerAnswer { holder: holder.clone(), status: parts.status.as_u16(), content_type, body }, closes))
        };
        let exchanged = tokio::time::timeout_at(deadline, exchanged).await;
        let (answer, closes) = exchanged.map_err(|_| PeerError::TimedOut)??;
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

/// Drops all connections to an address, unless the response was complete. Also if the request no longer waits for it.
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

async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<SendRequest<Body>, PeerError> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| PeerError::Unreachable(Cause::innermost(error)))?;
    // It ends with its sender, or when the other side closes it.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to another replica failed");
        }
    });
    Ok(sender)
}

/// The request as the client sent it, with the intended holder and the client.
fn message(address: SocketAddr, holder: &Holder, request: &Request) -> Result<http::Request<Body>, PeerError> {
    // A signature's text is Base58: nothing that has to be escaped.
    let query = request.authentication.as_ref();
    let query = query.map_or_else(String::new, |authentication| format!("?authentication={authentication}"));
    http::Request::post(format!("/keys/{}{query}", request.key))
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONTENT_TYPE, "application/json")
        .header(HOLDER_HEADER, &holder.identity)
        .header(CLIENT_HEADER, printable(&request.caller.client))
        .header(REQUEST_ID_HEADER, request.caller.request_id.to_string())
        .body(Body::from(format!("\"{}\"", hex::encode(&request.payload))))
        .map_err(|error| {
            let cause = Cause::of(error).map_text(|error| format!("the record's holder cannot be named: {error}"));
            PeerError::Unreachable(cause)
        })
}

/// What a header can carry: a certificate's subject may have any letters.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if matches!(letter, ' '..='~') { letter } else { '?' }).collect()
}

/// hyper's own text of an error does not say what has broken.
fn broken(error: impl Error + Send + Sync + 'static) -> PeerError {
    PeerError::Broken(Cause::innermost(error))
}
