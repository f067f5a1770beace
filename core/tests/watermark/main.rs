//! The signing decision as a table and as properties, and the text form of the record. What processes, stores and crashes do
//! around it is in `model/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../model/admitted.rs"]
mod admitted;
#[path = "../model/requests.rs"]
#[allow(dead_code, reason = "the model uses the rest")]
mod requests;

mod decision;
mod properties;
mod text;

use crate::admitted::admitted;
use crate::requests::Request;
use tezos_signer_core::admit::Admitted;
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::key::Signature;
use tezos_signer_core::policy::Permitted;
use tezos_signer_core::position::{ConsensusKind, Level, Position};
use tezos_signer_core::record::Record;

pub(crate) const DIGEST_A: &str = "aa00000000000000000000000000000000000000000000000000000000000000";
pub(crate) const DIGEST_B: &str = "bb00000000000000000000000000000000000000000000000000000000000000";

/// The payload of `kind` at a position; `variant` tells two of one position apart.
pub(crate) fn at(kind: ConsensusKind, level: u32, round: u32, variant: char) -> Admitted {
    admitted(&Request::of(kind, level, round, variant).payload())
}

pub(crate) fn place(request: &Admitted) -> (ConsensusKind, Position) {
    let Permitted::Consensus(consensus) = request.permitted() else { panic!("a block or vote") };
    (consensus.kind, consensus.position)
}

pub(crate) fn anchor(sequence: u64) -> AuditAnchor {
    AuditAnchor { log: LogId::from_bytes([7; 16]), sequence, hash: DIGEST_A.parse().unwrap() }
}

pub(crate) fn signature(byte: u8) -> Signature {
    Signature::P256([byte; 64])
}

/// A record with these rows over three floors at level 100.
pub(crate) fn record(rows: &[(&str, &str)]) -> Record {
    let mut data = Record::starting_above(Level::try_from(100).unwrap()).to_data();
    data.extend(rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Record::from_data(&data).unwrap()
}
