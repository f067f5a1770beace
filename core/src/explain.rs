//! What a payload is, in words for people and as JSON for programs: the part of `explain` that needs neither a key nor a record. The signer's
//! command and `kubectl tezos-signer explain` print the same.

use crate::key::{Curve, Digest};
use crate::payload::{self, DecodeError, Payload, Shape, UnknownSuffix};
use serde_json::{Value, json};

/// Decodes `payload`, also where no key would sign it because it is newer than this release. The tag of a vote tells by which layout it is
/// meant to be read.
pub fn decode(payload: &[u8]) -> Result<Payload, DecodeError> {
    match payload::decode(payload, Curve::P256, UnknownSuffix::OctezCompatible) {
        Err(DecodeError::Tz4Layout(_)) => payload::decode(payload, Curve::Bls12381, UnknownSuffix::OctezCompatible),
        decoded => decoded,
    }
}

/// The fields of `payload` with their values, for a table.
pub fn fields(payload: &[u8]) -> Result<Vec<(String, String)>, serde_json::Error> {
    let mut fields = Vec::new();
    let mut field = |name: &str, value: String| fields.push((name.to_owned(), value));
    match decode(payload) {
        Ok(Payload::Consensus(consensus)) => {
            field("kind", consensus.kind.to_string());
            field("chain", consensus.chain.to_string());
            field("level", consensus.position.level.to_string());
            field("round", consensus.position.round.to_string());
            field("shape", shape(consensus.shape));
        }
        Ok(Payload::Operation(operation)) => {
            field("kind", "operation".to_owned());
            field("branch", operation.branch().to_string());
            for (i, content) in operation.contents().iter().enumerate() {
                field(&format!("content {}", i + 1), serde_json::to_string(content)?);
            }
        }
        Ok(other @ Payload::Other { .. }) => field("kind", other.kind().to_owned()),
        Err(error) => field("malformed", error.to_string()),
    }
    field("digest", Digest::of(payload).to_string());
    Ok(fields)
}

/// The fields of `payload` as a JSON object.
pub fn json(payload: &[u8]) -> Result<Value, serde_json::Error> {
    let mut all = json!({ "digest": Digest::of(payload) });
    match decode(payload) {
        Ok(Payload::Consensus(consensus)) => {
            all["kind"] = json!(consensus.kind);
            all["chain"] = json!(consensus.chain);
            all["level"] = json!(consensus.position.level);
            all["round"] = json!(consensus.position.round);
            all["shape"] = json!(shape(consensus.shape));
        }
        Ok(Payload::Operation(operation)) => {
            all["kind"] = json!("operation");
            all["branch"] = json!(operation.branch());
            all["contents"] = serde_json::to_value(operation.contents())?;
        }
        Ok(other @ Payload::Other { .. }) => all["kind"] = json!(other.kind()),
        Err(error) => {
            all["kind"] = json!("malformed");
            all["error"] = json!(error.to_string());
        }
    }
    Ok(all)
}

fn shape(shape: Shape) -> String {
    match shape {
        Shape::Known => "known".to_owned(),
        unknown => unknown.to_string(),
    }
}
