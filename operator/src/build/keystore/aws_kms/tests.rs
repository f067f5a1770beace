//! The pods of signers with AWS KMS: who has credentials, and that nothing of a PKCS#11 library is left.

use crate::build::objects;
use crate::validate::tests::{kms_example, octez_example};
use crate::validate::validate;
use serde_json::{Value, json};

/// The pod template with these fields in `spec.awsKms`, and the signer's configuration.
fn built(more: &Value) -> (Value, String) {
    let mut signer = serde_json::to_value(kms_example()).unwrap();
    signer["spec"]["awsKms"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let objects = objects(&validate(&serde_json::from_value(signer).unwrap()).unwrap(), "i");
    (objects.deployment.spec["template"].clone(), objects.config.data.unwrap()["config.yaml"].clone())
}

fn names<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

#[test]
fn the_pod_has_nothing_of_a_token() {
    let (pod, config) = built(&json!({}));
    assert_eq!(names(&pod["spec"]["volumes"], "name"), ["octez-client", "signer-config", "signer-token"]);
    let signer = &pod["spec"]["initContainers"][0];
    assert_eq!(signer["name"], "signer");
    assert_eq!(names(&signer["volumeMounts"], "name"), ["signer-config", "signer-token"]);
    assert_eq!(names(&signer["env"], "name"), ["POD_NAME", "POD_UID", "POD_IP"]);
    assert!(config.contains("awsKms:\n  region: eu-central-1\n") && !config.contains("hsm:"), "{config}");
}

/// Pod Identity and IRSA: EKS' webhook gives credentials to each container that this annotation does not name.
#[test]
fn only_the_signer_gets_credentials_from_eks() {
    let (pod, _) = built(&json!({}));
    assert_eq!(pod["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"], "import-key,baker");
    let mut service = serde_json::to_value(kms_example()).unwrap();
    service["spec"]["baker"].take();
    service["spec"]["service"] = json!({"unauthenticated": true});
    let objects = objects(&validate(&serde_json::from_value(service).unwrap()).unwrap(), "i");
    let template = &objects.deployment.spec["template"];
    assert_eq!(names(&template["spec"]["containers"], "name"), ["signer"]);
    assert!(template["metadata"]["annotations"].get("eks.amazonaws.com/skip-containers").is_none());
}

#[test]
fn a_credentials_file_is_for_the_signer_only_and_where_its_configuration_says() {
    let (pod, config) =
        built(&json!({"credentials": {"secret": "aws", "key": "file"}, "endpoint": "https://vpce.example"}));
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "signer-aws-credentials").unwrap();
    assert_eq!(volume["secret"]["secretName"], "aws");
    assert_eq!(volume["secret"]["items"], json!([{"key": "file", "path": "credentials"}]));
    let init = pod["spec"]["initContainers"].as_array().unwrap();
    for container in init.iter().chain(pod["spec"]["containers"].as_array().unwrap()) {
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        let found: Vec<_> = mounts.filter(|mount| mount["name"] == "signer-aws-credentials").collect();
        if container["name"] == "signer" {
            assert_eq!(found.len(), 1);
            assert_eq!((&found[0]["mountPath"], &found[0]["readOnly"]), (&json!("/run/secrets/aws"), &json!(true)));
        } else {
            assert!(found.is_empty(), "{} has the credentials", container["name"]);
        }
    }
    assert!(config.contains("credentialsFile: /run/secrets/aws/credentials\n"), "{config}");
    assert!(config.contains("endpoint: https://vpce.example\n"), "{config}");
}

/// An upgrade must restart no baker: what a kind adds is not in the pods of the others.
#[test]
fn a_token_has_nothing_of_aws_kms() {
    let objects = objects(&validate(&octez_example()).unwrap(), "i");
    assert!(!objects.deployment.spec.to_string().contains("aws-credentials"));
    assert!(!objects.config.data.unwrap()["config.yaml"].contains("awsKms"));
}
