//! A PIN in a CSI volume: what is taken, what is refused and with which field, and that the baker cannot have the volume.

use crate::api::TezosSigner;
use crate::validate::tests::{cloud_hsm_example, example, service_example, with_field_of};
use crate::validate::{Invalid, Valid, validate};
use serde_json::{Value, json};
use tezos_signer_core::config::SignerConfig;

fn csi() -> Value {
    let volume =
        json!({"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "baker-one-pin"}});
    json!({"csi": volume, "key": "pin"})
}

/// Validates `signer` with this value of `pin`.
fn with_pin(signer: &TezosSigner, pin: Value) -> Result<Valid, Invalid> {
    let section = if signer.spec.hsm.as_ref().unwrap().pkcs11.is_some() { "pkcs11" } else { "cloudHsm" };
    with_field_of(signer, &format!("/spec/hsm/{section}/pin"), pin)
}

#[test]
fn the_signer_reads_the_file_that_the_driver_writes() {
    for signer in [example(), service_example(), cloud_hsm_example()] {
        for (key, file) in [
            ("pin", "/run/secrets/hsm/pin"),
            ("_prod_baker-one_pin", "/run/secrets/hsm/_prod_baker-one_pin"),
            ("hsm/crypto-user", "/run/secrets/hsm/hsm/crypto-user"),
            (
                "arn:aws:secretsmanager:eu-west-1:1:secret:pin-AbCdEf",
                "/run/secrets/hsm/arn:aws:secretsmanager:eu-west-1:1:secret:pin-AbCdEf",
            ),
        ] {
            let mut pin = csi();
            pin["key"] = json!(key);
            let config = SignerConfig::from_yaml(&with_pin(&signer, pin).unwrap().config).unwrap();
            assert_eq!(config.keystore.hsm().unwrap().pin_file.to_str(), Some(file));
        }
        let config = SignerConfig::from_yaml(&validate(&signer).unwrap().config).unwrap();
        assert_eq!(config.keystore.hsm().unwrap().pin_file.to_str(), Some("/run/secrets/hsm/pin"), "that of a Secret");
    }
}

#[test]
fn every_wrong_field_of_the_pin_is_named() {
    let class = "csi/volumeAttributes/secretProviderClass";
    let many: serde_json::Map<String, Value> = (0..33).map(|i| (format!("a{i}"), json!("b"))).collect();
    let cases = [
        ("secret", json!("hsm-pin"), ": exactly one of secret (the name of a Secret) and csi"),
        ("csi", Value::Null, ": exactly one of secret"),
        ("csi/driver", json!(""), ".csi.driver: \"\" is not the name of a CSI driver"),
        ("csi/driver", json!("Secrets Store"), ".csi.driver: \"Secrets Store\" is not the name"),
        ("csi/driver", json!("a".repeat(64)), ".csi.driver: "),
        ("csi/driver", json!("../x"), ".csi.driver: "),
        (
            class,
            Value::Null,
            ".csi.volumeAttributes.secretProviderClass: missing; set it to the name of a SecretProviderClass",
        ),
        (
            class,
            json!("Baker One"),
            ".csi.volumeAttributes.secretProviderClass: \"Baker One\" is not a valid object name",
        ),
        ("csi/volumeAttributes", json!(many), ".csi.volumeAttributes: more than 32"),
        (
            "csi/volumeAttributes",
            json!({"secretProviderClass": "a", "csi.storage.k8s.io/pod.name": "x"}),
            ".csi.volumeAttributes: the kubelet sets csi.storage.k8s.io/pod.name",
        ),
        ("csi/nodePublishSecretRef", json!({"name": "X"}), ".csi.nodePublishSecretRef.name: \"X\" is not"),
        ("key", json!(""), ".key: \"\" is not the path of a file in the volume"),
        ("key", json!("/pin"), ".key: \"/pin\" is not"),
        ("key", json!("../pin"), ".key: "),
        ("key", json!("..data"), ".key: "),
        ("key", json!("a/../pin"), ".key: "),
        ("key", json!("a//pin"), ".key: "),
        ("key", json!("./pin"), ".key: "),
        ("key", json!("pin/"), ".key: "),
        ("key", json!("a pin"), ".key: "),
        ("key", json!("p".repeat(254)), ".key: "),
    ];
    for (section, mut signer) in [("pkcs11", example()), ("cloudHsm", cloud_hsm_example())] {
        let hsm = signer.spec.hsm.as_mut().unwrap();
        let pin = serde_json::from_value(csi()).unwrap();
        match (&mut hsm.pkcs11, &mut hsm.cloud_hsm) {
            (Some(pkcs11), _) => pkcs11.token.pin = pin,
            (_, Some(cloud_hsm)) => cloud_hsm.token.pin = pin,
            _ => unreachable!(),
        }
        for (field, value, expected) in &cases {
            let result = with_field_of(&signer, &format!("/spec/hsm/{section}/pin/{field}"), value.clone());
            let error = result.expect_err(&format!("{field} = {value} is accepted")).to_string();
            let expected = format!("spec.hsm.{section}.pin{expected}");
            assert!(error.starts_with(&expected), "{field} = {value}\n  expected {expected}\n  got      {error}");
        }
        // What other drivers need is theirs.
        assert!(
            with_field_of(&signer, &format!("/spec/hsm/{section}/pin/csi"), json!({"driver": "pins.example.org"}))
                .is_ok()
        );
    }
}

/// INVARIANT O13: Whoever has the PIN can use the key behind the signer's back.
#[test]
fn the_baker_may_not_have_the_volume() {
    let driver = "secrets-store.csi.k8s.io";
    let with_volume = |volume: Value, pin: Value| {
        let mut signer = example();
        let template = signer.spec.baker.as_mut().unwrap().template.as_mut().unwrap();
        template["spec"]["volumes"] = json!([{"name": "x", "csi": volume}]);
        let containers = template["spec"]["containers"].as_array_mut().unwrap();
        containers[0]["volumeMounts"] = json!([{"name": "x", "mountPath": "/x"}]);
        with_pin(&signer, pin)
    };
    let class = |class: &str| json!({"driver": driver, "volumeAttributes": {"secretProviderClass": class}});
    for volume in [
        class("baker-one-pin"),
        json!({"driver": driver, "readOnly": true, "volumeAttributes": {"secretProviderClass": "baker-one-pin", "more": "x"}}),
        json!({"driver": driver}),
    ] {
        let error = with_volume(volume, csi()).unwrap_err();
        assert_eq!(error.field, "spec.baker.template.spec.volumes[0].csi");
        assert!(
            error.to_string().contains("only the signer's container may mount the volume of secrets-store"),
            "{error}"
        );
    }
    for volume in [
        class("of-the-node"),
        json!({"driver": "other.example", "volumeAttributes": {"secretProviderClass": "baker-one-pin"}}),
    ] {
        assert!(with_volume(volume, csi()).is_ok());
    }
    // By the Secret of the driver, whatever the driver takes for it.
    let mut pin = csi();
    pin["csi"]["nodePublishSecretRef"] = json!({"name": "of-the-provider"});
    let mut volume = class("of-the-node");
    assert!(with_volume(volume.clone(), pin.clone()).is_ok());
    volume["nodePublishSecretRef"] = json!({"name": "of-the-provider"});
    let error = with_volume(volume, pin).unwrap_err().to_string();
    assert!(
        error.contains("only the signer's container may use the Secret \"of-the-provider\" of spec.hsm"),
        "{error}"
    );
    // The names of the operator's own volumes are reserved as before.
    let mut signer = example();
    signer.spec.baker.as_mut().unwrap().template.as_mut().unwrap()["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "signer-pin", "mountPath": "/x"}]);
    assert_eq!(with_pin(&signer, csi()).unwrap_err().field, "spec.baker.template.spec.containers[0].volumeMounts");
}
