//! Random payloads. Arbitrary bytes are decoded or refused, never more; a well-formed operation, written by the encoder in
//! this file, is decoded as what was written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use serde_json::{Value, json};
use tezos_signer_core::key::{Curve, PublicKeyHash};
use tezos_signer_core::payload::operation::{Address, ContractHash};
use tezos_signer_core::payload::{Payload, Shape, UnknownSuffix, decode};

/// Bytes, and the JSON that they must be decoded as.
type Encoded = (Vec<u8>, Value);

/// 7 bits in each byte, the lowest first: Octez' `N`.
fn natural(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

fn dynamic(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn hash(curve: usize, bytes: [u8; 20]) -> (Vec<u8>, String) {
    let curves = [Curve::Ed25519, Curve::Secp256k1, Curve::P256, Curve::Bls12381];
    let text = PublicKeyHash::from_bytes(curves[curve], bytes).to_string();
    ([&[u8::try_from(curve).unwrap()][..], &bytes].concat(), text)
}

prop_compose! {
    fn account()(curve in 0_usize..4, bytes: [u8; 20]) -> (Vec<u8>, String) {
        hash(curve, bytes)
    }
}

fn destination() -> impl Strategy<Value = (Vec<u8>, String)> {
    prop_oneof![
        account().prop_map(|(bytes, text)| ([&[0][..], &bytes].concat(), text)),
        any::<[u8; 20]>().prop_map(|bytes| {
            let text = Address::Originated(ContractHash::from_bytes(bytes)).to_string();
            ([&[1][..], &bytes, &[0]].concat(), text)
        }),
    ]
}

/// The numbers of which some are at the border of a byte or of the range.
fn number(max: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(127),
        Just(128),
        Just(max),
        (0_u32..64).prop_map(move |bits| (1 << bits).min(max)),
        0..=max
    ]
}

fn body() -> impl Strategy<Value = (u8, Vec<u8>, Value)> {
    const ENTRYPOINTS: [&str; 4] = ["root", "do", "set_delegate", "remove_delegate"];
    let max = u64::try_from(i64::MAX).unwrap();
    let bytes = || proptest::collection::vec(any::<u8>(), 1..60);
    prop_oneof![
        (number(max), destination()).prop_map(|(amount, (to, text))| {
            let json = json!({"kind": "transaction", "amount": amount.to_string(), "destination": text, "entrypoint": "default"});
            (108, [natural(amount), to, vec![0]].concat(), json)
        }),
        (number(max), destination(), 0_usize..4, bytes()).prop_map(|(amount, (to, text), entrypoint, value)| {
            let json = json!({"kind": "transaction", "amount": amount.to_string(), "destination": text,
                "entrypoint": ENTRYPOINTS[entrypoint], "value": hex::encode(&value)});
            let tag = u8::try_from(entrypoint).unwrap() + 1;
            (108, [natural(amount), to, vec![0xff, tag], dynamic(&value)].concat(), json)
        }),
        (destination(), "x[a-z0-9_]{0,30}", bytes()).prop_map(|((to, text), entrypoint, value)| {
            let json = json!({"kind": "transaction", "amount": "0", "destination": text, "entrypoint": entrypoint, "value": hex::encode(&value)});
            let name = [&[u8::try_from(entrypoint.len()).unwrap()][..], entrypoint.as_bytes()].concat();
            (108, [vec![0], to, vec![0xff, 255], name, dynamic(&value)].concat(), json)
        }),
        account().prop_map(|(to, text)| (110, [vec![0xff], to].concat(), json!({"kind": "delegation", "delegate": text}))),
        Just((110, vec![0], json!({"kind": "delegation", "delegate": null}))),
        number(max).prop_map(|limit| {
            (112, [vec![0xff], natural(limit)].concat(), json!({"kind": "set_deposits_limit", "limit": limit.to_string()}))
        }),
        bytes().prop_map(|value| {
            (111, dynamic(&value), json!({"kind": "register_global_constant", "value": hex::encode(&value)}))
        }),
        (number(max), proptest::option::of(account()), bytes(), bytes()).prop_map(|(balance, delegate, code, storage)| {
            let mut json = json!({"kind": "origination", "balance": balance.to_string(),
                "code": hex::encode(&code), "storage": hex::encode(&storage)});
            let mut option = vec![0];
            if let Some((bytes, text)) = delegate {
                json["delegate"] = text.into();
                option = [vec![0xff], bytes].concat();
            }
            (109, [natural(balance), option, dynamic(&code), dynamic(&storage)].concat(), json)
        }),
        any::<[u8; 48]>().prop_flat_map(|key| (Just(key), 0_u8..3)).prop_map(|(key, proof)| {
            let key_text = tezos_signer_core::key::PublicKey::from_bytes(Curve::Bls12381, &key).unwrap().to_string();
            let mut json = json!({"kind": "reveal", "public_key": key_text});
            let proof = match proof {
                0 => vec![],
                1 => vec![0],
                _ => {
                    json["proof"] = tezos_signer_core::key::Signature::Bls12381([0xb5; 96]).to_string().into();
                    [&[0xff, 0, 0, 0, 96][..], &[0xb5; 96]].concat()
                }
            };
            (107, [vec![3], key.to_vec(), proof].concat(), json)
        }),
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..5).prop_map(|messages| {
            let inner: Vec<u8> = messages.iter().flat_map(|message| dynamic(message)).collect();
            let texts: Vec<_> = messages.iter().map(hex::encode).collect();
            (201, dynamic(&inner), json!({"kind": "smart_rollup_add_messages", "message": texts}))
        }),
    ]
}

prop_compose! {
    fn manager()(
        (source, text) in account(), fee in number(u64::MAX >> 1), counter in number(u64::MAX), gas in number(u64::MAX),
        storage in number(u64::MAX), (tag, body, json) in body(),
    ) -> Encoded {
        let mut json = json;
        json["source"] = text.into();
        for (field, value) in [("fee", fee), ("counter", counter), ("gas_limit", gas), ("storage_limit", storage)] {
            json[field] = value.to_string().into();
        }
        let bytes = [vec![tag], source, natural(fee), natural(counter), natural(gas), natural(storage), body].concat();
        (bytes, json)
    }
}

fn batch(branch: [u8; 32], contents: &[Encoded]) -> Vec<u8> {
    let contents = contents.iter().flat_map(|(bytes, _)| bytes.clone());
    [0x03].into_iter().chain(branch).chain(contents).collect()
}

fn scheme() -> impl Strategy<Value = Curve> {
    prop::sample::select(Curve::ALL.to_vec())
}

fn setting() -> impl Strategy<Value = UnknownSuffix> {
    prop_oneof![Just(UnknownSuffix::Refuse), Just(UnknownSuffix::OctezCompatible)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_batch_is_decoded_as_what_was_written(branch: [u8; 32], contents in proptest::collection::vec(manager(), 1..6)) {
        let bytes = batch(branch, &contents);
        let Ok(Payload::Operation(operation)) = decode(&bytes, Curve::P256, UnknownSuffix::Refuse) else {
            panic!("{:?}", decode(&bytes, Curve::P256, UnknownSuffix::Refuse))
        };
        prop_assert_eq!(operation.branch().as_bytes(), &branch);
        let found: Vec<Value> = operation.contents().iter().map(|content| serde_json::to_value(content).unwrap()).collect();
        let written: Vec<Value> = contents.into_iter().map(|(_, json)| json).collect();
        prop_assert_eq!(found, written);
    }

    /// One changed byte is noticed, or refused: no two payloads are the same operation.
    #[test]
    fn no_other_payload_is_the_same_operation(
        branch: [u8; 32], contents in proptest::collection::vec(manager(), 1..4), at: prop::sample::Index, xor in 1_u8..,
    ) {
        let bytes = batch(branch, &contents);
        let mut other = bytes.clone();
        other[at.index(bytes.len())] ^= xor;
        if let Ok(decoded) = decode(&other, Curve::P256, UnknownSuffix::Refuse) {
            prop_assert_ne!(decoded, decode(&bytes, Curve::P256, UnknownSuffix::Refuse).unwrap());
        }
    }

    #[test]
    fn arbitrary_bytes_are_decoded_or_refused(
        magic in prop_oneof![Just(0x03_u8), 0x11_u8..0x14, any::<u8>()],
        bytes in proptest::collection::vec(any::<u8>(), 0..400), unknown in setting(), scheme in scheme(),
    ) {
        let _ = decode(&[&[magic][..], &bytes].concat(), scheme, unknown);
    }

    #[test]
    fn arbitrary_contents_are_decoded_or_refused(tag: u8, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&[&[0x03; 33][..], &[tag, 2], &bytes].concat(), Curve::P256, UnknownSuffix::Refuse);
    }

    /// The strict setting accepts nothing that the other does not, and the same otherwise.
    #[test]
    fn the_strict_setting_accepts_a_part_of_what_the_other_does(
        magic in 0x11_u8..0x14, mut bytes in proptest::collection::vec(any::<u8>(), 47..120), tag in prop_oneof![20_u8..24, 40_u8..42, any::<u8>()],
        scheme in scheme(),
    ) {
        bytes[36] = tag;
        let bytes = [&[magic][..], &bytes].concat();
        match (decode(&bytes, scheme, UnknownSuffix::Refuse), decode(&bytes, scheme, UnknownSuffix::OctezCompatible)) {
            (Err(_), Ok(Payload::Consensus(found))) => prop_assert_ne!(found.shape, Shape::Known),
            (strict, compatible) => prop_assert_eq!(strict, compatible),
        }
    }
}
