//! The configuration file: what is filled in, and how a mistake is told.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Duration;
use tezos_signer_core::config::{KeySelector, KeySource, SignerConfig, TokenSelector, WatermarkConfig};
use tezos_signer_core::key::ChainId;
use tezos_signer_core::payload::UnknownSuffix;
use tezos_signer_core::policy::{PayloadKind, Policy};

const KEY: &str = "p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24";

fn minimal() -> String {
    format!(
        "\
hsm: {{module: /usr/lib/softhsm/libsofthsm2.so, token: hsm1, pinFile: /run/pin}}
keys:
- publicKey: {KEY}
  label: baker-one
  chain: mainnet
watermarks: {{configMap: {{}}}}
"
    )
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let config = SignerConfig::from_yaml(&minimal()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:6732");
    assert_eq!(config.admin.to_string(), "[::]:9583");
    assert_eq!((config.request_deadline_milliseconds, config.keystore.hsm().unwrap().sessions), (1500, 4));
    assert_eq!(
        (config.keystore.hsm().unwrap().exit_after, config.keystore.hsm().unwrap().exit_after_hang),
        (Duration::from_mins(1), Duration::from_secs(10))
    );
    assert_eq!((config.max_concurrent_requests, config.max_connections), (64, 512));
    assert_eq!((&config.unix_socket, &config.tls, &config.path_prefix), (&None, &None, &None));
    assert!(!config.allow_known_keys);
    let key = &config.keys[0];
    assert_eq!(key.source, KeySource::Pkcs11(KeySelector::Label("baker-one".to_owned())));
    assert_eq!(key.policy, Policy::baking(ChainId::MAINNET));
    assert_eq!((key.policy.allow.as_slice(), key.max_level_jump), (&PayloadKind::CONSENSUS[..], 100_000));
    assert_eq!((key.unknown_consensus_suffix, config.audit.file), (UnknownSuffix::Refuse, None));
    assert!(key.authorized_keys.is_empty() && config.authorized_keys.is_empty());
    let Some(WatermarkConfig::ConfigMap(config_map)) = &config.watermarks else { panic!() };
    assert_eq!((config_map.namespace.as_str(), config_map.lease_duration_seconds), ("tezos-signer-records", 5));
}

#[test]
fn what_the_operator_writes_is_what_the_signer_reads() {
    let config = SignerConfig::from_yaml(&minimal()).unwrap();
    assert_eq!(SignerConfig::from_yaml(&config.to_yaml().unwrap()).unwrap(), config);
}

#[test]
fn all_of_the_signing_port_is_read_and_written_and_its_defaults_are_not_written() {
    let text = minimal()
        + "unixSocket: /run/signer.sock\npathPrefix: /a/b\nallowKnownKeys: true\nmaxConcurrentRequests: 2\nmaxConnections: 3\n\
           tls: {certificateFile: /c, privateKeyFile: /k, clientCaFile: /a}\n";
    let config = SignerConfig::from_yaml(&text).unwrap();
    assert_eq!(SignerConfig::from_yaml(&config.to_yaml().unwrap()).unwrap(), config);

    let written = SignerConfig::from_yaml(&minimal()).unwrap().to_yaml().unwrap();
    for field in ["unixSocket", "pathPrefix", "allowKnownKeys", "maxConcurrentRequests", "maxConnections", "tls"] {
        assert!(text.contains(field) && !written.contains(field), "{field}: {written}");
    }
}

#[test]
fn the_peer_port_is_read_and_written_and_needs_records_that_several_can_serve() {
    let text =
        minimal() + "peer: {listen: \"[::]:6733\", tls: {certificateFile: /c, privateKeyFile: /k, caFile: /a}}\n";
    let config = SignerConfig::from_yaml(&text).unwrap();
    let peer = config.peer.as_ref().unwrap();
    assert_eq!(peer.listen.to_string(), "[::]:6733");
    assert_eq!(peer.tls.as_ref().unwrap().ca_file.to_str(), Some("/a"));
    assert_eq!(SignerConfig::from_yaml(&config.to_yaml().unwrap()).unwrap(), config);
    assert!(!SignerConfig::from_yaml(&minimal()).unwrap().to_yaml().unwrap().contains("peer"));
    let plain = minimal() + "peer: {listen: 127.0.0.1:6733}\n";
    assert!(!SignerConfig::from_yaml(&plain).unwrap().to_yaml().unwrap().contains("caFile"));
    // It is no way around who may ask on the signing port.
    let open = minimal() + "peer: {listen: 10.0.0.7:6733}\n";
    let tls = "tls: {certificateFile: /c, privateKeyFile: /k, clientCaFile: /a}\n";
    for (front, clients) in
        [("", "clients on this host"), (&format!("listen: 10.0.0.7:6732\n{tls}"), "clients with a certificate")]
    {
        let error = SignerConfig::from_yaml(&format!("{front}{open}")).unwrap_err().to_string();
        assert!(error.contains("peer.tls") && error.contains(clients), "{error}");
    }
    for front in
        ["listen: 10.0.0.7:6732\n", "authorizedKeys: [edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM]\n"]
    {
        SignerConfig::from_yaml(&format!("{front}{open}")).unwrap();
    }
}

#[test]
fn a_token_is_named_by_its_label_or_its_serial_number() {
    let config = SignerConfig::from_yaml(&minimal()).unwrap();
    assert_eq!(config.keystore.hsm().unwrap().token, TokenSelector::Label("hsm1".to_owned()));
    assert!(!config.to_yaml().unwrap().contains("exitAfter"), "a default is written");
    let text = minimal().replacen("token: hsm1", "serial: 0a1b, exitAfterSeconds: 30, exitAfterHangSeconds: 3", 1);
    let config = SignerConfig::from_yaml(&text).unwrap();
    assert_eq!(config.keystore.hsm().unwrap().token, TokenSelector::Serial("0a1b".to_owned()));
    assert_eq!(SignerConfig::from_yaml(&config.to_yaml().unwrap()).unwrap(), config);
}

#[test]
fn mistakes_are_told_with_field_and_line() {
    for (from, to, parts) in [
        ("token: hsm1", "tokken: hsm1", &["hsm", "tokken", "line 1"][..]),
        ("label: baker-one", "labell: baker-one", &["keys[0]", "labell", "line"]),
        ("  label: baker-one\n", "", &["keys: key tz3", "label or id", "line"]),
        ("label: baker-one", "label: baker-one\n  id: abcd", &["keys: key tz3", "either label or id"]),
        ("label: baker-one", "id: xyz", &["keys: id of key tz3", "hex"]),
        (KEY, "p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv25", &["keys[0]", "publicKey", "checksum"]),
        (
            KEY,
            "BLpk1vvYoUeVyjsZhdhtzuEEsUAbigzgvZ3Ms3v4MZoeinnJKRa3MKksHZgH7nYXFxSREebWo619",
            &["keys", "label of key tz4", "sealed"],
        ),
        ("mainnet", "NetX", &["keys[0]", "chain"]),
        ("mainnet", "mainnet\n  allow: []", &["keys: allow of key tz3"]),
        ("mainnet", "mainnet\n  allow: [revael]", &["keys[0]", "allow", "revael", "reveal", "attestation"]),
        ("mainnet", "mainnet\n  allow: [block, drain_delegate]", &["allow", "drainDelegate: true"]),
        ("mainnet", "mainnet\n  allow: [ballot]\n  ballot: []", &["ballot of key tz3"]),
        ("mainnet", "mainnet\n  ballot: [aye]", &["keys[0]", "ballot", "aye"]),
        ("mainnet", "mainnet\n  maxFee: -1", &["keys[0]", "maxFee"]),
        ("mainnet", "mainnet\n  maxAmount: 1.5", &["keys[0]", "maxAmount"]),
        ("mainnet", "mainnet\n  destinations: [tz9]", &["keys[0]", "destinations"]),
        (
            "mainnet",
            "mainnet\n  unknownConsensusSuffix: sign",
            &["keys[0]", "unknownConsensusSuffix", "octezCompatible"],
        ),
        ("mainnet", "mainnet\n  authorizedKeys: [edpk]", &["authorizedKeys"]),
        (
            "watermarks:",
            "authorizedKeys: [tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr]\nwatermarks:",
            &["authorizedKeys", "public key"],
        ),
        ("watermarks:", "audit: {path: /a}\nwatermarks:", &["audit", "path", "file"]),
        ("{configMap: {}}", "{}", &["watermarks", "file", "configMap"]),
        ("{configMap: {}}", "{configMap: {leaseDurationSeconds: 2}}", &["watermarks", "leaseDurationSeconds"]),
        ("/run/pin}", "/run/pin, sessions: 17}", &["hsm.sessions: 17", "1 to 16"]),
        ("/run/pin}", "/run/pin, exitAfterSeconds: 9}", &["hsm.exitAfterSeconds: 9", "10 to 3600"]),
        ("/run/pin}", "/run/pin, exitAfterHangSeconds: 0}", &["hsm.exitAfterHangSeconds: 0", "3 to 3600"]),
        ("token: hsm1, ", "", &["hsm needs either token", "serial"]),
        ("token: hsm1", "token: hsm1, serial: 0a1b", &["hsm needs either token", "serial"]),
        ("watermarks:", "requestDeadlineMilliseconds: 5\nwatermarks:", &["requestDeadlineMilliseconds"]),
        ("watermarks:", "listen: nowhere\nwatermarks:", &["listen"]),
        ("watermarks:", "unixSocket: run/signer.sock\nwatermarks:", &["unixSocket", "absolute"]),
        (
            "watermarks:",
            &format!("unixSocket: /{}\nwatermarks:", "x".repeat(107)),
            &["unixSocket", "108 bytes", "at most 107"],
        ),
        ("watermarks:", "pathPrefix: base\nwatermarks:", &["pathPrefix", "\"/base\""]),
        ("watermarks:", "pathPrefix: /base/\nwatermarks:", &["pathPrefix", "slash at its end"]),
        ("watermarks:", "pathPrefix: \"/{base}\"\nwatermarks:", &["pathPrefix", "{base}"]),
        ("watermarks:", "maxConcurrentRequests: 0\nwatermarks:", &["maxConcurrentRequests", "1 to 1024"]),
        ("watermarks:", "maxConcurrentRequests: 1025\nwatermarks:", &["maxConcurrentRequests", "1 to 1024"]),
        ("watermarks:", "maxConnections: 64\nwatermarks:", &["maxConnections", "from 65", "8192"]),
        ("watermarks:", "maxConnections: 8193\nwatermarks:", &["maxConnections", "8192"]),
        ("watermarks:", "peer: {}\nwatermarks:", &["peer", "listen"]),
        ("watermarks:", "peer: {listen: \"[::]:6733\", ca: /a}\nwatermarks:", &["peer", "ca"]),
        (
            "watermarks: {configMap: {}}",
            "watermarks: {file: /w}\npeer: {listen: \"[::]:6733\"}",
            &["peer: records in files"],
        ),
        (
            "watermarks:",
            "peer: {listen: \"[::]:6733\", tls: {certificateFile: /c, privateKeyFile: /k}}\nwatermarks:",
            &["peer", "caFile"],
        ),
        ("watermarks:", "tls: {certificateFile: /c}\nwatermarks:", &["tls", "privateKeyFile"]),
        ("watermarks:", "tls: {certificateFile: /c, privateKeyFile: /k, ca: /a}\nwatermarks:", &["tls", "ca"]),
    ] {
        let text = minimal().replacen(from, to, 1);
        assert_ne!(text, minimal(), "{from} is not there");
        let error = SignerConfig::from_yaml(&text).expect_err(to).to_string();
        for part in parts {
            assert!(error.contains(part), "{to}: expected {part:?} in: {error}");
        }
    }
}

/// An operator that is newer than the signers writes nothing that they do not know, unless it is asked for.
#[test]
fn what_is_as_by_default_is_not_written() {
    let text = SignerConfig::from_yaml(&minimal()).unwrap().to_yaml().unwrap();
    for field in
        ["ballot", "maxFee", "maxAmount", "destinations", "drainDelegate", "unknownConsensusSuffix", "suspend", "audit"]
    {
        assert!(!text.contains(field), "{field} in {text}");
    }
}

#[test]
fn one_key_stands_there_once() {
    let text =
        minimal().replace("watermarks:", &format!("- {{publicKey: {KEY}, label: again, chain: mainnet}}\nwatermarks:"));
    let error = SignerConfig::from_yaml(&text).expect_err("twice").to_string();
    assert!(error.starts_with("keys[1].publicKey"), "{error}");
}

#[test]
fn a_node_is_named_by_host_and_port() {
    let with = |endpoint: &str| SignerConfig::from_yaml(&format!("{}nodeEndpoint: \"{endpoint}\"\n", minimal()));
    for (written, connects_to) in [
        ("http://node.tezos.svc:8732", "node.tezos.svc:8732"),
        ("http://127.0.0.1", "127.0.0.1:8732"),
        ("http://[fd00::7]:80/", "[fd00::7]:80"),
        ("http://[::1]", "[::1]:8732"),
    ] {
        let config = with(written).unwrap();
        assert_eq!(config.node_endpoint.as_ref().unwrap().authority(), connects_to);
        assert_eq!(SignerConfig::from_yaml(&config.to_yaml().unwrap()).unwrap(), config);
    }
    for wrong in [
        "",
        "node:8732",
        "https://node",
        "http://",
        "http://node/rpc",
        "http://u:p@node",
        "http://node:0",
        "http://node:x",
        "http://[fd00]",
    ] {
        let error = with(wrong).unwrap_err().to_string();
        assert!(error.contains("nodeEndpoint") && error.contains("expected http://HOST"), "{wrong}: {error}");
    }
    assert!(!SignerConfig::from_yaml(&minimal()).unwrap().to_yaml().unwrap().contains("nodeEndpoint"));
}

#[test]
fn an_address_of_another_form_is_named_with_what_to_write() {
    for (field, written, remedy) in [
        ("listen", ":6732", "write \"[::]:6732\" for all addresses of the host"),
        ("listen", "\":6732\"", "127.0.0.1:6732"),
        ("admin", ":9583", "\"[::]:9583\""),
        ("admin", "9583", "it is a port without an IP address"),
        ("listen", "localhost:6732", "\"localhost\" is not an IP address"),
        ("listen", "127.0.0.1", "expected an IP address and a port"),
        ("listen", "\"*:6732\"", "\"*\" is not an IP address"),
        ("listen", "::1:6732", "write \"[::1]:6732\""),
        ("listen", "127.0.0.1:66732", "expected an IP address and a port"),
    ] {
        let error = SignerConfig::from_yaml(&format!("{field}: {written}\n{}", minimal())).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{field}: ")) && error.contains("line 1 column"), "{error}");
        assert!(error.contains(remedy), "{written}: {error}");
    }
    let peer = SignerConfig::from_yaml(&(minimal() + "peer: {listen: \":6733\"}\n")).unwrap_err().to_string();
    assert!(peer.starts_with("peer.listen: ") && peer.contains("[::]:6733"), "{peer}");
}

#[test]
fn a_field_that_stands_twice_and_a_byte_order_mark_are_named() {
    let twice = minimal() + "listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\nlisten: 127.0.0.1:3\n";
    let error = SignerConfig::from_yaml(&twice).unwrap_err().to_string();
    assert!(error.contains("\"listen\" occurs twice") && error.contains("line 9 column 1"), "{error}");
    let json =
        r#"{"hsm": {"module": "/m", "token": "a", "pinFile": "/p"}, "watermarks": {"file": "/a", "file": "/b"}}"#;
    let error = SignerConfig::from_yaml(json).unwrap_err().to_string();
    assert!(error.contains("\"file\" occurs twice") && error.contains("line 1 column"), "{error}");
    let error = SignerConfig::from_yaml(&format!("\u{feff}{}", minimal())).unwrap_err().to_string();
    assert!(error.contains("byte order mark"), "{error}");
}
