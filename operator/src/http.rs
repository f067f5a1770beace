//! GET requests to pods and nodes, with a time-out and a limit on the answer.

use crate::client::USER_AGENT;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long an answer may take. A signer answers from memory.
const TIMEOUT: Duration = Duration::from_secs(2);

/// In bytes. The status of 16 keys is a tenth of this. What answers runs in a user's pod, and may be anything.
const MAX_ANSWER: usize = 128 * 1024;

/// A client that asks pods directly: no proxy, no redirects.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder().user_agent(USER_AGENT);
    builder.no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

/// Why an answer over HTTP cannot be used. A retry may help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// There was no answer in time.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The answer is longer than any that is expected.
    #[error("longer than {MAX_ANSWER} bytes")]
    TooLong,
    /// The answer is another document than the expected one.
    #[error("unexpected JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The JSON at `url`, whatever the HTTP status.
pub(crate) async fn get_json<T: DeserializeOwned>(http: &reqwest::Client, url: &str) -> Result<T, HttpError> {
    Ok(serde_json::from_slice(&get(http, url).await?)?)
}

/// The body at `url`, whatever the HTTP status.
pub(crate) async fn get(http: &reqwest::Client, url: &str) -> Result<Vec<u8>, HttpError> {
    let mut response = http.get(url).timeout(TIMEOUT).send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(HttpError::TooLong);
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn pods_and_nodes_see_who_asks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/status", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            String::from_utf8(head[..length].to_vec()).unwrap()
        });
        assert_eq!(get(&http_client().unwrap(), &url).await.unwrap(), b"{}");
        let head = asked.await.unwrap();
        assert!(head.contains(&format!("user-agent: {USER_AGENT}\r\n")), "{head}");
    }
}
