//! Signatory's watermarks (ecadlabs/signatory, `pkg/signatory/watermark`): `watermark_v2/CHAIN.json` in its base directory, those of its
//! older releases in `watermark_v1` and `watermark`, and its table in DynamoDB.
//!
//! INVARIANT M3: Signatory keeps attestations with and without their DAL part apart, which are one kind here: the higher one counts. And its older
//! releases compare blocks by `payload_round`, which may be lower than the round that is slashed for: so a block forbids its whole
//! level.

use super::dynamodb::{self, Item};
use super::source::{Entries, ForeignError, ImportedMark, SourceFile};
use tezos_signer_core::base58;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::{ChainId, Digest, DigestError, KeyError, PublicKeyHash};
use tezos_signer_core::position::{ConsensusKind, Level, Position, Round};
use tezos_signer_core::record::{Record, Row, Stored};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt;
use std::str::FromStr;

/// Where the files are, in Signatory's base directory; the last one that it wrote first.
pub const DIRECTORIES: [&str; 3] = ["watermark_v2", "watermark_v1", "watermark"];

/// The chain of a file, by its name.
pub(super) fn chain_of(name: &str) -> Option<ChainId> {
    // Not the word `mainnet`.
    name.strip_suffix(".json").filter(|stem| stem.starts_with("Net"))?.parse().ok()
}

/// Whether a file of this name is one of them.
pub fn is_file(name: &str) -> bool {
    chain_of(name).is_some()
}

/// Its names for a kind, of all releases, because each release reads only the names that it knows.
const NAMES: [(&str, &[ConsensusKind]); 7] = [
    ("block", &[ConsensusKind::Block]),
    ("preattestation", &[ConsensusKind::Preattestation]),
    ("preendorsement", &[ConsensusKind::Preattestation]),
    ("attestation", &[ConsensusKind::Attestation]),
    ("attestation_with_dal", &[ConsensusKind::Attestation]),
    ("endorsement", &[ConsensusKind::Attestation]),
    ("endorsement_with_dal", &[ConsensusKind::Attestation]),
];

/// The kinds that an entry of [`NAMES`] covers.
struct Name(&'static [ConsensusKind]);

impl FromStr for Name {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.into_iter().find_map(|(name, kinds)| (name == text).then_some(Self(kinds)));
        found.ok_or_else(|| {
            format!("{text:?} is not a kind of Signatory: expected {}", NAMES.map(|(name, _)| name).join(", "))
        })
    }
}

/// A digest as Signatory writes it, `vh…`: the base58 text of a payload hash, whatever it is the hash of.
struct PayloadHash(Digest);

const VH: [u8; 3] = [0x01, 0x6a, 0xf2];

impl FromStr for PayloadHash {
    type Err = Cause;
    fn from_str(text: &str) -> Result<Self, Cause> {
        let not_a_hash = |error| Cause::of(error).map_text(|error| format!("not a hash (vh…): {error}"));
        let bytes = base58::decode(text).map_err(not_a_hash)?;
        let bytes: [u8; 32] = base58::strip(&bytes, &VH).ok_or("not a hash (vh…)")?;
        hex::encode(bytes).parse().map(Self).map_err(|error: DigestError| Cause::of(error))
    }
}

impl fmt::Display for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58::encode(&VH, self.0.as_bytes()))
    }
}

tezos_signer_core::serde_as_text!(PayloadHash, Name);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[0].fmt(f)
    }
}

/// A mark of `watermark_v2` and `watermark`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watermark {
    level: Level,
    round: Option<Round>,
    hash: Option<PayloadHash>,
}

/// A watermark of `watermark_v1`: one for all kinds, in their order within a level.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderedWatermark {
    level: Level,
    #[serde(rename = "round")]
    _round: Option<Round>,
    #[serde(rename = "order")]
    _order: u8,
    #[serde(rename = "hash")]
    _hash: Option<PayloadHash>,
}

fn mark(chain: ChainId, key: PublicKeyHash, Name(kinds): &Name, watermark: &Watermark) -> ImportedMark {
    match watermark.round {
        Some(round) if !kinds.contains(&ConsensusKind::Block) => {
            let stored = watermark.hash.as_ref().map_or(Stored::Floor, |hash| Stored::Digest(hash.0));
            ImportedMark {
                chain,
                key: Some(key),
                kinds,
                row: Row { position: Position { level: watermark.level, round }, stored },
            }
        }
        _ => ImportedMark::end_of(chain, Some(key), kinds, watermark.level),
    }
}

pub(super) fn read(file: &SourceFile) -> Result<Vec<ImportedMark>, ForeignError> {
    let chain = chain_of(&file.name)
        .ok_or_else(|| file.error("the name of a Signatory file determines its chain: expected Net….json"))?;
    // Which of the three it is: by what its names are, and by how deep it is.
    let shape: Entries<String, Entries<String, Value>> = file.json()?;
    let by_kind = shape.0.iter().any(|(name, _)| name.parse::<Name>().is_ok());
    let one_for_all = shape.0.iter().flat_map(|(_, entries)| &entries.0).any(|(name, _)| name == "level");
    if by_kind {
        let kinds: Entries<Name, Entries<PublicKeyHash, Watermark>> = file.json()?;
        let marks = kinds
            .0
            .iter()
            .flat_map(|(name, keys)| keys.0.iter().map(|(key, watermark)| mark(chain, *key, name, watermark)));
        return Ok(marks.collect());
    }
    if one_for_all {
        let keys: Entries<PublicKeyHash, OrderedWatermark> = file.json()?;
        let mark = |(key, watermark): &(PublicKeyHash, OrderedWatermark)| {
            ImportedMark::end_of(chain, Some(*key), &ConsensusKind::ALL, watermark.level)
        };
        return Ok(keys.0.iter().map(mark).collect());
    }
    let keys: Entries<PublicKeyHash, Entries<Name, Watermark>> = file.json()?;
    let marks = keys
        .0
        .iter()
        .flat_map(|(key, kinds)| kinds.0.iter().map(|(name, watermark)| mark(chain, *key, name, watermark)));
    Ok(marks.collect())
}

pub(super) fn is_item(item: &Item) -> bool {
    item.names().contains(&"idx")
}

/// A block or vote of its table forbids everything that is not above it. Its digest is dropped, so no signature is repeated.
pub(super) fn read_table(file: &SourceFile) -> Result<Vec<ImportedMark>, ForeignError> {
    let items = dynamodb::items(file)?;
    let mark =
        |(index, item): (usize, &Item)| table_mark(item).map_err(|reason| file.error(dynamodb::at_item(index, reason)));
    items.iter().enumerate().map(mark).collect()
}

fn table_mark(item: &Item) -> Result<ImportedMark, Cause> {
    let names = item.names();
    if names != ["digest", "idx", "lvl", "request", "round"] {
        return Err(
            format!("its attributes are {}: expected digest, idx, lvl, request, round", names.join(", ")).into()
        );
    }
    let idx = item.text("idx")?;
    let wrong = |reason: Cause| reason.map_text(|reason| format!("its attribute idx is {idx:?}: {reason}"));
    let not_parsed = |error: KeyError| wrong(Cause::of(error));
    let (chain, key) = idx.split_once('/').ok_or_else(|| wrong("expected CHAIN/KEY".into()))?;
    let chain: ChainId = chain.parse().map_err(not_parsed)?;
    let key: PublicKeyHash = key.parse().map_err(not_parsed)?;
    let name: Name = item.text("request")?.parse()?;
    let level = item.number("lvl")?.ok_or("it has no lvl")?;
    Ok(mark(chain, key, &name, &Watermark { level, round: item.number("round")?, hash: None }))
}

/// `existing`, a file of `watermark_v2` for the chain or nothing, with the rows of a record in it where they are higher. Whatever
/// else is in the file stays.
///
/// INVARIANT M4: The mark of a block is written without a hash. Signatory signs a payload with the hash of its mark once more, and a second
/// signature of an HSM makes a second block of the same level and round, which is slashed.
pub fn written(existing: Option<&SourceFile>, pkh: PublicKeyHash, record: &Record) -> Result<String, ForeignError> {
    let mut keys = match existing {
        Some(file) => {
            // It must be understood, to be sure that nothing in it is lost.
            file.json::<Entries<PublicKeyHash, Entries<Name, Watermark>>>()?;
            file.json::<Map<String, Value>>()?
        }
        None => Map::new(),
    };
    let kinds = keys.entry(pkh.to_string()).or_insert_with(|| json!({}));
    for (name, covers) in NAMES {
        let Some(row) = record.rows.get(covers[0]) else { continue };
        let before = kinds.get(name).and_then(|before| Some((before["level"].as_i64()?, before["round"].as_i64()?)));
        let now = (i64::from(row.position.level.get()), i64::from(row.position.round.get()));
        if before.is_none_or(|before| before < now) {
            let hash = match row.stored {
                Stored::Digest(digest) | Stored::Signature { digest, .. } if covers != [ConsensusKind::Block] => {
                    Some(PayloadHash(digest))
                }
                _ => None,
            };
            kinds[name] = json!({"level": row.position.level, "round": row.position.round, "hash": hash});
        }
    }
    Ok(format!("{:#}\n", Value::Object(keys)))
}
