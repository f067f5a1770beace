//! The peer port, on which other replicas forward requests for records that this signer holds. It serves only signing
//! requests, and only those that name this process as the holder.

use crate::http::error_body::refusal;
use crate::http::request_id;
use crate::http::routes::{close_when_closing, unknown_path, wrong_method};
use crate::http::signing::{SigningQuery, answer};
use crate::net::body::{BodyError, WholeBody};
use crate::net::client::Client;
use crate::peer::{CLIENT_HEADER, HOLDER_HEADER};
use crate::request::{Caller, Origin};
use crate::signing::Signer;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Router, middleware};
use std::sync::Arc;
use tezos_signer_core::audit::{Outcome, RequestId};

/// No more of a client's description is written into the log.
const MAX_CLIENT: usize = 200;

#[derive(Clone)]
struct PeerPort {
    signer: Arc<Signer>,
    identity: Arc<str>,
}

/// Its routes, for the signer that is called `identity`. Requests must have the extension [`Client`].
pub fn router(signer: &Arc<Signer>, identity: &str) -> Router {
    let identity: Arc<str> = identity.into();
    let port = PeerPort { signer: signer.clone(), identity: identity.clone() };
    Router::new()
        .route("/keys/{key}", post(sign))
        .with_state(port)
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(Extension(signer.clone()))
        .layer(middleware::map_response_with_state(signer.clone(), close_when_closing))
        .layer(middleware::from_fn_with_state(identity, request_id::of_peer))
}

async fn sign(
    State(PeerPort { signer, identity }): State<PeerPort>,
    Extension(peer): Extension<Client>,
    Extension(request_id): Extension<RequestId>,
    Path(key): Path<String>,
    headers: HeaderMap,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<WholeBody, BodyError>,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let client = header(CLIENT_HEADER).map_or_else(
        || peer.to_string(),
        |client| format!("{} through {peer}", client.chars().take(MAX_CLIENT).collect::<String>()),
    );
    let caller = Caller { client, request_id };
    let (status, outcome, reason) = match header(HOLDER_HEADER) {
        Some(meant) if meant == &*identity => {
            return answer(&signer, caller, Origin::Peer, &key, query, body).await;
        }
        Some(_) => (
            StatusCode::BAD_GATEWAY,
            Outcome::Unavailable,
            "the request is for another signer, which had this address before: the record has the current holder",
        ),
        None => (
            StatusCode::BAD_REQUEST,
            Outcome::Malformed,
            "this port is for the replicas of this signer: send signing requests to the signing port",
        ),
    };
    signer.not_asked(caller, status.as_u16(), outcome, reason);
    if status == StatusCode::BAD_REQUEST { (status, reason).into_response() } else { refusal(status, reason) }
}
