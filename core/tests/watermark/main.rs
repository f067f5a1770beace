//! The signing decision as a table and as properties, and the text form of the record. What processes, stores and crashes do
//! around it is in `model/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../model/admitted.rs"]
mod admitted;
#[path = "../model/requests.rs"]
#[allow(dead_code, reason = "the model uses the rest")]
mod requests;
#[path = "../model/secret.rs"]
#[allow(dead_code, reason = "the model uses the rest")]
mod secret;

mod decision;
mod file;
mod properties;
mod real_signatures;
mod text;

use crate::admitted::admitted;
use crate::requests::Request;
use tezos_signer_core::admit::Admitted;
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::key::{Curve, PublicKeyHash, Signature};
use tezos_signer_core::policy::Permitted;
use tezos_signer_core::position::{ConsensusKind, Level, Position};
use tezos_signer_core::record::Record;

pub(crate) const DIGEST_A: &str = "aa00000000000000000000000000000000000000000000000000000000000000";
pub(crate) const DIGEST_B: &str = "bb00000000000000000000000000000000000000000000000000000000000000";

/// The payload of `kind` at a position, of a tz3 key; `variant` tells two of one position apart.
pub(crate) fn at(kind: ConsensusKind, level: u32, round: u32, variant: char) -> Admitted {
    at_of(Curve::P256, kind, level, round, variant)
}

/// The same of a key of `scheme`.
pub(crate) fn at_of(scheme: Curve, kind: ConsensusKind, level: u32, round: u32, variant: char) -> Admitted {
    admitted(key(scheme), &Request::of(kind, level, round, variant).payload(scheme))
}

pub(crate) fn key(scheme: Curve) -> PublicKeyHash {
    PublicKeyHash::from_bytes(scheme, [7; 20])
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

/// One of each form that a row may have: records that came from another signer have `sig…` too.
pub(crate) fn signatures(byte: u8) -> [Signature; 5] {
    let raw = [byte; 64];
    [
        Signature::Ed25519(raw),
        Signature::Secp256k1(raw),
        Signature::P256(raw),
        Signature::Bls12381([byte; 96]),
        Signature::Generic(raw),
    ]
}

/// A record with these rows over three floors at level 100.
pub(crate) fn record(rows: &[(&str, &str)]) -> Record {
    let mut data = Record::starting_above(Level::try_from(100).unwrap()).to_data();
    data.extend(rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Record::from_data(&data).unwrap()
}
