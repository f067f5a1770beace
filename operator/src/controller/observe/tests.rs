//! What is said of a pod whose signer cannot answer yet.

use super::*;
use serde_json::{Value, json};

fn waiting(containers: &Value) -> (bool, String) {
    let pod = json!({"metadata": {"name": "p"}, "status": {"initContainerStatuses": containers}});
    waiting_for(&serde_json::from_value(pod).unwrap(), Timestamp::now())
}

fn container(name: &str, state: &Value, last: &Value) -> Value {
    json!({
        "name": name, "image": "registry.example/x:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": state, "lastState": last,
    })
}

#[test]
fn a_client_that_does_not_come_into_the_pod_is_said() {
    let signer = || container("signer", &json!({"waiting": {"reason": "PodInitializing"}}), &json!({}));
    let none = json!({});
    let failed = json!({"terminated": {"exitCode": 3}});
    let backing_off = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let (starting, said) = waiting(&json!([container("signer-cloudhsm-configure", &backing_off, &failed), signer()]));
    assert!(
        !starting && said.contains("ended with exit code 3; kubectl logs p -c signer-cloudhsm-configure"),
        "{said}"
    );
    let no_image = json!({"waiting": {"reason": "ImagePullBackOff"}});
    let (starting, said) = waiting(&json!([container("signer-cloudhsm-client", &no_image, &none), signer()]));
    assert!(!starting && said.contains("registry.example/x:1 of the CloudHSM client cannot be pulled"), "{said}");
    // Failed once, and done since.
    let done = json!({"terminated": {"exitCode": 0}});
    let (starting, said) = waiting(&json!([container("signer-cloudhsm-client", &done, &failed), signer()]));
    assert!(starting, "{said}");
    // The user's own containers are the user's.
    let mine = container("fetch", &json!({"terminated": {"exitCode": 3}}), &none);
    assert!(waiting(&json!([mine, signer()])).0);
}

#[test]
fn a_signer_is_found_beside_a_baker_and_alone() {
    let no_image = json!({"waiting": {"reason": "ErrImagePull"}});
    let pod = json!({
        "metadata": {"name": "p"},
        "status": {"containerStatuses": [container("signer", &no_image, &json!({}))]},
    });
    let (starting, said) = waiting_for(&serde_json::from_value(pod).unwrap(), Timestamp::now());
    assert!(!starting && said.contains("the signer's image registry.example/x:1 cannot be pulled"), "{said}");
}

#[test]
fn a_baker_that_does_not_run_is_said() {
    let beside = |containers: &Value| {
        let pod = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": containers}});
        beside_the_signer(&serde_json::from_value(pod).unwrap(), "2026-11-23T08:00:30Z".parse().unwrap())
    };
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let none = json!({});
    let cases = [
        (
            // The kubelet's words, of 1.36.
            waiting(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image has non-numeric user (tezos), cannot verify user is non-root (pod: \"p\")",
            ),
            none.clone(),
            "registry.example/x:1 of container baker names its user, and runAsNonRoot cannot judge a name: set securityContext.runAsUser",
        ),
        (
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root (pod: \"p\")"),
            none.clone(),
            "of container baker runs as root",
        ),
        (
            waiting("CreateContainerConfigError", "secret \"x\" not found"),
            none.clone(),
            "cannot be started: secret \"x\" not found",
        ),
        (
            waiting("ImagePullBackOff", "back-off"),
            none.clone(),
            "of container baker cannot be pulled; kubectl describe pod p",
        ),
        (
            waiting("CrashLoopBackOff", "back-off 5m0s"),
            json!({"terminated": {"exitCode": 111}}),
            "container baker ends with exit code 111 again and again; kubectl logs p -c baker --previous",
        ),
    ];
    for (state, last, expected) in cases {
        let said = beside(&json!([container("baker", &state, &last)])).unwrap();
        assert!(said.contains(expected), "{said}");
    }
    // Only a matter of time, or the signer's own.
    assert_eq!(beside(&json!([container("baker", &waiting("PodInitializing", ""), &none)])), None);
    assert_eq!(beside(&json!([container("signer", &waiting("CrashLoopBackOff", ""), &none)])), None);
    assert_eq!(beside(&json!([container("baker", &json!({"running": {}}), &none)])), None);

    // Between two ends it runs, or has just ended.
    let crashed = |restarts: u32, finished: &str, state: &Value| {
        let last = json!({"terminated": {"exitCode": 111, "finishedAt": finished}});
        let mut container = container("baker", state, &last);
        container["restartCount"] = restarts.into();
        beside(&json!([container]))
    };
    let (running, failed) = (json!({"running": {}}), json!({"terminated": {"exitCode": 111}}));
    for state in [&running, &failed] {
        assert!(crashed(2, "2026-11-23T08:00:20Z", state).unwrap().contains("exit code 111 again and again"));
    }
    assert_eq!(crashed(1, "2026-11-23T08:00:20Z", &running), None, "once");
    assert_eq!(crashed(9, "2026-11-23T07:59:00Z", &running), None, "long ago");
    assert_eq!(crashed(2, "2026-11-23T08:00:20Z", &json!({"terminated": {"exitCode": 0}})), None, "done");
}

/// ◆ One that names nothing leaves its user with a pod that starts for ever.
#[test]
fn a_volume_that_does_not_come_is_said_after_a_while() {
    let pod = |set_up: &str| {
        let pod = json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [], "volumes": [
                {"name": "signer-config", "configMap": {"name": "ours"}},
                {"name": "signer-pin", "secret": {"secretName": "hsm-pin", "items": [{"key": "pin", "path": "pin"}]}},
                {"name": "signer-cloudhsm-tls", "projected": {"sources": [
                    {"configMap": {"name": "ca", "items": [{"key": "a", "path": "a"}]}},
                    {"secret": {"name": "tls", "items": [{"key": "b", "path": "b"}, {"key": "c", "path": "c"}]}},
                ]}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "client"}},
                {"name": "scratch", "emptyDir": {}},
            ]},
            "status": {
                "startTime": "2026-11-23T08:00:00Z",
                "conditions": [{"type": "PodReadyToStartContainers", "status": set_up}],
                "initContainerStatuses": [container("signer", &json!({"waiting": {"reason": "PodInitializing"}}), &json!({}))],
            },
        });
        serde_json::from_value::<Pod>(pod).unwrap()
    };
    let at = |time: &str, pod: &Pod| waiting_for(pod, time.parse().unwrap());
    let needed = "Secret hsm-pin (key pin), ConfigMap ca (key a), Secret tls (keys b, c), PersistentVolumeClaim client";
    let (starting, said) = at("2026-11-23T08:00:59Z", &pod("False"));
    assert!(starting && said.contains(needed), "{said}");
    let (starting, said) = at("2026-11-23T08:01:00Z", &pod("False"));
    assert!(!starting && said.contains(&format!("missing: {needed}? kubectl describe pod p")), "{said}");
    let (starting, said) = at("2026-11-23T08:01:00Z", &pod("True"));
    assert!(starting && said.contains("images are being pulled"), "{said}");
}
