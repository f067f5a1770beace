//! Assigns an id to each request and adds it to the response, so that the lines of the audit log and of the log about it can
//! be found.

use crate::peer::{HOLDER_HEADER, REQUEST_ID_HEADER};
use crate::request::new_request_id;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use tezos_signer_core::audit::RequestId;

/// A new id. An id of the client is ignored, because a client must not choose the contents of the log.
pub(crate) async fn of_client(request: Request, next: Next) -> Response {
    with(new_request_id(), request, next).await
}

/// The id that the forwarding replica gave it, if it means the signer that is called `identity`.
pub(crate) async fn of_peer(State(identity): State<Arc<str>>, request: Request, next: Next) -> Response {
    let id = given_by_peer(request.headers(), &identity).unwrap_or_else(new_request_id);
    with(id, request, next).await
}

fn given_by_peer(headers: &HeaderMap, identity: &str) -> Option<RequestId> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    header(HOLDER_HEADER).filter(|holder| *holder == identity)?;
    header(REQUEST_ID_HEADER)?.parse().ok()
}

/// Handlers find it as an extension.
async fn with(id: RequestId, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    response
}
