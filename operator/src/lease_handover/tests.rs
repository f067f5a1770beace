//! When a name is written into a lease, when it is taken out, and above all when nothing is written.

use super::*;
use crate::api::KeyStatus;
use crate::observation::SignerObservation;
use serde_json::{Value, json};
use tezos_signer_core::record::{Lease, Record};
use tezos_signer_core::status::HsmStatus;

fn now() -> Timestamp {
    "2026-11-23T08:00:40Z".parse().unwrap()
}

fn pod(uid: &str, metadata: &Value, status: &Value) -> Pod {
    let mut pod = json!({"metadata": {"name": format!("pod-{uid}"), "uid": uid}, "status": status});
    for (name, value) in metadata.as_object().unwrap() {
        pod["metadata"][name] = value.clone();
    }
    serde_json::from_value(pod).unwrap()
}

fn running(uid: &str) -> Pod {
    pod(uid, &json!({}), &json!({"phase": "Running"}))
}

/// One that was told to end, and has until `until` to do so.
fn ending(uid: &str, until: &str) -> Pod {
    pod(uid, &json!({"deletionTimestamp": until}), &json!({"phase": "Running"}))
}

fn on_a_lost_node(uid: &str) -> Pod {
    let target = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"});
    pod(
        uid,
        &json!({"deletionTimestamp": "2026-11-23T08:01:00Z"}),
        &json!({"phase": "Running", "conditions": [target]}),
    )
}

fn claim(holder: &str, preferred: &str) -> ClaimedRecord {
    let key = KeyStatus {
        chain: "NetXdQprcVkpaWU".to_owned(),
        public_key_hash: "tz3a".to_owned(),
        record: "watermark-a".to_owned(),
        record_uid: "u".to_owned(),
        ..KeyStatus::default()
    };
    let lease =
        Lease { holder_identity: holder.to_owned(), preferred_holder: preferred.to_owned(), ..Lease::default() };
    ClaimedRecord { key, suspended: false, record: Record::default(), lease, has_external_signer: false }
}

fn observation(uid: &str, hsm: bool) -> Observation {
    let status = SignerObservation { hsm: HsmStatus { ready: hsm, reason: None }, ..SignerObservation::default() };
    Observation::Baker(PodObservation::Answer { pod: format!("pod-{uid}"), status }, None)
}

fn action_of(claim: &ClaimedRecord, observation: &Observation, pods: &[Pod]) -> HandoverAction {
    action(claim, observation, pods, candidate(observation, pods), now())
}

fn written(holder: &str, to: &str) -> HandoverAction {
    HandoverAction::Write(PreferredHolder { holder: holder.to_owned(), to: to.to_owned() })
}

#[test]
fn the_pod_that_replaces_a_lost_one_is_named_as_soon_as_it_can_sign() {
    let overdue = ending("old", "2026-11-23T08:00:37Z");
    let failed = pod("old", &json!({}), &json!({"phase": "Failed"}));
    for lost in [on_a_lost_node("old"), overdue, failed] {
        let pods = [lost, running("new")];
        assert_eq!(action_of(&claim("old", ""), &observation("new", true), &pods), written("old", "new"));
        assert_eq!(
            action_of(&claim("old", ""), &observation("new", false), &pods),
            HandoverAction::Wait,
            "it could not sign yet"
        );
    }
    assert_eq!(action_of(&claim("gone", ""), &observation("new", true), &[running("new")]), written("gone", "new"));
    let silent = Observation::Baker(PodObservation::NoPod(None), None);
    assert_eq!(
        action_of(&claim("old", ""), &silent, &[on_a_lost_node("old")]),
        HandoverAction::Leave,
        "nobody to wait for"
    );
}

#[test]
fn nobody_is_named_while_the_holder_lives_or_ends_in_peace() {
    let both = |old: Pod| [old, running("new")];
    let leave = |claim: &ClaimedRecord, pods: &[Pod]| {
        assert_eq!(action_of(claim, &observation("new", true), pods), HandoverAction::Leave);
    };
    leave(&claim("new", ""), &[running("new")]);
    leave(&claim("old", ""), &both(running("old")));
    leave(&claim("old", ""), &both(ending("old", "2026-11-23T08:01:00Z")));
    leave(&claim("", ""), &[running("new")]);
    let outside = ClaimedRecord { has_external_signer: true, ..claim("a-host", "") };
    leave(&outside, &[running("new")]);
    let replicas = Observation::Service { replicas: 2, pods: Vec::new(), failure: None };
    assert_eq!(action_of(&claim("gone", ""), &replicas, &[running("a"), running("b")]), HandoverAction::Leave);
}

#[test]
fn a_name_is_written_once_and_taken_out_when_it_has_done_its_work_or_its_pod_is_gone() {
    let pods = [on_a_lost_node("old"), running("new")];
    assert_eq!(action_of(&claim("old", "new"), &observation("new", true), &pods), HandoverAction::Leave);
    assert_eq!(
        action_of(&claim("", "new"), &observation("new", true), &pods),
        HandoverAction::Leave,
        "let go, and about to be taken"
    );
    assert_eq!(action_of(&claim("new", "new"), &observation("new", true), &pods), written("new", ""));
    assert_eq!(action_of(&claim("", "dead"), &observation("new", true), &[running("new")]), written("", ""));
    let third = [on_a_lost_node("old"), ending("new", "2026-11-23T08:01:00Z"), running("third")];
    assert_eq!(action_of(&claim("old", "new"), &observation("third", true), &third), written("old", "third"));
}
