//! The body of a refusal: an array of error objects, as Octez' client expects.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// `status` with one error object. Octez registers the id `failure` with the kind `temporary` only: with any other kind it
/// prints the object as JSON («Unregistered error») in place of the message. Whether it asks again depends on the status alone.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!([{ "kind": "temporary", "id": "failure", "msg": message }]))).into_response()
}
