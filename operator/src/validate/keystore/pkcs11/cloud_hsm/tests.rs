//! Each thing that a user can get wrong in `spec.hsm.cloudHsm`, and the field that the answer names.

use crate::api::TezosSigner;
use crate::validate::tests::{cloud_hsm_example, example, with_field_of};
use crate::validate::validate;
use serde_json::{Value, json};
use std::time::Duration;
use tezos_signer_core::config::{SignerConfig, TokenSelector};

#[test]
fn every_wrong_field_of_cloud_hsm_is_named() {
    let aws = "/spec/hsm/cloudHsm";
    let twenty_nine: Vec<String> = (1..=29).map(|i| format!("10.0.0.{i}")).collect();
    let cases = [
        ("addresses", json!([]), ".addresses: empty"),
        ("addresses", json!(twenty_nine), ".addresses: 29 addresses"),
        ("addresses", json!(["10.0.1.6", "10.0.1.300"]), ".addresses[1]: \"10.0.1.300\" is neither"),
        ("addresses", json!(["10.0.1.6:2223"]), ".addresses[0]: \"10.0.1.6:2223\" is neither"),
        ("addresses", json!(["https://hsm.example"]), ".addresses[0]"),
        ("addresses", json!(["-a"]), ".addresses[0]"),
        ("addresses", json!([""]), ".addresses[0]"),
        ("addresses", json!(["0.0.0.0"]), ".addresses[0]: 0.0.0.0 is not"),
        ("addresses", json!(["a.example", "10.0.0.1", "A.example"]), ".addresses[2]: A.example is listed twice"),
        ("addresses", json!(["fd00::1", "fd00:0::1"]), ".addresses[1]: fd00:0::1 is listed twice"),
        ("addresses", Value::Null, ": exactly one of addresses and clusterId"),
        ("clusterId", json!("cluster-abcdefghijk"), ": exactly one of addresses and clusterId"),
        ("region", json!("eu-central-1"), ".region: only with clusterId"),
        ("customerCa/configMap", json!("CA"), ".customerCa.configMap: \"CA\" is not a valid object name"),
        ("customerCa/key", json!("a/b"), ".customerCa.key: \"a/b\" is not a valid key"),
        ("clientImage", json!(""), ".clientImage"),
        ("clientImage", json!("a b"), ".clientImage"),
        ("pin/secret", json!(""), ".pin.secret"),
        ("pin/key", json!("../pin"), ".pin.key"),
        ("token", json!(""), ".token: empty"),
        ("serial", json!(""), ".serial: empty"),
        ("sessions", json!(0), ".sessions: 0 is not from 1 to 16"),
        ("exitAfterSeconds", json!(3601), ".exitAfterSeconds: 3601 is not from 10 to 3600"),
        ("exitAfterHangSeconds", json!(-1), ".exitAfterHangSeconds: -1 is not from 3 to 3600"),
        ("mutualTls", json!({"secret": "x_y"}), ".mutualTls.secret"),
    ];
    for (field, value, expected) in cases {
        let error = with_field_of(&cloud_hsm_example(), &format!("{aws}/{field}"), value.clone());
        let error = error.expect_err(&format!("{field} = {value} is accepted")).to_string();
        let expected = format!("spec.hsm.cloudHsm{expected}");
        assert!(error.starts_with(&expected), "{field} = {value}\n  expected {expected}\n  got      {error}");
    }

    let by_id = |id: &str, region: Value| {
        let mut object = serde_json::to_value(cloud_hsm_example()).unwrap();
        let fields = object.pointer_mut(aws).unwrap().as_object_mut().unwrap();
        fields.remove("addresses");
        fields.insert("clusterId".to_owned(), json!(id));
        fields.insert("region".to_owned(), region);
        validate(&serde_json::from_value(object).unwrap()).map_err(|invalid| invalid.to_string())
    };
    let good = "cluster-abcdefghij7";
    assert!(by_id(good, json!("us-gov-west-1")).is_ok());
    assert!(by_id(good, Value::Null).unwrap_err().starts_with("spec.hsm.cloudHsm.region: missing"));
    for region in ["", "eu", "EU-central-1", "eu-central-1 --endpoint x", "--region"] {
        assert!(by_id(good, json!(region)).unwrap_err().starts_with("spec.hsm.cloudHsm.region: "), "{region}");
    }
    for id in ["", "cluster-", "cluster-abc", "cluster-abcdefghij1", "abcdefghijk", "--region"] {
        let error = by_id(id, json!("eu-central-1")).unwrap_err();
        assert!(error.starts_with("spec.hsm.cloudHsm.clusterId: "), "{id}: {error}");
    }

    let both = with_field_of(
        &cloud_hsm_example(),
        "/spec/hsm/pkcs11",
        json!({"module": "/x", "token": "t", "pin": {"secret": "s", "key": "k"}}),
    );
    assert!(both.unwrap_err().to_string().starts_with("spec.hsm: exactly one of"));
}

#[test]
fn the_token_is_found_by_label_or_serial() {
    let token = |signer: &TezosSigner, fields: &[(&str, Value)]| {
        let mut object = serde_json::to_value(signer).unwrap();
        let hsm = object.pointer_mut("/spec/hsm").unwrap().as_object_mut().unwrap();
        let section = hsm.values_mut().next().unwrap().as_object_mut().unwrap();
        section.remove("token");
        section.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let valid = validate(&serde_json::from_value(object).unwrap()).unwrap();
        SignerConfig::from_yaml(&valid.config).unwrap().keystore.hsm().unwrap().clone()
    };
    let serial = [("serial", json!("ab12")), ("exitAfterSeconds", json!(30))];
    for signer in [example(), cloud_hsm_example()] {
        let hsm = token(&signer, &serial);
        assert_eq!(hsm.token, TokenSelector::Serial("ab12".to_owned()));
        assert_eq!(hsm.exit_after, Duration::from_secs(30));
    }
    assert_eq!(token(&cloud_hsm_example(), &[]).token, TokenSelector::Label("hsm1".to_owned()));
}

#[test]
fn the_names_of_what_the_operator_adds_are_taken() {
    let template = "spec.baker.template.spec";
    for (list, name) in [
        ("initContainers", "signer-cloudhsm-client"),
        ("initContainers", "signer-cloudhsm-configure"),
        ("volumes", "signer-cloudhsm"),
        ("volumes", "signer-cloudhsm-config"),
        ("volumes", "signer-cloudhsm-tls"),
    ] {
        let pointer = format!("/{}/{list}", template.replace('.', "/"));
        let error = with_field_of(&cloud_hsm_example(), &pointer, json!([{"name": name}])).unwrap_err();
        assert_eq!(error.field, format!("{template}.{list}[0].name"), "{error}");
    }
}

#[test]
fn the_baker_may_not_have_the_clients_own_certificate() {
    let mut signer = cloud_hsm_example();
    let template = signer.spec.baker.as_mut().unwrap().template.as_mut().unwrap();
    template["spec"]["volumes"][0] = json!({"name": "data", "secret": {"secretName": "client-tls"}});
    let with = |mutual_tls: Value| with_field_of(&signer, "/spec/hsm/cloudHsm/mutualTls", mutual_tls);
    assert!(with(Value::Null).is_ok());
    let error = with(json!({"secret": "client-tls"})).unwrap_err();
    assert_eq!(error.field, "spec.baker.template.spec.volumes[0]");
}
