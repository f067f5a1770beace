//! Other signers' configurations, turned into ours: files in the shapes that they have (`configurations/README.md`), what is allowed
//! afterwards, what is said to be lost, and that our own parser takes the file once it is filled in, and not before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod octez;
mod octez_files;
mod python;
mod signatory;

use tezos_signer_core::config::SignerConfig;
use tezos_signer_core::key::ChainId;
use tezos_signer_interop::migrate::{MigrateError, Migrated, Source};

/// For keys without one, each for one key.
const PUBLIC_KEYS: [&str; 3] = [
    "p2pk67wVncLFS1DQDm2gVR45sYCzQSXTtqn3bviNYXVCq6WRoqtxHXL",
    "p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24",
    "p2pk68LU8bC18pzjMN6GXrvf8wvEsKiGE7DNFX5gQBJULGWvGpAKWP1",
];

const TZ3: &str = "p2pk65ffAqpYT6Et73DXdNqudthwmSNzNyzL3Wdn2EYuiiMwoPu6vFJ";

/// On a host that has no file of the environment.
fn migrate(source: Source, text: &str, chain: Option<ChainId>) -> Result<Migrated, MigrateError> {
    tezos_signer_interop::migrate::migrate(source, text, chain, &|_| None)
}

fn keys_json() -> Migrated {
    migrate(Source::Python, include_str!("../configurations/keys.json"), Some(ChainId::MAINNET)).unwrap()
}

fn signatory_yaml() -> Migrated {
    migrate(Source::Signatory, include_str!("../configurations/signatory.yaml"), None).unwrap()
}

fn octez_service() -> Migrated {
    migrate(Source::Octez, include_str!("../configurations/octez/octez-signer.service"), None).unwrap()
}

/// One of each signer, and those that leave most open.
fn all() -> Vec<Migrated> {
    let other = |source, text| migrate(source, text, None).unwrap();
    vec![
        keys_json(),
        signatory_yaml(),
        octez_service(),
        other(Source::Signatory, include_str!("../configurations/signatory-old.yaml")),
        other(Source::Signatory, include_str!("../configurations/signatory-awskms.yaml")),
        other(Source::Octez, include_str!("../configurations/octez/tezos-signer-http.service")),
        other(Source::Octez, include_str!("../configurations/octez/before-15.service")),
        other(Source::Octez, "octez-signer launch https signer $CERTIFICATE /key -a \"$HOST\" -M \"$BYTES\""),
    ]
}

/// Does what the comments say: each `# field: example   # FILL IN: …` becomes `field: value`.
fn filled_in(migrated: &Migrated) -> String {
    let mut public_keys = PUBLIC_KEYS.into_iter();
    let mut line = |line: &str| {
        let Some((field, _)) = line.split_once("# FILL IN") else { return line.to_owned() };
        let indent = &line[..line.len() - line.trim_start().len()];
        let field = field.trim().trim_start_matches("# ").split(':').next().unwrap();
        let value = match field {
            "module" => "/usr/lib/softhsm/libsofthsm2.so",
            "token" => "hsm1",
            "pinFile" => "/etc/tezos-signer/pin",
            "publicKey" => public_keys.next().unwrap(),
            "label" => "baker",
            "region" => "eu-west-1",
            "kmsKey" => "alias/baker",
            "chain" => "mainnet",
            "listen" => "\"[::]:6732\"",
            "allow" => "[block, preattestation, attestation]",
            "tls" => "{certificateFile: /tls.crt, privateKeyFile: /tls.key}",
            "authorizedKeys" => "[edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM]",
            field => panic!("{field}"),
        };
        format!("{indent}{field}: {value}")
    };
    migrated.config.lines().map(&mut line).collect::<Vec<_>>().join("\n")
}

fn parsed(migrated: &Migrated) -> SignerConfig {
    let text = filled_in(migrated);
    SignerConfig::from_yaml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn lost(migrated: &Migrated) -> Vec<&str> {
    migrated.lost.iter().map(|loss| loss.what.as_str()).collect()
}

/// Those that change what is signed, or for whom.
fn changes(migrated: &Migrated) -> Vec<&str> {
    migrated.lost.iter().filter(|loss| loss.changes_signing).map(|loss| loss.what.as_str()).collect()
}

/// The sentence about one.
fn why<'a>(migrated: &'a Migrated, what: &str) -> &'a str {
    let found = migrated.lost.iter().find(|loss| loss.what == what);
    found.map_or_else(|| panic!("{what}: {:#?}", migrated.lost), |loss| loss.why.as_str())
}

fn allowed(config: &SignerConfig, key: usize) -> Vec<String> {
    config.keys[key].policy.allow.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_open_keeps_the_signer_from_starting() {
    for migrated in all() {
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
fn what_changes_signing_is_said_first() {
    for migrated in all() {
        let first = migrated.lost.iter().take_while(|loss| loss.changes_signing).count();
        assert!(migrated.lost[first..].iter().all(|loss| !loss.changes_signing), "{:#?}", migrated.lost);
    }
}

#[test]
fn no_secret_of_a_configuration_is_repeated() {
    for migrated in all() {
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
        (Source::Signatory, "tezos: {edskSECRET: }\ntezos: {edskSECRET: }"),
        (Source::Python, r#"{"keys": {"edskSECRET": {}, "edskSECRET": {}}}"#),
        (Source::Octez, "octez-signer SECRET"),
    ] {
        let error = migrate(source, text, None).expect_err(text).to_string();
        assert!(!error.contains("SECRET"), "{error}");
    }
}

/// What a person reads of a migration: the file, and below it what was not taken over.
fn page(migrated: &Migrated) -> String {
    let lost = migrated.lost.iter().map(|loss| {
        let mark = if loss.changes_signing { "!" } else { "-" };
        format!("{mark} {}: {}\n", loss.what, loss.why)
    });
    format!("{}\n{}", migrated.config, lost.collect::<String>())
}

#[test]
fn a_migration_is_a_page_that_can_be_read() {
    insta::assert_snapshot!("signatory", page(&signatory_yaml()));
    insta::assert_snapshot!("octez", page(&octez_service()));
    let of_kms = migrate(Source::Signatory, include_str!("../configurations/signatory-awskms.yaml"), None).unwrap();
    insta::assert_snapshot!("signatory_awskms", page(&of_kms));
}
