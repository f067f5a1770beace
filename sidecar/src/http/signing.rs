//! Octez' remote signer protocol over HTTP. Statuses and bodies are those that its client understands: it retries 502 only;
//! refusals are arrays of error objects; the body of a 400 is text.

use crate::excerpt::excerpt;
use crate::http::error_body::refusal;
use crate::net::body::{BodyError, WholeBody};
use crate::net::client::Client;
use crate::request::{Caller, Origin, Request};
use crate::signing::{Answer, SignError, Signer};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tezos_signer_core::admit::SignatureVersion;
use tezos_signer_core::audit::{Outcome, RequestId};
use tezos_signer_core::key::{PublicKeyHash, Signature};
use tezos_signer_core::payload::from_body;

/// The routes of the Octez remote signer protocol: `GET /authorized_keys`, and `GET` and `POST /keys/{key}`.
pub fn router(signer: Arc<Signer>) -> Router {
    Router::new()
        .route("/authorized_keys", get(authorized_keys))
        .route("/keys/{key}", get(public_key).post(sign))
        .with_state(signer)
}

/// The client requests this before each signature. An empty object means that no authentication is required; otherwise the client selects a
/// key of its own from the list. The list is that of all keys, because the request does not name a key.
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

/// The query parameters of a request for a proof of possession.
#[derive(serde::Deserialize)]
pub(crate) struct ProofQuery {
    bls_pk: Option<String>,
}

/// The proof that this signer has the secret of a tz4 key, for a change of the consensus or companion key.
pub(crate) async fn proof_of_possession(
    State(signer): State<Arc<Signer>>,
    Extension(client): Extension<Client>,
    Extension(request_id): Extension<RequestId>,
    Path(key): Path<String>,
    query: Result<Query<ProofQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let caller = Caller { client: client.to_string(), request_id };
    let asked = parse_hash(&key).and_then(|key| {
        let Query(query) = query.map_err(|rejection| Refused::unread(&rejection.body_text()))?;
        Ok((key, query.bls_pk))
    });
    let (key, over) = asked.inspect_err(|refused| refused.account_for(&signer, caller.clone()))?;
    match signer.prove_possession(caller, key, over.as_deref()).await {
        Ok(proof) => Ok(Json(json!({ "bls_prove_possession": proof })).into_response()),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let message = excerpt(&error.to_string());
            Ok(if status == StatusCode::BAD_REQUEST {
                (status, message).into_response()
            } else {
                refusal(status, &message)
            })
        }
    }
}

/// The query parameters of a signing request; others are ignored. Like Octez' server, invalid, empty and duplicate values of these two are
/// refused with 400.
#[derive(serde::Deserialize)]
pub(crate) struct SigningQuery {
    authentication: Option<Signature>,
    version: Option<SignatureVersion>,
}

async fn sign(
    State(signer): State<Arc<Signer>>,
    Extension(client): Extension<Client>,
    Extension(request_id): Extension<RequestId>,
    Path(key): Path<String>,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<WholeBody, BodyError>,
) -> Response {
    let caller = Caller { client: client.to_string(), request_id };
    answer(&signer, caller, Origin::Client, &key, query, body).await
}

/// Answers a signing request, from the parts of it to the response, for this port and for that of the peers.
pub(crate) async fn answer(
    signer: &Arc<Signer>,
    caller: Caller,
    origin: Origin,
    key: &str,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<WholeBody, BodyError>,
) -> Response {
    let answer = match parse(key, query, body) {
        Ok(Parsed { key, payload, query: SigningQuery { authentication, version } }) => {
            let request = Request { caller: caller.clone(), key, payload, authentication, version, origin };
            signer.sign(request).await.map_err(Refused::Sign)
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
            refused.account_for(signer, caller);
            refused.into_response()
        }
    }
}

/// The parts of a signing request.
struct Parsed {
    key: PublicKeyHash,
    payload: Vec<u8>,
    query: SigningQuery,
}

fn parse(
    key: &str,
    query: Result<Query<SigningQuery>, QueryRejection>,
    body: Result<WholeBody, BodyError>,
) -> Result<Parsed, Refused> {
    let key = parse_hash(key)?;
    let Query(query) = query.map_err(|rejection| Refused::unread(&rejection.body_text()))?;
    let WholeBody(body) = body.map_err(|error| Refused::unread(&error.to_string()))?;
    let payload = from_body(&body).map_err(|error| Refused::unread(&error.to_string()))?;
    Ok(Parsed { key, payload, query })
}

/// The address in a path. An invalid one is repeated in the error up to the length of an address.
fn parse_hash(text: &str) -> Result<PublicKeyHash, Refused> {
    text.parse().map_err(|error| {
        let shown: String = text.chars().take(40).collect();
        Refused::unread(&format!("{shown:?} in the path: {error}"))
    })
}

/// A request that gets no signature.
pub(crate) enum Refused {
    /// 400: not understood at all.
    Body(String),
    /// The request was decoded, and no signature was given.
    Sign(SignError),
}

impl From<SignError> for Refused {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

impl Refused {
    fn unread(message: &str) -> Self {
        Self::Body(excerpt(message))
    }

    /// Puts it into the audit log, the metrics and the log, where the signer has not done so.
    fn account_for(&self, signer: &Signer, caller: Caller) {
        if let Self::Body(message) = self {
            signer.not_asked(caller, StatusCode::BAD_REQUEST.as_u16(), Outcome::Malformed, message);
        }
    }

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
        let mut response = refusal(status, &message);
        if matches!(self, Self::Sign(SignError::Peer { .. })) {
            // The next attempt may come to a replica that reaches the holder.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
