//! The Python signer's keys.json.

use super::{TZ3, changes, keys_json, lost, migrate, parsed, why};
use tezos_signer_core::config::{KeySelector, KeySource};
use tezos_signer_core::key::ChainId;
use tezos_signer_interop::migrate::Source;

#[test]
fn the_python_signers_keys_json() {
    let migrated = keys_json();
    let config = parsed(&migrated);
    assert_eq!(config.listen.to_string(), "10.0.0.5:5000");
    assert_eq!(config.keystore.hsm().unwrap().module.to_str(), Some("/opt/cloudhsm/lib/libcloudhsm_pkcs11.so"));
    let [by_handle, by_label] = &config.keys[..] else { panic!("{:?}", config.keys) };
    assert_eq!(by_handle.public_key.to_string(), TZ3);
    assert_eq!(by_label.source, KeySource::Pkcs11(KeySelector::Label("baker-two".to_owned())));
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
            "hsm_slot",
            "hsm_username",
            "chain_ratchet: dynamodb",
            "ddb_table",
            "aws_region",
            "who may ask",
        ]
    );
}

#[test]
fn keys_of_the_fork_for_grep11_are_not_in_a_token() {
    let text = include_str!("../configurations/keys.grep11.json");
    let migrated = migrate(Source::Python, text, None).unwrap();
    assert!(migrated.config.contains("keys: []"), "{}", migrated.config);
    let (one, two) = ("tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r", "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t");
    let of_two: Vec<_> =
        migrated.lost.iter().filter(|loss| loss.why.contains("Its secret_blob is in the file")).collect();
    assert!(why(&migrated, one).contains("GREP11") && why(&migrated, one).contains("Its secret_key is in the file"));
    assert_eq!(of_two.len(), 1, "{two}: {:#?}", migrated.lost);
    let all = serde_json::to_string(&migrated).unwrap();
    assert!(!all.contains("private_handle") && !all.contains("the-password"), "{all}");
    // Its watermarks are in a database, and not forgotten.
    let ratchet = why(&migrated, "chain_ratchet: sqlitedb");
    assert!(
        ratchet.contains("sqlite3 -json FILE 'SELECT * FROM signature'") && !ratchet.contains("lost at each restart")
    );
    assert_eq!(&changes(&migrated)[..2], ["policy.voting: aye", "policy.voting"]);
    for field in ["db", "url", "cert_path", "key_path", "cacert_path", "ratchet"] {
        assert!(lost(&migrated).contains(&field), "{field}: {:?}", lost(&migrated));
    }
}

#[test]
fn a_value_that_is_not_known_is_not_taken_for_another_one() {
    let of = |fields: &str| migrate(Source::Python, &format!("{{\"keys\": {{}}, {fields}}}"), None);
    let migrated = |fields: &str| of(fields).unwrap();
    for (ratchet, sentence) in [
        ("mockery", "lost at each restart"),
        ("redis", "not known where its watermarks are"),
        ("SqliteDB", "not known where its watermarks are"),
    ] {
        let migrated = migrated(&format!("\"chain_ratchet\": \"{ratchet}\""));
        let found: Vec<_> = migrated.lost.iter().filter(|loss| loss.why.contains(sentence)).collect();
        assert_eq!(found.len(), 1, "{ratchet}: {:#?}", migrated.lost);
        assert!(ratchet == "mockery" || !migrated.lost.iter().any(|loss| loss.why.contains("lost at each restart")));
    }
    assert!(why(&migrated("\"bind_port\": 1"), "no chain_ratchet").contains("DDB_TABLE"));
    let named = migrated("\"bind_addr\": \"signer.internal\", \"bind_port\": \"5000\"");
    assert!(
        named.config.starts_with("listen: \"signer.internal:5000\"   # FILL IN: the IP address of signer.internal")
    );
    assert_eq!(
        lost(&migrated("\"Unknown\": 1, \"public_key \": 2, \"x_y\": 3"))[1..],
        ["(a name that is not repeated here)", "\"public_key \"", "x_y"]
    );
    for (fields, reason) in [
        ("\"policy\": []", "policy is not an object"),
        ("\"policy\": {\"voting\": \"yay\"}", "policy.voting is not a list"),
        ("\"bind_port\": [1]", "bind_port is not a text"),
        ("\"bind_port\": 1, \"bind_port\": 2", "a name occurs twice in one object: line 1, column"),
    ] {
        assert!(of(fields).unwrap_err().to_string().contains(reason), "{}", of(fields).unwrap_err());
    }
    let marked = migrate(Source::Python, "\u{feff}{\"keys\": {}}", None).unwrap_err().to_string();
    assert!(marked.contains("byte order mark"), "{marked}");
}

#[test]
fn the_signer_of_a_key_decides_what_becomes_of_it() {
    let key = "\"tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r\"";
    let of = |fields: &str| {
        let text = format!(
            "{{\"policy\": {{\"baking\": true}}, \"chain_ratchet\": \"dynamodb\", \"keys\": {{{key}: {{{fields}}}}}}}"
        );
        migrate(Source::Python, &text, None).unwrap()
    };
    let handle = of("\"private_handle\": 7, \"public_handle\": 9");
    assert!(handle.config.contains("label: ") && lost(&handle)[0].ends_with(": private_handle"), "{:?}", lost(&handle));
    let secret = of("\"private_key\": \"edskSECRET\"");
    assert!(secret.config.contains("keys: []") && secret.lost[0].why.contains("Its private_key is in the file"));
    let other = of("\"signer\": \"yubi\"");
    assert!(other.lost[0].why.contains("none that is known here"), "{:#?}", other.lost);
    // One that is in the HSM, with a secret left in the file.
    let both = of("\"signer\": \"amazon_hsm\", \"signer_args\": [\"baker\"], \"secret_key\": \"edskSECRET\"");
    assert!(both.config.contains("label: \"baker\"") && both.lost[0].why.contains("Delete it"), "{:#?}", both.lost);
    let argument = of("\"signer\": \"pkcs11_hsm\", \"signer_args\": [\"7\"]");
    assert!(lost(&argument)[0].ends_with(": the argument of its signer"), "{:?}", lost(&argument));
    for truth in ["0", "false", "null", "\"\"", "[]", "{}"] {
        let text = format!("{{\"policy\": {{\"baking\": {truth}}}, \"keys\": {{{key}: {{\"private_handle\": 7}}}}}}");
        let migrated = migrate(Source::Python, &text, None).unwrap();
        assert!(migrated.config.contains("keys: []"), "{truth}");
    }
}
