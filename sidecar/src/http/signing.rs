//! Octez' remote signer protocol over HTTP. Statuses and bodies are what its client understands: 502, and only 502, is tried
//! again; refusals are arrays of error objects; 400 is text.

use super::body::{BodyError, WholeBody};
use super::client::Client;
use super::refusal::refusal;
use super::slots::{Overloaded, Slots};
use crate::signer::{Answer, Origin, Request, SignError, Signer};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tezos_signer_core::audit::Outcome;
use tezos_signer_core::key::PublicKeyHash;
use tezos_signer_core::payload::from_body;

/// The protocol's routes.
pub fn router(signer: Arc<Signer>) -> Router {
    Router::new()
        .route("/authorized_keys", get(authorized_keys))
        .route("/keys/{key}", get(public_key).post(sign))
        .with_state(signer)
}

/// The client asks this before each signature. An empty object says that no authentication is wanted; else it picks a key of
/// its own out of the list, which is that of all keys, because the request does not say for which one it is.
async fn authorized_keys(State(signer): State<Arc<Signer>>) -> Response {
    let clients: BTreeSet<PublicKeyHash> =
        signer.keys().flat_map(|key| key.authorized_keys.hashes().collect::<Vec<_>>()).collect();
    if clients.is_empty() { Json(json!({})) } else { Json(json!({ "authorized_keys": clients })) }.into_response()
}

async fn public_key(State(signer): State<Arc<Signer>>, Path(key): Path<String>) -> Result<Response, Refused> {
    let hash = parse_hash(&key)?;
    let key = signer.key(&hash).ok_or(SignError::UnknownKey(hash))?;
    Ok(Json(json!({ "public_key": key.config.public_key })).into_response())
}

/// What the query of a signing request may say; whatever else it says is passed over, as `version` is, which matters for tz4.
#[derive(serde::Deserialize)]
pub(crate) struct SigningQuery {
    authentication: Option<String>,
}

async fn sign(
    State(signer): State<Arc<Signer>>,
    Extension(client): Extension<Client>,
    Extension(slots): Extension<Slots>,
    Path(key): Path<String>,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<WholeBody, BodyError>,
) -> Response {
    answer(&signer, client.to_string(), Origin::Client, &slots, &key, query, body).await
}

/// Answers a signing request, from the parts of it to the response, for this port and for that of the peers.
pub(crate) async fn answer(
    signer: &Arc<Signer>,
    client: String,
    origin: Origin,
    slots: &Slots,
    key: &str,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<WholeBody, BodyError>,
) -> Response {
    let answer = match parse(key, query, body) {
        Ok((key, payload, authentication)) => {
            let request = Request { client: client.clone(), key, payload, authentication, origin };
            sign_in_slot(signer.clone(), request, slots).await
        }
        Err(refused) => Err(refused),
    };
    match answer {
        Ok(Answer::Signature(signature)) => Json(json!({ "signature": signature })).into_response(),
        Ok(Answer::Forwarded(answer)) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut response = (status, answer.body).into_response();
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().extend(answer.content_type.map(|content_type| (header::CONTENT_TYPE, content_type)));
            response
        }
        Err(refused) => {
            refused.account_for(signer, client);
            refused.into_response()
        }
    }
}

/// In a task of its own, which holds the slot to the end: a client that goes away makes no room for another request.
async fn sign_in_slot(signer: Arc<Signer>, request: Request, slots: &Slots) -> Result<Answer, Refused> {
    let slot = slots.take().map_err(Refused::Overloaded)?;
    let task = tokio::spawn(async move {
        let _slot = slot;
        signer.sign(request).await
    });
    Ok(task.await.map_err(|_| SignError::Bug)??)
}

type Parsed = (PublicKeyHash, Vec<u8>, Option<String>);

fn parse(
    key: &str,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<WholeBody, BodyError>,
) -> Result<Parsed, Refused> {
    let key = parse_hash(key)?;
    let Query(query) = query.map_err(|rejection| Refused::Body(rejection.body_text()))?;
    let WholeBody(body) = body.map_err(|error| Refused::Body(error.to_string()))?;
    let payload = from_body(&body).map_err(|error| Refused::Body(error.to_string()))?;
    Ok((key, payload, query.authentication))
}

/// The address in a path. No more of what stands there instead is repeated than an address has.
fn parse_hash(text: &str) -> Result<PublicKeyHash, Refused> {
    text.parse().map_err(|error| {
        let shown: String = text.chars().take(40).collect();
        Refused::Body(format!("{shown:?} in the path: {error}"))
    })
}

/// A request that gets no signature.
enum Refused {
    /// 400: not understood at all.
    Body(String),
    /// 502: too many at once.
    Overloaded(Overloaded),
    /// Understood, and refused.
    Sign(SignError),
}

impl From<SignError> for Refused {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

impl Refused {
    /// Puts it into the audit log, the metrics and the log, where the signer has not done so.
    fn account_for(&self, signer: &Signer, client: String) {
        let outcome = match self {
            Self::Body(_) => Outcome::Malformed,
            Self::Overloaded(_) => Outcome::Unavailable,
            Self::Sign(_) => return,
        };
        let (status, message) = self.status_and_message();
        signer.not_asked(client, status.as_u16(), outcome, message);
    }

    fn status_and_message(&self) -> (StatusCode, String) {
        match self {
            Self::Body(message) => (StatusCode::BAD_REQUEST, message.clone()),
            Self::Overloaded(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
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
        let mut response = refusal(status, &message);
        if matches!(self, Self::Sign(SignError::Hop { .. })) {
            // The next attempt may come to a replica that reaches the holder.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
