//! A pod with a signer only, one of several behind a Service. They prefer different nodes and zones.

use super::container::{container, plain_container, runtime_default, volumes};
use super::json::json;
use super::{keystore, placement};
use crate::names;
use crate::validate::Valid;
use k8s_openapi::api::core::v1::{PodSecurityContext, PodSpec, PodTemplateSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;

pub(super) fn pod(signer: &Valid, image: &str, config_map: &str) -> Value {
    let mut annotations = signer.additions.annotations.clone();
    annotations.insert(names::CONFIG_ANNOTATION.to_owned(), config_map.to_owned());
    let keystore = keystore::objects(&signer.keystore);
    let init_containers = keystore.init_containers(&|name| plain_container(name, image));
    if !keystore.without_aws().is_empty() {
        annotations.insert(names::SKIP_AWS_ANNOTATION.to_owned(), keystore.without_aws().join(","));
    }
    let spec = PodSpec {
        init_containers,
        service_account_name: Some(names::service_account(&signer.identity)),
        automount_service_account_token: Some(false),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(runtime_default()),
            ..PodSecurityContext::default()
        }),
        topology_spread_constraints: Some(
            ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map(|key| apart(signer, key)).to_vec(),
        ),
        ..PodSpec::default()
    };
    let mut labels = signer.additions.labels.clone();
    labels.extend(names::labels(&signer.identity));
    let metadata = ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() };
    let mut template = json(&PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) });
    let spec = &mut template["spec"];
    spec["containers"] = Value::Array(vec![container(signer, image)]);
    spec["volumes"] = Value::Array(volumes(signer, config_map));
    placement::set_grace(spec, &signer.additions);
    placement::place(spec, &signer.placement);
    template
}

/// Preferred and not required: two signers on one node are better than one.
fn apart(signer: &Valid, topology_key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(names::selector(&signer.identity)),
            ..LabelSelector::default()
        }),
        // Pods of the previous revision do not count.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    }
}
