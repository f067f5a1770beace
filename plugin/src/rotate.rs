//! `rotate`: leads through a change of a baker's consensus key. It changes nothing: it reads from the chain and the cluster how far the change is,
//! and says what comes next.

mod chain;
mod plan;

use crate::cluster::Cluster;
use crate::error::PluginError;
use crate::output::{self, Output};
use crate::status;
use chain::{Chain, Consensus};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use plan::{BakerForm, KeyState, Plan, Situation};
use tezos_signer_core::key::{PublicKeyHash, SigningPublicKey};
use tezos_signer_operator::api::TezosSigner;

/// The options of `rotate`.
#[derive(Args)]
pub(crate) struct RotateArguments {
    /// The name of a TezosSigner that has, or will have, both keys.
    #[arg(value_name = "NAME")]
    name: String,
    /// The address of the baker whose consensus key changes: its manager key, tz1… to tz4….
    #[arg(long, value_name = "ADDRESS")]
    baker: PublicKeyHash,
    /// The public key of the new consensus key. Default: the one that is pending on the chain, else the key of the TezosSigner that has never
    /// signed.
    #[arg(long, value_name = "PUBLIC KEY")]
    new_key: Option<SigningPublicKey>,
    /// The Octez node, as it is reached from here: http://HOST:PORT. Default: the node of the TezosSigner, through the cluster.
    #[arg(long, value_name = "URL")]
    node_endpoint: Option<String>,
}

/// Prints how far the change is.
pub(crate) async fn run(cluster: &Cluster, arguments: &RotateArguments, output: Output) -> Result<(), PluginError> {
    let signer = cluster.known_signer(&cluster.namespace, &arguments.name).await?;
    let node = status::node(cluster, &signer, arguments.node_endpoint.as_deref()).await.ok_or_else(|| {
        PluginError::Argument(format!(
            "the TezosSigner {} names no node: add --node-endpoint http://HOST:PORT of an Octez node",
            arguments.name
        ))
    })??;
    let chain = status::chain_id(&signer)?;
    let (chain, consensus) = chain::ask(&node, chain, &arguments.baker).await?;
    let situation = situation(cluster, &signer, arguments, chain, consensus).await?;
    let plan = Plan::of(&situation, Timestamp::now());
    match output {
        Output::Json => output::print_json(&plan),
        Output::Table => output::print(&plan.to_string()),
    }
}

async fn situation(
    cluster: &Cluster,
    signer: &TezosSigner,
    arguments: &RotateArguments,
    chain: Chain,
    consensus: Consensus,
) -> Result<Situation, PluginError> {
    let seen = status::shown(cluster, signer).await;
    let keys = signer.spec.keys.iter().filter(|key| !key.companion).filter_map(|key| {
        let public_key: SigningPublicKey = key.public_key.parse().ok()?;
        let hash = public_key.hash().to_string();
        let view = seen.keys.iter().find(|view| view.public_key_hash == hash);
        let rows = view.map(|view| [view.block, view.preattestation, view.attestation]);
        let last = rows.into_iter().flatten().flatten().filter(|row| row.signed).map(|row| row.level).max();
        Some(KeyState {
            address: hash,
            public_key: key.public_key.clone(),
            ready: view.and_then(|view| view.ready).unwrap_or(false),
            why_not: view.and_then(|view| view.why_not.clone()),
            signed: last,
        })
    });
    let keys: Vec<KeyState> = keys.collect();
    let octez = signer.spec.baker.as_ref().and_then(|baker| baker.octez.as_ref());
    let baker_form = octez.map_or(BakerForm::Other, |octez| {
        let named = octez.delegate.iter().chain(&octez.delegates).cloned().collect();
        BakerForm::of_octez(named, &keys)
    });
    Ok(Situation {
        namespace: signer.namespace().unwrap_or_default(),
        name: signer.name_any(),
        baker: arguments.baker.to_string(),
        keys,
        given: arguments.new_key.as_ref().map(|key| (key.hash().to_string(), key.to_string())),
        baker_form,
        chain,
        consensus,
    })
}
