//! The body of a signing request: it never panics, and what it is read as is what its hex says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tezos_signer_core::payload::from_body;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(payload) = from_body(bytes) {
        let text: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(from_body(format!("\"{text}\"").as_bytes()), Ok(payload));
    }
});
