//! What can be wrong with KMS, or with the way to it.

use super::{Asked, Broken, Outcome, denied, error};
use hyper::StatusCode;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    Throttled,
    /// Only this operation.
    Denied(&'static str),
    NotFound,
    Internal,
    Unavailable,
    KeyUnavailable,
    DependencyTimeout,
    /// A page of a proxy, with this status.
    Page(u16),
    /// Half of an answer, with the status of success.
    Half,
    Cut,
    Silent,
    Slow(Duration),
    /// Credentials with this access key are refused.
    Expired(&'static str),
    UnknownClient,
    InvalidSignature,
    Unheard,
    // What is only wrong with an answer, beneath the status of success.
    WrongSpec,
    WrongUsage,
    WrongPublicKey,
    BadPublicKey,
    WrongSignature,
    SignatureOfAnotherKey,
    HighS,
    BadDer,
    NoSignature,
}

impl Fault {
    pub(super) fn concerns(&self, asked: &Asked) -> bool {
        match self {
            Self::Denied(operation) => asked.operation == *operation,
            Self::Expired(access_key) => asked.access_key == *access_key,
            Self::WrongSpec | Self::WrongUsage | Self::WrongPublicKey | Self::BadPublicKey => {
                asked.operation == "GetPublicKey"
            }
            Self::WrongSignature | Self::SignatureOfAnotherKey | Self::HighS | Self::BadDer | Self::NoSignature => {
                asked.operation == "Sign"
            }
            _ => true,
        }
    }

    /// What is answered in place of the right thing; nothing where the answer is made, and then spoilt.
    pub(super) async fn instead_of_an_answer(&self, name: &str) -> Option<Outcome> {
        let plain = |status: u16, text: &str| Some(Ok((StatusCode::from_u16(status).unwrap(), text.to_owned())));
        match self {
            Self::Throttled => Some(error(
                "ThrottlingException",
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
            )),
            Self::Denied(operation) => Some(denied(operation, name)),
            Self::NotFound => Some(error("NotFoundException", &format!("Key '{name}' does not exist"))),
            Self::Internal => plain(500, r#"{"__type":"KMSInternalException","message":"try again"}"#),
            Self::Unavailable => plain(503, ""),
            Self::KeyUnavailable => Some(error("KeyUnavailableException", "")),
            Self::DependencyTimeout => plain(503, r#"{"__type":"DependencyTimeoutException"}"#),
            Self::Page(status) => plain(*status, "<html><body>a proxy</body></html>"),
            Self::Half => plain(200, r#"{"KeyId": "#),
            Self::Cut => Some(Err(Broken)),
            Self::Silent => std::future::pending().await,
            Self::Slow(time) => {
                tokio::time::sleep(*time).await;
                None
            }
            Self::Expired(_) => {
                Some(error("ExpiredTokenException", "The security token included in the request is expired"))
            }
            Self::UnknownClient => {
                Some(error("UnrecognizedClientException", "The security token included in the request is invalid."))
            }
            Self::InvalidSignature => Some(error(
                "InvalidSignatureException",
                "Signature expired: 20261130T000000Z is now earlier than 20261130T010000Z",
            )),
            Self::Unheard => Some(error("SomethingNewException", "of a later release of AWS")),
            _ => None,
        }
    }
}
