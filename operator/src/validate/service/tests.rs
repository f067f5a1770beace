//! What can be wrong with `spec.service`, and what becomes of it in the signer's configuration.

use crate::validate::tests::{service_example, with_field_of};
use crate::validate::*;
use serde_json::{Value, json};

fn with(pointer: &str, value: Value) -> Result<Valid, Invalid> {
    with_field_of(&service_example(), pointer, value)
}

fn config(valid: &Valid) -> SignerConfig {
    SignerConfig::from_yaml(&valid.config).unwrap()
}

fn workload(valid: &Valid) -> &ServiceWorkload {
    match &valid.workload {
        Workload::Service(workload) => workload,
        Workload::Baker(_) | Workload::Inject(_) => panic!("no service"),
    }
}

#[test]
fn the_example_listens_to_clients_and_to_its_peers_and_trusts_neither_unseen() {
    let valid = validate(&service_example()).unwrap();
    let config = config(&valid);
    assert_eq!(config.listen.to_string(), "[::]:6732");
    assert_eq!(config.authorized_keys.hashes().count(), 1);
    let tls = config.tls.unwrap();
    assert_eq!((tls.certificate_file.to_str(), tls.client_ca_file), (Some("/run/secrets/tls/tls.crt"), None));
    let peer = config.peer.unwrap();
    assert_eq!(peer.listen.to_string(), "[::]:6733");
    assert_eq!(peer.tls.unwrap().ca_file.to_str(), Some("/run/secrets/tls/ca.crt"), "the hop is mutual TLS");
    let workload = workload(&valid);
    assert_eq!((workload.port, workload.replicas), (6732, 2));
}

#[test]
fn every_error_names_its_field() {
    let edpk = "edpkuBknW28nW72KG6RoHtYW7p12T6GKc7nAbwYX5m8Wd9sDVC9yav";
    let ml_dsa = format!("mdpk{}", "a".repeat(1798));
    let cases = [
        (
            "/spec/service/authorizedKeys/0",
            json!(ml_dsa),
            "spec.service.authorizedKeys[0]: a key mdpk… is of ML-DSA-44, the post-quantum scheme",
        ),
        ("/metadata/name", json!("1-signer"), "metadata.name: it must begin with a letter"),
        ("/spec/baker", json!({"template": {}}), "spec: exactly one of baker"),
        ("/spec/service", Value::Null, "spec: exactly one of baker"),
        ("/spec/service", json!({}), "spec.service: exactly one of authorizedKeys"),
        ("/spec/service", json!({"unauthenticated": false}), "spec.service: exactly one of authorizedKeys"),
        ("/spec/service/unauthenticated", json!(true), "spec.service: exactly one of authorizedKeys"),
        ("/spec/service/authorizedKeys", Value::Null, "spec.service: exactly one of authorizedKeys"),
        ("/spec/service/authorizedKeys", json!([]), "spec.service.authorizedKeys: empty: no client"),
        ("/spec/service/authorizedKeys/0", json!(edpk.replace("yav", "yaw")), "spec.service.authorizedKeys[0]: "),
        (
            "/spec/service/authorizedKeys/0",
            json!("tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"),
            "spec.service.authorizedKeys[0]: ",
        ),
        ("/spec/service/authorizedKeys", json!([edpk, edpk]), "spec.service.authorizedKeys[1]: edpk"),
        ("/spec/service/port", json!(0), "spec.service.port: 0 is not from 1 to 65535"),
        ("/spec/service/port", json!(65536), "spec.service.port: 65536 is not"),
        ("/spec/service/replicas", json!(0), "spec.service.replicas: 0 is not from 1 to 5"),
        ("/spec/service/replicas", json!(6), "spec.service.replicas: 6 is not"),
        ("/spec/service/tls/secret", json!(""), "spec.service.tls.secret: empty"),
        ("/spec/service/clientCa", json!({}), "spec.service.clientCa: exactly one of configMap and secret"),
        (
            "/spec/service/clientCa",
            json!({"configMap": "a", "secret": "b"}),
            "spec.service.clientCa: exactly one of configMap and secret",
        ),
        (
            "/spec/service",
            json!({"unauthenticated": true, "clientCa": {"secret": "a"}}),
            "spec.service.clientCa: requires tls",
        ),
    ];
    for (pointer, value, expected) in cases {
        let error = with(pointer, value.clone()).expect_err(&format!("{pointer} = {value} is accepted")).to_string();
        assert!(error.starts_with(expected), "{pointer} = {value}\n  expected {expected}\n  got      {error}");
    }
}

#[test]
fn everybody_may_ask_only_where_that_is_said_by_name() {
    let valid = with("/spec/service", json!({"unauthenticated": true, "port": 443, "replicas": 5})).unwrap();
    let config = config(&valid);
    assert!(config.authorized_keys.is_empty() && config.tls.is_none());
    assert_eq!(config.peer.unwrap().tls, None);
    assert_eq!(config.listen.port(), 6732, "the Service has another port, the pods have not");
    assert_eq!(*workload(&valid), ServiceWorkload { port: 443, replicas: 5, tls: None });
}

#[test]
fn clients_can_be_asked_for_certificates() {
    let valid = with("/spec/service/clientCa", json!({"configMap": "clients", "key": "bundle.pem"})).unwrap();
    let tls = config(&valid).tls.unwrap();
    assert_eq!(tls.client_ca_file.unwrap().to_str(), Some("/run/secrets/tls/client-ca.crt"));
    let authorities = workload(&valid).tls.as_ref().unwrap().client_ca.clone().unwrap();
    assert_eq!(authorities.key, "bundle.pem");
    assert_eq!(authorities.source, AuthoritiesSource::ConfigMap("clients".to_owned()));
}
