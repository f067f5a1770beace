//! A command in the signer's container, by `exec`.

use super::{CONNECT, Cluster, within};
use crate::error::{PluginError, Right};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use std::time::Duration;
use tezos_signer_operator::names::SIGNER_CONTAINER;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How long a command may take. `check` waits for the HSM, and for the API server ten seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a command printed, and how it ended.
pub(crate) struct Ended {
    /// The exit status.
    pub(crate) status: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Cluster {
    /// Runs `command` in the signer's container of a pod, to its end.
    pub(crate) async fn run(&self, namespace: &str, pod: &str, command: &[String]) -> Result<Ended, PluginError> {
        let right = Right::inside(CONNECT, "pods/exec", namespace);
        let what = format!("{} in the pod {pod}", command.join(" "));
        let failed = |reason: String| PluginError::Request { what: what.clone(), reason };
        within(PATIENCE, &what, async {
            let api: Api<Pod> = self.api(Some(namespace));
            let streams = AttachParams::default().container(SIGNER_CONTAINER).stdin(false).stdout(true).stderr(true);
            let object = format!("pod {pod} in the namespace {namespace}");
            let mut process =
                api.exec(pod, command, &streams).await.map_err(|error| PluginError::of(error, right, &object))?;
            let (stdout, stderr, ended) = (process.stdout(), process.stderr(), process.take_status());
            let (stdout, stderr) = futures::future::join(text(stdout), text(stderr)).await;
            let status = match ended {
                Some(ended) => ended.await,
                None => None,
            };
            let status = status.ok_or_else(|| failed("the connection broke off".to_owned()))?;
            if status.status.as_deref() == Some("Success") {
                return Ok(Ended { status: 0, stdout, stderr });
            }
            let causes = status.details.and_then(|details| details.causes);
            let mut causes = causes.into_iter().flatten();
            match causes.find(|cause| cause.reason.as_deref() == Some("ExitCode")).and_then(|cause| cause.message) {
                Some(code) => Ok(Ended { status: code.parse().unwrap_or(1), stdout, stderr }),
                // The command could not be started.
                None => Err(failed(status.message.unwrap_or_else(|| "it was not started".to_owned()))),
            }
        })
        .await
    }
}

async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What came before the end counts; the exit status says whether all did.
        let _ = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
