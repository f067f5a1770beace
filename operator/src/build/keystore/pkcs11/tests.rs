//! The PIN in the pod, by a Secret and by a CSI driver: the volume, and who mounts it.

use crate::api::TezosSigner;
use crate::build::objects;
use crate::validate::tests::{cloud_hsm_example, example, octez_example, service_example};
use crate::validate::validate;
use serde_json::{Value, json};

/// The pod of `signer`, whose PIN comes by CSI.
fn pod(signer: &TezosSigner, csi: &Value) -> Value {
    let mut signer = serde_json::to_value(signer).unwrap();
    let hsm = signer["spec"]["hsm"].as_object_mut().unwrap();
    hsm.values_mut().next().unwrap()["pin"] = json!({"csi": csi, "key": "pin"});
    let objects = objects(&validate(&serde_json::from_value(signer).unwrap()).unwrap(), "i");
    objects.deployment.spec["template"]["spec"].clone()
}

fn service(mut signer: TezosSigner) -> TezosSigner {
    signer.spec.baker = None;
    signer.spec.service = service_example().spec.service;
    signer
}

/// Compared with the volume and the mount of AWS' example of a Deployment with Pod Identity
/// (aws/secrets-store-csi-driver-provider-aws, examples/ExampleDeployment-PodIdentity.yaml), field by field. What only one of the two has
/// is an error: names and the path of the mount are ours.
#[test]
fn the_pod_is_as_in_the_example_of_aws() {
    let example_of_aws = (
        json!({
            "name": "secrets-store-inline",
            "csi": {
                "driver": "secrets-store.csi.k8s.io",
                "readOnly": true,
                "volumeAttributes": {"secretProviderClass": "nginx-pod-identity-deployment-aws-secrets"},
            },
        }),
        json!({"name": "secrets-store-inline", "mountPath": "/mnt/secrets-store", "readOnly": true}),
    );
    let ours = json!({
        "driver": "secrets-store.csi.k8s.io",
        "volumeAttributes": {"secretProviderClass": "nginx-pod-identity-deployment-aws-secrets"},
    });
    let forms = [example(), octez_example(), service_example(), cloud_hsm_example(), service(cloud_hsm_example())];
    for signer in forms {
        let pod = pod(&signer, &ours);
        let volumes = pod["volumes"].as_array().unwrap();
        let of_drivers: Vec<_> = volumes.iter().filter(|volume| volume["csi"].is_object()).collect();
        let (mut volume, mut mount) = example_of_aws.clone();
        volume["name"] = json!("signer-pin");
        (mount["name"], mount["mountPath"]) = (json!("signer-pin"), json!("/run/secrets/hsm"));
        assert_eq!(of_drivers, [&volume]);
        assert_eq!(volumes.iter().filter(|volume| volume["name"] == "signer-pin").count(), 1);
        let mut mounted = Vec::new();
        for list in ["initContainers", "containers"] {
            for container in pod[list].as_array().into_iter().flatten() {
                let mounts = container["volumeMounts"].as_array().into_iter().flatten();
                mounted.extend(
                    mounts
                        .filter(|mount| mount["name"] == "signer-pin")
                        .map(|mount| (container["name"].clone(), mount.clone())),
                );
            }
        }
        assert_eq!(mounted, [(json!("signer"), mount)], "only the signer has the PIN");
    }
}

/// The fields of the API's type: what is not set is not there, so that the API server's defaults change nothing.
#[test]
fn the_volume_has_what_is_set_and_is_read_only() {
    let csi = |csi: &Value| {
        let pod = pod(&octez_example(), csi);
        let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "signer-pin").cloned();
        volume.unwrap()["csi"].clone()
    };
    assert_eq!(csi(&json!({"driver": "pins.example"})), json!({"driver": "pins.example", "readOnly": true}));
    assert_eq!(
        csi(&json!({"driver": "pins.example", "volumeAttributes": {"a": "b"}, "nodePublishSecretRef": {"name": "s"}})),
        json!({"driver": "pins.example", "readOnly": true, "volumeAttributes": {"a": "b"}, "nodePublishSecretRef": {"name": "s"}}),
    );
}
