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

/// Why there is no record to decide on.
pub(super) enum NoRecord {
    /// It is missing, or is no record that this release reads: nothing is signed with the key.
    Unusable(String),
    /// It cannot be read from here.
    Unknown(String),
}

/// The answer of `key` to a request for `payload`, with its record.
pub(super) fn answer(key: &KeyConfig, record: Result<Record, NoRecord>, payload: &[u8]) -> Answer {
    let (status, reason) = decide(key, record, payload);
    Answer { key: key.hash().to_string(), status, reason }
}

fn decide(key: &KeyConfig, record: Result<Record, NoRecord>, payload: &[u8]) -> (Option<u16>, String) {
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
        Err(NoRecord::Unusable(reason)) => return (Some(409), reason),
        Err(NoRecord::Unknown(reason)) => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use tezos_signer_core::config::{KeySelector, KeySource};

    fn key() -> KeyConfig {
        let public_key = "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk".parse().unwrap();
        KeyConfig::new(
            public_key,
            KeySource::Pkcs11(KeySelector::Label("a".to_owned())),
            "NetXdQprcVkpaWU".parse().unwrap(),
        )
    }

    /// A real block of mainnet.
    fn block() -> Vec<u8> {
        let requests = include_str!("../../../e2e/vectors/requests.json");
        let hex = requests.split('"').find(|text| text.len() > 200 && text.starts_with("117a06a770")).unwrap();
        hex::decode(hex).unwrap()
    }

    #[test]
    fn an_answer_is_that_of_the_signing_path() {
        let of = |record| answer(&key(), record, &block());
        assert_eq!(of(Ok(Record::fresh())).status, Some(200));
        assert_eq!(of(Ok(Record { suspend: true, ..Record::fresh() })).status, Some(403));
        let above = Record::starting_above(tezos_signer_core::position::Level::MAX);
        assert_eq!(of(Ok(above)).status, Some(409));
        assert_eq!(of(Ok(Record::default())).status, Some(409), "no row");
        assert_eq!(answer(&key(), Ok(Record::fresh()), &[0x11, 0]).status, Some(400));
        // A missing record refuses, and one that cannot be read from here is not known; unless the policy refuses already.
        assert_eq!(of(Err(NoRecord::Unusable("gone".to_owned()))).status, Some(409));
        let unknown = of(Err(NoRecord::Unknown("no right".to_owned())));
        assert_eq!(unknown.status, None);
        assert!(unknown.reason.ends_with("is not known: no right"), "{}", unknown.reason);
        let malformed = answer(&key(), Err(NoRecord::Unknown(String::new())), &[0x11, 0]);
        assert_eq!(malformed.status, Some(400));
    }
}
