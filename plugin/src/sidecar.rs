//! `sidecar`: the sidecar of a TezosSigner with spec.inject as YAML, for pod templates on clusters that do not add it by themselves (before
//! Kubernetes 1.36). It is built by the same code as the operator's.

use crate::cluster::Cluster;
use crate::error::PluginError;
use crate::output::{self, Output};
use clap::Args;
use serde_json::{Value, json};
use std::str::FromStr;
use tezos_signer_operator::api::TezosSigner;
use tezos_signer_operator::build::pod_template_of_sidecar;
use tezos_signer_operator::validate::{Workload, validate};

/// The options of `sidecar`.
#[derive(Args)]
pub(crate) struct SidecarArguments {
    /// The name of the TezosSigner.
    #[arg(value_name = "NAME")]
    name: String,
    /// Print a patch of this workload for Kustomize, in place of the part of a pod template: StatefulSet/NAME, Deployment/NAME or DaemonSet/NAME.
    #[arg(long, value_name = "KIND/NAME")]
    patch: Option<PatchedWorkload>,
}

/// A workload whose pod template a patch changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PatchedWorkload {
    kind: &'static str,
    name: String,
}

impl FromStr for PatchedWorkload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once('/').ok_or("expected KIND/NAME, such as StatefulSet/tezos-baking-node")?;
        let known =
            ["StatefulSet", "Deployment", "DaemonSet"].into_iter().find(|known| known.eq_ignore_ascii_case(kind));
        let kind = known.ok_or_else(|| format!("{kind:?} is not StatefulSet, Deployment or DaemonSet"))?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c)) {
            return Err(format!("{name:?} is not the name of an object"));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// What stands before the YAML: the one thing that depends on the other containers of the pod.
const HEAD: &str = "\
# With AWS credentials by EKS (IRSA, Pod Identity), add the annotation eks.amazonaws.com/skip-containers with the names of all other
# containers and init containers of the pod, separated by commas: only the signer may get them.
";

/// Prints the sidecar.
pub(crate) async fn run(cluster: &Cluster, arguments: &SidecarArguments, output: Output) -> Result<(), PluginError> {
    let signer = cluster.known_signer(&cluster.namespace, &arguments.name).await?;
    let template = template(&signer)?;
    let printed = match &arguments.patch {
        None => template,
        Some(PatchedWorkload { kind, name }) => json!({
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": cluster.namespace},
            "spec": {"template": template},
        }),
    };
    match output {
        Output::Json => output::print_json(&printed),
        Output::Table => output::print(&format!("{HEAD}{}", serde_yaml::to_string(&printed)?)),
    }
}

/// The part of a pod template with the sidecar of `signer`.
fn template(signer: &TezosSigner) -> Result<Value, PluginError> {
    let name = signer.metadata.name.as_deref().unwrap_or_default();
    let valid = validate(signer)
        .map_err(|invalid| PluginError::Argument(format!("the TezosSigner {name} is invalid: {invalid}")))?;
    let Workload::Inject(inject) = &valid.workload else {
        return Err(PluginError::Argument(format!(
            "the TezosSigner {name} has no spec.inject: its operator creates the pods, so there is nothing to put into a template"
        )));
    };
    // The operator chooses the image.
    let status = signer.status.as_ref();
    let is_current = status.is_some_and(|status| status.observed_generation == signer.metadata.generation);
    let Some(image) = status.filter(|_| is_current).and_then(|status| status.deployed_image.as_deref()) else {
        return Err(PluginError::Argument(format!(
            "the operator has not published the sidecar of {name} yet, or not since its last change: kubectl describe tezossigner {name} says why"
        )));
    };
    Ok(pod_template_of_sidecar(&valid, inject, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_a_kind_and_a_name() {
        let is = |kind, name: &str| Ok(PatchedWorkload { kind, name: name.to_owned() });
        assert_eq!("statefulset/baking-node".parse(), is("StatefulSet", "baking-node"));
        assert_eq!("Deployment/a.b".parse(), is("Deployment", "a.b"));
        for wrong in ["baking-node", "Pod/a", "StatefulSet/", "StatefulSet/A b"] {
            assert!(wrong.parse::<PatchedWorkload>().is_err(), "{wrong}");
        }
    }
}
