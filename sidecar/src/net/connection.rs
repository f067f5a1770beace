//! One connection, from the TLS handshake to its last byte: keep-alive, time-outs, and an orderly close that delivers the
//! last response.

use crate::net::body;
use crate::net::client::{Client, Peer};
use crate::net::connection_error::{ConnectionError, ConnectionErrorObserver};
use crate::net::connection_state::{ConnectionState, HANDSHAKE, HEAD, LINGER, Progress};
use crate::net::segments;
use crate::net::tls::Tls;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The largest head of a request. A real one has 300 bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The maximum number of bytes that are read and discarded at the end of a connection.
const MAX_UNREAD: usize = 16 * 1024 * 1024;

/// A client that has connected, or was answered, so short a time ago may be about to ask, as Octez does twice in a row. It is waited for
/// when the port stops, because a request on a connection that is just being closed is lost.
const ABOUT_TO_ASK: Duration = Duration::from_millis(200);

/// How long the client of a closed connection is waited for once the port has stopped, in place of [`LINGER`].
const LINGER_OF_STOPPED: Duration = Duration::from_millis(100);

/// What all connections of a port share.
#[derive(Clone)]
pub(crate) struct Protocol {
    pub(crate) router: Router,
    pub(crate) observer: ConnectionErrorObserver,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// One connection, before anything has been read from it.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) progress: Progress,
    protocol: Protocol,
}

impl Connection {
    /// Of a client at `peer`, which is first waited for in `first`.
    pub(crate) fn new(peer: Peer, first: ConnectionState, protocol: Protocol) -> Self {
        Self { client: Client::new(peer), progress: Progress::new(first), protocol }
    }

    /// Carries requests over TCP, through TLS if there is `tls`, until either side ends it.
    pub(crate) async fn run_tcp(mut self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        let Some(tls) = tls else { return self.run(stream).await };
        match timeout(HANDSHAKE, Box::pin(handshake(stream, &tls, &self.protocol.stopped))).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                self.client.certificate = certificates.and_then(<[_]>::first).map(crate::net::tls::describe);
                self.progress.enter(ConnectionState::Idle);
                // What a connection without TLS has no room for.
                Box::pin(self.run(stream)).await;
            }
            Ok(Err(error)) => self.fault(&ConnectionError::Handshake(Cause::of(error))),
            Err(_) => self.fault(&ConnectionError::HandshakeTimeout),
        }
    }

    /// Like [`Self::run_tcp`], over the Unix socket.
    pub(crate) async fn run_unix(self, stream: UnixStream) {
        self.run(stream).await;
    }

    fn fault(&self, fault: &ConnectionError) {
        (self.protocol.observer)(&self.client, fault);
    }

    async fn run(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let stream = TokioIo::new(Watched { stream, progress: self.progress.clone() });
        let service = {
            let (client, progress, stopped) =
                (self.client.clone(), self.progress.clone(), self.protocol.stopped.clone());
            let router = TowerToHyperService::new(self.protocol.router.clone());
            service_fn(move |request| {
                answer(request, router.clone(), client.clone(), progress.clone(), stopped.clone())
            })
        };
        let mut connection = http1::Builder::new()
            // Ours instead: hyper's would also close a connection that is only idle.
            .header_read_timeout(None)
            // A client that has closed its side after the request still gets its answer.
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .serve_connection(stream, service);

        let mut stop = pin!(stopped_and_silent(self.protocol.stopped.clone(), self.progress.clone()));
        let mut stopping = false;
        let mut alarm = pin!(sleep_until(Instant::now()));
        // Nothing if a deadline passed.
        let ended = poll_fn(|context| {
            if let Poll::Ready(result) = connection.poll_without_shutdown(context) {
                return Poll::Ready(Some(result));
            }
            // After the poll: a request that has come in already is answered.
            if !stopping && stop.as_mut().poll(context).is_ready() {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
                if let Poll::Ready(result) = connection.poll_without_shutdown(context) {
                    return Poll::Ready(Some(result));
                }
            }
            // Read after the poll, which may have changed the state.
            match self.progress.deadline() {
                Some(deadline) => {
                    if alarm.deadline() != deadline {
                        alarm.as_mut().reset(deadline);
                    }
                    alarm.as_mut().poll(context).map(|()| None)
                }
                None => Poll::Pending,
            }
        })
        .await;
        let mut stream = connection.into_parts().io.into_inner().stream;

        match ended {
            Some(Ok(())) => {}
            Some(Err(error)) if error.is_parse() => self.fault(&ConnectionError::Malformed(Cause::of(error))),
            Some(Err(error)) if error.is_incomplete_message() => self.fault(&ConnectionError::Incomplete),
            Some(Err(error)) => tracing::debug!(client = %self.client, %error, "connection broken"),
            None if self.progress.phase() == ConnectionState::Head => {
                self.fault(&ConnectionError::HeadTimeout);
                let text = format!("the request head did not arrive within {} seconds", HEAD.as_secs());
                let _ = timeout(LINGER, stream.write_all(bad_request(&text).as_bytes())).await;
            }
            None => self.fault(&ConnectionError::Idle),
        }
        self.progress.enter(ConnectionState::Closing);
        linger(stream, self.protocol.stopped).await;
    }
}

/// Waits until the port has stopped and the client is not about to ask.
async fn stopped_and_silent(mut stopped: watch::Receiver<bool>, progress: Progress) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
    loop {
        let silent_from = progress.usefulness().since + ABOUT_TO_ASK;
        if silent_from <= Instant::now() {
            return;
        }
        sleep_until(silent_from).await;
    }
}

/// Reads the rest of a request, calls the handler, and records the end of each part in the state.
fn answer(
    request: Request<Incoming>,
    router: TowerToHyperService<Router>,
    client: Client,
    progress: Progress,
    stopped: watch::Receiver<bool>,
) -> Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>> {
    Box::pin(async move {
        progress.enter(ConnectionState::Body);
        let (mut parts, incoming) = request.into_parts();
        let body = body::read(incoming).await;
        progress.enter(ConnectionState::Answer);
        parts.uri = segments::without_empty(parts.uri);
        let asks_for_signature = parts.method == Method::POST;
        parts.extensions.insert(client);
        let unread = body.is_err();
        let body = match body {
            Ok(bytes) => Body::from(bytes),
            Err(error) => {
                parts.extensions.insert(error);
                Body::empty()
            }
        };
        let mut response = router.call(Request::from_parts(parts, body)).await?;
        // What is left of a body would be taken for the next request; and of a port that has stopped the next process is asked.
        if unread || *stopped.borrow() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // A POST is answered with 200 for one thing only: a signature.
        progress.answered(asks_for_signature && response.status() == StatusCode::OK);
        Ok(response)
    })
}

/// Answers a client that uses plain HTTP on a TLS port, in plain HTTP.
async fn handshake(
    mut stream: TcpStream,
    tls: &Tls,
    stopped: &watch::Receiver<bool>,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut first = [0];
    // A method's first letter; a TLS handshake begins with 0x16.
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
        stream.write_all(bad_request("this port speaks TLS: use https").as_bytes()).await?;
        linger(stream, stopped.clone()).await;
        return Err(io::Error::other("plain HTTP"));
    }
    tls.acceptor().accept(stream).await
}

/// A response to an incomplete request, without a handler.
fn bad_request(text: &str) -> String {
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
}

/// Closes our side, and reads what the client still sends for a while: a socket that is closed with unread bytes is reset, and
/// a reset takes the answer with it.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin, mut stopped: watch::Receiver<bool>) {
    let read = async {
        stream.shutdown().await?;
        // Not in the future itself, where each connection would have the room for it from its beginning.
        let mut unwanted = vec![0; 4096];
        let mut read = 0;
        while read < MAX_UNREAD {
            match stream.read(&mut unwanted).await? {
                0 => break,
                bytes => read += bytes,
            }
        }
        io::Result::Ok(())
    };
    let stopped = async {
        let _ = stopped.wait_for(|stopped| *stopped).await;
        sleep(LINGER_OF_STOPPED).await;
    };
    tokio::select! {
        _ = timeout(LINGER, read) => {}
        () = stopped => {}
    }
}

/// A stream that reports when a request begins to arrive.
struct Watched<S> {
    stream: S,
    progress: Progress,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        // Some clients send an extra line end after a body, which is not a request.
        if buffer.filled()[before..].iter().any(|byte| !b"\r\n".contains(byte)) {
            self.progress.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
