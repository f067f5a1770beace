//! Sealed tz4 keys from the user's side: making and sealing them, signing as an Octez baker asks, proofs of possession, and texts that are
//! not what they should be.

use crate::process::Signer;
use crate::sealed_env::{SEALING, SealedEnv, key_of, signed};
use crate::test_env::CommandResult;
use pkcs11_faults::control::{Control, Habits, WrongSignature};
use serde_json::{Value, json};
use tezos_signer_core::key::{Curve, Signature, SigningPublicKey};

fn cloud_hsm() -> Control {
    Control { cloud_hsm: true, handles_per_session: true, ..Control::default() }
}

/// The answer, which must be the signature that Octez' signer gives.
fn signs_as_octez(signer: &Signer, key: &str, what: &str, query: &str) {
    let (payload, signature) = signed(key, what);
    let path = format!("/keys/{}{query}", key_of(key)["publicKeyHash"].as_str().unwrap());
    let answer = signer.post(&path, format!("\"{}\"", hex::encode(payload)));
    assert_eq!((answer.status, answer.json()["signature"].as_str()), (200, Some(&signature[..])), "{key} {what}");
}

#[test]
fn a_baker_with_tz4_keys_gets_the_signatures_of_octez_and_no_second_one_after_a_restart() {
    for control in [Control::default(), cloud_hsm()] {
        let sealed = SealedEnv::new(&control);
        sealed.run(&["check"]).succeeded();
        let signer = sealed.start();
        assert_eq!(signer.get("/authorized_keys").json(), json!({}));
        for what in ["preattestation round 0", "attestation round 0"] {
            for query in ["", "?version=3", "?version=2"] {
                signs_as_octez(&signer, "consensus", what, query);
            }
        }
        let with_dal = || signer.key_status(&sealed.consensus()).attestations.unwrap().with_dal;
        assert_eq!(with_dal(), None);
        signs_as_octez(&signer, "companion", "attestation round 0", "?version=3");
        assert!(with_dal().is_some(), "the companion key signs with DAL only");
        assert!(signer.status().keys.iter().any(|key| key.attestations.is_none()), "it has no times of its own");
        signs_as_octez(&signer, "consensus", "attestation round 3", "");
        signs_as_octez(&signer, "consensus", "block round 0", "");
        let status = signer.key_status(&sealed.consensus());
        let state = status.sealed.unwrap();
        assert!(status.hsm.is_none() && state.opened.is_some() && !state.refused && state.reason.is_none());

        let (mut other, _) = signed("consensus", "attestation round 3");
        *other.last_mut().unwrap() ^= 1;
        signer.sign(&sealed.consensus(), &other).refused(409);
        drop(signer);
        let signer = sealed.start();
        signs_as_octez(&signer, "consensus", "attestation round 3", "");
        signs_as_octez(&signer, "companion", "attestation round 0", "");
        signer.sign(&sealed.consensus(), &other).refused(409);
        assert_eq!(sealed.module.state().violations, Vec::<String>::new());
    }
}

#[test]
fn a_generated_key_is_printed_as_what_to_paste_and_signs() {
    for control in [Control::default(), cloud_hsm()] {
        let sealed = SealedEnv::without_keys(&control);
        let generate = ["keys", "generate", "--curve", "bls12-381", "--seal-with", SEALING];
        let shown = sealed.run(&generate).succeeded();
        assert!(shown.contains("  - publicKey: BLpk") && shown.contains("    sealed: v1.pkcs11."), "{shown}");
        let made: Value =
            serde_json::from_str(&sealed.run(&[&generate[..], &["--output", "json"]].concat()).succeeded()).unwrap();
        assert_eq!((&made["curve"], &made["label"]), (&"bls12-381".into(), &Value::Null));
        let key = json!({"publicKey": made["publicKey"], "sealed": made["sealed"], "chain": "NetXdQprcVkpaWU"});
        sealed.env.set_config(json!({"keys": [key]}));
        sealed.run(&["watermarks", "initialise", "--level", "15181000"]).succeeded();
        let signer = sealed.start();
        let (payload, _) = signed("consensus", "attestation round 0");
        signer.signature(&sealed.consensus(), &payload);
    }
}

#[test]
fn a_proof_of_possession_is_given_where_a_key_allows_it_and_has_its_line() {
    let sealed = SealedEnv::new(&Control::default());
    let audit = sealed.env.path.join("audit.log");
    sealed.env.set_config(json!({"audit": {"file": audit}}));
    let mut signer = sealed.start();
    let key = |name: &str| key_of(name)["publicKeyHash"].as_str().unwrap().to_owned();
    let (consensus, companion) = (key_of("consensus"), key_of("companion"));
    let own = consensus["publicKey"].as_str().unwrap();
    let proof = consensus["proofOfPossession"].as_str().unwrap();
    for query in [String::new(), format!("?bls_pk={own}")] {
        let path = format!("/bls_prove_possession/{}{query}", key("consensus"));
        assert_eq!(signer.get(&path).json(), json!({"bls_prove_possession": proof}));
    }
    let path = format!("/bls_prove_possession/{}", key("consensus"));
    let other = companion["publicKey"].as_str().unwrap();
    assert!(signer.get(&format!("{path}?bls_pk={other}")).refused(403).contains("itself only"));
    assert_eq!(signer.get(&format!("{path}?bls_pk=BLpk1")).status, 400);
    let path = format!("/bls_prove_possession/{}", key("companion"));
    assert_eq!(signer.get(&path).refused(403), "Request to prove possession is not allowed.");
    let stranger = stranger();
    signer.get(&format!("/bls_prove_possession/{}", stranger.hash())).refused(404);
    signer.terminate();
    signer.ended();
    let lines: Vec<Value> =
        std::fs::read_to_string(audit).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let given = lines.iter().filter(|line| line["event"] == "proofOfPossession" && line["key"] == key("consensus"));
    assert_eq!(given.count(), 2);
    let refused = lines.iter().filter(|line| line["kind"] == "proof_of_possession" && line["event"] == "outcome");
    assert_eq!(refused.count(), 4);
    let audit = sealed.env.path.join("audit.log");
    sealed.run(&["audit", "verify", audit.to_str().unwrap()]).succeeded();

    let shown = sealed.run(&["keys", "prove-possession", "--public-key", own]).succeeded();
    assert_eq!(shown.trim(), proof);
    let parsed: Signature = proof.parse().unwrap();
    assert!(sealed.consensus().public_key.verify_proof_of_possession(&parsed));
    let said = sealed.run(&["keys", "prove-possession", "--public-key", &stranger.to_string()]).failed();
    assert!(said.contains("no sealed key tz4"), "{said}");
}

/// A key that nobody has configured.
fn stranger() -> SigningPublicKey {
    let secret = blst::min_pk::SecretKey::key_gen(&[9; 32], &[]).unwrap();
    SigningPublicKey::from_bytes(Curve::Bls12381, &secret.sk_to_pk().to_bytes()).unwrap()
}

/// What `check` says of the first key when its text is this.
fn check(sealed: &SealedEnv, text: &str) -> CommandResult {
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(sealed.env.config_file()).unwrap()).unwrap();
    config["keys"][0]["sealed"] = text.into();
    sealed.env.set_config(json!({"keys": config["keys"]}));
    sealed.run(&["check"])
}

#[test]
fn a_text_that_was_altered_or_is_of_another_key_is_refused_with_a_sentence() {
    let sealed = SealedEnv::new(&Control::default());
    let text = |key: usize| sealed.env.config().keys[key].source.to_string();
    assert_eq!(text(0), "sealed by label \"sealing\"");
    let config: Value = serde_json::from_str(&std::fs::read_to_string(sealed.env.config_file()).unwrap()).unwrap();
    let [own, others] = [0, 1].map(|key| config["keys"][key]["sealed"].as_str().unwrap().to_owned());
    check(&sealed, &own).succeeded();

    // Whoever alters the text knows how the check is made.
    let altered = |piece: usize, byte: usize| {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let mut pieces: Vec<_> = own.split('.').map(str::to_owned).collect();
        let mut bytes = base64.decode(&pieces[piece]).unwrap();
        bytes[byte] ^= 1;
        pieces[piece] = base64.encode(bytes);
        let body = pieces[..5].join(".");
        let digest = <sha2::Sha256 as sha2::Digest>::digest(body.as_bytes());
        format!("{body}.{}", hex::encode(&digest[..4]))
    };
    for byte in 0..SEALING.len() {
        let said = check(&sealed, &altered(2, byte)).failed();
        assert!(said.contains("the token has no AES key with label"), "{said}");
    }
    for (piece, length) in [(3, 12), (4, 48)] {
        for byte in 0..length {
            let said = check(&sealed, &altered(piece, byte)).failed();
            assert!(said.contains("does not open this sealed text (CKR_"), "{piece} {byte} {said}");
        }
    }
    let said = check(&sealed, &others).failed();
    assert!(said.contains("the text is of another publicKey"), "{said}");

    // Another sealing key under the same label.
    sealed.run(&["keys", "generate-sealing-key", "--label", "second"]).succeeded();
    let by_second = sealed.try_seal("second", key_of("consensus")["secretKey"].as_str().unwrap()).succeeded();
    let by_second: Value = serde_json::from_str(&by_second).unwrap();
    check(&sealed, by_second["sealed"].as_str().unwrap()).succeeded();
    let mixed = {
        let second: Vec<_> = by_second["sealed"].as_str().unwrap().split('.').collect();
        let first: Vec<_> = own.split('.').collect();
        let body = ["v1", "pkcs11", first[2], second[3], second[4]].join(".");
        let digest = <sha2::Sha256 as sha2::Digest>::digest(body.as_bytes());
        format!("{body}.{}", hex::encode(&digest[..4]))
    };
    assert!(check(&sealed, &mixed).failed().contains("sealed by another key with the same label"));
}

#[test]
fn mistakes_of_people_are_refused_before_anything_is_sealed() {
    let sealed = SealedEnv::without_keys(&Control::default());
    let secret = key_of("consensus")["secretKey"].as_str().unwrap().to_owned();
    let said = |secret: &str| sealed.try_seal(SEALING, secret).failed();
    assert!(said("edsk4NkqCHcoDpGzqkaxgeBBwEoWR38MNA3zQRvsGi2GCKZde73aGn").contains("secret key of a tz1 key"));
    assert!(said(key_of("consensus")["publicKey"].as_str().unwrap()).contains("it is a public key"));
    assert!(said(&secret[..50]).contains("its checksum is wrong"));
    assert!(said("").contains("no secret key of a tz4 key"));
    assert!(sealed.try_seal("nobody", &secret).failed().contains("no AES key with label \"nobody\""));
    // A label of a key that signs.
    sealed.run(&["keys", "generate", "--label", "baker", "--curve", "p256"]).succeeded();
    let said = sealed.try_seal("baker", &secret).failed();
    assert!(said.contains("what has this label is CKK_EC"), "{said}");
    let said = sealed.run(&["keys", "generate-sealing-key", "--label", "baker"]).failed();
    assert!(said.contains("already has a key with label \"baker\""), "{said}");
    for (options, expected) in [
        (&["--curve", "bls12-381", "--label", "x"][..], "no token signs with bls12-381"),
        (&["--curve", "p256", "--seal-with", SEALING], "only bls12-381 keys are sealed"),
    ] {
        assert!(sealed.run(&[&["keys", "generate"][..], options].concat()).failed().contains(expected));
    }
    // Nothing that was said has a part of the secret, which the signer never prints.
    assert!(!said.contains(&secret[4..20]));
}

#[test]
fn a_token_that_seals_with_zeros_or_opens_something_else_is_not_trusted() {
    let sealed = SealedEnv::without_keys(&cloud_hsm());
    let secret = key_of("consensus")["secretKey"].as_str().unwrap().to_owned();
    let habits = Habits { leaves_iv: true, ..Habits::default() };
    sealed.module.set(&Control { habits, ..cloud_hsm() });
    let said = sealed.try_seal(SEALING, &secret).failed();
    assert!(said.contains("does not write one of its own"), "{said}");
    for wrong in [WrongSignature::BitFlip, WrongSignature::Short, WrongSignature::Zero] {
        sealed.module.set(&Control { plaintext: Some(wrong), ..Control::default() });
        let said = sealed.try_seal(SEALING, &secret).failed();
        assert!(said.contains("cannot be opened again, so it is not shown"), "{wrong:?} {said}");
    }
}
