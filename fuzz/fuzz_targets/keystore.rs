//! The texts by which a configuration names keys of its keystores: sealed keys, keys, regions and endpoints of AWS KMS, and numbers of
//! mechanisms. No text panics, each value has one text, and no error repeats a secret key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use std::fmt::Display;
use std::str::FromStr;
use tezos_signer_core::aws::{AwsRegion, KmsEndpoint, KmsKey};
use tezos_signer_core::config::MechanismNumber;
use tezos_signer_core::sealed::{SealedKey, SealedKeyError};

/// What `text` is, if it is read. It is written as `written`.
fn read<T: FromStr<Err: Display> + Display>(text: &str, written: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string(), written),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn sealed(text: &str) {
    read::<SealedKey>(text, text);
    if let Err(error @ SealedKeyError::Secret) = text.parse::<SealedKey>() {
        assert!(!error.to_string().contains(text));
    }
}

fuzz_target!(|text: &str| {
    sealed(text);
    // And with the check that belongs to it, which random bytes do not find.
    let check: String = Sha256::digest(text)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    sealed(&format!("{text}.{check}"));
    read::<AwsRegion>(text, text);
    read::<KmsKey>(text, text);
    read::<KmsEndpoint>(text, text.strip_suffix('/').unwrap_or(text));
    if let Ok(number) = text.parse::<MechanismNumber>() {
        assert_eq!(number.to_string().parse(), Ok(number));
    }
});
