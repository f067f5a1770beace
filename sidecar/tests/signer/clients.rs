//! Clients that nobody here wrote ask for signatures, and verify them themselves: Taquito's remote signer from npm, and tzgo's from the Go
//! module proxy (`e2e/clients`, installed by `make tools`). Of both curves; Taquito with Octez' authentication too.

use crate::process::Signer;
use crate::test_env::{FLOOR, TestEnv};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::Message;

/// Of a client, and its secret key: public test material, `src/lib_crypto/test/key_encoding_vectors.ml` of Octez.
const CLIENT: (&str, &str) = (
    "edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM",
    "edsk3qAQSJaDBSYN2PCMdv7BuJoBKeRyDFq5uPAwDfFRAhQdwHxPMN",
);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Two keys that may sign a transaction beside what a baker signs.
fn test_env() -> TestEnv {
    let env = TestEnv::new();
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(env.config_file()).unwrap()).unwrap();
    for key in config["keys"].as_array_mut().unwrap() {
        key["allow"] = json!(["block", "preattestation", "attestation", "transaction"]);
    }
    env.set_config(config);
    env
}

/// What a client says that it was given, a line for each.
fn given(command: &mut Command) -> Vec<Value> {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: make tools installs it"));
    let (output, complained) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{output}{complained}");
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The client has verified it; so do we.
fn check(key: &KeyConfig, given: &Value) {
    let text = |field: &str| given[field].as_str().unwrap();
    assert_eq!(text("publicKey"), key.public_key.to_string());
    let message = Message::new(&hex::decode(text("payload")).unwrap());
    assert!(key.public_key.verify(&message, &text("signature").parse().unwrap()), "{given}");
}

fn taquito(signer: &Signer, key: &KeyConfig, secret: Option<&str>) -> Command {
    let mut command = Command::new("node");
    command.arg(root().join("e2e/clients/taquito.mjs"));
    command.args([format!("http://{}", signer.signing_address()), key.hash().to_string()]);
    command.args(secret);
    command
}

#[test]
fn taquito_signs_with_and_without_authentication() {
    let env = test_env();
    for secret in [None, Some(CLIENT.1)] {
        if secret.is_some() {
            env.set_config(json!({"authorizedKeys": [CLIENT.0]}));
        }
        let signer = Signer::start(&env);
        for key in [env.tz3(), env.tz2()] {
            let given = given(&mut taquito(&signer, &key, secret));
            assert_eq!(given.len(), 1);
            check(&key, &given[0]);
        }
    }
    // With the key of somebody else.
    let signer = Signer::start(&env);
    let stranger = "spsk2oCGdj7yZFmAWr1wqopU512kDtCfWfs7N4FoRH6bkHhgXk5Tu5";
    let ended = taquito(&signer, &env.tz3(), Some(stranger)).output().unwrap();
    let complained = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && complained.contains("401"), "{complained}");
}

#[test]
fn tzgo_signs_an_operation_and_a_vote() {
    let env = test_env();
    let signer = Signer::start(&env);
    let url = format!("http://{}", signer.signing_address());
    for key in [env.tz3(), env.tz2()] {
        let mut client = Command::new(root().join("target/tools/tzgo-client"));
        let given = given(client.args([&url, &key.hash().to_string(), &(FLOOR + 1).to_string()]));
        assert_eq!(given.len(), 2);
        for given in &given {
            check(&key, given);
        }
        // The vote is the one that it looks like.
        assert!(env.row(&key, "attestation").starts_with(&format!("{} 0 ", FLOOR + 1)));
    }
}
