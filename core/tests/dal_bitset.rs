//! The DAL bitset of an attestation: a number of Octez' data encoding that may not be negative.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use tezos_signer_core::key::Curve;
use tezos_signer_core::payload::{DecodeError, Payload, UnknownSuffix, decode};

/// An attestation with DAL (tag 23) and this bitset.
fn attestation(bitset: &[u8]) -> Vec<u8> {
    let level_and_round = [&100_i32.to_be_bytes()[..], &0_i32.to_be_bytes()].concat();
    let head = [&[0x13][..], &[0x7a, 0x06, 0xa7, 0x70], &[7; 32], &[23], &[0, 1], &level_and_round, &[9; 32]].concat();
    [&head[..], bitset].concat()
}

#[test]
fn a_negative_bitset_is_refused_whatever_is_done_with_unknown_bytes() {
    for suffix in [UnknownSuffix::Refuse, UnknownSuffix::OctezCompatible] {
        for good in [&[0x00][..], &[0x01], &[0x3f], &[0x80, 0x01], &[0xbf, 0xff, 0x7f], &[0x80, 0x40]] {
            assert!(decode(&attestation(good), Curve::P256, suffix).is_ok(), "{}", hex::encode(good));
        }
        // Also minus zero, and where more bytes follow.
        for negative in [&[0x40][..], &[0x41], &[0x7f], &[0xc0, 0x01], &[0xff, 0x01], &[0xff, 0xff, 0x7f]] {
            let error = decode(&attestation(negative), Curve::P256, suffix).unwrap_err();
            let is_field = matches!(error, DecodeError::Field { field: "the DAL attestation", .. });
            assert!(is_field && error.to_string().contains("negative"), "{}: {error}", hex::encode(negative));
        }
    }
}

/// `/status` tells attestations with DAL from others.
#[test]
fn an_attestation_with_any_bitset_is_one_with_dal_and_others_are_not() {
    let with_dal = |bytes: &[u8], scheme| {
        let Payload::Consensus(consensus) = decode(bytes, scheme, UnknownSuffix::Refuse).unwrap() else { panic!() };
        consensus.with_dal
    };
    assert!(with_dal(&attestation(&[0x00]), Curve::P256) && with_dal(&attestation(&[0x01]), Curve::Ed25519));
    let mut plain = attestation(&[]);
    plain[37] = 21;
    assert!(!with_dal(&plain, Curve::P256));
    plain[37] = 41;
    plain.drain(38..40);
    assert!(!with_dal(&plain, Curve::Bls12381), "all tz4 keys sign the same bytes");
}
