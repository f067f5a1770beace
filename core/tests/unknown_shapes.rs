//! Blocks and votes that a newer protocol may make: refused by name, or signed where octez-signer would sign them. And what
//! is refused even so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use tezos_signer_core::key::Curve;
use tezos_signer_core::payload::{Consensus, DecodeError, MAX_PAYLOAD, Payload, Shape, UnknownSuffix, decode};

/// All blocks and votes of the recorded requests, with what they are.
fn recorded() -> Vec<(Vec<u8>, Consensus)> {
    let all: Vec<Value> = serde_json::from_str(include_str!("vectors/tezos_signing_requests.json")).unwrap();
    let all: Vec<_> = all
        .iter()
        .map(|vector| hex::decode(vector["payload"].as_str().unwrap()).unwrap())
        .filter_map(|payload| match decode(&payload, Curve::P256, UnknownSuffix::Refuse) {
            Ok(Payload::Consensus(consensus)) => Some((payload, consensus)),
            _ => None,
        })
        .collect();
    assert_eq!(all.len(), 43);
    all
}

fn votes() -> impl Iterator<Item = (Vec<u8>, Consensus)> {
    recorded().into_iter().filter(|(payload, _)| payload[0] != 0x11)
}

fn compatible(payload: &[u8]) -> Result<Payload, DecodeError> {
    decode(payload, Curve::P256, UnknownSuffix::OctezCompatible)
}

/// The same answer but for `shape`, by both settings.
fn assert_unknown(payload: &[u8], known: Consensus, shape: Shape) {
    let with_dal = known.with_dal && !matches!(shape, Shape::UnknownTag(_));
    let unknown = Consensus { shape, with_dal, ..known };
    assert_eq!(decode(payload, Curve::P256, UnknownSuffix::Refuse), Err(DecodeError::UnknownShape(unknown)));
    assert_eq!(compatible(payload), Ok(Payload::Consensus(unknown)));
}

#[test]
fn what_is_known_is_the_same_with_either_setting() {
    for (payload, consensus) in recorded() {
        assert_eq!(consensus.shape, Shape::Known);
        assert_eq!(compatible(&payload), Ok(Payload::Consensus(consensus)));
    }
}

#[test]
fn bytes_behind_a_known_layout_are_an_unknown_shape() {
    for (payload, consensus) in recorded() {
        for suffix in [&[0x00][..], &[0xff; 2], &[0x2a; 1000]] {
            let longer = [&payload[..], suffix].concat();
            assert_unknown(&longer, consensus, Shape::UnknownSuffix(suffix.len()));
        }
    }
}

#[test]
fn a_tag_that_no_protocol_has_is_an_unknown_shape() {
    let known = [
        1..=9,
        17..=17,
        20..=21,
        23..=24,
        30..=31,
        40..=41,
        107..=115,
        150..=158,
        200..=207,
        230..=230,
        250..=252,
        255..=255,
    ];
    for (payload, consensus) in votes() {
        let unknown = (0..=u8::MAX).filter(|tag| !known.iter().any(|range| range.contains(tag)));
        for tag in unknown {
            let mut other = payload.clone();
            other[37] = tag;
            assert_unknown(&other, consensus, Shape::UnknownTag(tag));
            // Level and round are all that is asked for.
            assert_unknown(&other[..48], consensus, Shape::UnknownTag(tag));
            assert!(matches!(compatible(&other[..47]), Err(DecodeError::Truncated("the round"))));
        }
    }
}

#[test]
fn the_tag_of_something_else_is_refused_even_so() {
    let others = [1..=9, 17..=17, 24..=24, 30..=31, 107..=115, 150..=158, 200..=207, 230..=230, 250..=252, 255..=255];
    for (payload, _) in votes() {
        let wrong: &[u8] = if payload[0] == 0x12 { &[21, 23] } else { &[20] };
        for tag in others.iter().cloned().flatten().chain(wrong.iter().copied()) {
            let mut other = payload.clone();
            other[37] = tag;
            let decoded = compatible(&other);
            let refused = matches!(decoded, Err(DecodeError::Field { field: "the operation tag", got, .. }) if got == i64::from(tag));
            assert!(refused, "tag {tag}: {decoded:?}");
        }
        for tag in [40, 41] {
            let mut other = payload.clone();
            other[37] = tag;
            assert_eq!(compatible(&other), Err(DecodeError::Tz4Layout(tag)));
        }
    }
}

#[test]
fn a_truncated_layout_and_a_negative_position_are_refused_even_so() {
    for (payload, _) in recorded() {
        for length in 1..payload.len() {
            let cut = compatible(&payload[..length]);
            assert!(matches!(cut, Err(DecodeError::Truncated(_))), "cut to {length} bytes: {cut:?}");
        }
    }
    for (mut payload, _) in votes() {
        for tag in [payload[37], 99] {
            payload[37] = tag;
            for (offset, field) in [(40, "the level"), (44, "the round")] {
                let mut negative = payload.clone();
                negative[offset] |= 0x80;
                let decoded = compatible(&negative);
                assert!(
                    matches!(decoded, Err(DecodeError::Field { field: found, .. }) if found == field),
                    "{decoded:?}"
                );
            }
        }
    }
}

#[test]
fn the_setting_has_the_names_of_the_configuration() {
    let parse = |text: &str| serde_json::from_str::<UnknownSuffix>(text).unwrap();
    assert_eq!(parse("\"refuse\""), UnknownSuffix::Refuse);
    assert_eq!(parse("\"octezCompatible\""), UnknownSuffix::OctezCompatible);
    assert_eq!(UnknownSuffix::default(), UnknownSuffix::Refuse);
}

#[test]
fn the_message_says_what_is_unknown_and_what_to_do() {
    let (mut payload, consensus) = votes().next().unwrap();
    let message = |payload: &[u8]| decode(payload, Curve::P256, UnknownSuffix::Refuse).unwrap_err().to_string();
    payload.push(7);
    let text = message(&payload);
    assert!(text.contains(&format!("the {} at {}", consensus.kind, consensus.position)), "{text}");
    assert!(text.contains("1 byte after the known layout"), "{text}");
    assert!(text.contains("unknownConsensusSuffix: octezCompatible"), "{text}");
    payload.push(7);
    assert!(message(&payload).contains("2 bytes after the known layout"));
    payload[37] = 99;
    assert!(message(&payload).contains("the unknown operation tag 99"));
    assert_eq!(Shape::Known.to_string(), "a known layout");
}

#[test]
fn no_payload_is_longer_than_octez_allows() {
    for magic in [0x03, 0x05, 0x11, 0x13] {
        let longest = vec![magic; MAX_PAYLOAD];
        assert!(!matches!(compatible(&longest), Err(DecodeError::TooLong(_))));
        let too_long = vec![magic; MAX_PAYLOAD + 1];
        assert_eq!(compatible(&too_long), Err(DecodeError::TooLong(32769)));
    }
}
