//! Signatory's configuration.

use super::{TZ3, allowed, changes, lost, migrate, parsed, signatory_yaml, why};
use tezos_signer_core::config::{KeySelector, KeySource, KeystoreConfig};
use tezos_signer_core::policy::PayloadKind;
use tezos_signer_interop::migrate::{Migrated, Source};

#[test]
fn signatorys_yaml() {
    let migrated = signatory_yaml();
    let config = parsed(&migrated);
    assert_eq!(
        (config.listen.to_string().as_str(), config.admin.to_string().as_str()),
        ("[::]:6732", "127.0.0.1:9583")
    );
    assert_eq!(config.authorized_keys.hashes().count(), 2);
    let [one, two, _, default] = &config.keys[..] else { panic!("{:?}", config.keys) };
    assert_eq!(one.public_key.to_string(), TZ3);
    assert_eq!(one.source, KeySource::Pkcs11(KeySelector::Label("baker-one".to_owned())));
    assert_eq!(one.authorized_keys.hashes().count(), 1);
    assert_eq!(two.source, KeySource::Pkcs11(KeySelector::Id(vec![0x12, 0x34, 0xab, 0xcd])));
    let allow = |key: usize| allowed(&config, key);
    assert_eq!(allow(0), ["block", "preattestation", "attestation", "ballot", "reveal", "stake"]);
    assert_eq!(config.keys[0].policy.ballot.iter().map(ToString::to_string).collect::<Vec<_>>(), ["pass", "yay"]);
    assert!(!config.keys[0].policy.drain_delegate);
    assert_eq!(default.policy.allow, PayloadKind::CONSENSUS);
    // Of an older release.
    assert_eq!(allow(1), ["block", "attestation", "transaction"]);
    assert_eq!(
        lost(&migrated),
        [
            "server.jwt",
            "policy_hook",
            "vaults.kms",
            "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: drain_delegate",
            "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: generic: burn_everything",
            "tz2FCNBrERXtaTtNX6iimR1UJ5JSDxvdHM93: attestation",
            "tz2FCNBrERXtaTtNX6iimR1UJ5JSDxvdHM93: preattestation",
            "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr: preattestation and attestation",
            "vaults.hsm.slot",
            "vaults.hsm.pin",
            "tz2FCNBrERXtaTtNX6iimR1UJ5JSDxvdHM93: generic: endorsement",
            "tz2FCNBrERXtaTtNX6iimR1UJ5JSDxvdHM93: log_payloads",
            "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t",
            "base_dir",
            "watermark.driver: aws",
            "watermark.config",
        ]
    );
}

#[test]
fn a_tz4_key_is_left_to_be_sealed() {
    let policy = "allow: {block: [], preattestation: [], attestation: []}\n    allow_proof_of_possession: true";
    let of_key = |key: &str| of(&format!("tezos:\n  {key}:\n    {policy}\n"));
    let tz4 = of_key("tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy");
    assert!(tz4.config.contains("# sealed: v1.pkcs11.…   # FILL IN: what `tezos-signer keys seal"), "{}", tz4.config);
    assert!(
        tz4.config.contains("\n  allowProofOfPossession: true\n") && !tz4.config.contains("# label:"),
        "{}",
        tz4.config
    );
    let tz3 = of_key("tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r");
    assert!(tz3.config.contains("# label:") && !tz3.config.contains("allowProofOfPossession"), "{}", tz3.config);
}

fn of(text: &str) -> Migrated {
    migrate(Source::Signatory, text, None).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// With a policy for one key.
fn policy(text: &str) -> Migrated {
    of(&format!("tezos:\n  tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r:\n{text}"))
}

#[test]
fn an_old_configuration_is_taken_over_or_listed_field_by_field() {
    let migrated = of(include_str!("../configurations/signatory-old.yaml"));
    let config = parsed(&migrated);
    // The ports of the first releases.
    assert_eq!((config.listen.to_string().as_str(), config.admin.to_string().as_str()), ("[::]:6732", "[::]:9583"));
    assert_eq!(allowed(&config, 0), ["block", "attestation", "ballot"]);
    assert_eq!(allowed(&config, 1), ["block", "attestation"]);
    // Without a policy Signatory has a default.
    assert_eq!(allowed(&config, 2), ["block", "preattestation", "attestation"]);
    let (one, two) = ("tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r", "tz2FCNBrERXtaTtNX6iimR1UJ5JSDxvdHM93");
    assert_eq!(
        changes(&migrated),
        [
            "vaults.azure-vault (azure)",
            &format!("{one}: attestation"),
            &format!("{one}: generic: ballot"),
            &format!("{one}: preattestation"),
            &format!("{two}: attestation"),
            &format!("{two}: preattestation"),
        ]
    );
    assert!(why(&migrated, &format!("{one}: preattestation")).contains("Since Tenderbake a baker needs"));
    assert!(why(&migrated, &format!("{two}: allowed_kinds")).contains("does not have generic"));
    // Labels that no address belongs to are where they are to be filled in, and in the list.
    let hint = "Signatory's vaults name label \"baker-one\", label \"baker-two\", label \"baker-three\"";
    assert_eq!(migrated.fill_in.iter().filter(|line| line.starts_with("label: ") && line.contains(hint)).count(), 3);
    for what in [
        "watermark.driver",
        "watermark.type",
        "vaults.cloudhsm.pin",
        "vaults.cloudhsm.slot",
        "vaults.cloudhsm.keys[0].public",
        "vaults.cloudhsm.keys[0].extended_private",
        "vaults.cloudhsm.keys[0]: label \"baker-one\"",
        "vaults.cloudhsm.keys[1].private.id",
        "vaults.older: label \"baker-three\"",
        "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: generic: endorsement",
        "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: tz1_limit",
    ] {
        assert!(lost(&migrated).contains(&what), "{what}: {:#?}", lost(&migrated));
    }
}

#[test]
fn where_the_watermarks_are_is_not_guessed() {
    let tezos = "tezos:\n  tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r:\n";
    for (watermark, what, sentence) in [
        ("", "watermark.driver: file, the default", "Import the files"),
        ("watermark: {driver: file}\n", "watermark.driver: file", "Import the files"),
        ("watermark: {driver: mem}\n", "watermark.driver: mem", "lost at each restart"),
        ("watermark: {driver: gcp, config: {database: x}}\n", "watermark.driver: gcp", "Firestore"),
        ("watermark: {type: memory}\n", "watermark.driver", "watermark has no driver"),
        ("watermark: {driver: memory}\nbase_dir: /data\n", "watermark.driver", "Look into /data"),
        (
            "watermark: {driver: redis, config: {password: x}}\n",
            "watermark.driver",
            "not known where the watermarks are",
        ),
    ] {
        let migrated = of(&format!("{watermark}{tezos}"));
        assert!(why(&migrated, what).contains(sentence), "{watermark}: {:#?}", migrated.lost);
    }
}

#[test]
fn the_label_of_a_vault_is_that_of_its_only_key() {
    let migrated = of(include_str!("../configurations/signatory-label.yaml"));
    assert!(migrated.config.contains("label: \"baker\""), "{}", migrated.config);
    assert_eq!(lost(&migrated), ["vaults.hsm.pin", "watermark.driver: file, the default", "who may ask"]);
    // The hash of one that is not among the keys.
    let other = include_str!("../configurations/signatory.yaml")
        .replace("  tz2FCNBrERXtaTtNX6iimR1UJ5JSDxvdHM93:", "  tz2XRvQGFPMfvaNpf9NnVk5oGVkLEvPmSKDL:");
    if let Ok(other) = migrate(Source::Signatory, &other, None) {
        assert!(lost(&other).contains(&"vaults.hsm.keys[1]: id 1234abcd"), "{:#?}", lost(&other));
    }
    // YAML reads an id as a number, and another text would be another key.
    let wrong = "vaults: {h: {driver: pkcs11, keys: [{private: {id: 12e4}}]}}\ntezos: {}";
    let error = migrate(Source::Signatory, wrong, None).unwrap_err().to_string();
    assert!(error.contains("vaults.h.keys[0].private.id") && error.contains("write it in quotes"), "{error}");
}

#[test]
fn a_policy_is_read_as_signatory_reads_it() {
    let tz3 = "tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r";
    // allow replaces the older fields.
    let migrated = policy(
        "    allow: {block: , preattestation: , attestation: , attestation_with_dal: }\n    allowed_operations: [generic]\n    allowed_kinds: [transaction]\n",
    );
    assert_eq!(allowed(&parsed(&migrated), 0), ["block", "preattestation", "attestation"]);
    assert!(why(&migrated, &format!("{tz3}: allowed_kinds")).contains("ignores it where allow is set"));
    assert_eq!(changes(&migrated), Vec::<&str>::new());
    // Attestations with and without their DAL part are one kind here.
    let migrated = policy("    allow: {block: , preattestation: , attestation: }\n");
    assert!(why(&migrated, &format!("{tz3}: attestation")).contains("allowed there only without its DAL part"));
    let migrated = policy("    allow: {block: , preattestation: , unheard_of: , generic: [reveal, burn]}\n");
    assert_eq!(
        changes(&migrated),
        [&format!("{tz3}: unheard_of"), &format!("{tz3}: generic: burn"), &format!("{tz3}: attestation"),]
    );
    // A policy that allows nothing is no default.
    let migrated = policy("    log_payloads: true\n");
    assert!(migrated.config.contains("keys: []") && why(&migrated, tz3).contains("may not sign anything"));
    // An empty list of clients refuses all, and null refuses none.
    assert!(of("server: {authorized_keys: []}\ntezos: {}").config.contains("# authorizedKeys: "));
    assert!(!of("server: {authorized_keys: }\ntezos: {}").config.contains("authorizedKeys"));
    let client = "edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM";
    let keyed = format!(
        "server: {{authorized_keys: [p2pk68LU8bC18pzjMN6GXrvf8wvEsKiGE7DNFX5gQBJULGWvGpAKWP1]}}\n\
                         tezos:\n  {tz3}:\n    authorized_keys: {client}\n    allow: {{block: , preattestation: , endorsement: , endorsement_with_dal: }}\n"
    );
    assert!(why(&of(&keyed), &format!("{tz3}: authorized_keys")).contains("are not in server.authorized_keys"));
    for (text, reason) in [
        ("tezos: [tz3]", "tezos is missing"),
        ("server: 7\ntezos: {}", "server is not an object"),
        ("vaults: {h: {driver: pkcs11, keys: {a: b}}}\ntezos: {}", "vaults.h.keys is not a list"),
        ("tezos: {tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: {allow: [block]}}", "allow is not an object"),
        ("tezos: {tz3UoffC7FG7zfpmvmjUmUeAaHvzdcUvAj6r: {allow: {generic: all}}}", "allow.generic is not a list"),
        ("tezos: {}\nserver: {}\ntezos: {}\n", "a name occurs twice in one object: line 3, column 1"),
    ] {
        let error = migrate(Source::Signatory, text, None).expect_err(text).to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(of("\u{feff}tezos: {}\n").config.contains("keys: []"));
    let named = of("server: {address: \"signer.internal:6732\", utility_address: 9583}\ntezos: {}");
    assert!(
        named.config.starts_with("listen: \"signer.internal:6732\"   # FILL IN: the IP address of signer.internal")
    );
    assert!(named.config.contains("admin: \"ADDRESS:PORT\"   # FILL IN: the IP address, and the port number"));
}

#[test]
fn a_vault_of_aws_kms_names_a_region_and_its_keys_are_to_be_named() {
    let text = include_str!("../configurations/signatory-awskms.yaml");
    let migrated = of(text);
    let config = parsed(&migrated);
    let KeystoreConfig::AwsKms(kms) = &config.keystore else { panic!("{config:?}") };
    assert_eq!((kms.region.as_str(), kms.credentials_file.is_none()), ("us-west-2", true));
    assert!(config.keys.iter().all(|key| key.source.to_string() == "alias/baker"));
    assert_eq!(config.keys.len(), 2, "tz1 keys are signed with too");
    assert_eq!(changes(&migrated), ["vaults.aws: every key of the account", "vaults.hsm"]);
    for what in [
        "vaults.aws.access_key_id",
        "vaults.aws.secret_access_key",
        "vaults.aws.user_name",
        "vaults.aws.kms_key_id: 1234abcd-12ab-34cd-56ef-1234567890ab",
    ] {
        assert!(lost(&migrated).contains(&what), "{what}: {:#?}", lost(&migrated));
    }
    // Whichever comes first; and two vaults of one region are one.
    let other_way = "vaults: {h: {driver: pkcs11}, a: {driver: awskms, config: {region: eu-west-1}}}\ntezos: {}";
    assert!(why(&of(other_way), "vaults.a").contains("run another signer for the keys of this vault"));
    let two =
        "vaults: {a: {driver: awskms, region: eu-west-1}, b: {driver: aws, config: {region: eu-west-1}}}\ntezos: {}";
    assert!(of(two).config.contains("awsKms:\n  region: \"eu-west-1\"\n"), "{}", of(two).config);
    let without = "vaults: {a: {driver: awskms, config: {}}}\ntezos: {}";
    assert!(of(without).config.contains("# region: eu-west-1   # FILL IN"), "{}", of(without).config);
}
