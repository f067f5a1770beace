//! The client of the API server. It says who it is in each request, so that audit logs and managed fields name the operator.

use axum::http::{HeaderValue, header};
use kube::config::InferConfigError;
use kube::{Client, Config};

/// The `User-Agent` of all requests. The API server takes the part before the slash as the field manager of a request that names none.
pub const USER_AGENT: &str = concat!("tezos-signer-operator/", env!("CARGO_PKG_VERSION"));

/// Why there is no client. A retry does not help: the configuration has to be mended.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is neither a ServiceAccount nor a kubeconfig.
    #[error(transparent)]
    Config(#[from] InferConfigError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Client(#[from] kube::Error),
}

/// A client by the pod's ServiceAccount, or outside of a cluster by the kubeconfig.
pub async fn client() -> Result<Client, ClientError> {
    Ok(client_of(Config::infer().await?)?)
}

fn client_of(mut config: Config) -> Result<Client, kube::Error> {
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
    // Every error is reported for the TezosSigner that it is about, which is retried with a back-off of its own.
    config.default_retry = false;
    Client::try_from(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn each_request_says_who_asks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = client_of(Config::new(url.parse().unwrap())).unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            String::from_utf8(head[..length].to_vec()).unwrap()
        });
        Api::<ConfigMap>::namespaced(client, "n").get("x").await.unwrap_err();
        let head = asked.await.unwrap().to_lowercase();
        assert_eq!(head.matches("\r\nuser-agent: ").count(), 1, "{head}");
        assert!(head.contains(&format!("\r\nuser-agent: {USER_AGENT}\r\n")), "{head}");
        assert_eq!(USER_AGENT.split('/').next(), Some(names::OPERATOR), "the field manager");
    }
}
