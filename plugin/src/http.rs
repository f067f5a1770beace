//! One GET request over a connection that is open already: to a signer's admin port, or to an Octez node.

use crate::user_agent::USER_AGENT;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// In bytes. Metrics of a signer with 16 keys are a tenth of this.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Why there is no usable answer. A retry may help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Connection(#[from] hyper::Error),
    /// The path or host is no part of a URL.
    #[error("not a URL: {0}")]
    Url(#[from] hyper::http::Error),
    /// The answer broke off, or is too long.
    #[error("the answer cannot be read: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is an error.
    #[error("the answer to GET {path} is {status}")]
    Status {
        /// What was asked for.
        path: String,
        /// The answer.
        status: u16,
    },
}

/// The body of the answer to `GET path`.
pub(crate) async fn get<S>(stream: S, host: &str, path: &str) -> Result<Vec<u8>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer, because nothing else is asked on this connection.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(HttpError::Status { path: path.to_owned(), status: status.as_u16() });
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(HttpError::Body)?;
    Ok(body.to_bytes().to_vec())
}
