//! What a key would answer, by the functions that the signer calls. Pure.

use tezos_signer_core::admit::{Rejection, RequestFacts, SigningRequest, admit};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::record::Record;
use tezos_signer_core::watermark::{self, Decision, Refusal};

/// The answer of one key.
pub(super) struct Answer {
    /// The address of the key.
    pub(super) key: String,
    /// The HTTP status; `None` if it is not known.
    pub(super) status: Option<u16>,
    /// Why.
    pub(super) reason: String,
}

/// The answer of `key` to a request for `payload`. `record` is its record, or why that is not known.
pub(super) fn answer(key: &KeyConfig, record: Result<Record, String>, payload: &[u8]) -> Answer {
    let (status, reason) = decide(key, record, payload);
    Answer { key: key.hash().to_string(), status, reason }
}

fn decide(key: &KeyConfig, record: Result<Record, String>, payload: &[u8]) -> (Option<u16>, String) {
    // Without authorized keys, no authentication is required.
    let anybody = AuthorizedKeys::default();
    let request = SigningRequest { key: key.hash(), payload, authentication: None, version: None };
    let admitted = match admit(&key.admission_rules(&anybody), &request, &mut RequestFacts::default()) {
        Ok(admitted) => admitted,
        Err(rejection) => {
            let status = match &rejection {
                Rejection::Malformed(_) => return (Some(400), format!("the payload is malformed: {rejection}")),
                Rejection::Version(_) => 400,
                Rejection::Unauthenticated(_) => 401,
                Rejection::Forbidden(_) => 403,
            };
            return (Some(status), rejection.to_string());
        }
    };
    let record = match record {
        Ok(record) => record,
        Err(reason) => {
            return (
                None,
                format!("the key's policy allows it; whether the watermark record does is not known: {reason}"),
            );
        }
    };
    match watermark::decide(&record, &admitted, key.max_level_jump) {
        Ok(Decision::Advance(_)) => (Some(200), "would be signed".to_owned()),
        Ok(Decision::Replay(signature)) if key.public_key.verify(admitted.message(), &signature) => {
            (Some(200), "signed before: the stored signature would be given again".to_owned())
        }
        Ok(Decision::Replay(_)) => {
            (Some(409), "the stored signature does not verify with the key: the record was edited".to_owned())
        }
        Err(refusal @ Refusal::Suspended) => (Some(403), refusal.to_string()),
        Err(refusal) => (Some(409), refusal.to_string()),
    }
}
