//! Takes out of a bundle what may be a secret. Secrets are not read at all; this is about people who have put one where none belongs: into a variable
//! or an argument of a container, an annotation, or a log.

use serde_json::Value;
use tezos_signer_operator::names::{OWN_CONTAINERS, OWN_ENV};

/// What stands in its place.
const REMOVED: &str = "<removed>";

/// The variables whose values help and are no secrets.
const PLAIN_VARIABLES: [&str; 2] = ["RUST_LOG", "AWS_REGION"];

/// Annotations that repeat whole manifests, with what was taken out elsewhere.
const COPIES: [&str; 2] = ["kubectl.kubernetes.io/last-applied-configuration", "meta.helm.sh/release-values"];

/// The beginnings of Tezos secret keys, plain and encrypted.
const SECRET_KEYS: [&str; 8] = ["edsk", "spsk", "p2sk", "BLsk", "edesk", "spesk", "p2esk", "BLesk"];

/// A Kubernetes object without what is noise, and without what may be a secret.
pub(super) fn object(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            for copy in COPIES {
                annotations.remove(copy);
            }
        }
    }
    fields(value);
}

fn fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in map.iter_mut() {
                match name.as_str() {
                    "env" => variables(field),
                    "containers" | "initContainers" | "ephemeralContainers" => containers(field),
                    _ => {}
                }
                fields(field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(fields),
        _ => {}
    }
}

fn variables(list: &mut Value) {
    for variable in list.as_array_mut().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default();
        if !OWN_ENV.contains(&name) && !PLAIN_VARIABLES.contains(&name) && variable.get("value").is_some() {
            variable["value"] = REMOVED.into();
        }
    }
}

/// Commands of containers that the operator has not made.
fn containers(list: &mut Value) {
    for container in list.as_array_mut().into_iter().flatten() {
        if OWN_CONTAINERS.contains(&container["name"].as_str().unwrap_or_default()) {
            continue;
        }
        for field in ["command", "args", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.get(field).is_some() {
                container[field] = REMOVED.into();
            }
        }
    }
}

/// `text` without secret keys, tokens, and passwords in URLs.
pub(super) fn text(text: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|letter| !is_word(letter)).map_or(rest, |end| &rest[..end]);
        clean.push_str(if is_secret(word) { REMOVED } else { word });
        rest = &rest[word.len()..];
        let other = rest.find(is_word).map_or(rest, |end| &rest[..end]);
        clean.push_str(other);
        rest = &rest[other.len()..];
        if other.ends_with("://")
            && let Some(password_end) = user_info(rest)
        {
            clean.push_str(REMOVED);
            rest = &rest[password_end..];
        }
    }
    clean
}

fn is_secret(word: &str) -> bool {
    let is_key = word.len() >= 50 && SECRET_KEYS.iter().any(|prefix| word.starts_with(prefix));
    // A token of JSON: three parts, the first of which is an object.
    let is_token = word.starts_with("eyJ") && word.len() > 60 && word.matches('.').count() == 2;
    is_key || is_token
}

/// The end of `user:password` at the beginning of what follows `://`.
fn user_info(rest: &str) -> Option<usize> {
    let end = rest.find(|letter: char| letter.is_whitespace() || matches!(letter, '/' | '"' | '\'' | '?' | '#'));
    let authority = &rest[..end.unwrap_or(rest.len())];
    authority.rfind('@').filter(|at| authority[..*at].contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_variables_and_commands_of_strangers_are_taken_out() {
        let mut pod = json!({
            "metadata": { "managedFields": [], "annotations": { COPIES[0]: "hunter2", "signer.tezos.io/config": "c" } },
            "spec": {
                "initContainers": [{ "name": "signer", "args": ["serve"], "env": [
                    { "name": "POD_NAME", "valueFrom": {} }, { "name": "RUST_LOG", "value": "debug" }, { "name": "VENDOR", "value": "hunter2" },
                ] }],
                "containers": [{
                    "name": "baker", "image": "i", "command": ["hunter2"], "args": ["hunter2"], "env": [{ "name": "T", "value": "hunter2" }],
                    "livenessProbe": { "exec": { "command": ["hunter2"] } },
                }],
            },
        });
        object(&mut pod);
        let text = pod.to_string();
        assert!(!text.contains("hunter2") && !text.contains("managedFields"), "{text}");
        for kept in ["serve", "debug", "VENDOR", "\"image\":\"i\"", "signer.tezos.io/config"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn secret_keys_tokens_and_passwords_are_taken_out_of_texts() {
        let base58 = "3RFZbjMpLyQbFqFNbWgY6bkfMFYcSvNHsKXpXKhXk2CHiWrAvTyKkzqc";
        for secret in
            [format!("edsk{base58}"), format!("BLesk{base58}"), format!("eyJhbGciOiJSUzI1NiJ9.{base58}.{base58}")]
        {
            assert_eq!(text(&format!("a \"{secret}\" b")), "a \"<removed>\" b");
        }
        assert_eq!(
            text("http://me:pw@node:8732/x https://node/a@b:c"),
            "http://<removed>@node:8732/x https://node/a@b:c"
        );
        for kept in ["p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk", "edsk is the prefix", "é → «edsk»", ""]
        {
            assert_eq!(text(kept), kept);
        }
    }
}
