//! The stage that asks the API server whether it would take the Deployment, before anything is written. Parts of the Deployment are as
//! the user wrote them, and only the API server knows all fields of a pod, also those that are newer than this release.
//!
//! With `spec.inject` the Deployment is a trial, whose pod has the sidecar: a sidecar that the API server does not take would keep every pod from
//! being created. What is applied already needs no dry run: a steady state asks nothing.

use crate::api::TezosSignerSidecar;
use crate::apply::{ApplyError, Cluster, Desired, api_error};
use crate::build::{BAKER_CONTAINER, Built};
use crate::names;
use crate::open_deployment::OpenDeployment;
use crate::validate::{Baker, Invalid, Workload};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::Status;
use serde_json::Value;
use tezos_signer_core::cause::Cause;

const IN_POD: &str = "spec.template.";
const IN_TEMPLATE: &str = "spec.baker.template.";
const INIT_CONTAINERS: &str = "spec.initContainers[";

/// Why the Deployment cannot be applied.
#[derive(Debug)]
pub enum DryRunError {
    /// The API server rejects a field of the spec.
    Invalid(Invalid),
    /// There is a Deployment of that name, which the watch does not see. It has to be read.
    Exists,
    /// The API server could not be asked, or refuses the Deployment for another reason. A retry may help.
    Other(ApplyError),
}

/// Asks the API server whether it would take the Deployment of `built` in the place of `live`, or a pod with its sidecar, unless
/// `live_sidecar` is the same.
pub async fn dry_run(
    cluster: &Cluster<'_>,
    built: &Built,
    live: Option<&OpenDeployment>,
    live_sidecar: Option<&TezosSignerSidecar>,
) -> Result<(), DryRunError> {
    if let (Some(sidecar), Some(live)) = (&built.objects.sidecar, live_sidecar)
        && live.spec.sidecar == sidecar.spec.sidecar
    {
        return Ok(());
    }
    let (workload, deployment) = (&built.valid.workload, &built.objects.deployment);
    let own_init_containers = deployment.own_init_containers();
    let desired = Desired::new(deployment).map_err(DryRunError::Other)?;
    if let Some(live) = live
        && cluster.is_up_to_date(live, &desired).map_err(DryRunError::Other)?
    {
        return Ok(());
    }
    // The name of the trial is nobody's.
    let is_new =
        live.is_none() && built.objects.sidecar.is_none() && !cluster.may_have::<OpenDeployment>(&desired.name);
    let content = if is_new { desired.as_new() } else { desired.content };
    let api: Api<OpenDeployment> = cluster.api();
    let parameters = PatchParams { dry_run: true, ..PatchParams::apply(names::OPERATOR).force().validation_strict() };
    match api.patch(&desired.name, &parameters, &Patch::Apply(&content)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if is_new && status.is_conflict() => {
            cluster.found_unseen::<OpenDeployment>(&desired.name);
            Err(DryRunError::Exists)
        }
        // A webhook that does not support dry runs must not prevent the apply.
        Err(kube::Error::Api(status)) if status.message.contains("does not support dry run") => {
            tracing::warn!(deployment = desired.name, "applied without a dry run: {}", status.message);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_invalid() || status.code == 400 || is_no_such_field(&status) => {
            let Invalid { field, reason } = complaint(&status, workload, own_init_containers);
            let reason = Cause::of(kube::Error::Api(status)).map_text(|_| reason.to_string());
            Err(DryRunError::Invalid(Invalid { field, reason }))
        }
        Err(error) => Err(DryRunError::Other(api_error::<OpenDeployment>("apply", &desired.name)(error))),
    }
}

/// Whether the API server says that a field is unknown, which it does with several status codes.
fn is_no_such_field(status: &Status) -> bool {
    status.message.contains("field not declared in schema")
        || status.message.contains("failed to create typed patch object")
}

/// The API server's message, with the path of the field as the user wrote it.
fn complaint(status: &Status, workload: &Workload, own_init_containers: usize) -> Invalid {
    let cause = status.details.iter().flat_map(|details| &details.causes).find(|cause| !cause.field.is_empty());
    let (path, reason) = match (cause, unknown_field(&status.message)) {
        (Some(cause), _) => (cause.field.clone(), cause.message.clone()),
        (None, Some(path)) => (path.to_owned(), "unknown field (to this cluster's API server)".to_owned()),
        (None, None) => (String::new(), status.message.clone()),
    };
    if let (Workload::Baker(Baker::Template(template)), Some(rest)) = (workload, path.strip_prefix(IN_POD))
        && is_users(rest, &template.value, own_init_containers)
    {
        return Invalid::new(format!("{IN_TEMPLATE}{}", with_users_index(rest, own_init_containers)), reason);
    }
    if let Some(field) = path.strip_prefix(IN_POD).and_then(|path| field_of_spec(path, workload, own_init_containers)) {
        return Invalid::new(field, reason);
    }
    let path = if path.is_empty() { path } else { format!("{path}: ") };
    Invalid::new("spec", format!("the API server rejects the Deployment that is built from it: {path}{reason}"))
}

/// Parts of the pod that users write outside of a template, by the beginning of their paths in the pod and in the TezosSigner. The API server
/// names metadata in two ways.
const PARTS: [(&str, &str); 11] = [
    ("spec.affinity", "spec.placement.affinity"),
    ("spec.nodeSelector", "spec.placement.nodeSelector"),
    ("spec.tolerations", "spec.placement.tolerations"),
    ("spec.topologySpreadConstraints", "spec.placement.topologySpreadConstraints"),
    ("spec.priorityClassName", "spec.placement.priorityClassName"),
    ("spec.imagePullSecrets", "spec.imagePullSecrets"),
    ("spec.terminationGracePeriodSeconds", "spec.pod.terminationGracePeriodSeconds"),
    ("metadata.labels", "spec.pod.labels"),
    ("labels", "spec.pod.labels"),
    ("metadata.annotations", "spec.pod.annotations"),
    ("annotations", "spec.pod.annotations"),
];

/// The field of the spec that `path` in the pod comes from. `None` for parts that the operator writes.
fn field_of_spec(path: &str, workload: &Workload, own_init_containers: usize) -> Option<String> {
    let is_template = matches!(workload, Workload::Baker(Baker::Template(_)));
    let mut parts = PARTS.iter().filter(|_| !is_template);
    if let Some((rest, field)) = parts.find_map(|(part, field)| Some((path.strip_prefix(part)?, field))) {
        return Some(format!("{field}{rest}"));
    }
    // The signer's container, and the baker's, by index or by name.
    let (list, rest) = path.strip_prefix("spec.")?.split_once('[')?;
    let (item, rest) = rest.split_once("].resources")?;
    // Beside a baker, the signer is the last of the operator's init containers.
    let signer = if matches!(workload, Workload::Service(_)) {
        ("containers", 0)
    } else {
        ("initContainers", own_init_containers.saturating_sub(1))
    };
    let is = |container: (&str, usize), name: &str| {
        list == container.0 && (name_of(item) == Some(name) || item.parse() == Ok(container.1))
    };
    if is(signer, names::SIGNER_CONTAINER) {
        return Some(format!("spec.resources{rest}"));
    }
    let is_octez = matches!(workload, Workload::Baker(Baker::Octez(_)));
    (is_octez && is(("containers", 0), BAKER_CONTAINER)).then(|| format!("spec.baker.octez.resources{rest}"))
}

/// `a.b[0].c` of `… unknown field "a.b[0].c" …`, or of `….a.b[0].c: field not declared in schema`.
fn unknown_field(message: &str) -> Option<&str> {
    if let Some((_, rest)) = message.split_once("unknown field \"") {
        return rest.split('"').next();
    }
    let (path, _) = message.split_once(": field not declared in schema")?;
    path.rsplit(' ').next().map(|path| path.trim_start_matches('.'))
}

/// Whether a path in the pod leads to a field of the user's `template`. Volumes and init containers are partly the operator's.
fn is_users(path: &str, template: &Value, own_init_containers: usize) -> bool {
    let in_list = |list: &str| Some(path.strip_prefix(list)?.split_once(']')?.0);
    if let Some(item) = in_list("spec.volumes[") {
        let volumes = template["spec"]["volumes"].as_array().map_or(&[][..], Vec::as_slice);
        return match name_of(item) {
            Some(name) => volumes.iter().any(|volume| volume["name"] == name),
            // The user's volumes stand before the operator's.
            None => item.parse().is_ok_and(|index: usize| index < volumes.len()),
        };
    }
    match in_list(INIT_CONTAINERS) {
        Some(item) => match name_of(item) {
            Some(name) => !names::OWN_CONTAINERS.contains(&name),
            None => item.parse().is_ok_and(|index: usize| index >= own_init_containers),
        },
        None => true,
    }
}

/// `a` of `name="a"`, by which server-side apply refers to an item of a list.
fn name_of(item: &str) -> Option<&str> {
    item.strip_prefix("name=\"")?.strip_suffix('"')
}

/// `path` with the index in the user's list: the operator's init containers stand before the user's.
fn with_users_index(path: &str, own: usize) -> String {
    let parts = path.strip_prefix(INIT_CONTAINERS).and_then(|rest| rest.split_once(']'));
    match parts.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?.checked_sub(own)?, rest))) {
        Some((index, rest)) => format!("{INIT_CONTAINERS}{index}]{rest}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TezosSigner;
    use crate::validate::tests::{example, octez_example, service_example};
    use crate::validate::validate;
    use serde_json::json;

    fn said(status: serde_json::Value) -> String {
        let form = validate(&example()).unwrap().workload;
        complaint(&serde_json::from_value(status).unwrap(), &form, 2).to_string()
    }

    #[test]
    fn a_complaint_about_a_part_without_a_template_names_the_field_of_the_spec() {
        let said = |signer: &TezosSigner, field: &str| {
            let form = validate(signer).unwrap().workload;
            let status = json!({
                "message": format!("failed to create typed patch object (ns/n; apps/v1, Kind=Deployment): .spec.template.{field}: field not declared in schema"),
                "code": 500,
            });
            complaint(&serde_json::from_value(status).unwrap(), &form, 1).field
        };
        for signer in [service_example(), octez_example()] {
            for (field, written) in [
                ("spec.affinity.nodeAfinity", "spec.placement.affinity.nodeAfinity"),
                ("spec.tolerations[0].efect", "spec.placement.tolerations[0].efect"),
                ("spec.topologySpreadConstraints[0].skew", "spec.placement.topologySpreadConstraints[0].skew"),
                ("metadata.labels", "spec.pod.labels"),
                ("annotations", "spec.pod.annotations"),
                ("spec.terminationGracePeriodSeconds", "spec.pod.terminationGracePeriodSeconds"),
                ("spec.dnsPolicy", "spec"),
                ("spec.containers[name=\"other\"].resources.x", "spec"),
            ] {
                assert_eq!(said(&signer, field), written);
            }
        }
        let resources = "spec.containers[name=\"signer\"].resources.limits[cpu]";
        assert_eq!(said(&service_example(), resources), "spec.resources.limits[cpu]");
        let resources = "spec.initContainers[name=\"signer\"].resources.limits";
        assert_eq!(said(&octez_example(), resources), "spec.resources.limits");
        assert_eq!(said(&octez_example(), "spec.initContainers[0].resources.requests"), "spec.resources.requests");
        let resources = "spec.containers[0].resources.limts";
        assert_eq!(said(&octez_example(), resources), "spec.baker.octez.resources.limts");
    }

    #[test]
    fn a_complaint_names_the_field_as_the_user_wrote_it() {
        let strict =
            json!({"message": "strict decoding error: unknown field \"spec.template.spec.contaienrs\"", "code": 400});
        assert_eq!(said(strict), "spec.baker.template.spec.contaienrs: unknown field (to this cluster's API server)");
        let merged = json!({
            "message": "failed to create typed patch object (ns/n; apps/v1, Kind=Deployment): .spec.template.spec.contaienrs: field not declared in schema",
            "code": 500,
        });
        assert_eq!(said(merged), "spec.baker.template.spec.contaienrs: unknown field (to this cluster's API server)");
        let cause = |field: &str| json!({"message": "…", "code": 422, "details": {"causes": [{"field": field, "message": "Required value"}]}});
        assert_eq!(
            said(cause("spec.template.spec.containers[0].image")),
            "spec.baker.template.spec.containers[0].image: Required value"
        );
        let shifted = "spec.baker.template.spec.initContainers[1].image: Required value";
        assert_eq!(said(cause("spec.template.spec.initContainers[3].image")), shifted);
        // The signer's own parts are not the template's.
        let ours = "spec: the API server rejects the Deployment that is built from it: spec.template.spec.";
        for path in ["volumes[name=\"cloudhsm\"].x", "volumes[7].x", "initContainers[0].env[0].x"] {
            assert_eq!(said(cause(&format!("spec.template.spec.{path}"))), format!("{ours}{path}: Required value"));
        }
        assert!(
            said(cause("spec.template.spec.volumes[name=\"data\"].x")).starts_with("spec.baker.template.spec.volumes[")
        );
        let other = "spec: the API server rejects the Deployment that is built from it: metadata.name: Required value";
        assert_eq!(said(cause("metadata.name")), other);
    }
}
