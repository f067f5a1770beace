//! Which change of a spec replaces the pods: the table in docs/tezossigner.md, field by field.

use super::*;
use crate::api::TezosSigner;
use crate::validate::tests::{cloud_hsm_example, inject_example, kms_example, tz4_example};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../../../docs/tezossigner.md");

/// A sealed key that nobody opens.
const SEALED: &str =
    "v1.pkcs11.c2VhbGluZw.AAAAAAAAAAAAAAAA.SqVcroplCVA8vhLsGRKrGSI8PCr9nwXDNx1oiy0oIImYxvQZwaZNIuoBZo_cnvT0.7223f744";

/// What a change of the spec changes of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Pod,
    Configuration,
    Neither,
}

fn effect(before: &TezosSigner, after: &TezosSigner) -> Effect {
    let [before, after] =
        [before, after].map(|signer| objects(&validate(signer).unwrap(), signer.spec.image.as_deref().unwrap_or("i")));
    // The name of the configuration stands in the pod, and is the hash of what is in it.
    let pod = |objects: &Objects| {
        let name = objects.config.metadata.name.clone().unwrap();
        objects.deployment.spec["template"].to_string().replace(&name, "the configuration")
    };
    if pod(&before) != pod(&after) {
        Effect::Pod
    } else if before.config.data != after.config.data {
        Effect::Configuration
    } else {
        Effect::Neither
    }
}

/// The example with a list of nodes.
fn octez_of_nodes() -> TezosSigner {
    let mut signer = octez_example();
    let octez = signer.spec.baker.as_mut().unwrap().octez.as_mut().unwrap();
    octez.node_endpoints = octez.node_endpoint.take().into_iter().collect();
    signer
}

/// Another value for each field of the spec.
fn changes() -> Vec<(TezosSigner, &'static str, Value)> {
    let (service, octez, cloud, template) = (service_example, octez_example, cloud_hsm_example, example);
    let (tz4, kms) = (tz4_example, kms_example);
    let spread = json!([{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway"}]);
    let csi = json!({"csi": {"driver": "pins.example", "volumeAttributes": {"a": "b"}}, "key": "pin"});
    let sppk = "sppk7cXzUGMoqqa3MNc5zUZrwuqCAtmxQYcQA82f1xRyZFnzyzYUS5Z";
    vec![
        (kms(), "awsKms.credentials", json!({"secret": "other", "key": "other"})),
        (kms(), "awsKms.endpoint", json!("https://other")),
        (octez(), "baker.octez.dalNode", json!("http://other:10732")),
        (octez(), "baker.octez.extraArguments", json!(["--x"])),
        (octez(), "baker.octez.image", json!("other")),
        (octez(), "baker.octez.liquidityBakingVote", json!("on")),
        (octez(), "baker.octez.nodeEndpoint", json!("http://other:8732")),
        (octez_of_nodes(), "baker.octez.nodeEndpoints", json!(["http://octez-node:8732", "http://other:8732"])),
        (octez(), "baker.octez.resources", json!({})),
        (octez(), "baker.octez.volumeClaim", json!("other")),
        (template(), "baker.template", json!({"spec": {"containers": [{"name": "x"}]}})),
        (service(), "env", json!([{"name": "A", "value": "1"}])),
        (cloud(), "hsm.cloudHsm.addresses", json!(["10.0.1.7"])),
        (cloud(), "hsm.cloudHsm.clientImage", json!("other")),
        (cloud(), "hsm.cloudHsm.customerCa.configMap", json!("other")),
        (cloud(), "hsm.cloudHsm.customerCa.key", json!("other")),
        (cloud(), "hsm.cloudHsm.disableKeyAvailabilityCheck", json!(true)),
        (cloud(), "hsm.cloudHsm.disableValidateKeyAtInit", json!(true)),
        (cloud(), "hsm.cloudHsm.eddsaMechanism", json!("0x1057")),
        (cloud(), "hsm.cloudHsm.exitAfterHangSeconds", json!(20)),
        (cloud(), "hsm.cloudHsm.exitAfterSeconds", json!(90)),
        (cloud(), "hsm.cloudHsm.logLevel", json!("error")),
        (cloud(), "hsm.cloudHsm.mutualTls", json!({"secret": "other"})),
        (cloud(), "hsm.cloudHsm.pin", csi.clone()),
        (cloud(), "hsm.cloudHsm.pin.key", json!("other")),
        (cloud(), "hsm.cloudHsm.pin.secret", json!("other")),
        (cloud(), "hsm.cloudHsm.retryMode", json!("none")),
        (cloud(), "hsm.cloudHsm.sessions", json!(3)),
        (cloud(), "hsm.cloudHsm.token", json!("other")),
        (service(), "hsm.pkcs11.env", json!([{"name": "A", "value": "1"}])),
        (service(), "hsm.pkcs11.eddsaMechanism", json!("0x1057")),
        (service(), "hsm.pkcs11.exitAfterHangSeconds", json!(20)),
        (service(), "hsm.pkcs11.exitAfterSeconds", json!(90)),
        (service(), "hsm.pkcs11.module", json!("/other.so")),
        (service(), "hsm.pkcs11.pin", csi),
        (service(), "hsm.pkcs11.pin.key", json!("other")),
        (service(), "hsm.pkcs11.pin.secret", json!("other")),
        (service(), "hsm.pkcs11.sessions", json!(3)),
        (service(), "hsm.pkcs11.token", json!("other")),
        (service(), "hsm.pkcs11.volumeMounts", json!([])),
        (service(), "hsm.pkcs11.volumes", json!([{"name": "cloudhsm", "emptyDir": {}}])),
        (service(), "image", json!("other")),
        (service(), "imagePullSecrets", json!([{"name": "other"}])),
        (service(), "initialWatermark.level", json!(1)),
        (inject_example(), "inject.serviceAccountName", json!("other")),
        (service(), "initialWatermark.notAfter", json!("2027-11-23T18:00:00Z")),
        (service(), "keys.0.allow", json!(["block"])),
        (tz4(), "keys.0.allowProofOfPossession", json!(true)),
        (service(), "keys.0.authorizedKeys", json!([sppk])),
        (service(), "keys.0.destinations", json!(["tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"])),
        (service(), "keys.0.drainDelegate", json!(true)),
        (kms(), "keys.0.kmsKey", json!("alias/other")),
        (service(), "keys.0.label", json!("other")),
        (service(), "keys.0.maxAmount", json!(1)),
        (service(), "keys.0.maxFee", json!(1)),
        (service(), "keys.0.maxLevelJump", json!(1)),
        (service(), "keys.0.publicKey", json!(sppk)),
        (tz4(), "keys.0.sealed", json!(SEALED)),
        (service(), "keys.0.unknownConsensusSuffix", json!("octezCompatible")),
        (service(), "leaseDurationSeconds", json!(9)),
        (service(), "nodeEndpoint", json!("http://node:8732")),
        (service(), "placement.affinity", json!({"nodeAffinity": {}})),
        (service(), "placement.nodeSelector", json!({"a": "b"})),
        (service(), "placement.priorityClassName", json!("other")),
        (service(), "placement.tolerations", json!([{"operator": "Exists"}])),
        (service(), "placement.topologySpreadConstraints", spread),
        (service(), "pod.annotations", json!({"a": "b"})),
        (service(), "pod.labels", json!({"a": "b"})),
        (service(), "pod.terminationGracePeriodSeconds", json!(60)),
        (service(), "resources.limits", json!({"memory": "1Gi"})),
        (service(), "resources.requests", json!({"cpu": "1"})),
        (tz4(), "sealedCheckSeconds", json!(60)),
        (tz4(), "sealedGraceSeconds", json!(60)),
        (service(), "service.authorizedKeys", json!([sppk])),
        (service(), "service.clientCa", json!({"secret": "other"})),
        (service(), "service.port", json!(1)),
        (service(), "service.replicas", json!(3)),
        (service(), "service.tls.secret", json!("other")),
        (service(), "serviceAccount.annotations", json!({"a": "b"})),
        (service(), "suspend", json!(true)),
    ]
}

/// The field after the last dot, which objects on the way are made for.
fn set(value: &mut Value, path: &str, new: Value) {
    let place = path.split('.').fold(&mut value["spec"], |place, step| match step.parse::<usize>() {
        Ok(index) => &mut place[index],
        Err(_) => &mut place[step],
    });
    *place = new;
}

/// The fields that the row of the table with this beginning names.
fn documented(beginning: &str) -> Vec<&'static str> {
    let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| {beginning} |"))).unwrap();
    row.split('|').nth(2).unwrap().split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_table_of_what_a_change_does_is_true() {
    let rows = BTreeMap::from([
        (Effect::Pod, documented("the pod")),
        (Effect::Configuration, documented("only the configuration")),
        (Effect::Neither, documented("neither")),
    ]);
    let is_in =
        |row: &[&str], field: &str| row.iter().any(|name| field == *name || field.starts_with(&format!("{name}.")));
    let mut wrong = Vec::new();
    for (before, path, new) in changes() {
        let mut after = serde_json::to_value(&before).unwrap();
        set(&mut after, path, new);
        let found = effect(&before, &serde_json::from_value(after).expect(path));
        let field = path.replace(".0.", ".");
        let said: Vec<_> = rows.iter().filter(|(_, row)| is_in(row, &field)).map(|(effect, _)| *effect).collect();
        if said != [found] {
            wrong.push(format!("{field}: {found:?}, and the table says {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "docs/tezossigner.md: {wrong:#?}");
    // None is forgotten, in the table or here.
    let crd: Value =
        serde_yaml::from_str(&crate::api::crd_yaml(&[crate::api::Definition::Tezossigners]).unwrap()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let tried: Vec<String> = changes().iter().map(|(_, path, _)| path.replace(".0.", ".")).collect();
    // One that cannot be changed, those that go with another, and those that exclude one that is here.
    let others = [
        "chain",
        "baker.octez.delegate",
        "baker.octez.delegates",
        "companion",
        "clusterId",
        "region",
        "serial",
        "id",
        "fresh",
        "unauthenticated",
        "ballot",
    ];
    for (name, field) in spec.as_object().unwrap() {
        let mut fields = Vec::new();
        leaves(name, field, &mut fields);
        for field in fields {
            let is_known = tried.iter().any(|tried| field == *tried || field.starts_with(&format!("{tried}.")))
                || others.iter().any(|other| field == *other || field.ends_with(&format!(".{other}")));
            assert!(is_known, "{field} is not tried");
            assert!(field == "chain" || rows.values().any(|row| is_in(row, &field)), "{field} is not in the table");
        }
    }
}

fn leaves(path: &str, schema: &Value, found: &mut Vec<String>) {
    let schema = if schema["items"]["properties"].is_object() { &schema["items"] } else { schema };
    match schema["properties"].as_object() {
        Some(properties) => properties.iter().for_each(|(name, field)| leaves(&format!("{path}.{name}"), field, found)),
        None => found.push(path.to_owned()),
    }
}
