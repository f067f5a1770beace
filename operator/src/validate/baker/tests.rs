//! What can be wrong with an Octez baker, and the field that the answer names.

use super::super::tests::{octez_example, with_field_of};
use crate::api::TezosSigner;
use crate::validate::{Baker, OctezBaker, Workload, validate};
use serde_json::{Value, json};

fn baker(signer: &TezosSigner) -> OctezBaker {
    match validate(signer).unwrap().workload {
        Workload::Baker(Baker::Octez(baker)) => *baker,
        workload => panic!("{workload:?}"),
    }
}

#[test]
fn the_only_key_bakes_unless_another_is_named() {
    let mut signer = octez_example();
    assert_eq!(baker(&signer).delegate.to_string(), "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA");
    let mut second = signer.spec.keys[0].clone();
    second.public_key = "sppk7cXzUGMoqqa3MNc5zUZrwuqCAtmxQYcQA82f1xRyZFnzyzYUS5Z".to_owned();
    signer.spec.keys.push(second);
    let error = validate(&signer).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "spec.baker.octez.delegate: missing; required because spec.keys has several keys: one of tz3LU"
        ),
        "{error}"
    );
    let second = validate(&octez_with_delegate(&signer, None)).unwrap_err().to_string();
    let address = second.rsplit(", ").next().unwrap();
    assert_eq!(baker(&octez_with_delegate(&signer, Some(address))).delegate.to_string(), address);
}

fn octez_with_delegate(signer: &TezosSigner, delegate: Option<&str>) -> TezosSigner {
    let mut signer = signer.clone();
    signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap().delegate = delegate.map(str::to_owned);
    signer
}

#[test]
fn every_error_names_its_field() {
    let cases = [
        ("/spec/baker/template", json!({"spec": {}}), "spec.baker: exactly one of octez and template"),
        ("/spec/baker/octez", Value::Null, "spec.baker: exactly one of octez and template"),
        ("/spec/baker/octez/image", json!("a b"), "spec.baker.octez.image: \"a b\" is not"),
        ("/spec/baker/octez/nodeEndpoint", json!("node:8732"), "spec.baker.octez.nodeEndpoint: \"node:8732\" is not"),
        ("/spec/baker/octez/nodeEndpoint", json!("http://u:p@node"), "spec.baker.octez.nodeEndpoint: "),
        ("/spec/baker/octez/dalNode", json!("http://"), "spec.baker.octez.dalNode: "),
        (
            "/spec/baker/octez/delegate",
            json!("tz3WMqdzXqRWXwyvj5Hp2H7QEepaUuS7vd9K"),
            "spec.baker.octez.delegate: tz3WMqdzXqRWXwyvj5Hp2H7QEepaUuS7vd9K is not the address of a key in spec.keys: tz3LU",
        ),
        ("/spec/baker/octez/delegate", json!("tz3x"), "spec.baker.octez.delegate: "),
        (
            "/spec/baker/octez/extraArguments",
            json!(["--pre-emptive-forge-time", "1", "--dal-node=http://x"]),
            "spec.baker.octez.extraArguments[2]: the operator sets --dal-node",
        ),
    ];
    let mut example = octez_example();
    example.spec.placement = None; // with a template it is what would be told first
    for (pointer, value, expected) in cases {
        let result = with_field_of(&example, pointer, value.clone());
        let error = result.expect_err(&format!("{pointer} = {value} is accepted")).to_string();
        assert!(error.starts_with(expected), "{pointer} = {value}\n  expected {expected}\n  got      {error}");
    }
}
