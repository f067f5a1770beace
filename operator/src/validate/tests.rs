//! Each thing that a user can get wrong, and the field that the answer names.

use super::*;
use serde_json::json;
use tezos_signer_core::config::{KeySelector, KeySource};

fn applied(text: &str) -> TezosSigner {
    let mut signer: TezosSigner = serde_yaml::from_str(text).unwrap();
    signer.metadata.namespace = Some("bakers".to_owned());
    signer.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    signer
}

/// The example of a pod template, as if it had been applied.
pub(crate) fn example() -> TezosSigner {
    applied(include_str!("../../examples/tezossigner.yaml"))
}

/// The one of an Octez baker.
pub(crate) fn octez_example() -> TezosSigner {
    applied(include_str!("../../examples/tezossigner-octez.yaml"))
}

/// The one for CloudHSM.
pub(crate) fn cloud_hsm_example() -> TezosSigner {
    applied(include_str!("../../examples/tezossigner-cloudhsm.yaml"))
}

/// The one of a tz4 baker.
pub(crate) fn tz4_example() -> TezosSigner {
    applied(include_str!("../../examples/tezossigner-tz4.yaml"))
}

/// The one for AWS KMS.
pub(crate) fn kms_example() -> TezosSigner {
    applied(include_str!("../../examples/tezossigner-kms.yaml"))
}

/// The one for signers behind a Service.
pub(crate) fn service_example() -> TezosSigner {
    applied(include_str!("../../examples/tezossigner-service.yaml"))
}

/// The one for pods that something else makes.
pub(crate) fn inject_example() -> TezosSigner {
    applied(include_str!("../../examples/tezossigner-inject.yaml"))
}

/// What the example becomes when the field at `pointer` is `value` (null: left out).
fn with(pointer: &str, value: Value) -> Result<Valid, Invalid> {
    with_field_of(&example(), pointer, value)
}

pub(crate) fn with_field_of(signer: &TezosSigner, pointer: &str, value: Value) -> Result<Valid, Invalid> {
    let mut object = serde_json::to_value(signer).unwrap();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match parent {
        Value::Object(fields) if value.is_null() => drop(fields.remove(field)),
        Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    validate(&serde_json::from_value(object).unwrap())
}

#[test]
fn the_example_is_valid() {
    let valid = validate(&example()).unwrap();
    assert_eq!(valid.keys[0].hash().to_string(), "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA");
    assert_eq!(valid.keys[0].policy.chain, ChainId::MAINNET);
    assert_eq!(valid.initial.unwrap().start, Start::Above(Level::from_i32(15_181_990).unwrap()));
    let config = SignerConfig::from_yaml(&valid.config).unwrap();
    assert_eq!(config.keys, valid.keys);
    assert_eq!(config.listen.to_string(), "127.0.0.1:6732", "nobody outside the pod may ask");
}

/// INVARIANT O1: `suspend` must find them.
#[test]
fn the_records_of_a_spec_that_is_refused_are_known() {
    let mut signer = example();
    let record = validate(&signer).unwrap().keys[0].record_name().to_string();
    signer.spec.baker = None;
    signer.spec.keys[0].label = None;
    signer.spec.keys.push(crate::api::KeySpec { public_key: "mistyped".to_owned(), ..signer.spec.keys[0].clone() });
    signer.status = serde_json::from_value(json!({"keys": [
        {"chain": "c", "publicKeyHash": "tz3a", "record": "watermark-former", "recordUID": "u"},
    ]}))
    .unwrap();
    assert!(validate(&signer).is_err());
    assert_eq!(records(&signer), BTreeSet::from([record, "watermark-former".to_owned()]));
}

#[test]
fn the_node_comes_into_the_configuration_and_where_none_is_named_nothing_does() {
    let valid = with("/spec/nodeEndpoint", json!("http://node.bakers.svc:8732")).unwrap();
    let config = SignerConfig::from_yaml(&valid.config).unwrap();
    assert_eq!(config.node_endpoint.unwrap().authority(), "node.bakers.svc:8732");
    assert!(!validate(&example()).unwrap().config.contains("nodeEndpoint"), "an upgrade must restart no baker");
}

#[test]
fn every_error_names_its_field() {
    let p2pk = "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk";
    refused(&[
        ("/metadata/name", json!("x".repeat(41)), "metadata.name: at most 40"),
        ("/metadata/name", json!("a.b"), "metadata.name: at most 40"),
        ("/spec/chain", json!("NetXdQprcVkpaWV"), "spec.chain: not a chain id"),
        ("/spec/chain", json!("ghostnet"), "spec.chain: not a chain id"),
        ("/spec/keys", json!([]), "spec.keys: at least one"),
        ("/spec/keys/0/publicKey", json!(p2pk.replace("Gpk", "Gpj")), "spec.keys[0].publicKey: not a public key"),
        ("/spec/keys/0/publicKey", json!(p2pk.replace("p2pk", "sppk")), "spec.keys[0].publicKey: not a public key"),
        ("/spec/keys/0/id", json!("ab"), "spec.keys[0]: exactly one of label"),
        ("/spec/keys/0/label", Value::Null, "spec.keys[0]: exactly one of label"),
        ("/spec/keys/0/label", json!(""), "spec.keys[0].label: empty"),
        ("/spec/keys/0", json!({"publicKey": p2pk, "id": "abc"}), "spec.keys[0].id: expected hexadecimal"),
        ("/spec/keys/0/allow", json!([]), "spec.keys[0].allow: empty"),
        (
            "/spec/keys",
            json!([{"publicKey": p2pk, "label": "a"}, {"publicKey": p2pk, "label": "b"}]),
            "spec.keys[1].publicKey: tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA is listed twice",
        ),
        ("/spec/hsm", json!({}), "spec.hsm: exactly one of"),
        ("/spec/hsm/pkcs11/sessions", json!(17), "spec.hsm.pkcs11.sessions: 17 is not"),
        ("/spec/hsm/pkcs11/exitAfterSeconds", json!(9), "spec.hsm.pkcs11.exitAfterSeconds: 9 is not"),
        ("/spec/hsm/pkcs11/exitAfterHangSeconds", json!(2), "spec.hsm.pkcs11.exitAfterHangSeconds: 2 is not"),
        ("/spec/hsm/pkcs11/serial", json!("1"), "spec.hsm.pkcs11: exactly one of token"),
        ("/spec/hsm/pkcs11/token", Value::Null, "spec.hsm.pkcs11: exactly one of token"),
        ("/spec/hsm/pkcs11/token", json!(""), "spec.hsm.pkcs11.token: empty"),
        ("/spec/hsm/pkcs11/env", json!([{"name": "POD_UID"}]), "spec.hsm.pkcs11.env[0].name: set by the operator"),
        ("/spec/hsm/pkcs11/env", json!([{"nam": "A"}]), "spec.hsm.pkcs11.env[0]"),
        (
            "/spec/hsm/pkcs11/volumes",
            json!([{"name": "signer-pin"}]),
            "spec.hsm.pkcs11.volumes[0].name: \"signer-pin\"",
        ),
        (
            "/spec/hsm/pkcs11/volumes",
            json!([]),
            "spec.hsm.pkcs11.volumeMounts[0].name: there is no volume \"cloudhsm\"",
        ),
        ("/spec/leaseDurationSeconds", json!(1), "spec: "),
        (
            "/spec/nodeEndpoint",
            json!("https://node:8732"),
            "spec.nodeEndpoint: \"https://node:8732\" is not the address",
        ),
        ("/spec/nodeEndpoint", json!("http://node:8732/rpc"), "spec.nodeEndpoint: "),
        ("/spec/initialWatermark/level", json!(-1), "spec.initialWatermark.level: negative"),
        ("/spec/initialWatermark/level", Value::Null, "spec.initialWatermark: exactly one of"),
        ("/spec/initialWatermark/fresh", json!(true), "spec.initialWatermark: exactly one of"),
        ("/spec/service", json!({"unauthenticated": true}), "spec: exactly one of baker"),
        ("/spec/baker", Value::Null, "spec: exactly one of baker"),
        ("/spec/placement", json!({}), "spec.placement: only with service or baker.octez"),
        ("/spec/keys/0/authorizedKeys", json!(["x"]), "spec.keys[0].authorizedKeys: only with service"),
        ("/spec/keys/0/ballot", json!([]), "spec.keys[0].ballot: empty"),
        ("/spec/keys/0/maxFee", json!(-1), "spec.keys[0].maxFee: "),
        ("/spec/keys/0/destinations", json!(["tz1x"]), "spec.keys[0].destinations[0]: "),
        ("/spec/keys/0/allow", json!(["block", "drain_delegate"]), "spec.keys[0].allow: drain_delegate transfers"),
    ]);
}

#[test]
fn what_a_template_would_give_away_is_refused_by_its_name() {
    let template = "/spec/baker/template/spec";
    let container = "/spec/baker/template/spec/containers/0";
    refused(&[
        ("/spec/baker/template/spec", Value::Null, "spec.baker.template.spec: missing"),
        (&format!("{template}/containers"), json!([]), "spec.baker.template.spec.containers: empty"),
        (
            &format!("{template}/shareProcessNamespace"),
            json!(true),
            "spec.baker.template.spec.shareProcessNamespace: not allowed",
        ),
        (&format!("{template}/hostNetwork"), json!(true), "spec.baker.template.spec.hostNetwork: not allowed"),
        (
            &format!("{template}/serviceAccountName"),
            json!("x"),
            "spec.baker.template.spec.serviceAccountName: not allowed",
        ),
        (
            &format!("{template}/automountServiceAccountToken"),
            json!(true),
            "spec.baker.template.spec.automountServiceAccountToken: not allowed",
        ),
        (&format!("{template}/tolerations"), json!("x"), "spec.baker.template.spec.tolerations: invalid type"),
        (&format!("{template}/securityContext"), json!([]), "spec.baker.template.spec.securityContext: invalid type"),
        (
            "/spec/baker/template/metadata",
            json!({"labels": ["x"]}),
            "spec.baker.template.metadata.labels: expected a map",
        ),
        (
            "/spec/baker/template/metadata",
            json!({"labels": {"team": "x", "app.kubernetes.io/instance": "mine"}}),
            "spec.baker.template.metadata.labels: the operator sets app.kubernetes.io/instance",
        ),
        (
            &format!("{template}/volumes"),
            json!([{"name": "x", "secret": {"secretName": "hsm-pin"}}]),
            "spec.baker.template.spec.volumes[0]: not allowed: only the signer's container may use the Secret \"hsm-pin\"",
        ),
        (
            &format!("{template}/volumes"),
            json!([{"name": "x", "projected": {"sources": [{"secret": {"name": "hsm-pin"}}]}}]),
            "spec.baker.template.spec.volumes[0]: not allowed: only the signer's container may use the Secret",
        ),
        (
            &format!("{container}/env"),
            json!([{"name": "A", "value": "a"}, {"name": "PIN", "valueFrom": {"secretKeyRef": {"name": "hsm-pin", "key": "pin"}}}]),
            "spec.baker.template.spec.containers[0].env: not allowed: only the signer's container may use the Secret",
        ),
        (
            &format!("{container}/envFrom"),
            json!([{"configMapRef": {"name": "hsm-pin"}}, {"secretRef": {"name": "hsm-pin"}}]),
            "spec.baker.template.spec.containers[0].envFrom: not allowed: only the signer's container may use the Secret",
        ),
        (
            &format!("{template}/initContainers"),
            json!([{"name": "signer"}]),
            "spec.baker.template.spec.initContainers[0].name",
        ),
        (
            &format!("{template}/volumes"),
            json!([{"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
            "spec.baker.template.spec.volumes[0].projected: a ServiceAccount token",
        ),
        (
            &format!("{template}/volumes"),
            json!([{"name": "x", "projected": {"sources": [{"podCertificate": {"keyType": "RSA3072"}}]}}]),
            "spec.baker.template.spec.volumes[0].projected: a certificate of the pod",
        ),
        (&format!("{template}/volumes"), json!([{"name": "cloudhsm"}]), "spec.baker.template.spec.volumes[0].name"),
        (&format!("{container}/name"), json!("signer"), "spec.baker.template.spec.containers[0].name: \"signer\""),
        (
            &format!("{container}/volumeMounts"),
            json!([{"name": "signer-token", "mountPath": "/x"}]),
            "spec.baker.template.spec.containers[0].volumeMounts: not allowed",
        ),
        (
            &format!("{container}/ports"),
            json!([{"containerPort": "x"}]),
            "spec.baker.template.spec.containers[0].ports[0].containerPort: invalid type",
        ),
        (
            &format!("{container}/ports"),
            json!([{"containerPort": 9000}, {"containerPort": 6732, "hostPort": 6732}]),
            "spec.baker.template.spec.containers[0].ports[1].containerPort: 6732 is a port of the signer",
        ),
    ]);
}

/// The example is refused when the field at each pointer is the value, with a sentence that begins so.
fn refused(cases: &[(&str, Value, &str)]) {
    for (pointer, value, expected) in cases {
        let error = with(pointer, value.clone()).expect_err(&format!("{pointer} = {value} is accepted")).to_string();
        assert!(error.starts_with(expected), "{pointer} = {value}\n  expected {expected}\n  got      {error}");
    }
}

#[test]
fn both_curves_fresh_and_every_selector_are_valid() {
    let sppk = "sppk7cXzUGMoqqa3MNc5zUZrwuqCAtmxQYcQA82f1xRyZFnzyzYUS5Z";
    let valid = with("/spec/keys/0", json!({"publicKey": sppk, "id": "00fF", "allow": ["attestation"]})).unwrap();
    assert_eq!(valid.keys[0].source, KeySource::Pkcs11(KeySelector::Id(vec![0, 255])));
    assert_eq!(
        valid.keys[0].policy.allow,
        [PayloadKind::Consensus(tezos_signer_core::position::ConsensusKind::Attestation)]
    );
    let fresh = with("/spec/initialWatermark", json!({"fresh": true, "notAfter": "2026-11-23T18:00:00Z"})).unwrap();
    assert_eq!(fresh.initial.unwrap().start, Start::Fresh);
    assert!(with("/spec/initialWatermark", Value::Null).unwrap().initial.is_none());
}

#[test]
fn what_the_signer_can_be_allowed_the_spec_can_allow() {
    let key = json!({
        "publicKey": "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk", "label": "a",
        "allow": ["delegation", "attestation", "ballot", "block"], "ballot": ["pass", "yay"], "maxFee": 5000, "maxAmount": 7,
        "destinations": ["tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"], "drainDelegate": true, "maxLevelJump": 12,
        "unknownConsensusSuffix": "octezCompatible",
    });
    let valid = with("/spec/keys/0", key).unwrap();
    let config = SignerConfig::from_yaml(&valid.config).unwrap();
    let written = serde_json::to_value(&config.keys[0]).unwrap();
    // In one order, so that the configuration has one name.
    assert_eq!(written["allow"], json!(["block", "attestation", "delegation", "ballot"]));
    assert_eq!(written["ballot"], json!(["yay", "pass"]));
    assert_eq!(
        (&written["maxFee"], &written["maxAmount"], &written["maxLevelJump"]),
        (&json!("5000"), &json!("7"), &json!(12))
    );
    assert_eq!(written["destinations"], json!(["tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"]));
    assert_eq!(
        (&written["drainDelegate"], &written["unknownConsensusSuffix"]),
        (&json!(true), &json!("octezCompatible"))
    );
}

#[test]
fn clients_of_one_key_are_the_signers_of_its_requests() {
    let clients = json!(["edpkuBknW28nW72KG6RoHtYW7p12T6GKc7nAbwYX5m8Wd9sDVC9yav"]);
    let valid = with_field_of(&service_example(), "/spec/keys/0/authorizedKeys", clients.clone()).unwrap();
    let config = SignerConfig::from_yaml(&valid.config).unwrap();
    assert_eq!(serde_json::to_value(&config.keys[0]).unwrap()["authorizedKeys"], clients);
}

/// What this release does not know goes to the API server as it is.
#[test]
fn a_template_stays_as_it_was_written() {
    let container = json!({
        "name": "baker", "image": "x", "resources": {"requests": {"cpu": 1}}, "ofTheNextRelease": [{"a": null, "b": 1}],
    });
    let valid = with("/spec/baker/template/spec/containers", json!([container])).unwrap();
    let Workload::Baker(Baker::Template(template)) = valid.workload else { panic!("{:?}", valid.workload) };
    let kept = &template.value["spec"]["containers"][0];
    assert_eq!(kept["ofTheNextRelease"], json!([{"b": 1}]), "what is null is not there");
    assert_eq!(kept["resources"]["requests"]["cpu"], json!(1));
}
