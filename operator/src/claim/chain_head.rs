//! Asks the Octez nodes that a spec names for the level of the chain, before a record is created at a level that somebody has typed. With
//! one digit too many the signer would refuse every request, and a record is never lowered.
//!
//! A node that does not answer, or that follows another chain or an old head, does not prevent the creation: the operator need not reach
//! nodes, and a level that is too high does not endanger the key.

use super::refusal::ClaimRefusal;
use crate::http::get_json;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::ChainId;
use tezos_signer_core::position::Level;

/// How many levels above the head of the chain a record may start: a day of 6-second blocks, for a level with a margin or the ceiling of
/// another signer.
const MARGIN: u32 = 14_400;

/// The age up to which the head of a node is taken for the level of the chain. A node with an older head is catching up.
const OLDEST_HEAD: SignedDuration = SignedDuration::from_mins(10);

/// How a level compares with the head of the chain.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The level is at most `MARGIN` above the head.
    Plausible,
    /// No node gave its head. The reasons, one for each node.
    NotAsked(Vec<String>),
    /// The head is far below the level.
    FarBelow(ClaimRefusal),
}

/// Compares `level` with the head of `chain`, by the first of `nodes` that knows it.
pub(super) async fn compare(http: &reqwest::Client, nodes: &[String], chain: ChainId, level: Level) -> Answer {
    let mut reasons = Vec::new();
    for node in nodes {
        match head(http, node, chain).await {
            Ok(head) => return compare_to_head(level, head, node),
            Err(reason) => reasons.push(format!("{node}: {reason}")),
        }
    }
    Answer::NotAsked(reasons)
}

fn compare_to_head(level: Level, head: Level, node: &str) -> Answer {
    if level.get() > head.get().saturating_add(MARGIN) {
        Answer::FarBelow(ClaimRefusal::FarAboveHead { level, head, node: node.to_owned(), margin: MARGIN })
    } else {
        Answer::Plausible
    }
}

async fn head(http: &reqwest::Client, node: &str, chain: ChainId) -> Result<Level, Cause> {
    if node.starts_with("https:") {
        return Err("the operator does not support https for nodes".into());
    }
    let header: Value = get_json(http, &format!("{node}/chains/main/blocks/head/header"))
        .await
        .map_err(|error| Cause::of(error).map_text(|error| format!("no usable answer: {error}")))?;
    level_of(&header, chain, Timestamp::now())
}

/// The level in `header`, if that is a recent head of `chain`.
fn level_of(header: &Value, chain: ChainId, now: Timestamp) -> Result<Level, Cause> {
    if header["chain_id"] != *chain.to_string() {
        return Err(format!("it is a node of the chain {}, but the keys sign for {chain}", header["chain_id"]).into());
    }
    let time = header["timestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    if time.is_none_or(|time| now.duration_since(time) > OLDEST_HEAD) {
        return Err(format!("its head is of {}, so it is not synchronised", header["timestamp"]).into());
    }
    let level = header["level"].as_i64().and_then(|level| Level::try_from(level).ok());
    level.ok_or_else(|| "its head has no level".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn level(level: i64) -> Level {
        Level::try_from(level).unwrap()
    }

    #[test]
    fn one_digit_too_many_is_far_above_the_head_and_a_margin_of_a_day_is_not() {
        let head = level(15_181_990);
        for plausible in [0, 15_181_990, 15_181_990 + 14_400] {
            assert_eq!(compare_to_head(level(plausible), head, "http://n:8732"), Answer::Plausible, "{plausible}");
        }
        for far in [15_181_990 + 14_401, 51_819_900] {
            let Answer::FarBelow(refusal) = compare_to_head(level(far), head, "http://n:8732") else { panic!("{far}") };
            let said = refusal.to_string();
            assert_eq!(refusal.reason(), "InitialWatermarkTooHigh");
            for part in [
                far.to_string().as_str(),
                "15181990 (according to http://n:8732)",
                "No record was created",
                "14400 above",
            ] {
                assert!(said.contains(part), "{part} is missing in: {said}");
            }
        }
    }

    #[test]
    fn only_a_new_head_of_the_same_chain_says_how_high_the_chain_is() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let chain: ChainId = "NetXdQprcVkpaWU".parse().unwrap();
        let header = json!({"chain_id": "NetXdQprcVkpaWU", "level": 15_181_990, "timestamp": "2026-11-29T11:59:54Z"});
        assert_eq!(level_of(&header, chain, now), Ok(level(15_181_990)));
        for (field, value, said) in [
            ("chain_id", json!("NetXnHfVqm9iesp"), "NetXnHfVqm9iesp"),
            ("timestamp", json!("2026-11-29T11:49:59Z"), "is not synchronised"),
            ("timestamp", json!(null), "is not synchronised"),
            ("level", json!("15181990"), "no level"),
        ] {
            let mut other = header.clone();
            other[field] = value;
            let reason = level_of(&other, chain, now).unwrap_err().to_string();
            assert!(reason.contains(said), "{reason}");
        }
    }
}
