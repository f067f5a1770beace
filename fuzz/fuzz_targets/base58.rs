//! Keys, hashes, chain ids and signatures: no text panics, and each value has one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fmt::Display;
use std::str::FromStr;
use tezos_signer_core::authentication::{AuthorizedKeys, ClientKey, signed_bytes};
use tezos_signer_core::key::{ChainId, PublicKey, PublicKeyHash, Signature, SigningPublicKey};

fn one_text<T: FromStr + Display>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    if text != "mainnet" {
        assert_eq!(value.to_string(), text);
    }
    Some(value)
}

fuzz_target!(|text: &str| {
    one_text::<PublicKeyHash>(text);
    one_text::<ChainId>(text);
    one_text::<Signature>(text);
    one_text::<SigningPublicKey>(text);
    one_text::<PublicKey>(text);
    if let Some(key) = one_text::<ClientKey>(text) {
        let hash = key.hash();
        assert!(!signed_bytes(&hash, &[]).is_empty());
        assert!(text.parse::<Signature>().is_err(), "a key is no signature");
        assert!(AuthorizedKeys::new(vec![key]).authenticate(&hash, &[], None).is_err(), "nobody has signed");
    }
});
