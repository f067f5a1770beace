//! Keys in AWS KMS, at a stand-in: what is signed and how, what is asked for and how often, what is wrong with one key only, and that
//! nothing of the credentials is ever seen.

use crate::certificates::Authority;
use crate::kms_env::{
    NO_AWS, SECRET_ACCESS_KEY, SESSION_TOKEN, env_of, initialise, key, kms_key, start, start_unready, three_keys,
    write_credentials,
};
use crate::kms_stand_in::{Fault, KeyState, KmsStandIn, Spec};
use crate::payload::{attestation, block};
use crate::process::{Signer, wait_for};
use crate::test_env::FLOOR;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::time::{Duration, Instant};
use tezos_signer_core::key::Digest;

#[test]
fn keys_of_three_schemes_sign_the_digest_each_in_its_way_and_nothing_twice() {
    let (kms, env) = three_keys();
    let signer = start(&env);
    kms.take_asked();
    for (key, (algorithm, message_type)) in env.config().keys.iter().zip([
        ("ED25519_SHA_512", "RAW"),
        ("ECDSA_SHA_256", "DIGEST"),
        ("ECDSA_SHA_256", "DIGEST"),
    ]) {
        let (vote, other) = (attestation(FLOOR + 1, 0, 1), attestation(FLOOR + 1, 0, 2));
        let signature = signer.signature(key, &vote);
        let digest = STANDARD.encode(Digest::of(&vote).as_bytes());
        // Not the trial signatures.
        let asked: Vec<_> = kms.take_asked().into_iter().filter(|asked| asked.body["Message"] == digest).collect();
        let Some(sign) = asked.first() else { panic!("KMS was not asked") };
        assert_eq!(sign.operation, "Sign");
        assert_eq!(
            sign.body,
            json!({
                "KeyId": kms_key(key), "Message": digest, "MessageType": message_type,
                "SigningAlgorithm": algorithm,
            })
        );
        assert_eq!(signer.signature(key, &vote), signature, "the stored one");
        signer.sign(key, &other).refused(409);
        let other = STANDARD.encode(Digest::of(&other).as_bytes());
        assert!(kms.take_asked().iter().all(|asked| asked.body["Message"] != other), "what is refused is not signed");
        signer.signature(key, &block(FLOOR + 1, 0, 1));
    }
    let signs = |key| signer.metric(&format!("tezos_signer_kms_key_signs{{key=\"{key}\"}}"));
    assert!(env.config().keys.iter().all(|key| signs(key.hash()) == Some(1)));
    assert!(signer.metric("tezos_signer_kms_requests_total{operation=\"Sign\",result=\"ok\"}").unwrap() >= 9);
    assert!(signer.metric("tezos_signer_kms_request_duration_seconds_count").unwrap() >= 12);
    assert_eq!(signer.metric("tezos_signer_hsm_sessions"), None, "there is no token");
}

#[test]
fn only_configured_keys_are_asked_about_and_at_the_start_once_each() {
    let (kms, env) = three_keys();
    kms.add_key("somebody-elses", Spec::P256);
    let signer = start(&env);
    std::thread::sleep(Duration::from_millis(500));
    let asked = kms.take_asked();
    let of = |operation: &str| asked.iter().filter(|asked| asked.operation == operation).count();
    // On a busy machine a request that is slow gets company.
    assert!((3..6).contains(&of("GetPublicKey")) && (3..6).contains(&of("Sign")), "{asked:?}");
    assert_eq!(of("GetPublicKey") + of("Sign"), asked.len(), "{asked:?}");
    assert!(asked.iter().all(|asked| !asked.body["KeyId"].as_str().unwrap().contains("somebody")));
    assert_eq!(signer.status().hsm.reason, None);
}

/// What is wrong with one key, and what is to be done, as `/status` and `check` say it.
#[test]
fn a_key_that_cannot_be_used_stops_that_key_only_and_says_why() {
    let (kms, env) = three_keys();
    let [other, broken, _] = &env.config().keys[..] else { panic!() };
    let arn = kms_key(broken);
    for (number, (spoil, sentence)) in [
        (Err(KeyState::Disabled), "is disabled: enable it with `aws kms enable-key`"),
        (Err(KeyState::PendingDeletion), "is pending deletion: keep it with `aws kms cancel-key-deletion`"),
        (Err(KeyState::PendingImport), "is in a state in which it cannot be used: KMSInvalidStateException"),
        (
            Ok(Fault::Denied("Sign")),
            "AWS denies kms:Sign on arn:aws:kms:eu-west-1:111122223333:key/secp256k1: allow kms:Sign",
        ),
        (Ok(Fault::NotFound), "there is no KMS key arn:aws:kms:eu-west-1:111122223333:key/secp256k1 in eu-west-1"),
        (
            Ok(Fault::WrongSpec),
            "has the key spec ECC_NIST_P384 and the key usage SIGN_VERIFY, but publicKey is a key of secp256k1",
        ),
        (Ok(Fault::WrongUsage), "the key usage KEY_AGREEMENT"),
        (Ok(Fault::WrongPublicKey), "not the configured publicKey: correct kmsKey or publicKey"),
        (Ok(Fault::BadPublicKey), "cannot be read"),
        (Ok(Fault::WrongSignature), "that the configured public key does not verify"),
        (Ok(Fault::SignatureOfAnotherKey), "that the configured public key does not verify"),
        (Ok(Fault::Unheard), "AWS refuses kms:"),
    ]
    .into_iter()
    .enumerate()
    {
        match &spoil {
            Ok(fault) => kms.set_fault_of(&arn, fault.clone()),
            Err(state) => kms.set_state(&arn, *state),
        }
        let signer = start_unready(&env);
        let reason = wait_for(sentence, || signer.key_status(broken).hsm.filter(|reason| reason.contains(sentence)));
        assert!(reason.contains(&arn), "{reason}");
        let checked: serde_json::Value = serde_json::from_str(&env.run(&["check", "--output", "json"]).stdout).unwrap();
        assert!(checked["keys"][1]["hsm"].as_str().unwrap().contains(sentence), "{checked}");
        assert_eq!(checked["keys"][0]["hsm"], serde_json::Value::Null, "{checked}");
        let level = FLOOR + 1 + u32::try_from(number).unwrap();
        signer.signature(other, &attestation(level, 0, 1));
        // What only a comparison shows does not keep a signature back that verifies.
        let is_seen_at_a_request =
            !matches!(spoil, Ok(Fault::WrongSpec | Fault::WrongUsage | Fault::WrongPublicKey | Fault::BadPublicKey));
        if is_seen_at_a_request {
            assert!(signer.sign(broken, &attestation(level, 0, 1)).refused(502).contains(sentence));
        }
        kms.set_fault(None);
        kms.set_state(&arn, KeyState::Enabled);
        wait_for("the recovery", || signer.key_status(broken).hsm.is_none().then_some(()));
        wait_for("/readyz", || (signer.admin("/readyz").status == 200).then_some(()));
        signer.signature(broken, &attestation(level, 0, 1));
    }
}

/// The public key is compared to explain; a signature that verifies is what counts.
#[test]
fn a_key_whose_public_key_may_not_be_read_signs_and_check_says_which_right_is_missing() {
    let (kms, env) = three_keys();
    kms.set_fault(Some(Fault::Denied("GetPublicKey")));
    let signer = start(&env);
    signer.signature(&env.config().keys[0], &attestation(FLOOR + 1, 0, 1));
    assert!(signer.log().contains("the public key could not be compared"));
    let checked = env.run(&["check"]).failed();
    assert!(checked.contains("AWS denies kms:GetPublicKey on"), "{checked}");
    kms.set_fault(Some(Fault::Denied("Sign")));
    let checked = env.run(&["check"]).failed();
    assert!(checked.contains("AWS denies kms:Sign on") && !checked.contains("denies kms:GetPublicKey"), "{checked}");
}

#[test]
fn many_keys_sign_side_by_side_and_so_do_requests_of_one_key_for_different_things() {
    let kms = KmsStandIn::start();
    let keys: Vec<_> = (0..20)
        .map(|number| {
            let (arn, public_key) = kms.add_key(&format!("key-{number}"), Spec::P256);
            key(&public_key, &arn)
        })
        .collect();
    let env = env_of(&kms.endpoint(), &keys);
    initialise(&env);
    let signer = start(&env);
    kms.set_delay(Duration::from_millis(300));
    kms.take_most_in_flight();
    let (keys, begin) = (env.config().keys, Instant::now());
    std::thread::scope(|scope| {
        for key in &keys {
            scope.spawn(|| signer.signature(key, &attestation(FLOOR + 1, 0, 1)));
        }
    });
    let took = begin.elapsed();
    assert!(kms.take_most_in_flight() >= 15 && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_connection_that_died_in_silence_costs_one_request_some_time_and_no_signature() {
    let (kms, env) = three_keys();
    let signer = start(&env);
    let key = &env.config().keys[2];
    for level in FLOOR + 1..FLOOR + 4 {
        // As a NAT gateway does that has forgotten them.
        kms.freeze();
        let begin = Instant::now();
        signer.signature(key, &attestation(level, 0, 1));
        assert!(begin.elapsed() < Duration::from_millis(1500));
        let begin = Instant::now();
        signer.signature(key, &attestation(level, 1, 1));
        assert!(
            begin.elapsed() < Duration::from_millis(390),
            "the dead connections were given up: {:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn credentials_are_never_seen_and_a_new_file_is_taken_when_the_old_ones_are_refused() {
    let (kms, env) = three_keys();
    let everything = [&NO_AWS[..], &[("RUST_LOG", "trace")]].concat();
    let signer = Signer::start_with(&env, &everything);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    let key = &env.config().keys[0];
    signer.signature(key, &attestation(FLOOR + 1, 0, 1));
    kms.set_fault(Some(Fault::Expired("AKIATEST")));
    let refused = signer.sign(key, &attestation(FLOOR + 2, 0, 1)).refused(502);
    assert!(refused.contains("AWS does not accept the credentials now: ExpiredTokenException"), "{refused}");
    write_credentials(&env, "AKIANEW");
    wait_for("a signature", || (signer.sign(key, &attestation(FLOOR + 2, 0, 1)).status == 200).then_some(()));
    let asked = kms.take_asked();
    assert_eq!(asked.last().unwrap().access_key, "AKIANEW");
    assert_eq!(asked.last().unwrap().token, SESSION_TOKEN);
    let seen = [
        signer.log(),
        signer.admin("/status").body,
        signer.admin("/metrics").body,
        refused,
        env.run(&["check"]).stdout,
        format!("{:?}", env.config()),
    ]
    .concat();
    for secret in [SECRET_ACCESS_KEY, SESSION_TOKEN] {
        assert!(!seen.contains(secret), "a secret of {} bytes was written", secret.len());
    }
}

#[test]
fn a_reload_takes_keys_in_and_out_and_refuses_one_that_kms_does_not_sign_with() {
    let (kms, env) = three_keys();
    let text = std::fs::read_to_string(env.config_file()).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let three = config["keys"].as_array().unwrap().clone();
    let (arn, public_key) = kms.add_key("fourth", Spec::P256);
    let fourth = key(&public_key, &arn);
    env.set_config(json!({"keys": [fourth.clone()]}));
    initialise(&env);
    env.set_config(json!({"keys": three.clone()}));
    let signer = start(&env);
    let keys = [&three[1..], &[fourth]].concat();
    env.set_config(json!({"keys": keys}));
    kms.set_fault_of(&arn, Fault::Denied("Sign"));
    signer.send_sighup();
    wait_for("the refusal", || signer.log().contains("AWS denies kms:Sign on").then_some(()));
    assert_eq!(signer.status().keys.len(), 3);
    kms.set_fault(None);
    signer.send_sighup();
    let fourth = env.config().keys[2].clone();
    wait_for("the reload", || signer.status().keys.iter().find(|key| key.public_key_hash == fourth.hash()).map(|_| ()));
    signer.signature(&fourth, &attestation(FLOOR + 1, 0, 1));
    assert_eq!(signer.metric(&format!("tezos_signer_kms_key_signs{{key=\"{}\"}}", fourth.hash())), Some(1));
}

#[test]
fn kms_is_asked_by_tls_and_only_one_that_the_host_trusts() {
    let (kms, env) = three_keys();
    let authority = Authority::new();
    let endpoint = kms.tls_endpoint(&authority.issue("KMS"));
    let text = std::fs::read_to_string(env.config_file()).unwrap();
    std::fs::write(env.config_file(), text.replace(&kms.endpoint(), &endpoint)).unwrap();
    let trusted = env.path.join("authorities.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let with = |path: &std::path::Path| {
        let environment = [&NO_AWS[..], &[("SSL_CERT_FILE", path.to_str().unwrap())]].concat();
        Signer::start_with(&env, &environment)
    };
    let key = &env.config().keys[0];
    let distrustful = {
        let other = env.path.join("others.pem");
        std::fs::write(&other, Authority::new().pem()).unwrap();
        with(&other)
    };
    let reason = wait_for("the reason", || {
        distrustful.key_status(key).hsm.filter(|reason| reason.contains("cannot be reached"))
    });
    assert!(reason.contains("certificate"), "{reason}");
    assert!(kms.take_asked().is_empty());
    drop(distrustful);
    let signer = with(&trusted);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    signer.signature(key, &attestation(FLOOR + 1, 0, 1));
}
