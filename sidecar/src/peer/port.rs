//! The asked side: the peer port, where other replicas forward what this signer serves. Signing requests only, and only those
//! that mean this very signer.

use super::{CLIENT_HEADER, HOLDER_HEADER};
use crate::http::body::{BodyError, WholeBody};
use crate::http::client::Client;
use crate::http::port::{close_when_closing, unknown_path, wrong_method};
use crate::http::refusal::refusal;
use crate::http::signing::{SigningQuery, answer};
use crate::http::slots::Slots;
use crate::signer::{Origin, Signer};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Router, middleware};
use std::sync::Arc;
use tezos_signer_core::audit::Outcome;

/// No more of a client's description is written into the log.
const MAX_CLIENT: usize = 200;

#[derive(Clone)]
struct PeerPort {
    signer: Arc<Signer>,
    identity: Arc<str>,
    slots: Slots,
}

/// Its routes, for the signer that is called `identity`. Requests must have the extension [`Client`]. They share their slots with
/// those of the signing port.
pub fn router(signer: &Arc<Signer>, identity: &str, slots: Slots) -> Router {
    let port = PeerPort { signer: signer.clone(), identity: identity.into(), slots };
    Router::new()
        .route("/keys/{key}", post(sign))
        .with_state(port)
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(Extension(signer.clone()))
        .layer(middleware::map_response_with_state(signer.clone(), close_when_closing))
}

async fn sign(
    State(PeerPort { signer, identity, slots }): State<PeerPort>,
    Extension(peer): Extension<Client>,
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
    let (status, outcome, reason) = match header(HOLDER_HEADER) {
        Some(meant) if meant == &*identity => {
            return answer(&signer, client, Origin::Peer, &slots, &key, query, body).await;
        }
        Some(_) => (
            StatusCode::BAD_GATEWAY,
            Outcome::Unavailable,
            "another signer is meant, which was at this address before: the record says who serves the key",
        ),
        None => (
            StatusCode::BAD_REQUEST,
            Outcome::Malformed,
            "this port is for the replicas of this signer: ask for signatures at the signing port",
        ),
    };
    signer.not_asked(client, status.as_u16(), outcome, reason.to_owned());
    if status == StatusCode::BAD_REQUEST { (status, reason).into_response() } else { refusal(status, reason) }
}
