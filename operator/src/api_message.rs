//! The API server's own words in an error of the Kubernetes client.

/// The message and code of the API server's answer, where there is one; otherwise the error's own text.
pub(crate) fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => format!("{} ({})", status.message, status.code),
        error => error.to_string(),
    }
}
