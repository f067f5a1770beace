//! Pods whose signer works, and that are not Ready.

use super::*;
use serde_json::{Value, json};

const NOW: &str = "2026-11-23T08:05:00Z";

fn container(name: &str, ready: bool, state: &Value) -> Value {
    json!({"name": name, "image": "registry.example/x:1", "imageID": "", "ready": ready, "restartCount": 0, "state": state})
}

/// A pod that was started five minutes ago.
fn pod(containers: &[Value], ready: &Value) -> Pod {
    let pod = json!({
        "metadata": {"name": "p"},
        "status": {"startTime": "2026-11-23T08:00:00Z", "containerStatuses": containers, "conditions": [ready]},
    });
    serde_json::from_value(pod).unwrap()
}

fn unready() -> Value {
    json!({"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [x]"})
}

fn said(pod: &Pod) -> (Progress, String) {
    let NotReady { progress, reason } = readiness(pod, NOW.parse().unwrap()).unwrap_err();
    (progress, reason)
}

fn running() -> Value {
    json!({"running": {}})
}

#[test]
fn the_container_that_keeps_a_pod_from_being_ready_is_named() {
    let signer = || container("signer", true, &running());
    let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "m"}});
    for (state, progress, words) in [
        (running(), Progress::Unready, "container mesh is running, but not ready"),
        (waiting("CrashLoopBackOff"), Progress::Broken, "container mesh repeatedly exits"),
        (waiting("ImagePullBackOff"), Progress::Broken, "of container mesh cannot be pulled"),
        (waiting("CreateContainerConfigError"), Progress::Broken, "container mesh cannot be started: m"),
        (json!({"terminated": {"exitCode": 0}}), Progress::Broken, "container mesh has exited with code 0"),
        (waiting("ContainerCreating"), Progress::Starting, "container mesh is being started"),
    ] {
        let (found, reason) = said(&pod(&[signer(), container("mesh", false, &state)], &unready()));
        assert!(reason.contains(words) && found == progress, "{state}: {found:?} {reason}");
    }
    // One of several: the one that is broken.
    let both = [container("slow", false, &running()), container("mesh", false, &waiting("CrashLoopBackOff"))];
    assert!(said(&pod(&both, &unready())).1.contains("container mesh"));
    // Nobody else's.
    let (progress, reason) = said(&pod(&[container("signer", false, &running())], &unready()));
    assert!(progress == Progress::Unready && reason.contains("GET /readyz"), "{reason}");
}

#[test]
fn what_is_no_container_is_said_in_the_kubelets_words() {
    let gate = r#"the status of pod readiness gate "example.org/gate" is not "True", but False"#;
    let condition = json!({"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": gate});
    let (progress, reason) = said(&pod(&[container("signer", true, &running())], &condition));
    assert!(progress == Progress::Unready && reason == gate, "{reason}");
    let silent = json!({"type": "Ready", "status": "Unknown"});
    assert!(said(&pod(&[container("signer", true, &running())], &silent)).1.contains("has not reported"));
    let mut ending = pod(&[], &json!({"type": "Ready", "status": "True"}));
    assert_eq!(readiness(&ending, NOW.parse().unwrap()), Ok(()));
    ending.metadata.deletion_timestamp = serde_json::from_value(json!(NOW)).unwrap();
    assert!(said(&ending).1.contains("being deleted"));
}

#[test]
fn for_a_minute_after_its_start_a_pod_is_starting() {
    let pod = pod(&[container("mesh", false, &running())], &unready());
    let at = |time: &str| readiness(&pod, time.parse().unwrap()).unwrap_err().progress;
    assert_eq!([at("2026-11-23T08:00:59Z"), at("2026-11-23T08:01:00Z")], [Progress::Starting, Progress::Unready]);
}

#[test]
fn a_baker_that_is_not_ready_is_said_once_the_kubelet_says_so() {
    let containers = [container("signer", true, &running()), container("baker", false, &running())];
    let beside = |ready: &Value| beside_the_signer(&pod(&containers, ready), NOW.parse().unwrap());
    assert!(beside(&unready()).unwrap().reason.contains("container baker is running, but not ready"));
    assert_eq!(beside(&json!({"type": "Ready", "status": "True"})), None);
    assert_eq!(beside(&json!({"type": "PodScheduled", "status": "True"})), None, "nothing is known yet");
}
