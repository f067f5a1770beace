//! Which containers get AWS credentials on EKS, by IRSA and by Pod Identity, in every form of the pod.
//!
//! [`mutated`] does what the webhook of EKS does, as its README, its source and the user guide of EKS describe it
//! (aws/amazon-eks-pod-identity-webhook, `pkg/handler`): it goes over init containers and containers alike, whatever their `restartPolicy`,
//! and leaves out those that the pod's annotation `eks.amazonaws.com/skip-containers` names, a line of CSV. docs/cloudhsm.md and docs/kms.md
//! say the same.

use super::*;
use crate::api::TezosSigner;
use crate::validate::tests::{cloud_hsm_example, kms_example};
use serde_json::{Value, json};

struct Identity {
    env: [(&'static str, &'static str); 2],
    volume: &'static str,
    directory: &'static str,
    audience: &'static str,
    token: &'static str,
}

/// For a ServiceAccount with the annotation `eks.amazonaws.com/role-arn`.
const IRSA: Identity = Identity {
    env: [
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/baker-one"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"),
    ],
    volume: "aws-iam-token",
    directory: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
    audience: "sts.amazonaws.com",
    token: "token",
};

/// For a ServiceAccount with an association.
const POD_IDENTITY: Identity = Identity {
    env: [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token",
        ),
    ],
    volume: "eks-pod-identity-token",
    directory: "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount",
    audience: "pods.eks.amazonaws.com",
    token: "eks-pod-identity-token",
};

/// The pod as the webhook changes it when it is created.
fn mutated(template: &Value, identity: &Identity) -> Value {
    let mut pod = template.clone();
    let skipped = template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"].as_str().unwrap_or_default();
    let skipped: Vec<&str> = skipped.split(',').collect(); // blanks count
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            if skipped.contains(&container["name"].as_str().unwrap()) {
                continue;
            }
            // What the pod has already is not replaced.
            let has = |container: &Value, list: &str, name: &str| {
                container[list].as_array().into_iter().flatten().any(|item| item["name"] == name)
            };
            let names = identity.env.map(|(name, _)| name);
            let is_defined = names.iter().any(|name| has(container, "env", name));
            let region = ["AWS_REGION", "AWS_DEFAULT_REGION"];
            let has_region = region.iter().any(|name| has(container, "env", name));
            let mut env: Vec<Value> = container["env"].as_array().cloned().unwrap_or_default();
            if !has_region {
                env.extend(region.map(|name| json!({"name": name, "value": "eu-west-1"})));
            }
            if !is_defined {
                env.extend(identity.env.iter().map(|(name, value)| json!({"name": name, "value": value})));
            }
            container["env"] = env.into();
            if !has(container, "volumeMounts", identity.volume) {
                let mut mounts: Vec<Value> = container["volumeMounts"].as_array().cloned().unwrap_or_default();
                mounts.push(json!({"name": identity.volume, "readOnly": true, "mountPath": identity.directory}));
                container["volumeMounts"] = mounts.into();
            }
        }
    }
    let token = json!({"audience": identity.audience, "expirationSeconds": 86400, "path": identity.token});
    let volume = json!({"name": identity.volume, "projected": {"sources": [{"serviceAccountToken": token}]}});
    pod["spec"]["volumes"].as_array_mut().unwrap().insert(0, volume);
    pod
}

/// The containers that have anything of the credentials, and whether they have all of it.
fn holders(pod: &Value, identity: &Identity) -> Vec<String> {
    let mut holders = Vec::new();
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            let env: Vec<(&str, &str)> = container["env"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|variable| Some((variable["name"].as_str()?, variable["value"].as_str()?)))
                .filter(|(name, _)| name.starts_with("AWS_") && !name.ends_with("REGION"))
                .collect();
            let mounts = container["volumeMounts"].as_array().into_iter().flatten();
            let mounted = mounts.filter(|mount| mount["name"] == identity.volume).count();
            if !env.is_empty() || mounted > 0 {
                assert_eq!((env.as_slice(), mounted), (identity.env.as_slice(), 1), "{}", container["name"]);
                holders.push(container["name"].as_str().unwrap().to_owned());
            }
        }
    }
    holders
}

/// `signer` with a baker of a template with several containers, with an Octez baker, and behind a Service.
fn forms(signer: &TezosSigner) -> [TezosSigner; 3] {
    let mut template = signer.clone();
    template.spec.baker = example().spec.baker;
    template.spec.baker.as_mut().unwrap().template = Some(json!({"spec": {
        "initContainers": [{"name": "wait-for-node", "image": "x"}, {"name": "log-shipper", "image": "x", "restartPolicy": "Always"}],
        "containers": [{"name": "baker", "image": "x"}, {"name": "accuser", "image": "x"}],
    }}));
    template.spec.service = None;
    let mut octez = signer.clone();
    octez.spec.baker = octez_example().spec.baker;
    octez.spec.service = None;
    let mut service = signer.clone();
    service.spec.baker = None;
    service.spec.service = Some(crate::api::ServiceSpec { unauthenticated: Some(true), ..Default::default() });
    [template, octez, service]
}

fn with_cluster_id(mut signer: TezosSigner) -> TezosSigner {
    let cloud_hsm = signer.spec.hsm.as_mut().unwrap().cloud_hsm.as_mut().unwrap();
    cloud_hsm.addresses = None;
    cloud_hsm.cluster_id = Some("cluster-abcdefghijk".to_owned());
    cloud_hsm.region = Some("eu-west-1".to_owned());
    signer
}

/// With the PIN of the Secrets Store CSI driver, whose provider gets a token of the ServiceAccount itself.
fn with_csi(mut signer: TezosSigner) -> TezosSigner {
    let volume = json!({"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "pin"}});
    let pin = serde_json::from_value(json!({"csi": volume, "key": "pin"})).unwrap();
    let hsm = signer.spec.hsm.as_mut().unwrap();
    match (&mut hsm.cloud_hsm, &mut hsm.pkcs11) {
        (Some(cloud_hsm), _) => cloud_hsm.token.pin = pin,
        (_, Some(pkcs11)) => pkcs11.token.pin = pin,
        _ => unreachable!(),
    }
    signer
}

#[test]
fn who_needs_credentials_of_aws_gets_them_and_nobody_else() {
    let cases: [(&str, TezosSigner, &[&str]); 6] = [
        ("AWS KMS", kms_example(), &["signer"]),
        ("clusterId", with_cluster_id(cloud_hsm_example()), &["signer-cloudhsm-configure"]),
        ("clusterId, PIN by CSI", with_cluster_id(with_csi(cloud_hsm_example())), &["signer-cloudhsm-configure"]),
        ("addresses", cloud_hsm_example(), &[]),
        ("addresses, PIN by CSI", with_csi(cloud_hsm_example()), &[]),
        // A library may need them. This product does not.
        ("another token, PIN by CSI", with_csi(example()), &["signer"]),
    ];
    for (name, signer, expected) in cases {
        for signer in forms(&signer) {
            let template = objects(&validate(&signer).unwrap(), "i").deployment.spec["template"].clone();
            for identity in [&IRSA, &POD_IDENTITY] {
                let pod = mutated(&template, identity);
                assert_eq!(holders(&pod, identity), expected, "{name}: {}", template["metadata"]["annotations"]);
                // Not even the region: the pod of the user is as it was.
                let own = |pod: &Value| {
                    let lists = ["initContainers", "containers"];
                    let containers =
                        lists.into_iter().flat_map(|list| pod["spec"][list].as_array().cloned().unwrap_or_default());
                    let is_own = |name: &Value| names::OWN_CONTAINERS.iter().any(|own| name == own);
                    containers.filter(|container| !is_own(&container["name"])).collect::<Vec<_>>()
                };
                assert_eq!(own(&pod), own(&template), "{name}");
            }
        }
    }
}

/// The stand-in gives credentials to whoever is not left out: else the test above shows nothing.
#[test]
fn without_the_annotation_everybody_would_get_them() {
    let signer = &forms(&kms_example())[0];
    let mut template = objects(&validate(signer).unwrap(), "i").deployment.spec["template"].clone();
    template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"].take();
    for identity in [&IRSA, &POD_IDENTITY] {
        let all = ["signer", "wait-for-node", "log-shipper", "baker", "accuser"];
        assert_eq!(holders(&mutated(&template, identity), identity), all, "a sidecar is an init container too");
    }
}
