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
    assert_eq!(addresses(&signer), ["tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA"]);
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
    assert_eq!(addresses(&octez_with_delegate(&signer, Some(SECOND))), [SECOND]);
    // Several in the order in which they are named.
    let octez = signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap();
    octez.delegates = vec![SECOND.to_owned(), FIRST.to_owned()];
    assert_eq!(addresses(&signer), [SECOND, FIRST]);
}

const FIRST: &str = "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA";
const SECOND: &str = "tz2DTy9uoYbCFZrtSi9AHNUsnyE8CgDSyQqp";

fn addresses(signer: &TezosSigner) -> Vec<String> {
    baker(signer).delegates.iter().map(ToString::to_string).collect()
}

/// Also where a list has one.
#[test]
fn the_first_node_is_the_node_and_the_others_are_extra_nodes() {
    let mut signer = octez_example();
    let nodes = |signer: &TezosSigner| (baker(signer).node_endpoint, baker(signer).extra_nodes);
    let one = nodes(&signer);
    assert_eq!(one, ("http://octez-node:8732".to_owned(), vec![]));
    let octez = signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap();
    octez.node_endpoints = octez.node_endpoint.take().into_iter().collect();
    assert_eq!(nodes(&signer), one);
    assert_eq!(validate(&signer).unwrap().nodes, ["http://octez-node:8732"]);
    let octez = signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap();
    octez.node_endpoints.extend(["https://b:1/x".to_owned(), "http://c:8732/".to_owned()]);
    assert_eq!(nodes(&signer), (one.0, vec!["https://b:1/x".to_owned(), "http://c:8732/".to_owned()]));
    // The level of the chain is asked of each in this order, after the node of the spec, until one knows it.
    signer.spec.node_endpoint = Some("http://c:8732".to_owned());
    assert_eq!(validate(&signer).unwrap().nodes, ["http://c:8732", "http://octez-node:8732", "https://b:1/x"]);
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
        ("/spec/baker/octez/nodeEndpoint", Value::Null, "spec.baker.octez: exactly one of nodeEndpoint"),
        ("/spec/baker/octez/nodeEndpoints", json!(["http://b"]), "spec.baker.octez: exactly one of nodeEndpoint"),
        ("/spec/baker/octez/delegates", json!([FIRST, "tz3x"]), "spec.baker.octez.delegates[1]: "),
        ("/spec/baker/octez/delegates", json!([FIRST, FIRST]), "spec.baker.octez.delegates[1]: tz3LU"),
        (
            "/spec/baker/octez/delegates",
            json!([SECOND]),
            "spec.baker.octez.delegates[0]: tz2DTy9uoYbCFZrtSi9AHNUsnyE8CgDSyQqp is not the address of a key in spec.keys: tz3LU",
        ),
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

#[test]
fn every_error_in_a_list_names_its_item() {
    let mut example = octez_example();
    let octez = example.spec.baker.as_mut().unwrap().octez.as_mut().unwrap();
    octez.node_endpoint = None;
    octez.delegate = Some(FIRST.to_owned());
    octez.node_endpoints = vec!["http://a".to_owned()];
    for (field, value, expected) in [
        ("nodeEndpoints", json!([]), "spec.baker.octez: exactly one of nodeEndpoint"),
        (
            "nodeEndpoints",
            json!(["http://a", "b:1"]),
            "spec.baker.octez.nodeEndpoints[1]: \"b:1\" is not http://HOST:PORT",
        ),
        ("nodeEndpoints", json!(["http://u:p@a"]), "spec.baker.octez.nodeEndpoints[0]: "),
        (
            "nodeEndpoints",
            json!(["http://a", "http://b", "http://a/"]),
            "spec.baker.octez.nodeEndpoints[2]: http://a/ is listed twice",
        ),
        ("delegates", json!([FIRST]), "spec.baker.octez: at most one of delegate"),
    ] {
        let result = with_field_of(&example, &format!("/spec/baker/octez/{field}"), value.clone());
        let error = result.expect_err(&format!("{field} = {value} is accepted")).to_string();
        assert!(error.starts_with(expected), "{field} = {value}\n  expected {expected}\n  got      {error}");
    }
}
