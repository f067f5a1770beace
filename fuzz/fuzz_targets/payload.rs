//! The decoder: it never panics; what it accepts strictly it accepts liberally too, as the same; and what an operation says
//! of itself can be written down.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tezos_signer_core::key::Curve;
use tezos_signer_core::payload::{Payload, UnknownSuffix, decode};

fuzz_target!(|bytes: &[u8]| {
    for scheme in Curve::ALL {
        of_scheme(bytes, scheme);
    }
});

fn of_scheme(bytes: &[u8], scheme: Curve) {
    let strict = decode(bytes, scheme, UnknownSuffix::Refuse);
    let liberal = decode(bytes, scheme, UnknownSuffix::OctezCompatible);
    if let Ok(payload) = &strict {
        assert_eq!(liberal.as_ref(), Ok(payload));
    }
    match liberal {
        Ok(Payload::Consensus(consensus)) => {
            // Octez reads a vote's level and round at these offsets, by the scheme of the key, whatever else there is.
            if matches!(bytes[0], 0x12 | 0x13) {
                let level = if scheme == Curve::Bls12381 { 38 } else { 40 };
                let read = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
                assert_eq!((consensus.position.level.get(), consensus.position.round.get()), (read(level), read(level + 4)));
            }
        }
        Ok(Payload::Operation(operation)) => {
            assert!(!operation.contents().is_empty());
            serde_json::to_string(operation.contents()).unwrap();
        }
        Ok(Payload::Other { .. }) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
