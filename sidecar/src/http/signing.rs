//! Octez' remote signer protocol over HTTP. Statuses and bodies are what its client understands: 502, and only 502, is tried
//! again; refusals are arrays of error objects; 400 is text.

use crate::signer::{SignError, Signer};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::json;
use std::sync::Arc;
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::watermark::Refusal;

/// The largest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// The protocol's routes.
pub fn router(signer: Arc<Signer>) -> Router {
    Router::new()
        .route("/authorized_keys", get(authorized_keys))
        .route("/keys/{key}", get(public_key).post(sign))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::map_response_with_state(signer.clone(), close_when_closing))
        .with_state(signer)
}

/// The client asks this before each signature; an empty object says that no authentication is wanted.
async fn authorized_keys() -> Response {
    Json(json!({})).into_response()
}

async fn public_key(State(signer): State<Arc<Signer>>, Path(key): Path<String>) -> Result<Response, Refused> {
    let hash = parse_hash(&key)?;
    let key = signer.key(&hash).ok_or(SignError::UnknownKey(hash))?;
    Ok(Json(json!({ "public_key": key.config.public_key })).into_response())
}

async fn sign(
    State(signer): State<Arc<Signer>>,
    Path(key): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let answer = match parse(&key, body) {
        Ok((key, payload)) => signer.sign(&key, &payload).await.map_err(Refused::Sign),
        Err(refused) => {
            signer.metrics().unreadable();
            Err(refused)
        }
    };
    let signature = answer.inspect_err(|refused| {
        let (status, message) = refused.status_and_message();
        // The path is the client's: no more of it than an address has.
        tracing::info!(key = %key.chars().take(40).collect::<String>(), status = status.as_u16(), message, "not signed");
    })?;
    Ok(Json(json!({ "signature": signature })).into_response())
}

fn parse(key: &str, body: Result<Bytes, BytesRejection>) -> Result<(PublicKeyHash, Vec<u8>), Refused> {
    let key = parse_hash(key)?;
    let body = body.map_err(|rejection| Refused::Body(rejection.body_text()))?;
    let hex: String = serde_json::from_slice(&body)
        .map_err(|_| Refused::Body("expected a JSON string of hex digits, such as \"11ab…\"".to_owned()))?;
    let payload = hex::decode(&hex).map_err(|error| Refused::Body(format!("the JSON string is not hex: {error}")))?;
    Ok((key, payload))
}

fn parse_hash(text: &str) -> Result<PublicKeyHash, Refused> {
    text.parse().map_err(|error| Refused::Body(format!("{text:?} in the path: {error}")))
}

/// A process that ends asks its clients to connect anew, to whoever comes next.
async fn close_when_closing(State(signer): State<Arc<Signer>>, mut response: Response) -> Response {
    if signer.is_closing() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request that gets no signature.
enum Refused {
    /// 400: not understood at all.
    Body(String),
    /// Understood, and refused.
    Sign(SignError),
}

impl From<SignError> for Refused {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

impl Refused {
    fn status_and_message(&self) -> (StatusCode, String) {
        match self {
            Self::Body(message) => (StatusCode::BAD_REQUEST, message.clone()),
            Self::Sign(error) => (status(error), error.to_string()),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = self.status_and_message();
        if status == StatusCode::BAD_REQUEST {
            return (status, message).into_response();
        }
        let kind = if status == StatusCode::BAD_GATEWAY { "temporary" } else { "permanent" };
        (status, Json(json!([{ "kind": kind, "id": "failure", "msg": message }]))).into_response()
    }
}

fn status(error: &SignError) -> StatusCode {
    match error {
        SignError::UnknownKey(_) => StatusCode::NOT_FOUND,
        SignError::Malformed(_) => StatusCode::BAD_REQUEST,
        SignError::Forbidden(_) | SignError::Watermark(Refusal::Suspended) => StatusCode::FORBIDDEN,
        SignError::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        error if error.is_transient() => StatusCode::BAD_GATEWAY,
        _ => StatusCode::CONFLICT,
    }
}
