//! As much of IAM as our policies need: actions, resources, `StringEquals` and `ForAllValues:StringEquals` on what the request itself says.

use super::Asked;
use serde_json::Value;

/// Whether a policy allows a request. What it does not understand is a bug of the test.
pub(super) fn allows(policy: &Value, asked: &Asked) -> bool {
    policy["Statement"].as_array().unwrap().iter().any(|statement| {
        assert_eq!(statement["Effect"], "Allow");
        let action = format!("kms:{}", asked.operation);
        let is_it = |wanted: &Value, is: &str| values(wanted).any(|wanted| wanted == is);
        is_it(&statement["Action"], &action)
            && (statement["Resource"] == "*" || is_it(&statement["Resource"], asked.body["KeyId"].as_str().unwrap()))
            && statement["Condition"].as_object().is_none_or(|conditions| {
                conditions.iter().all(|(operator, keys)| {
                    keys.as_object().unwrap().iter().all(|(key, wanted)| {
                        let found = found(key, &asked.body);
                        match operator.as_str() {
                            "StringEquals" => !found.is_empty() && found.iter().all(|is| is_it(wanted, is)),
                            "ForAllValues:StringEquals" => found.iter().all(|is| is_it(wanted, is)),
                            other => panic!("{other} is not known here"),
                        }
                    })
                })
            })
    })
}

fn values(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    list.iter().map(|value| value.as_str().unwrap())
}

/// The values of a condition key.
fn found(key: &str, body: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned).into_iter().collect();
    let context = &body["EncryptionContext"];
    match key {
        "kms:SigningAlgorithm" => text(&body["SigningAlgorithm"]),
        "kms:MessageType" => text(&body["MessageType"]),
        "kms:EncryptionContextKeys" => {
            context.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        }
        other => {
            let name =
                other.strip_prefix("kms:EncryptionContext:").unwrap_or_else(|| panic!("{other} is not known here"));
            text(&context[name])
        }
    }
}
