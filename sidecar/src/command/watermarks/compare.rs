//! `watermarks compare`: compares the records with the chain, before a signer starts with them. Changes nothing.

use super::super::{CommandError, ConfigArgument, Output, OutputArgument, print_table};
use super::read_all;
use clap::Args;
use tezos_signer::chain_check;
use tezos_signer::chain_check::Seen;
use tezos_signer_core::config::{KeyConfig, NodeEndpoint};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::Record;

/// The distance from a node's head at which a record is certainly above everything that was signed. The next level may have been signed
/// already, and the node may be behind.
const ABOVE_THE_HEAD: u32 = 10;

#[derive(Args)]
pub(in super::super) struct Compare {
    #[command(flatten)]
    config: ConfigArgument,
    /// The URL of the node, http://HOST:PORT. Default: nodeEndpoint of the configuration.
    #[arg(long, value_name = "URL")]
    node_endpoint: Option<NodeEndpoint>,
    #[command(flatten)]
    output: OutputArgument,
}

/// A record beside the chain.
struct Compared<'a> {
    key: &'a KeyConfig,
    record: Level,
    head: Level,
    looked_to: Option<Level>,
    /// What the chain shows and the record does not know.
    forgotten: Option<String>,
    /// How many levels are signed only above the head.
    ahead: u32,
}

pub(super) async fn compare(arguments: &Compare) -> Result<(), CommandError> {
    let config = arguments.config.load()?;
    let node = arguments.node_endpoint.as_ref().or(config.node_endpoint.as_ref()).ok_or(CommandError::NoNode)?;
    let mut all = Vec::new();
    let mut complete = true;
    for (key, snapshot) in read_all(&config).await? {
        match snapshot {
            Ok(snapshot) => {
                let above = snapshot.record.rows.highest_level();
                let seen = chain_check::signed_above(node, &key.hash(), key.policy.chain, above).await?;
                all.push(Compared::of(key, &snapshot.record, &seen));
            }
            Err(error) => {
                complete = false;
                eprintln!("tezos-signer: {error}");
            }
        }
    }
    print(&all, arguments.output.output)?;
    let known = all.iter().all(|compared| compared.forgotten.is_none());
    if complete && known { Ok(()) } else { Err(CommandError::Incomplete) }
}

impl<'a> Compared<'a> {
    fn of(key: &'a KeyConfig, record: &Record, Seen { head, looked_to, proofs }: &Seen) -> Self {
        let level = record.rows.highest_level();
        Self {
            key,
            record: level,
            head: *head,
            looked_to: *looked_to,
            forgotten: proofs.forgotten_by(record).map(|proof| proof.to_string()),
            ahead: level.get().saturating_sub(head.get()),
        }
    }

    fn verdict(&self) -> String {
        match (&self.forgotten, self.looked_to) {
            (Some(proof), _) => format!(
                "too low: {proof}. The previous signer has signed above the record: after that signer is stopped, raise the record \
                 to level {} or higher (watermarks raise)",
                self.head.get().saturating_add(ABOVE_THE_HEAD)
            ),
            (None, _) if self.ahead > 1 => {
                format!("{} levels above the head: nothing is signed until the chain reaches that level", self.ahead)
            }
            (None, None) => "up to the head".to_owned(),
            (None, Some(to)) => format!("no block or vote of the key above it, up to block {to}"),
        }
    }
}

fn print(all: &[Compared<'_>], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        let json = all.iter().map(|compared| {
            serde_json::json!({
                "publicKeyHash": compared.key.hash(),
                "chain": compared.key.policy.chain,
                "record": compared.record,
                "head": compared.head,
                "lookedTo": compared.looked_to,
                "forgotten": compared.forgotten,
                "verdict": compared.verdict(),
            })
        });
        println!("{}", serde_json::to_string_pretty(&json.collect::<Vec<_>>())?);
    } else {
        let rows = all.iter().map(|compared| {
            vec![
                compared.key.hash().to_string(),
                compared.record.to_string(),
                compared.head.to_string(),
                compared.verdict(),
            ]
        });
        print_table(&["KEY", "RECORD", "HEAD", "WHAT THE CHAIN SAYS"], &rows.collect::<Vec<_>>())?;
    }
    Ok(())
}
