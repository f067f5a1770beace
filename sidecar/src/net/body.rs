//! Reads the body of a request before any handler runs, at most 64 KiB and within a time-out, so that a slow client delays
//! only its own connection.

use crate::net::connection_state::BODY;
use axum::body::Bytes;
use axum::extract::FromRequest;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Incoming};
use std::future::poll_fn;
use std::pin::Pin;
use tezos_signer_core::cause::Cause;

/// The largest body that is read.
pub const MAX_BODY: usize = 64 * 1024;

/// Why a request has no body: 400. A retry helps with a body of another size, and where the client or the network was slow or cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than [`MAX_BODY`]: nothing that is signed has that size.
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// It has not arrived in time.
    #[error("the body did not arrive within {} seconds", BODY.as_secs())]
    TimedOut,
    /// The connection broke, or the chunks have no right form.
    #[error("the body did not arrive: {0}")]
    Broken(#[source] Cause),
}

/// Reads all of it.
pub(crate) async fn read(body: Incoming) -> Result<Bytes, BodyError> {
    tokio::time::timeout(BODY, read_whole(body)).await.unwrap_or(Err(BodyError::TimedOut))
}

async fn read_whole(mut body: Incoming) -> Result<Bytes, BodyError> {
    let hint = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if hint > MAX_BODY {
        return Err(BodyError::TooLarge);
    }
    let mut whole = Vec::with_capacity(hint);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // What is not data is trailers.
        if let Ok(data) = frame.map_err(|error| BodyError::Broken(Cause::of(error)))?.into_data() {
            if whole.len() + data.len() > MAX_BODY {
                return Err(BodyError::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.into())
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, self.to_string()).into_response()
    }
}

/// A handler's argument: the body, or why there is none.
#[derive(Debug)]
pub struct WholeBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for WholeBody {
    type Rejection = BodyError;

    async fn from_request(request: Request<axum::body::Body>, _: &S) -> Result<Self, BodyError> {
        if let Some(error) = request.extensions().get::<BodyError>() {
            return Err(error.clone());
        }
        // It is in memory already, and no larger.
        let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY).await;
        bytes.map(Self).map_err(|error| BodyError::Broken(Cause::of(error)))
    }
}
