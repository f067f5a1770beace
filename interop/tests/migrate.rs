//! Other signers' configurations, turned into ours: files in the shapes that they have (`configurations/README.md`), what is allowed
//! afterwards, what is said to be lost, and that our own parser takes the file once it is filled in, and not before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use tezos_signer_core::config::{KeySelector, SignerConfig};
use tezos_signer_core::key::ChainId;
use tezos_signer_interop::migrate::{Migrated, Source, migrate};

const TZ3: &str = "p2pk65ffAqpYT6Et73DXdNqudthwmSNzNyzL3Wdn2EYuiiMwoPu6vFJ";

fn python() -> Migrated {
    migrate(Source::Python, include_str!("configurations/keys.json"), Some(ChainId::MAINNET)).unwrap()
}

fn signatory() -> Migrated {
    migrate(Source::Signatory, include_str!("configurations/signatory.yaml"), None).unwrap()
}

fn octez() -> Migrated {
    migrate(Source::Octez, include_str!("configurations/octez-signer.service"), None).unwrap()
}

/// Does what the comments say: each `# field: example   # FILL IN: …` becomes `field: value`.
fn filled_in(migrated: &Migrated) -> String {
    let line = |line: &str| {
        let Some((field, _)) = line.split_once("# FILL IN") else { return line.to_owned() };
        let indent = &line[..line.len() - line.trim_start().len()];
        let field = field.trim().trim_start_matches("# ").split(':').next().unwrap();
        let value = match field {
            "module" => "/usr/lib/softhsm/libsofthsm2.so",
            "token" => "hsm1",
            "pinFile" => "/etc/tezos-signer/pin",
            "publicKey" => "p2pk67wVncLFS1DQDm2gVR45sYCzQSXTtqn3bviNYXVCq6WRoqtxHXL",
            "label" => "baker",
            "chain" => "mainnet",
            "authorizedKeys" => "[edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM]",
            field => panic!("{field}"),
        };
        format!("{indent}{field}: {value}")
    };
    migrated.config.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn parsed(migrated: &Migrated) -> SignerConfig {
    let text = filled_in(migrated);
    SignerConfig::from_yaml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn lost(migrated: &Migrated) -> Vec<&str> {
    migrated.lost.iter().map(|loss| loss.what.as_str()).collect()
}

#[test]
fn what_is_open_keeps_the_signer_from_starting() {
    for migrated in [python(), signatory(), octez()] {
        let text = filled_in(&migrated);
        assert!(SignerConfig::from_yaml(&text).is_ok(), "{text}");
        assert_eq!(migrated.config.matches("# FILL IN: ").count(), migrated.fill_in.len());
        // Each of them alone.
        for (index, line) in migrated.config.lines().enumerate().filter(|(_, line)| line.contains("# FILL IN: ")) {
            let without: Vec<_> =
                text.lines().enumerate().map(|(i, other)| if i == index { line } else { other }).collect();
            // Who may ask is the one thing that has a default.
            let is_needed = !line.starts_with("# authorizedKeys");
            assert_eq!(SignerConfig::from_yaml(&without.join("\n")).is_err(), is_needed, "{line}");
        }
    }
}

#[test]
fn the_python_signers_keys_json() {
    let migrated = python();
    let config = parsed(&migrated);
    assert_eq!(config.listen.to_string(), "10.0.0.5:5000");
    assert_eq!(config.hsm.module.to_str(), Some("/opt/cloudhsm/lib/libcloudhsm_pkcs11.so"));
    let [by_label, by_handle] = &config.keys[..] else { panic!("{:?}", config.keys) };
    assert_eq!(by_handle.public_key.to_string(), TZ3);
    assert_eq!(by_label.selector, KeySelector::Label("baker-two".to_owned()));
    for key in &config.keys {
        let allow: Vec<_> = key.policy.allow.iter().map(ToString::to_string).collect();
        assert_eq!(allow, ["block", "preattestation", "attestation", "ballot"]);
        assert_eq!(key.policy.ballot.iter().map(ToString::to_string).collect::<Vec<_>>(), ["yay", "pass"]);
        assert_eq!(key.policy.chain, ChainId::MAINNET);
    }
    assert_eq!(
        lost(&migrated),
        [
            "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr",
            "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: private_handle",
            "aws_region",
            "chain_ratchet: dynamodb",
            "ddb_table",
            "hsm_slot",
            "hsm_username",
            "who may ask",
        ]
    );
}

#[test]
fn signatorys_yaml() {
    let migrated = signatory();
    let config = parsed(&migrated);
    assert_eq!(
        (config.listen.to_string().as_str(), config.admin.to_string().as_str()),
        ("[::]:6732", "127.0.0.1:9583")
    );
    assert_eq!(config.authorized_keys.hashes().count(), 2);
    let [one, two] = &config.keys[..] else { panic!("{:?}", config.keys) };
    assert_eq!(one.public_key.to_string(), TZ3);
    assert_eq!(one.selector, KeySelector::Label("baker-one".to_owned()));
    assert_eq!(one.authorized_keys.hashes().count(), 1);
    assert_eq!(two.selector, KeySelector::Id(vec![0x12, 0x34, 0xab, 0xcd]));
    let allow = |key: usize| config.keys[key].policy.allow.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(allow(0), ["block", "preattestation", "attestation", "ballot", "reveal", "stake"]);
    assert_eq!(config.keys[0].policy.ballot.iter().map(ToString::to_string).collect::<Vec<_>>(), ["pass", "yay"]);
    assert!(!config.keys[0].policy.drain_delegate);
    // Of an older release.
    assert_eq!(allow(1), ["block", "attestation", "transaction"]);
    assert_eq!(
        lost(&migrated),
        [
            "base_dir",
            "watermark.driver: aws",
            "server.jwt",
            "policy_hook",
            "vaults.hsm.slot",
            "vaults.hsm.pin",
            "vaults.kms (aws)",
            "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: drain_delegate",
            "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: generic: burn_everything",
            "tz2FCNBrERXtaTtNX6iimR1UJ5JSDxvdHM93: log_payloads",
            "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr",
            "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t",
        ]
    );
}

#[test]
fn the_options_of_octez_signer() {
    let migrated = octez();
    let config = parsed(&migrated);
    assert_eq!(config.listen.to_string(), "10.0.0.7:6732");
    let tls = config.tls.unwrap();
    assert_eq!(
        (tls.certificate_file.to_str(), tls.private_key_file.to_str()),
        (Some("/etc/octez/tls.crt"), Some("/etc/octez/tls.key"))
    );
    let allow: Vec<_> = config.keys[0].policy.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["block", "preattestation", "attestation"]);
    assert!(migrated.fill_in.iter().any(|line| line.starts_with("authorizedKeys: ")), "{:?}", migrated.fill_in);
    assert_eq!(lost(&migrated), ["--base-dir", "--magic-bytes 0x03", "the keys"]);
    // As a shell reads it.
    let quoted =
        r#"ExecStart="/usr/bin/octez-signer" launch http signer --port "6740" '--magic-bytes' "0x11, 0x12,0x13" -W"#;
    let quoted = migrate(Source::Octez, quoted, None).unwrap();
    assert!(
        quoted.config.contains("6740") && quoted.config.contains("[block, preattestation, attestation]"),
        "{}",
        quoted.config
    );
    assert_eq!(lost(&quoted), ["the keys"]);
    for whole in [
        r#"ExecStart=/bin/sh -c "exec /usr/bin/octez-signer launch http signer -p 6740 -M 0x11,0x12,0x13 -W""#,
        "command: 'octez-signer launch http signer -p 6740 -M 0x11,0x12,0x13 -W'",
    ] {
        let whole = migrate(Source::Octez, whole, None).unwrap();
        assert!(whole.config.contains("6740"), "{}", whole.config);
        assert_eq!(lost(&whole), ["the keys"]);
    }
    for wrong in ["octez-signer launch http signer -M '0x11", "octez-signer.sh launch http signer"] {
        assert!(migrate(Source::Octez, wrong, None).is_err(), "{wrong}");
    }
    // Without its checks it is said that there is nothing to import.
    let bare = migrate(Source::Octez, "octez-signer launch http signer", None).unwrap();
    assert_eq!(lost(&bare), ["no --check-high-watermark", "no --magic-bytes", "the keys"]);
}

#[test]
fn no_secret_of_a_configuration_is_repeated() {
    for migrated in [python(), signatory(), octez()] {
        let all = serde_json::to_string(&migrated).unwrap();
        for secret in ["edsk", "the-password", "p4ssw0rd", "AKIA"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
    for (source, text) in [
        (Source::Python, r#"{"keys": {"edsk3t9PBQgSECRET": "edsk3t9PBQgSECRET"}}"#),
        (Source::Python, r#"{"keys": ["edsk3t9PBQgSECRET:local", 7], "bind_port": "SECRET"}"#),
        (Source::Python, "{\"keys\": \"edskSECRET"),
        (Source::Signatory, "vaults: {hsm: {driver: pkcs11, pin: SECRET}}\ntezos: {edskSECRET: }\n  x: ["),
        (Source::Signatory, "vaults: SECRET"),
        (Source::Octez, "octez-signer SECRET"),
    ] {
        let error = migrate(source, text, None).expect_err(text).to_string();
        assert!(!error.contains("SECRET"), "{error}");
    }
}
