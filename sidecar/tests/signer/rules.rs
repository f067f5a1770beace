//! Rules that each stand in one line of the product, tried on the process: what a client's authentication covers, which chain a key signs
//! for, and that a client that goes away stops nothing.

use crate::authentication;
use crate::crash::Strace;
use crate::faulty_module::FaultyModule;
use crate::payload::{attestation, attestation_with_dal, block, preattestation};
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Rule};
use serde_json::json;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{ChainId, Curve};

const NEXT: u32 = FLOOR + 1;

/// What a client signs, laid out by Octez' `signer_messages.ml` and not by the signer's own function: `0x04 0x01`, the scheme and hash of
/// the key, the payload.
fn signed_by_client(key: &KeyConfig, payload: &[u8]) -> Vec<u8> {
    let scheme = match key.hash().curve() {
        Curve::Ed25519 => 0,
        Curve::Secp256k1 => 1,
        Curve::P256 => 2,
        Curve::Bls12381 => 3,
    };
    [&[0x04, 0x01, scheme][..], key.hash().as_bytes(), payload].concat()
}

/// Two keys of one scheme: nothing but the hash tells the one's message from the other's.
#[test]
fn an_authentication_for_one_key_signs_with_no_other_key_of_the_same_scheme() {
    let env = TestEnv::with_keys(&[("one", "p256"), ("two", "p256")]);
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    let keys = env.config().keys;
    assert_eq!(keys[0].hash().curve(), keys[1].hash().curve());
    let clients = authentication::clients();
    env.set_config(json!({"authorizedKeys": clients.iter().map(|client| client.key.to_string()).collect::<Vec<_>>()}));
    let signer = Signer::start(&env);
    for (level, client) in (NEXT..).zip(&clients) {
        let vote = attestation(level, 0, 1);
        for (key, other) in [(&keys[0], &keys[1]), (&keys[1], &keys[0])] {
            let ask = |message: &[u8]| {
                let path = format!("/keys/{}?version=3&authentication={}", key.hash(), (client.sign)(message));
                signer.post(&path, format!("\"{}\"", hex::encode(&vote)))
            };
            ask(&signed_by_client(other, &vote)).refused(401);
            // Nor one that is for no key, or for the scheme alone.
            ask(&[&[0x04, 0x01], &vote[..]].concat()).refused(401);
            ask(&[&[0x04, 0x01, 2], &vote[..]].concat()).refused(401);
            ask(&signed_by_client(key, &vote)).signature(key, &vote);
        }
    }
}

type Payload = fn(u32, u32, u8) -> Vec<u8>;

#[test]
fn a_block_or_vote_of_another_chain_is_refused_whatever_it_is_and_moves_no_row() {
    let payloads: [(&str, Payload); 4] = [
        ("block", block),
        ("preattestation", preattestation),
        ("attestation", attestation),
        ("attestation", attestation_with_dal),
    ];
    // Bytes 1 to 4 of each payload are the chain; the last differs from the key's in one bit.
    let mut near = *ChainId::MAINNET.as_bytes();
    near[3] ^= 1;
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    for chain in [near, [0; 4], [0xff; 4]] {
        for (row, payload) in payloads {
            let mut payload = payload(NEXT, 0, 1);
            assert_eq!(payload[1..5], *ChainId::MAINNET.as_bytes());
            payload[1..5].copy_from_slice(&chain);
            let message = signer.sign(&key, &payload).refused(403);
            let names = format!("is for chain {}, this key signs for {}", ChainId::from_bytes(chain), ChainId::MAINNET);
            assert!(message.contains(&names), "{message}");
            assert_eq!(env.row(&key, row), format!("{FLOOR} 2147483647 - -"));
        }
    }
    for (level, (_, payload)) in (NEXT..).zip(payloads) {
        signer.signature(&key, &payload(level, 0, 1));
    }
}

#[test]
fn a_key_of_another_chain_signs_nothing_of_mainnet_and_has_a_record_of_its_own() {
    let env = TestEnv::without_records();
    let of_mainnet = env.tz3();
    let chain = ChainId::from_bytes([1, 2, 3, 4]);
    env.edit_config("\"chain\": \"NetXdQprcVkpaWU\"", &format!("\"chain\": \"{chain}\""));
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    let key = env.tz3();
    assert_ne!(key.record_name(), of_mainnet.record_name());
    let signer = Signer::start(&env);
    signer.sign(&key, &attestation(NEXT, 0, 1)).refused(403);
    signer.signature(&key, &crate::payload::attestation_of_chain([1, 2, 3, 4], NEXT));
}

/// INVARIANT S7: The client's connection ends while the HSM signs: what was begun is finished, and the same answer waits for whoever asks
/// again.
#[test]
fn a_client_that_closes_its_connection_stops_nothing_half_way() {
    let env = TestEnv::new();
    let log = env.path.join("audit.log");
    env.set_config(json!({"audit": {"file": log}, "requestDeadlineMilliseconds": 20_000}));
    let module = FaultyModule::install(&env);
    let signer = module.start(&env);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    let (key, vote) = (env.tz3(), attestation(NEXT, 0, 1));
    module.set(&Control { serial: 1, rules: vec![Rule::slow("C_Sign", 1000)], ..Control::default() });
    let mut client = TcpStream::connect(signer.signing_address()).unwrap();
    let hex = hex::encode(&vote);
    let head = format!("POST /keys/{} HTTP/1.1\r\nhost: x\r\ncontent-length: {}", key.hash(), hex.len() + 2);
    client.write_all(format!("{head}\r\n\r\n\"{hex}\"").as_bytes()).unwrap();
    // Announced while the HSM signs.
    let announced = || std::fs::read_to_string(&log).unwrap().contains(&format!("\"level\":{NEXT}")).then_some(());
    wait_for("the intent", announced);
    drop(client);
    let row =
        wait_for("the commit", || Some(env.row(&key, "attestation")).filter(|row| row.starts_with(&NEXT.to_string())));
    assert!(row.ends_with(&signer.signature(&key, &vote)), "{row}");
}

/// INVARIANT R9: A write of an earlier process may have reached the page cache only: each record, and the directory that names them.
#[test]
fn opening_brings_each_record_and_the_directory_to_disk() {
    let env = TestEnv::new();
    let records = std::fs::read_dir(env.records()).unwrap().flatten();
    let records = records.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count();
    for nth in 1..=records + 1 {
        // It would serve for ever if it did not notice.
        let started = Command::new("timeout")
            .args(["20", "strace", "-f", "-e", "trace=fsync", "-e", &format!("inject=fsync:error=EIO:when={nth}")])
            .arg(env!("CARGO_BIN_EXE_tezos-signer"))
            .args(["serve", "--config"])
            .arg(env.config_file())
            .env("SOFTHSM2_CONF", env.softhsm_conf())
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&started.stderr);
        assert_eq!(started.status.code(), Some(74), "fsync {nth}: {output}");
    }
}

/// INVARIANT R9: Whoever has written what it reads may have died before it was on disk.
#[test]
fn a_record_that_is_read_again_is_brought_to_disk_first() {
    let env = TestEnv::new();
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    let mut signer = Signer::start(&env);
    env.set_row(&key, "suspend", "true");
    let strace = Strace::attach(&signer, "fsync", "error=EIO:when=1");
    assert!(signer.try_sign(&key, &vote).is_none(), "decided on what may not be on disk");
    assert_eq!(signer.ended().code(), Some(74), "{}", signer.log());
    drop(strace);
}

/// INVARIANT R9: What a failed fsync has left is shown like what is on disk, and a later fsync says that all is well. Only data that is written
/// again is brought to disk, or fails.
#[test]
fn slots_that_another_process_has_written_are_written_again_before_anything_is_decided_on_them() {
    let env = TestEnv::new();
    let (key, low) = (env.tz3(), attestation(FLOOR + 3, 0, 1));
    let signer = Signer::start(&env);
    env.run(&["watermarks", "raise", "--level", &(FLOOR + 5).to_string()]).succeeded();
    let strace = Strace::attach(&signer, "pwrite64", "error=EIO");
    let output = signer.sign(&key, &low).refused(502);
    assert!(output.contains("cannot be written: Input/output error"), "{output}");
    drop(strace);
    signer.sign(&key, &low).refused(409);
    signer.signature(&key, &attestation(FLOOR + 6, 0, 1));
}
