//! The policies of `deploy/iam`: docs/kms.md shows them as they are, they name what the signer asks for and nothing else, and under them it
//! signs, and does nothing that they do not allow.

use crate::kms_env::{env_of, initialise, key, start};
use crate::kms_stand_in::{KmsStandIn, Spec};
use crate::payload::attestation;
use crate::test_env::FLOOR;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tezos_signer::keystore::aws_kms::Action;
use tezos_signer_core::config::SignerConfig;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn policy(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(root().join("deploy/iam").join(name)).unwrap()).unwrap()
}

#[test]
fn the_page_shows_every_policy_as_it_is() {
    let page = std::fs::read_to_string(root().join("docs/kms.md")).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(root().join("deploy/iam"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["seal.json", "sign.json", "trust-irsa.json", "trust-pod-identity.json", "unseal.json"]);
    for name in names {
        let text = std::fs::read_to_string(root().join("deploy/iam").join(&name)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap();
        assert!(page.contains(&format!("```json\n{text}```")), "docs/kms.md does not show {name} as it is");
        assert!(page.contains(&format!("(../deploy/iam/{name})")), "docs/kms.md does not link {name}");
    }
}

#[test]
fn the_configuration_of_the_page_is_one() {
    let page = std::fs::read_to_string(root().join("docs/kms.md")).unwrap();
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let config = SignerConfig::from_yaml(rest.split_once("```").unwrap().0).unwrap();
    assert_eq!(config.keys[0].source.to_string(), "alias/baker-one");
}

#[test]
fn the_policies_name_the_actions_that_the_signer_asks_for() {
    let mut named = BTreeSet::new();
    for name in ["sign.json", "seal.json", "unseal.json"] {
        for statement in policy(name)["Statement"].as_array().unwrap() {
            match &statement["Action"] {
                Value::String(action) => drop(named.insert(action.clone())),
                actions => named.extend(actions.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned())),
            }
        }
    }
    assert_eq!(named, Action::ALL.map(|action| action.to_string()).into());
}

/// Each statement of the policy is needed: without it, something is missing.
#[test]
fn under_the_policy_of_the_page_keys_sign_and_without_any_part_of_it_they_do_not() {
    let kms = KmsStandIn::start();
    let keys = [("TZ1-KEY-ID", Spec::Ed25519), ("TZ2-KEY-ID", Spec::Secp256k1), ("TZ3-KEY-ID", Spec::P256)].map(
        |(name, spec)| {
            let (arn, public_key) = kms.add_key(name, spec);
            key(&public_key, &arn)
        },
    );
    let env = env_of(&kms.endpoint(), &keys);
    initialise(&env);
    let whole = policy("sign.json");
    kms.set_policy(whole.clone());
    let signer = start(&env);
    for key in &env.config().keys {
        signer.signature(key, &attestation(FLOOR + 1, 0, 1));
    }
    env.run(&["check"]).succeeded();
    for number in 0..whole["Statement"].as_array().unwrap().len() {
        let mut part = whole.clone();
        let left_out = part["Statement"].as_array_mut().unwrap().remove(number);
        kms.set_policy(part);
        let checked = env.run(&["check"]).failed();
        let action = left_out["Action"].as_str().unwrap();
        assert!(checked.contains(&format!("AWS denies {action} on")), "{checked}");
    }
    // Nothing else is allowed: not another algorithm or type of message with the same key.
    let mut other = whole;
    other["Statement"][0]["Condition"]["StringEquals"]["kms:MessageType"] = json!("RAW");
    kms.set_policy(other);
    assert!(env.run(&["check"]).failed().contains("AWS denies kms:Sign on"));
}
