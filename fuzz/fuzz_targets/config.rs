//! The configuration file: no text panics, and what is read can be written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tezos_signer_core::config::SignerConfig;

fuzz_target!(|text: &str| {
    match SignerConfig::from_yaml(text) {
        Ok(config) => {
            let again = config.to_yaml().unwrap();
            assert_eq!(SignerConfig::from_yaml(&again).unwrap(), config);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
