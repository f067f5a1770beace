//! The connection to the API server: calls with a deadline, the classification of failures, and a new connection after a
//! failure, with the current certificate and token files.

use crate::store::StoreError;
use crate::user_agent::USER_AGENT;
use axum::http::{HeaderValue, header};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::record::RecordName;
use tokio::time::Instant;

/// The time limit of one call. After a call that hangs, there must be time within the deadline of a request to read its result on a new
/// connection.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_millis(700);

/// Who wrote a record, in its managed fields.
const FIELD_MANAGER: &str = "tezos-signer";

/// The wait after an overloaded API server has rejected a call without `Retry-After`: the value that it uses itself.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is asked of the API server.
pub(super) enum Call<'a> {
    /// The ConfigMap of a record. Without resourceVersion, so a quorum read.
    Get(&'a RecordName),
    /// That it be this one, in place of the state that it was made of.
    Replace(&'a RecordName, &'a ConfigMap),
    /// That there be this one.
    Create(&'a RecordName, &'a ConfigMap),
}

impl Call<'_> {
    fn name(&self) -> &RecordName {
        match self {
            Self::Get(name) | Self::Replace(name, _) | Self::Create(name, _) => name,
        }
    }
}

/// A call that failed.
struct Failure {
    error: StoreError,
    /// After how long it may be made once more, where the API server has done nothing with it.
    again_after: Option<Duration>,
}

/// The ConfigMaps of one namespace.
pub(super) struct Connection {
    namespace: String,
    client: Mutex<Client>,
}

impl Connection {
    /// Connects only when needed.
    pub(super) async fn new(namespace: &str) -> Result<Self, StoreError> {
        Ok(Self { namespace: namespace.to_owned(), client: Mutex::new(new_client().await?) })
    }

    pub(super) fn config_maps(&self) -> Api<ConfigMap> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Api::namespaced(client, &self.namespace)
    }

    /// Makes a call, and repeats it once if the API server has rejected it unread. INVARIANT R4: Both writes are conditional on the same
    /// state: if the first one was executed after all, the second is a conflict, and a read shows the result.
    pub(super) async fn call(&self, call: Call<'_>, deadline: Instant) -> Result<ConfigMap, StoreError> {
        let failure = match self.once(&call, deadline).await {
            Ok(object) => return Ok(object),
            Err(failure) => failure,
        };
        let Some(pause) = failure.again_after else { return Err(failure.error) };
        // Waits for the requested time, but at most half of the remaining time, so that the second call has the other half.
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::time::sleep(pause.min(left / 2)).await;
        self.once(&call, deadline).await.map_err(|failure| failure.error)
    }

    /// Makes one call within its time. After a failure or timeout its connection is not used again: a dead one would cost
    /// every further call its whole timeout.
    async fn once(&self, call: &Call<'_>, deadline: Instant) -> Result<ConfigMap, Failure> {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api = self.config_maps();
        let sent = async {
            match call {
                Call::Get(name) => api.get(name.as_str()).await,
                Call::Replace(name, object) => api.replace(name.as_str(), &parameters, object).await,
                Call::Create(_, object) => api.create(&parameters, object).await,
            }
        };
        let until = deadline.min(Instant::now() + CALL_TIMEOUT);
        let (error, again_after) = match tokio::time::timeout_at(until, sent).await {
            Ok(Ok(object)) => return Ok(object),
            Ok(Err(kube::Error::Api(status))) => {
                let cause = Cause::of(kube::Error::Api(status.clone()));
                let code_and_message = cause.clone().map_text(|_| format!("{}: {}", status.code, status.message));
                let says = || {
                    let text = |message: &str| format!("the API server says {message}");
                    StoreError::Unavailable(code_and_message.clone().map_text(text))
                };
                let refused = || StoreError::Refused(code_and_message.clone());
                let asks_to_wait = || {
                    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                    if seconds == 0 { RETRY_AFTER } else { Duration::from_secs(seconds.into()) }
                };
                let failed = |error| Failure { error, again_after: None };
                match status.code {
                    403 => return Err(failed(StoreError::Forbidden(cause.map_text(|_| status.message)))),
                    404 => return Err(failed(StoreError::Missing(call.name().clone()))),
                    409 if status.reason == "AlreadyExists" => {
                        return Err(failed(StoreError::Exists(call.name().clone())));
                    }
                    409 => return Err(failed(StoreError::Conflict(call.name().clone()))),
                    // The token was replaced and revoked: the file has a newer one.
                    401 => (refused(), Some(Duration::ZERO)),
                    429 => return Err(Failure { error: says(), again_after: Some(asks_to_wait()) }),
                    // The request took too long to come.
                    408 => (says(), None),
                    400..=499 => return Err(failed(refused())),
                    503 => (says(), Some(asks_to_wait())),
                    _ => (says(), None),
                }
            }
            Ok(Err(error)) => {
                let text = |error: &str| format!("the API server cannot be reached ({error})");
                (StoreError::Unavailable(Cause::innermost(error).map_text(text)), None)
            }
            Err(_) => (StoreError::Unavailable("the API server did not answer in time".into()), None),
        };
        match new_client().await {
            Ok(client) => *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client,
            Err(error) => tracing::warn!(%error, "no new connection to the API server"),
        }
        Err(Failure { error, again_after })
    }
}

/// A client by the pod's service account, or outside a cluster by the kubeconfig, as their files are now: certificate authorities
/// and tokens are replaced while a signer runs.
async fn new_client() -> Result<Client, StoreError> {
    let mut config = Config::infer().await.map_err(|error| {
        StoreError::Unavailable(Cause::of(error).map_text(|error| {
            format!("neither a service account nor a kubeconfig was found to reach the cluster ({error})")
        }))
    })?;
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
    // A write that the client library repeats by itself could arrive after a new decision.
    config.default_retry = false;
    config.connect_timeout = Some(CALL_TIMEOUT);
    config.read_timeout = None;
    Client::try_from(config).map_err(|error| {
        StoreError::Unavailable(Cause::of(error).map_text(|error| format!("no client for the API server: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tezos_signer_core::config::SignerConfig;

    /// INVARIANT R15: A call that hangs leaves a request the time for another one, and some to sign.
    #[test]
    fn two_calls_fit_into_the_time_of_a_request() {
        let text = "{hsm: {module: /m.so, token: t, pinFile: /p}, keys: [], watermarks: {file: /w}}";
        let request = SignerConfig::from_yaml(text).unwrap().request_deadline_milliseconds;
        assert!(2 * CALL_TIMEOUT < Duration::from_millis(request.into()));
    }
}
