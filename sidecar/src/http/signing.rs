//! Octez' remote signer protocol over HTTP. Statuses and bodies are what its client understands: 502, and only 502, is tried
//! again; refusals are arrays of error objects; 400 is text.

use crate::signer::{Request, SignError, Signer};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tezos_signer_core::audit::Outcome;
use tezos_signer_core::key::PublicKeyHash;

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

/// The client asks this before each signature. An empty object says that no authentication is wanted; else it picks a key of
/// its own out of the list, which is that of all keys, because the request does not say for which one it is.
async fn authorized_keys(State(signer): State<Arc<Signer>>) -> Response {
    let clients: BTreeSet<PublicKeyHash> = signer.keys().flat_map(|key| key.authorized_keys.hashes()).collect();
    if clients.is_empty() { Json(json!({})) } else { Json(json!({ "authorized_keys": clients })) }.into_response()
}

async fn public_key(State(signer): State<Arc<Signer>>, Path(key): Path<String>) -> Result<Response, Refused> {
    let hash = parse_hash(&key)?;
    let key = signer.key(&hash).ok_or(SignError::UnknownKey(hash))?;
    Ok(Json(json!({ "public_key": key.config.public_key })).into_response())
}

/// What the query of a signing request may say; whatever else it says is passed over, as `version` is, which matters for tz4.
#[derive(serde::Deserialize)]
struct SigningQuery {
    authentication: Option<String>,
}

async fn sign(
    State(signer): State<Arc<Signer>>,
    Path(key): Path<String>,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let client = String::new();
    match parse(&key, query, body) {
        Ok((key, payload, authentication)) => {
            let signature = signer.sign(Request { client, key, payload, authentication }).await?;
            Ok(Json(json!({ "signature": signature })).into_response())
        }
        Err(refused) => {
            let (status, message) = refused.status_and_message();
            signer.unreadable(client, status.as_u16(), Outcome::Malformed, message);
            Err(refused)
        }
    }
}

type Parsed = (PublicKeyHash, Vec<u8>, Option<String>);

fn parse(
    key: &str,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Parsed, Refused> {
    let key = parse_hash(key)?;
    let Query(query) = query.map_err(|rejection| Refused::Body(rejection.body_text()))?;
    let body = body.map_err(|rejection| Refused::Body(rejection.body_text()))?;
    let hex: String = serde_json::from_slice(&body)
        .map_err(|_| Refused::Body("expected a JSON string of hex digits, such as \"11ab…\"".to_owned()))?;
    let payload = hex::decode(&hex).map_err(|error| Refused::Body(format!("the JSON string is not hex: {error}")))?;
    Ok((key, payload, query.authentication))
}

/// The address in a path. No more of what stands there instead is repeated than an address has.
fn parse_hash(text: &str) -> Result<PublicKeyHash, Refused> {
    text.parse().map_err(|error| {
        let shown: String = text.chars().take(40).collect();
        Refused::Body(format!("{shown:?} in the path: {error}"))
    })
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
            Self::Sign(error) => {
                let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, error.to_string())
            }
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
