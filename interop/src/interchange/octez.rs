//! octez-signer's high watermarks (`--check-high-watermark`): a file for each kind in its base directory, each a JSON object
//! of chains, then of keys.
//!
//! Read and written as `src/bin_signer/handler.ml` of Octez does. octez-signer decides by the first byte of a request, so its
//! kinds are the same as here. A watermark without a round is from before Tenderbake and forbids its whole level.

use super::source::{Entries, ForeignError, ImportedMark, SourceFile};
use tezos_signer_core::key::{ChainId, Digest, PublicKeyHash, Signature};
use tezos_signer_core::position::{ConsensusKind, Level, Position, Round};
use tezos_signer_core::record::{Record, Row, Stored};

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The names of the files. The last two are those before Octez 24.
pub const FILES: [(&str, ConsensusKind); 5] = [
    ("block_high_watermarks", ConsensusKind::Block),
    ("preattestation_high_watermarks", ConsensusKind::Preattestation),
    ("attestation_high_watermarks", ConsensusKind::Attestation),
    ("preendorsement_high_watermarks", ConsensusKind::Preattestation),
    ("endorsement_high_watermarks", ConsensusKind::Attestation),
];

/// The kind of a file, by its name.
pub(super) fn kind_of(name: &str) -> Option<ConsensusKind> {
    FILES.into_iter().find_map(|(file, kind)| (file == name).then_some(kind))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HighWatermark {
    level: Level,
    round: Option<Round>,
    hash: Digest,
    signature: Option<Signature>,
}

impl HighWatermark {
    fn row(&self) -> Row {
        let (Some(round), digest) = (self.round, self.hash) else { return Row::floor(Position::end_of(self.level)) };
        let stored = self.signature.map_or(Stored::Digest(digest), |signature| Stored::Signature { digest, signature });
        Row { position: Position { level: self.level, round }, stored }
    }
}

pub(super) fn read(file: &SourceFile) -> Result<Vec<ImportedMark>, ForeignError> {
    let kinds: &'static [ConsensusKind] = match kind_of(&file.name) {
        Some(ConsensusKind::Block) => &[ConsensusKind::Block],
        Some(ConsensusKind::Preattestation) => &[ConsensusKind::Preattestation],
        Some(ConsensusKind::Attestation) => &[ConsensusKind::Attestation],
        None => {
            let names = FILES.map(|(name, _)| name).join(", ");
            return Err(
                file.error(format!("the name of an octez-signer file determines its kind: expected one of {names}"))
            );
        }
    };
    let chains: Entries<ChainId, Entries<PublicKeyHash, HighWatermark>> = file.json()?;
    let marks = chains.0.iter().flat_map(|(chain, keys)| {
        keys.0.iter().map(|(key, mark)| ImportedMark { chain: *chain, key: Some(*key), kinds, row: mark.row() })
    });
    Ok(marks.collect())
}

/// The file `existing` of `kind`, or a new one, with the row of a record if that is higher. Other contents of the file are kept.
///
/// octez-signer compares the hash only if there is a signature, so a row without one gets a hash of zeros: nothing at or below it is signed.
pub fn written(
    existing: Option<&SourceFile>,
    kind: ConsensusKind,
    pkh: PublicKeyHash,
    chain_id: ChainId,
    record: &Record,
) -> Result<Option<String>, ForeignError> {
    let mut chains = match existing {
        Some(file) => file.json::<Map<String, Value>>()?,
        None => Map::new(),
    };
    let Some(row) = record.rows.get(kind) else { return Ok(None) };
    let there = existing.map(read).transpose()?.unwrap_or_default();
    let there = there.iter().filter(|mark| mark.chain == chain_id && mark.key == Some(pkh)).map(|mark| mark.row);
    if there.map(|row| row.position).max().is_none_or(|before| before < row.position) {
        let keys = chains.entry(chain_id.to_string()).or_insert_with(|| json!({}));
        keys[pkh.to_string()] = high_watermark(row);
    }
    Ok(Some(format!("{:#}\n", Value::Object(chains))))
}

fn high_watermark(row: &Row) -> Value {
    let (level, round) = (row.position.level, row.position.round);
    match row.stored {
        Stored::Signature { digest, signature } => {
            json!({"level": level, "round": round, "hash": digest, "signature": signature})
        }
        Stored::Digest(digest) => json!({"level": level, "round": round, "hash": digest}),
        Stored::Floor => json!({"level": level, "round": round, "hash": "0".repeat(64)}),
    }
}
