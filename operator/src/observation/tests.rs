//! What is said of a pod whose signer cannot answer yet.

use super::*;
use serde_json::{Value, json};
use tezos_signer_core::position::{Level, Position, Round};
use tezos_signer_core::status::{AttestationTimes, SignedRows};

/// What a signer of release 0.2.0 answered.
const OF_0_2_0: &[u8] = include_bytes!("../../../core/tests/status/0.2.0.json");

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
        !starting && said.contains("exited with code 3; see kubectl logs p -c signer-cloudhsm-configure"),
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
        let now = "2026-11-23T08:00:30Z".parse().unwrap();
        readiness::beside_the_signer(&serde_json::from_value(pod).unwrap(), now).map(|not_ready| not_ready.reason)
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
            "registry.example/x:1 of container baker has a user name, which runAsNonRoot cannot verify: set securityContext.runAsUser",
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
            "of container baker cannot be pulled; see kubectl describe pod p",
        ),
        (
            waiting("CrashLoopBackOff", "back-off 5m0s"),
            json!({"terminated": {"exitCode": 111}}),
            "container baker repeatedly exits with exit code 111; see kubectl logs p -c baker --previous",
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
        assert!(crashed(2, "2026-11-23T08:00:20Z", state).unwrap().contains("repeatedly exits with exit code 111"));
    }
    assert_eq!(crashed(1, "2026-11-23T08:00:20Z", &running), None, "once");
    assert_eq!(crashed(9, "2026-11-23T07:59:00Z", &running), None, "long ago");
    assert_eq!(crashed(2, "2026-11-23T08:00:20Z", &json!({"terminated": {"exitCode": 0}})), None, "done");
}

/// INVARIANT O15: Without the names the user sees only a pod that never starts.
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
    let needed = "Secret hsm-pin (key pin), ConfigMap ca (key a), Secret tls (keys b, c) and 1 more";
    let (starting, said) = at("2026-11-23T08:00:59Z", &pod("False"));
    assert!(starting && said.contains(needed), "{said}");
    let (starting, said) = at("2026-11-23T08:01:00Z", &pod("False"));
    assert!(!starting && said.contains(&format!("exist: {needed}")), "{said}");
    let (starting, said) = at("2026-11-23T08:01:00Z", &pod("True"));
    assert!(starting && said.contains("images are being pulled"), "{said}");
}

/// The kubelet's words, of 1.36.
#[test]
fn an_object_that_is_missing_is_said_as_soon_as_the_kubelet_says_it() {
    let pod = json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [], "volumes": [
            {"name": "signer-pin", "secret": {"secretName": "hsm-pin", "items": [{"key": "pin", "path": "pin"}]}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "client"}},
        ]},
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let said = |messages: &[(&str, &str)]| {
        let events = messages.iter().map(|(reason, message)| {
            let last = "2026-11-23T08:00:00Z";
            let event = json!({"metadata": {}, "involvedObject": {}, "reason": reason, "message": message, "lastTimestamp": last});
            serde_json::from_value(event).unwrap()
        });
        let events = events.collect::<Vec<_>>();
        let at = |time: &str| volumes::missing_objects(&pod, &events, time.parse().unwrap());
        assert_eq!(at("2026-11-23T08:06:00Z"), None, "the kubelet does not say it any more");
        at("2026-11-23T08:05:00Z")
    };
    let no_secret = "MountVolume.SetUp failed for volume \"signer-pin\" : secret \"hsm-pin\" not found";
    let no_key = "MountVolume.SetUp failed for volume \"signer-pin\" : references non-existent secret key: pin";
    assert_eq!(
        said(&[("Scheduled", "assigned"), ("FailedMount", no_secret), ("FailedMount", no_secret)]).unwrap(),
        "secret \"hsm-pin\" not found (volume signer-pin needs Secret hsm-pin (key pin)); create what is missing, and the kubelet \
         tries again by itself"
    );
    assert!(
        said(&[("FailedMount", no_key)])
            .unwrap()
            .starts_with("references non-existent secret key: pin (volume signer-pin needs")
    );
    // A volume of a driver.
    let no_class =
        "MountVolume.SetUp failed for volume \"csi\" : rpc error: code = Unknown desc = class bakers/pin not found";
    assert!(said(&[("FailedMount", no_class)]).unwrap().contains("bakers/pin not found (volume csi); create"));
    // Only a matter of time, or of something else.
    for message in [
        "MountVolume.SetUp failed for volume \"signer-pin\" : failed to sync secret cache: timed out waiting for the condition",
        "Unable to attach or mount volumes: unmounted volumes=[data]",
    ] {
        assert_eq!(said(&[("FailedMount", message), ("Pulled", no_secret)]), None, "{message}");
    }
    let waiting = PodObservation::Unreachable { pod: "p".to_owned(), reason: "…".to_owned(), starting: true };
    let mut observation = Observation::Baker(waiting, None);
    observation.misses_objects("q", "another");
    observation.misses_objects("p", "why");
    let expected = PodObservation::Unreachable { pod: "p".to_owned(), reason: "why".to_owned(), starting: false };
    assert_eq!(observation, Observation::Baker(expected, None));
}

/// The kubelet's words, of 1.36, and what drivers say.
#[test]
fn a_driver_that_does_not_mount_is_named_with_what_to_do() {
    let volume = |name: &str, csi: Value| json!({"name": name, "csi": csi});
    let store = json!({"driver": "secrets-store.csi.k8s.io", "readOnly": true, "volumeAttributes": {"secretProviderClass": "baker-pin"}});
    let other = json!({"driver": "pins.example", "nodePublishSecretRef": {"name": "login"}});
    let pod = json!({
        "metadata": {"name": "p", "namespace": "bakers"},
        "spec": {
            "containers": [], "nodeName": "node-1", "serviceAccountName": "baker-one-signer",
            "volumes": [volume("signer-pin", store), volume("other", other)],
        },
        "status": {"startTime": "2026-11-23T08:00:00Z"},
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let said = |volume: &str, why: &str| {
        let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}");
        let event = json!({"metadata": {}, "involvedObject": {}, "reason": "FailedMount", "message": message});
        let said = volumes::missing_objects(&pod, &[serde_json::from_value(event).unwrap()], Timestamp::now()).unwrap();
        assert!(said.ends_with(", and the kubelet tries again by itself"), "{said}");
        said
    };
    let driver = "the CSI driver secrets-store.csi.k8s.io (secretProviderClass baker-pin) does not mount the volume signer-pin: ";
    let mount_of = "rpc error: code = Unknown desc = failed to mount secrets store objects for pod bakers/p, err: ";
    for (why, remedy) in [
        (
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name secrets-store.csi.k8s.io not found in the list of \
             registered CSI drivers"
                .to_owned(),
            "install secrets-store.csi.k8s.io, or see why its pod on the node node-1 is not ready",
        ),
        (
            "kubernetes.io/csi: mounter.SetupAt failed to check volume lifecycle mode: volume mode \"Ephemeral\" not supported by driver \
             secrets-store.csi.k8s.io (no CSIDriver object)"
                .to_owned(),
            "the CSIDriver object secrets-store.csi.k8s.io must exist and list Ephemeral in volumeLifecycleModes",
        ),
        (
            "rpc error: code = Unknown desc = failed to get secretproviderclass bakers/baker-pin, error: \
             SecretProviderClass.secrets-store.csi.x-k8s.io \"baker-pin\" not found"
                .to_owned(),
            "create the SecretProviderClass baker-pin in the namespace bakers, or correct its name",
        ),
        (
            format!("{mount_of}rpc error: code = Unknown desc = Failed to fetch secret from all regions: baker-one-pin"),
            "correct the SecretProviderClass baker-pin, or what the ServiceAccount baker-one-signer may read in its provider",
        ),
        (
            format!(
                "{mount_of}rpc error: code = Unknown desc = eu-west-1: serviceaccounts \"baker-one-signer\" is forbidden: \
                 ValidatingAdmissionPolicy 'tezos-signer-tokens' with binding 'tezos-signer-tokens' denied request: only the kubelet …"
            ),
            "the provider gets no token of the ServiceAccount baker-one-signer: name the provider's ServiceAccount in the chart's value \
             podPolicy.tokenRequesters",
        ),
    ] {
        let said = said("signer-pin", &why);
        assert!(said.starts_with(driver) && said.contains(&format!("; {remedy}, and the kubelet")), "{said}");
        assert!(said[driver.len()..].starts_with(&why[..60]) && said.len() < 900, "{said}");
    }
    let no_secret = "fetching NodePublishSecretRef bakers/login failed: secrets \"login\" not found";
    let expected = format!(
        "the CSI driver pins.example does not mount the volume other: {no_secret}; create the Secret login, and the kubelet tries again by itself"
    );
    assert_eq!(said("other", no_secret), expected);
    assert!(said("other", "rpc error: no such pin").contains("; correct volumeAttributes, or what the ServiceAccount"));
    // What was mended a minute ago is not said again.
    let event = |why: &str, last: &str| {
        let message = format!("MountVolume.SetUp failed for volume \"signer-pin\" : {why}");
        let event = json!({"metadata": {}, "involvedObject": {}, "reason": "FailedMount", "message": message, "lastTimestamp": last});
        serde_json::from_value(event).unwrap()
    };
    let combined: Event = serde_json::from_value(json!({
        "metadata": {}, "involvedObject": {}, "reason": "FailedMount", "lastTimestamp": "2026-11-23T08:01:30Z",
        "message": "(combined from similar events): MountVolume.SetUp failed for volume \"signer-pin\" : the eleventh",
    }))
    .unwrap();
    let said = volumes::missing_objects(&pod, &[combined], "2026-11-23T08:02:00Z".parse().unwrap()).unwrap();
    assert!(said.contains("signer-pin: the eleventh; "), "{said}");
    let events = [event("the second", "2026-11-23T08:01:00Z"), event("the first", "2026-11-23T08:00:00Z")];
    let said = volumes::missing_objects(&pod, &events, "2026-11-23T08:02:00Z".parse().unwrap()).unwrap();
    assert!(said.contains("the second") && !said.contains("the first"), "{said}");
    // Before the kubelet says anything.
    let (_, waits) = volumes::waiting_for(&pod, Timestamp::now());
    assert!(
        waits.contains("CSI driver secrets-store.csi.k8s.io (secretProviderClass baker-pin), CSI driver pins.example"),
        "{waits}"
    );
}

/// A message that fills a screen hides the sentence.
#[test]
fn of_many_keys_three_are_named_and_the_others_counted() {
    let items: Vec<Value> =
        (0..76).map(|i| json!({"key": format!("key-{i:02}-{}", "x".repeat(100)), "path": "p"})).collect();
    let pod = json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [], "volumes": [{"name": "v", "secret": {"secretName": "s", "items": items}}]},
        "status": {"startTime": "2026-11-23T08:00:00Z"},
    });
    let (_, said) = volumes::waiting_for(&serde_json::from_value(pod).unwrap(), Timestamp::now());
    assert!(
        said.starts_with("its volumes or its network are not set up yet; see kubectl describe pod p. Check"),
        "{said}"
    );
    assert!(said.contains("key-02-") && !said.contains("key-03-") && said.ends_with(" and 73 more)"), "{said}");
}

/// What answers in a pod may be anything.
#[test]
fn the_words_of_a_signer_are_cut_short() {
    let mut document: Value = serde_json::from_slice(OF_0_2_0).unwrap();
    let long = "ä\n".repeat(20_000);
    (document["hsm"]["reason"], document["keys"][0]["reason"]) = (json!(long), json!(long));
    document["reasons"] = json!([long]);
    let status = SignerStatus::from_json(document.to_string().as_bytes()).unwrap();
    let observed = SignerObservation::of(status, Timestamp::now());
    for reason in [&observed.hsm.reason, &observed.keys[0].reason, &Some(observed.reasons[0].clone())] {
        let reason = reason.as_ref().unwrap();
        assert!(reason.len() <= 300 && reason.ends_with('…') && !reason.contains('\n'), "{reason}");
    }
}

/// What answers in a pod may be anything.
#[test]
fn a_status_that_cannot_be_read_is_a_short_reason_with_the_field() {
    let mut document: Value = serde_json::from_slice(OF_0_2_0).unwrap();
    document["keys"][1]["held"] = "ä".repeat(50_000).into();
    let error = SignerStatus::from_json(document.to_string().as_bytes()).unwrap_err();
    let reason = unreadable(&error);
    assert!(reason.contains("keys[1].held: invalid type") && reason.len() < 500, "{reason}");
}

#[test]
fn a_key_is_at_its_ceiling_when_a_row_has_reached_it() {
    let level = |level: i64| Level::try_from(level).unwrap();
    let key = |ceiling: Option<i64>, levels: [i64; 2]| {
        let mut status = SignerStatus::from_json(OF_0_2_0).unwrap();
        let mut key = status.keys.remove(0);
        let position = |at| Some(Position { level: level(at), round: Round::default() });
        key.rows = SignedRows { block: position(levels[0]), preattestation: None, attestation: position(levels[1]) };
        key.ceiling = ceiling.map(level);
        KeyObservation::of(key, Timestamp::now())
    };
    let at = |is_reached| Some(Ceiling { level: level(900), is_reached });
    assert_eq!(key(None, [900, 900]).ceiling, None);
    assert_eq!(key(Some(900), [899, 898]).ceiling, at(false));
    assert_eq!(key(Some(900), [899, 900]).ceiling, at(true));
    // A signature is no change, until it is the last one.
    assert_eq!(key(Some(900), [1, 2]), key(Some(900), [899, 898]));
    let observation = |key: KeyObservation| {
        let status = SignerObservation { keys: vec![key], ..SignerObservation::default() };
        Observation::Baker(PodObservation::Answer { pod: "p".to_owned(), status }, None)
    };
    assert!(observation(key(Some(900), [1, 2])).nears_ceiling());
    assert!(!observation(key(Some(900), [1, 900])).nears_ceiling() && !observation(key(None, [1, 2])).nears_ceiling());
}

/// The minute in which an hour is over is a change; signatures before and after it are none.
#[test]
fn a_key_lacks_dal_from_the_hour_on_and_each_signature_is_no_change() {
    let second = |second: i64| Timestamp::from_second(1_795_000_000 + second).unwrap();
    let at = |last: i64, now: i64| {
        let mut status = SignerStatus::from_json(OF_0_2_0).unwrap();
        let times = AttestationTimes { since: second(0), without_dal: Some(second(last)), with_dal: None };
        status.keys[0].attestations = Some(times);
        SignerObservation::of(status, second(now))
    };
    assert_eq!((at(60, 61).keys[0].votes, at(3600, 3601).keys[0].votes), (Votes::Any, Votes::WithoutDal));
    assert_eq!(at(60, 61), at(3599, 3599));
    assert_eq!(at(3600, 3601), at(7200, 7206));
    let of_0_2_0 = SignerObservation::of(SignerStatus::from_json(OF_0_2_0).unwrap(), second(7200));
    assert!(of_0_2_0.keys.iter().all(|key| key.votes == Votes::Any), "it does not say");
}
