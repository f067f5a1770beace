//! What an Octez node says about a baker's consensus key, and where the chain is.

use crate::error::PluginError;
use crate::node::Node;
use serde::Serialize;
use serde_json::Value;
use tezos_signer_core::key::{ChainId, PublicKeyHash};

/// Where the chain is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chain {
    pub(super) level: i64,
    pub(super) cycle: i64,
    /// The number of levels of the cycle below this one.
    pub(super) cycle_position: i64,
    pub(super) blocks_per_cycle: i64,
    /// The time between two blocks of round 0.
    pub(super) block_seconds: i64,
}

/// The consensus keys of a baker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Consensus {
    /// The address of the key that signs now.
    pub(super) active: String,
    /// The keys that will, by cycle.
    pub(super) pending: Vec<Pending>,
    /// The key that signed two cycles ago; `null` if the node does not know it.
    pub(super) two_cycles_ago: Option<String>,
}

/// A key that will be active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pending {
    pub(super) cycle: i64,
    pub(super) address: String,
}

impl Chain {
    /// The first level of `cycle`, which is not over.
    pub(super) fn first_level(&self, cycle: i64) -> i64 {
        self.level - self.cycle_position + (cycle - self.cycle) * self.blocks_per_cycle
    }
}

/// Asks `node`, which must follow `id`, about the consensus key of `baker`.
pub(super) async fn ask(node: &Node, id: ChainId, baker: &PublicKeyHash) -> Result<(Chain, Consensus), PluginError> {
    let unexpected = |path: &str| PluginError::Request {
        what: format!("asking the node {}", node.endpoint()),
        reason: format!("the answer to GET {path} is not what Octez v25 answers"),
    };
    let header = node.head().await?;
    if header["chain_id"] != id.to_string() {
        return Err(PluginError::Argument(format!(
            "{} is a node of the chain {}, but the TezosSigner signs for {id}: name another node with --node-endpoint",
            node.endpoint(),
            header["chain_id"].as_str().unwrap_or("?")
        )));
    }
    let path = "/chains/main/blocks/head/helpers/current_level";
    let at = node.get(path).await?;
    let constants = node.get("/chains/main/blocks/head/context/constants").await?;
    let chain = chain_of(&at, &constants).ok_or_else(|| unexpected(path))?;

    let keys = |block: &str| format!("/chains/main/blocks/{block}/context/delegates/{baker}/consensus_key");
    let path = keys("head");
    let answer = node.get(&path).await.map_err(|error| match error {
        PluginError::Request { what, reason } => PluginError::Request {
            what: format!("{what} for the consensus key of {baker}"),
            reason: format!("{reason}. Is {baker} the address of a registered baker, and not of its consensus key?"),
        },
        other => other,
    })?;
    let mut consensus = consensus_of(&answer).ok_or_else(|| unexpected(&path))?;
    // A node that has pruned that block does not know.
    let earlier = node.get(&keys(&format!("head~{}", 2 * chain.blocks_per_cycle))).await;
    consensus.two_cycles_ago = earlier.ok().and_then(|answer| consensus_of(&answer)).map(|earlier| earlier.active);
    Ok((chain, consensus))
}

fn chain_of(at: &Value, constants: &Value) -> Option<Chain> {
    let seconds = &constants["minimal_block_delay"];
    Some(Chain {
        level: at["level"].as_i64()?,
        cycle: at["cycle"].as_i64()?,
        cycle_position: at["cycle_position"].as_i64()?,
        blocks_per_cycle: constants["blocks_per_cycle"].as_i64().filter(|blocks| *blocks > 0)?,
        // Octez writes int64 as text.
        block_seconds: seconds.as_str().and_then(|text| text.parse().ok()).or_else(|| seconds.as_i64())?,
    })
}

fn consensus_of(answer: &Value) -> Option<Consensus> {
    let pending = answer["pendings"].as_array().into_iter().flatten().map(|pending| {
        Some(Pending { cycle: pending["cycle"].as_i64()?, address: pending["pkh"].as_str()?.to_owned() })
    });
    let mut pending: Vec<Pending> = pending.collect::<Option<_>>()?;
    pending.sort_by_key(|pending| pending.cycle);
    Some(Consensus { active: answer["active"]["pkh"].as_str()?.to_owned(), pending, two_cycles_ago: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_answers_of_a_node_are_read() {
        let at = json!({ "level": 15_182_089, "cycle": 1369, "cycle_position": 100, "level_position": 15_182_088 });
        let chain = chain_of(&at, &json!({ "blocks_per_cycle": 14_400, "minimal_block_delay": "6" })).unwrap();
        assert_eq!(
            (chain.first_level(1369), chain.first_level(1372), chain.block_seconds),
            (15_181_989, 15_225_189, 6)
        );
        assert_eq!(chain_of(&at, &json!({ "blocks_per_cycle": 0, "minimal_block_delay": "6" })), None);

        let key = |pkh: &str| json!({ "pkh": pkh, "pk": "p2pk" });
        let consensus = consensus_of(&json!({ "active": key("tz3a"), "pendings": [
            { "cycle": 1373, "pkh": "tz3c", "pk": "x" }, { "cycle": 1372, "pkh": "tz3b", "pk": "x" },
        ] }));
        let consensus = consensus.unwrap();
        assert_eq!(consensus.active, "tz3a");
        assert_eq!(consensus.pending.iter().map(|key| key.address.as_str()).collect::<Vec<_>>(), ["tz3b", "tz3c"]);
        // Octez leaves `pendings` out if there are none.
        assert!(consensus_of(&json!({ "active": key("tz3a") })).unwrap().pending.is_empty());
        assert_eq!(consensus_of(&json!({ "pendings": [] })), None);
    }
}
