//! tz1 keys in a token that makes Ed25519 signatures: generated, listed, checked and signed with, by the mechanism of the standard and by a
//! vendor's.

use crate::faulty_module::FaultyModule;
use crate::payload::{attestation, block, preattestation};
use crate::process::Signer;
use crate::process::wait_for;
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Habits};
use serde_json::Value;

/// What CloudHSM's own mechanism is expected to be.
const VENDOR: u64 = 0x8000_1057;

fn env() -> TestEnv {
    let env = TestEnv::with_keys(&[("tz1", "ed25519"), ("tz3", "p256")]);
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    env
}

fn numbered(number: u64) -> Control {
    Control { habits: Habits { eddsa: Some(number), ..Habits::default() }, ..Control::default() }
}

/// A block and both votes of the tz1 key, each the same when it is asked for again, and no other at its place.
fn signs(signer: &Signer, env: &TestEnv, level: u32) {
    let key = &env.config().keys[0];
    assert!(key.hash().to_string().starts_with("tz1") && key.public_key.to_string().starts_with("edpk"));
    for payload in [block, preattestation, attestation] {
        let signature = signer.signature(key, &payload(level, 0, 1));
        assert!(signature.starts_with("edsig"), "{signature}");
        assert_eq!(signer.signature(key, &payload(level, 0, 1)), signature);
        signer.sign(key, &payload(level, 0, 2)).refused(409);
        signer.sign(key, &payload(level - 1, 0, 1)).refused(409);
    }
}

#[test]
fn a_tz1_key_is_generated_listed_checked_and_signed_with() {
    let env = env();
    let keys: Vec<Value> = serde_json::from_str(&env.run(&["keys", "list", "--output", "json"]).succeeded()).unwrap();
    let listed = keys.iter().find(|key| key["label"] == "tz1").unwrap();
    assert_eq!(
        (&listed["curve"], &listed["publicKey"]),
        (&"ed25519".into(), &env.config().keys[0].public_key.to_string().into())
    );
    let made = env.run(&["keys", "generate", "--label", "another", "--curve", "ed25519"]).succeeded();
    assert!(
        made.contains("ed25519") && made.contains("  - publicKey: edpk") && made.contains("label: \"another\""),
        "{made}"
    );
    let table = env.run(&["check"]).succeeded();
    assert!(table.contains("ed25519") && table.matches(" ms ").count() == 2, "{table}");
    let record = env.record_file(&env.config().keys[0]);
    assert!(record.file_name().unwrap().to_str().unwrap().starts_with("watermark-tz1-"), "{}", record.display());
    signs(&Signer::start(&env), &env, FLOOR + 1);
    // Another process repeats, and refuses, from the record.
    let signer = Signer::start(&env);
    signer.sign(&env.config().keys[0], &attestation(FLOOR + 1, 0, 2)).refused(409);
    signs(&signer, &env, FLOOR + 2);
}

#[test]
fn the_mechanism_is_found_in_the_tokens_list_or_named_in_the_configuration() {
    let env = env();
    let module = FaultyModule::install(&env);
    module.set(&numbered(VENDOR));
    module.run(&env, &["check"]).succeeded();
    signs(&module.start(&env), &env, FLOOR + 1);

    // A number that nobody expects: it has to be named.
    let other = 0x8765_4321;
    module.set(&numbered(other));
    let output = module.run(&env, &["check"]).failed();
    assert!(
        output.contains("the token lists no mechanism for Ed25519") && output.contains("hsm.eddsaMechanism"),
        "{output}"
    );
    let signer = module.start(&env);
    wait_for("the reason", || {
        signer.status().keys[0].hsm.clone().filter(|reason| reason.contains("hsm.eddsaMechanism"))
    });
    signer.signature(&env.config().keys[1], &attestation(FLOOR + 1, 0, 1));
    signer.sign(&env.config().keys[0], &attestation(FLOOR + 2, 0, 1)).refused(502);
    drop(signer);
    for named in ["0x87654321".into(), Value::from(other)] {
        env.set_hsm("eddsaMechanism", named);
        module.run(&env, &["check"]).succeeded();
    }
    signs(&module.start(&env), &env, FLOOR + 2);

    // The standard's, where the token does not list it.
    module.set(&Control { habits: Habits { hides_eddsa: true, ..Habits::default() }, ..Control::default() });
    env.set_hsm("eddsaMechanism", "0x1057");
    module.run(&env, &["check"]).succeeded();

    env.set_hsm("eddsaMechanism", "0x1041");
    let output = module.run(&env, &["check"]).failed();
    assert!(output.contains("hsm.eddsaMechanism is 0x00001041"), "{output}");
    for wrong in ["0x", "CKM_EDDSA", "-1", "0x1ffffffff", ""] {
        env.set_hsm("eddsaMechanism", wrong);
        let output = env.run(&["check"]).failed();
        assert!(output.contains("is not the number of a PKCS#11 mechanism"), "{wrong}: {output}");
    }
    assert_eq!(module.state().violations, Vec::<String>::new());
}
