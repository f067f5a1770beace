//! What Octez' client reads of a refusal: an array of error objects.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// `status` with one error object. Only what is worth another attempt (502) is temporary.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Response {
    let kind = if status == StatusCode::BAD_GATEWAY { "temporary" } else { "permanent" };
    (status, Json(json!([{ "kind": kind, "id": "failure", "msg": message }]))).into_response()
}
