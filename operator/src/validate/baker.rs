//! `spec.baker`: which baker, and with which of the keys it signs.

use super::template::{self, Reserved, Template};
use super::{Invalid, placement};
use crate::api::{BakerSpec, LiquidityBakingVote, OctezBakerSpec};
use crate::message;
use serde_json::Value;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{KeyError, PublicKeyHash};

const OCTEZ: &str = "spec.baker.octez";

/// Options that the operator writes; Octez refuses one that is given twice, with a help text of many pages.
const WRITTEN_OPTIONS: [&str; 15] = [
    "--base-dir",
    "-d",
    "--endpoint",
    "-E",
    "--remote-signer",
    "-R",
    "--liquidity-baking-toggle-vote",
    "--votefile",
    "-V",
    "--dal-node",
    "--without-dal",
    "--remote-calls-timeout",
    "--keep-alive",
    "-K",
    "--password-filename",
];

/// The baker that runs beside the signer.
#[derive(Debug, Clone, PartialEq)]
pub enum Baker {
    /// A pod of the user's own.
    Template(Template),
    /// An Octez baker, whose pod the operator writes.
    Octez(Box<OctezBaker>),
}

/// An Octez baker whose every setting is usable.
#[derive(Debug, Clone, PartialEq)]
pub struct OctezBaker {
    /// The reference of the baker's image.
    pub image: String,
    /// The node that it follows.
    pub node_endpoint: String,
    /// Further nodes, from which it takes heads too.
    pub extra_nodes: Vec<String>,
    /// The keys that it signs with: at least one, and several during a change of the consensus key.
    pub delegates: Vec<PublicKeyHash>,
    /// Its companion keys, with which it attests with DAL if the delegate's key is a tz4 key.
    pub companions: Vec<PublicKeyHash>,
    /// The DAL node that it asks, if any.
    pub dal_node: Option<String>,
    /// Its vote on the liquidity baking subsidy.
    pub liquidity_baking_vote: LiquidityBakingVote,
    /// Further options of `octez-baker run`.
    pub extra_arguments: Vec<String>,
    /// The claim that holds its client directory.
    pub volume_claim: Option<String>,
    /// Its resource requests and limits.
    pub resources: Option<Value>,
}

/// Validates the baker, whose pod may use nothing that is `reserved`.
pub(super) fn validate(spec: &BakerSpec, keys: &[KeyConfig], reserved: &Reserved<'_>) -> Result<Baker, Invalid> {
    match (&spec.octez, &spec.template) {
        (Some(spec), None) => Ok(Baker::Octez(Box::new(octez(spec, keys)?))),
        (None, Some(template)) => Ok(Baker::Template(template::validate(template, reserved)?)),
        _ => Err(Invalid::new("spec.baker", "exactly one of octez and template is required")),
    }
}

fn octez(spec: &OctezBakerSpec, keys: &[KeyConfig]) -> Result<OctezBaker, Invalid> {
    let field = |name: &str| format!("{OCTEZ}.{name}");
    if spec.image.is_empty() || spec.image.contains(char::is_whitespace) {
        return Err(Invalid::new(field("image"), format!("{:?} is not an image reference", spec.image)));
    }
    let (node_endpoint, extra_nodes) = nodes(spec)?;
    if let Some(dal_node) = &spec.dal_node {
        endpoint(&field("dalNode"), dal_node)?;
    }
    for (i, argument) in spec.extra_arguments.iter().enumerate() {
        let option = argument.split('=').next().unwrap_or(argument);
        if WRITTEN_OPTIONS.contains(&option) {
            let reason = format!("the operator sets {option} from the other fields of spec.baker.octez: remove it");
            return Err(Invalid::new(format!("{OCTEZ}.extraArguments[{i}]"), reason));
        }
    }
    Ok(OctezBaker {
        image: spec.image.clone(),
        node_endpoint,
        extra_nodes,
        delegates: delegates(spec, keys)?,
        companions: keys.iter().filter(|key| key.companion).map(KeyConfig::hash).collect(),
        dal_node: spec.dal_node.clone(),
        liquidity_baking_vote: spec.liquidity_baking_vote.unwrap_or_default(),
        extra_arguments: spec.extra_arguments.clone(),
        volume_claim: spec.volume_claim.clone(),
        resources: spec.resources.as_ref().map(placement::without_nulls),
    })
}

/// The node, and the extra nodes.
fn nodes(spec: &OctezBakerSpec) -> Result<(String, Vec<String>), Invalid> {
    let (node, extra) = match (&spec.node_endpoint, spec.node_endpoints.as_slice()) {
        (Some(node), []) => {
            endpoint(&format!("{OCTEZ}.nodeEndpoint"), node)?;
            return Ok((node.clone(), Vec::new()));
        }
        (None, [node, extra @ ..]) => (node, extra),
        _ => {
            let reason = "exactly one of nodeEndpoint (one node) and nodeEndpoints (a list of nodes) is required";
            return Err(Invalid::new(OCTEZ, reason));
        }
    };
    for (i, node) in spec.node_endpoints.iter().enumerate() {
        let field = format!("{OCTEZ}.nodeEndpoints[{i}]");
        endpoint(&field, node)?;
        let same = |other: &String| other.trim_end_matches('/') == node.trim_end_matches('/');
        if spec.node_endpoints[..i].iter().any(same) {
            return Err(Invalid::new(field, format!("{node} is listed twice")));
        }
    }
    Ok((node.clone(), extra.to_vec()))
}

/// The keys that bake: those that are named, or the only one that is no companion key.
fn delegates(spec: &OctezBakerSpec, keys: &[KeyConfig]) -> Result<Vec<PublicKeyHash>, Invalid> {
    match (&spec.delegate, spec.delegates.as_slice()) {
        (Some(one), []) => Ok(vec![delegate(&format!("{OCTEZ}.delegate"), one, keys)?]),
        (None, []) => Ok(vec![only_delegate(keys)?]),
        (None, several) => {
            let mut delegates = Vec::new();
            for (i, named) in several.iter().enumerate() {
                let field = format!("{OCTEZ}.delegates[{i}]");
                let key = delegate(&field, named, keys)?;
                if delegates.contains(&key) {
                    return Err(Invalid::new(field, format!("{key} is listed twice")));
                }
                delegates.push(key);
            }
            Ok(delegates)
        }
        (Some(_), _) => Err(Invalid::new(
            OCTEZ,
            "at most one of delegate (one key) and delegates (a list of keys): remove delegate",
        )),
    }
}

fn delegate(field: &str, named: &str, keys: &[KeyConfig]) -> Result<PublicKeyHash, Invalid> {
    let wrong = |reason: Cause| Invalid::new(field, reason);
    let hash: PublicKeyHash = named.parse().map_err(|error: KeyError| wrong(Cause::of(error)))?;
    match keys.iter().find(|key| key.hash() == hash) {
        Some(key) if key.companion => {
            Err(wrong(format!("{named} is a companion key, which does not bake: name the consensus key").into()))
        }
        Some(key) => Ok(key.hash()),
        None => Err(wrong(format!("{named} is not the address of a key in spec.keys: {}", addresses(keys)).into())),
    }
}

fn only_delegate(keys: &[KeyConfig]) -> Result<PublicKeyHash, Invalid> {
    let wrong = |reason: String| Err(Invalid::new(format!("{OCTEZ}.delegate"), reason));
    let mut baking = keys.iter().filter(|key| !key.companion);
    match (baking.next(), baking.next()) {
        (Some(key), None) => Ok(key.hash()),
        (None, _) => wrong("spec.keys has only companion keys, which do not bake: add the consensus key".to_owned()),
        (Some(_), Some(_)) => wrong(format!(
            "missing; required because spec.keys has several keys: one of {}, or several of them in delegates",
            addresses(keys)
        )),
    }
}

fn addresses(keys: &[KeyConfig]) -> String {
    message::list(keys.iter().map(|key| key.hash().to_string()))
}

/// Checks an endpoint as Octez parses it, but without credentials, which do not belong on a command line.
fn endpoint(field: &str, text: &str) -> Result<(), Invalid> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let well_formed = !authority.is_empty() && !text.contains(|c: char| c.is_whitespace() || "?#@".contains(c));
    if well_formed {
        Ok(())
    } else {
        Err(Invalid::new(field, format!("{text:?} is not http://HOST:PORT or https://HOST:PORT")))
    }
}

#[cfg(test)]
mod tests;
