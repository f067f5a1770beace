//! All routes of the signing port: those of [`super::signing`], and those that are refused.

use crate::excerpt::excerpt;
use crate::http::error_body::refusal;
use crate::http::{request_id, signing};
use crate::net::client::Client;
use crate::request::Caller;
use crate::signing::Signer;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Json, Router, middleware};
use serde_json::json;
use std::sync::Arc;
use tezos_signer_core::audit::{Outcome, RequestId};
use tezos_signer_core::config::SignerConfig;

/// The protocol as `config` offers it. Requests must have the extension [`Client`].
pub fn router(signer: &Arc<Signer>, config: &SignerConfig) -> Router {
    let listing = if config.allow_known_keys { get(known_keys) } else { get(refuse_listing) };
    let routes = signing::router(signer.clone())
        .merge(
            Router::new()
                .route("/known_keys", listing)
                .route("/bls_prove_possession/{key}", get(signing::proof_of_possession))
                .with_state(signer.clone()),
        )
        .method_not_allowed_fallback(wrong_method);
    let routes = match &config.path_prefix {
        // With the prefix only: two names for one thing would be one more than a proxy's rules know.
        Some(prefix) => Router::new().nest(prefix.as_str(), routes),
        None => routes,
    };
    routes
        .fallback(unknown_path)
        .layer(Extension(signer.clone()))
        .layer(middleware::map_response_with_state(signer.clone(), close_when_closing))
        .layer(middleware::from_fn(request_id::of_client))
}

async fn known_keys(State(signer): State<Arc<Signer>>) -> Response {
    let keys: Vec<_> = signer.keys().map(|key| key.config.hash()).collect();
    Json(json!({ "known_keys": keys })).into_response()
}

/// In the words of octez-signer.
async fn refuse_listing() -> Response {
    refusal(StatusCode::FORBIDDEN, "List known keys request not allowed.")
}

pub(crate) async fn wrong_method(
    Extension(signer): Extension<Arc<Signer>>,
    Extension(client): Extension<Client>,
    Extension(request_id): Extension<RequestId>,
    method: Method,
    uri: Uri,
) -> Response {
    let message = format!("{method} is not allowed for {}", shown(&uri));
    not_found(&signer, Caller { client: client.to_string(), request_id }, StatusCode::METHOD_NOT_ALLOWED, &message)
}

pub(crate) async fn unknown_path(
    Extension(signer): Extension<Arc<Signer>>,
    Extension(client): Extension<Client>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
) -> Response {
    let message = format!("{} is not a path of a Tezos signer", shown(&uri));
    not_found(&signer, Caller { client: client.to_string(), request_id }, StatusCode::NOT_FOUND, &message)
}

fn not_found(signer: &Signer, caller: Caller, status: StatusCode, message: &str) -> Response {
    let answer = refusal(status, &excerpt(message));
    signer.not_asked(caller, status.as_u16(), Outcome::NotFound, message);
    answer
}

/// No more of a path than an address is long.
fn shown(uri: &Uri) -> String {
    uri.path().chars().take(80).collect()
}

/// A process that shuts down asks its clients to reconnect, so that they reach its successor.
pub(crate) async fn close_when_closing(State(signer): State<Arc<Signer>>, mut response: Response) -> Response {
    if signer.is_closing() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
