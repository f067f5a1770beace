//! The Python signer's table in DynamoDB (tacoinfra/remote-signer, `ddbchainratchet.py`): an item for each kind, chain and
//! key. Its database in `SQLite` (`sqlitechainratchet.py`) has the same as rows, which `sqlite3 -json` prints as a list of objects.
//!
//! Items of releases before Tenderbake have no round, and the oldest ones no key. They forbid their whole level, for every
//! key of the chain. The table has no digests, so no signature can be repeated from it.

use super::dynamodb::{self, Item};
use super::source::{ForeignError, ImportedMark, SourceFile};
use serde::Deserialize;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::{ChainId, KeyError, PublicKeyHash};
use tezos_signer_core::position::{ConsensusKind, Level, Position, Round};
use tezos_signer_core::record::{Record, Row};

use serde_json::json;

/// The table's key: today, and before.
const KEYS: [&str; 2] = ["sig_type", "type"];

/// What it calls our kinds, in their order.
const NAMES: [&str; 3] = ["Baking", "Preendorsement", "Endorsement"];

pub(super) fn is_item(item: &Item) -> bool {
    item.names().contains(&"lastblock")
}

pub(super) fn read_table(file: &SourceFile) -> Result<Vec<ImportedMark>, ForeignError> {
    let items = dynamodb::items(file)?;
    let mark =
        |(index, item): (usize, &Item)| mark(item).map_err(|reason| file.error(dynamodb::at_item(index, reason)));
    items.iter().enumerate().map(mark).collect()
}

/// The items of a record, in DynamoDB JSON, each with a name for its file.
pub fn items_of(pkh: PublicKeyHash, chain: ChainId, record: &Record) -> Vec<(String, String)> {
    let names = ConsensusKind::ALL.into_iter().zip(NAMES);
    let item = |(kind, name): (ConsensusKind, &str)| {
        let position = record.rows.get(kind)?.position;
        let key = format!("{name}_{chain}_{pkh}");
        let item = json!({
            KEYS[0]: {"S": key},
            "lastblock": {"N": position.level.to_string()},
            "lastround": {"N": position.round.to_string()},
        });
        Some((key, format!("{item:#}\n")))
    };
    names.filter_map(item).collect()
}

fn mark(item: &Item) -> Result<ImportedMark, Cause> {
    let names = item.names();
    let key = KEYS.into_iter().find(|key| names.contains(key)).ok_or("it has neither sig_type nor type")?;
    if let Some(unknown) = names.iter().find(|name| !["lastblock", "lastround", key].contains(name)) {
        return Err(format!("it has an unknown attribute {unknown}").into());
    }
    if names.windows(2).any(|two| two[0] == two[1]) {
        return Err("it has a duplicate attribute".into());
    }
    let level: Level = item.number("lastblock")?.ok_or("it has no lastblock")?;
    named_mark(key, item.text(key)?, level, item.number("lastround")?)
}

/// A row of the table `signature` in `SQLite`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatabaseRow {
    sigtype: String,
    lastblock: Level,
    lastround: Option<Round>,
}

/// Whether a file is the table of the `SQLite` database, as `sqlite3 -json` prints it.
pub(super) fn is_database_table(value: &serde_json::Value) -> bool {
    value.as_array().is_some_and(|rows| rows.iter().any(|row| row.get("sigtype").is_some()))
}

pub(super) fn read_database_table(file: &SourceFile) -> Result<Vec<ImportedMark>, ForeignError> {
    let rows: Vec<DatabaseRow> = file.json()?;
    let mark = |(index, row): (usize, &DatabaseRow)| {
        named_mark("sigtype", &row.sigtype, row.lastblock, row.lastround)
            .map_err(|reason| file.error(reason.map_text(|reason| format!("row {} of the table: {reason}", index + 1))))
    };
    rows.iter().enumerate().map(mark).collect()
}

/// The mark of `Kind_Chain_Key`, the value of the attribute or column `key`.
fn named_mark(key: &str, text: &str, level: Level, round: Option<Round>) -> Result<ImportedMark, Cause> {
    let wrong = |reason: Cause| reason.map_text(|reason| format!("its attribute {key} is {text:?}: {reason}"));
    let not_parsed = |error: KeyError| wrong(Cause::of(error));
    let mut words = text.split('_');
    let name = words.next();
    let kinds: &'static [ConsensusKind] = match NAMES.into_iter().position(|known| name == Some(known)) {
        Some(0) => &[ConsensusKind::Block],
        Some(1) => &[ConsensusKind::Preattestation],
        Some(_) => &[ConsensusKind::Attestation],
        None => return Err(wrong(format!("it does not start with {}", NAMES.join(", ")).into())),
    };
    let chain: ChainId = words.next().unwrap_or_default().parse().map_err(not_parsed)?;
    let pkh: Option<PublicKeyHash> = words.next().map(str::parse).transpose().map_err(not_parsed)?;
    if words.next().is_some() {
        return Err(wrong("it has more than kind, chain and key".into()));
    }
    Ok(match (round, pkh) {
        (Some(round), Some(_)) => ImportedMark { chain, key: pkh, kinds, row: Row::floor(Position { level, round }) },
        _ => ImportedMark::end_of(chain, pkh, kinds, level),
    })
}
