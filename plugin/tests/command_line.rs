//! The program as a user starts it, as far as it needs no cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Output};

fn plugin(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-tezos_signer"));
    command
        .args(arguments)
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A real block of mainnet.
fn block() -> String {
    let requests = include_str!("../../e2e/vectors/requests.json");
    let requests: serde_json::Value = serde_json::from_str(requests).unwrap();
    let is_block = |text: &&str| text.starts_with("11");
    let mut found = None;
    visit(&requests, &mut |text| {
        if found.is_none() && is_block(&text) {
            found = Some(text.to_owned());
        }
    });
    found.unwrap()
}

fn visit(value: &serde_json::Value, each: &mut dyn FnMut(&str)) {
    match value {
        serde_json::Value::String(text) => each(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| visit(item, each)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| visit(field, each)),
        _ => {}
    }
}

#[test]
fn a_payload_is_explained_without_a_cluster() {
    let output = plugin(&["explain", &block(), "--output", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let explained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explained["kind"], "block");
    assert!(explained["level"].as_u64().unwrap() > 1_000_000, "{explained}");
    assert_eq!(explained["answer"], serde_json::Value::Null);
    let table = text(&plugin(&["explain", &format!("0x{}", block())]).stdout);
    assert!(table.contains("digest") && !table.contains("STATUS"), "{table}");
}

#[test]
fn without_a_kubeconfig_the_sentence_says_what_to_check() {
    for arguments in [&["status"][..], &["suspend", "a"], &["explain", "00", "a"], &["support-bundle"]] {
        let output = plugin(arguments);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.starts_with("kubectl tezos-signer: the kubeconfig cannot be used"), "{said}");
        assert!(said.contains("--kubeconfig, --context and the variable KUBECONFIG"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn help_and_completion_name_the_verbs() {
    let help = text(&plugin(&["--help"]).stdout);
    for verb in
        ["status", "suspend", "resume", "watermarks", "check", "explain", "rotate", "support-bundle", "completion"]
    {
        assert!(help.contains(verb), "{verb}: {help}");
        assert!(text(&plugin(&[verb, "--help"]).stdout).contains("Example"), "{verb}");
    }
    assert!(help.contains("Usage: kubectl tezos-signer"), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&plugin(&["completion", shell]).stdout).contains("support-bundle"), "{shell}");
    }
}
