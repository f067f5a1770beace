//! The way to the API server: one call within its time, what a failure of it means, and after one a new connection with what the
//! files of certificates and tokens hold by then.

use crate::store::StoreError;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::record::RecordName;

/// The longest that one call may take. A call that hangs must leave time, within the deadline of a request, to find out on
/// a new connection what became of it.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_millis(700);

/// How long an API server that has too much to do wants to be left alone when it does not say how long: what it says itself.
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

    /// Makes a call, and where the API server has turned it away unread, once more. ◆ The state that a write is conditional on is the
    /// same both times: should the first have been done after all, the second is a conflict, and a read tells.
    pub(super) async fn call(&self, call: Call<'_>, deadline: Instant) -> Result<ConfigMap, StoreError> {
        let failure = match self.once(&call, deadline).await {
            Ok(object) => return Ok(object),
            Err(failure) => failure,
        };
        let Some(pause) = failure.again_after else { return Err(failure.error) };
        // As long as it was told to wait, but a signature has a time: half of what is left goes to the second try.
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::time::sleep(pause.min(left / 2)).await;
        self.once(&call, deadline).await.map_err(|failure| failure.error)
    }

    /// Makes one call within its time. After a failure or timeout its connection is not used again: a dead one would cost
    /// every further call its whole timeout.
    async fn once(&self, call: &Call<'_>, deadline: Instant) -> Result<ConfigMap, Failure> {
        let (api, parameters) = (self.config_maps(), PostParams::default());
        let sent = async {
            match call {
                Call::Get(name) => api.get(name.as_str()).await,
                Call::Replace(name, object) => api.replace(name.as_str(), &parameters, object).await,
                Call::Create(_, object) => api.create(&parameters, object).await,
            }
        };
        let until = deadline.min(Instant::now() + CALL_TIMEOUT);
        let (reason, again_after) = match tokio::time::timeout_at(until.into(), sent).await {
            Ok(Ok(object)) => return Ok(object),
            Ok(Err(kube::Error::Api(status))) => {
                let says = || format!("the API server says {}: {}", status.code, status.message);
                let asks_to_wait = || {
                    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                    if seconds == 0 { RETRY_AFTER } else { Duration::from_secs(seconds.into()) }
                };
                let final_error = |error| Err(Failure { error, again_after: None });
                match status.code {
                    403 => return final_error(StoreError::Forbidden(status.message)),
                    404 => return final_error(StoreError::Missing(call.name().clone())),
                    409 if status.reason == "AlreadyExists" => {
                        return final_error(StoreError::Exists(call.name().clone()));
                    }
                    409 => return final_error(StoreError::Conflict(call.name().clone())),
                    // The token was replaced and revoked: the file has a newer one.
                    401 => (says(), Some(Duration::ZERO)),
                    429 => {
                        let error = StoreError::Unavailable(says());
                        return Err(Failure { error, again_after: Some(asks_to_wait()) });
                    }
                    400..=499 => return final_error(StoreError::Unavailable(says())),
                    503 => (says(), Some(asks_to_wait())),
                    _ => (says(), None),
                }
            }
            Ok(Err(error)) => (format!("the API server cannot be reached ({})", root_cause(&error)), None),
            Err(_) => ("the API server has not answered in time".to_owned(), None),
        };
        match new_client().await {
            Ok(client) => *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client,
            Err(error) => tracing::warn!(%error, "no new connection to the API server"),
        }
        Err(Failure { error: StoreError::Unavailable(reason), again_after })
    }
}

/// A client by the pod's service account, or outside a cluster by the kubeconfig, as their files are now: certificate authorities
/// and tokens are replaced while a signer runs.
async fn new_client() -> Result<Client, StoreError> {
    let mut config = Config::infer().await.map_err(|error| {
        StoreError::Unavailable(format!(
            "there is neither a service account nor a kubeconfig to reach the cluster with ({error})"
        ))
    })?;
    // A write that is repeated behind our back may land after we decided anew.
    config.default_retry = false;
    config.connect_timeout = Some(CALL_TIMEOUT);
    config.read_timeout = None;
    Client::try_from(config).map_err(|error| StoreError::Unavailable(format!("no client for the API server: {error}")))
}

/// The innermost error: "connection refused", not the layers around it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
