//! `check`: has the signers of a TezosSigner check everything that signing needs, in their own containers.

use crate::cluster::Cluster;
use crate::error::PluginError;
use crate::output::{self, Output};
use crate::status;
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tezos_signer_operator::names::SIGNER_CONTAINER;

/// The options of `check`.
#[derive(Args)]
pub(crate) struct CheckArguments {
    /// The name of a TezosSigner.
    #[arg(value_name = "NAME")]
    name: String,
    /// Check in this pod only. Default: in each pod whose signer runs.
    #[arg(long, value_name = "POD")]
    pod: Option<String>,
}

/// Runs `tezos-signer check` in the pods, and prints what it prints.
pub(crate) async fn run(cluster: &Cluster, arguments: &CheckArguments, output: Output) -> Result<(), PluginError> {
    let signer = cluster.known_signer(&cluster.namespace, &arguments.name).await?;
    let pods = running_pods(cluster, &signer, arguments.pod.as_deref()).await?;
    let format = if output == Output::Json { "json" } else { "table" };
    let (mut all, mut unfit) = (Vec::new(), Vec::new());
    for pod in &pods {
        let name = pod.name_any();
        let command =
            ["tezos-signer", "check", "--config", &configuration_file(pod)?, "--output", format].map(str::to_owned);
        let ended = cluster.run(&cluster.namespace, &name, &command).await?;
        if ended.status != 0 {
            unfit.push(name.clone());
        }
        if output == Output::Json {
            let report: Value = serde_json::from_str(&ended.stdout).unwrap_or(Value::Null);
            let error = report.is_null().then_some(&ended.stderr);
            all.push(json!({ "pod": name, "exitStatus": ended.status, "check": report, "error": error }));
        } else {
            output::print(&format!("pod {name}\n\n{}{}\n", ended.stdout, ended.stderr))?;
        }
    }
    if output == Output::Json {
        output::print_json(&all)?;
    }
    if unfit.is_empty() {
        return Ok(());
    }
    Err(PluginError::Incomplete(format!("the check found problems in {}: see above", unfit.join(", "))))
}

/// The pods whose signer runs, or `only` that one.
pub(crate) async fn running_pods(
    cluster: &Cluster,
    signer: &tezos_signer_operator::api::TezosSigner,
    only: Option<&str>,
) -> Result<Vec<Pod>, PluginError> {
    let mut pods = cluster.pods(&status::identity(signer)?).await?;
    pods.retain(|pod| status::runs_signer(pod) && only.is_none_or(|only| pod.name_any() == only));
    if pods.is_empty() {
        let what = only.map_or_else(|| "no pod".to_owned(), |only| format!("no pod {only}"));
        return Err(PluginError::Argument(format!(
            "{what} of the TezosSigner {} runs a signer: kubectl tezos-signer status {} says why",
            signer.name_any(),
            signer.name_any()
        )));
    }
    Ok(pods)
}

/// The configuration file of the signer in `pod`, by the arguments of its container.
pub(crate) fn configuration_file(pod: &Pod) -> Result<String, PluginError> {
    let spec = pod.spec.iter();
    let containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let mut signers = containers.filter(|container| container.name == SIGNER_CONTAINER);
    let arguments = signers.next().and_then(|signer| signer.args.as_ref());
    let file = arguments.into_iter().flatten().skip_while(|argument| *argument != "--config").nth(1);
    file.cloned().ok_or_else(|| {
        PluginError::Argument(format!(
            "the pod {} has no container {SIGNER_CONTAINER} with --config FILE",
            pod.name_any()
        ))
    })
}
