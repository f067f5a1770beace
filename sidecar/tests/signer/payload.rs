//! Signing requests of any kind, level and round, laid out as Octez does. Two that differ in `salt` only are two different
//! payloads for one position: what would be slashed.

use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{ChainId, Curve};

pub(crate) fn preattestation(level: u32, round: u32, salt: u8) -> Vec<u8> {
    vote(ChainId::MAINNET, 0x12, 20, level, round, salt)
}

pub(crate) fn attestation(level: u32, round: u32, salt: u8) -> Vec<u8> {
    vote(ChainId::MAINNET, 0x13, 21, level, round, salt)
}

/// Another operation than [`attestation`], but of the same watermark.
pub(crate) fn attestation_with_dal(level: u32, round: u32, salt: u8) -> Vec<u8> {
    [vote(ChainId::MAINNET, 0x13, 23, level, round, salt), vec![0x05]].concat()
}

pub(crate) fn attestation_of_chain(chain: [u8; 4], level: u32) -> Vec<u8> {
    vote(ChainId::from_bytes(chain), 0x13, 21, level, 0, 0)
}

fn vote(chain: ChainId, magic: u8, tag: u8, level: u32, round: u32, salt: u8) -> Vec<u8> {
    let (branch, slot, payload_hash) = ([0x11; 32], [0, 7], [salt; 32]);
    let (level, round) = (level.to_be_bytes(), round.to_be_bytes());
    [&[magic][..], chain.as_bytes(), &branch, &[tag], &slot, &level, &round, &payload_hash].concat()
}

pub(crate) fn block(level: u32, round: u32, salt: u8) -> Vec<u8> {
    let (level, round) = (level.to_be_bytes(), round.to_be_bytes());
    let length = |bytes: u32| bytes.to_be_bytes();
    let fitness = [
        &length(33)[..],
        &[&length(1)[..], &[2]].concat(),
        &[length(4), level].concat(),
        &length(0),
        &[length(4), (-1_i32).to_be_bytes()].concat(),
        &[length(4), round].concat(),
    ]
    .concat();
    let (protocol, predecessor, timestamp, validation_pass, operations) = ([24], [0x22; 32], [0; 8], [4], [0x33; 32]);
    let shell =
        [&protocol[..], &predecessor, &timestamp, &validation_pass, &operations, &fitness, &[salt; 32]].concat();
    let (payload_hash, payload_round, nonce, no_seed_nonce_hash, votes) = ([0x44; 32], [0; 4], [0; 8], [0], [0]);
    let protocol_data = [&payload_hash[..], &payload_round, &nonce, &no_seed_nonce_hash, &votes].concat();
    [&[0x11][..], ChainId::MAINNET.as_bytes(), &level, &shell, &protocol_data].concat()
}

/// A generic operation: a branch, and contents.
pub(crate) fn operation(contents: &[Vec<u8>]) -> Vec<u8> {
    [&[0x03][..], &[0x55; 32], &contents.concat()].concat()
}

/// Of `key`, to the account whose hash is `destination` twenty times.
pub(crate) fn transaction(key: &KeyConfig, amount: u8, destination: u8) -> Vec<u8> {
    [manager(key, 108), number(amount), vec![0, 0], vec![destination; 20], vec![0]].concat()
}

/// Of `key`, to the baker whose hash is `baker` twenty times.
pub(crate) fn delegation(key: &KeyConfig, baker: u8) -> Vec<u8> {
    [manager(key, 110), vec![0xff, 0], vec![baker; 20]].concat()
}

/// Of `key` to itself, with an entrypoint that has a tag of its own: 6 is stake, 7 is unstake.
pub(crate) fn to_itself(key: &KeyConfig, amount: u8, entrypoint: u8) -> Vec<u8> {
    // The parameter is Unit.
    let parameters = [0xff, entrypoint, 0, 0, 0, 2, 0x03, 0x0b];
    [manager(key, 108), number(amount), vec![0], source(key), parameters.to_vec()].concat()
}

/// Of `key`: 0 is yay, 1 nay, 2 pass.
pub(crate) fn ballot(key: &KeyConfig, vote: u8) -> Vec<u8> {
    [vec![6], source(key), vec![0, 0, 0, 9], vec![0x66; 32], vec![vote]].concat()
}

/// Of `key` as a consensus key.
pub(crate) fn drain_delegate(key: &KeyConfig) -> Vec<u8> {
    [vec![9], source(key), vec![0; 21], vec![0; 21]].concat()
}

/// Tag, source, a fee of 100 mutez, counter and limits.
fn manager(key: &KeyConfig, tag: u8) -> Vec<u8> {
    [vec![tag], source(key), number(100), vec![1, 2, 3]].concat()
}

fn source(key: &KeyConfig) -> Vec<u8> {
    let tag = match key.hash().curve() {
        Curve::Secp256k1 => 1,
        _ => 2,
    };
    [&[tag][..], key.hash().as_bytes()].concat()
}

/// A small number: one byte, below 128.
fn number(value: u8) -> Vec<u8> {
    assert!(value < 128);
    vec![value]
}
