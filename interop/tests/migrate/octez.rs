//! The command line of octez-signer.

use super::{changes, lost, migrate, octez_service, parsed};
use tezos_signer_interop::migrate::Source;

#[test]
fn the_options_of_octez_signer() {
    let migrated = octez_service();
    let config = parsed(&migrated);
    // Its default for HTTPS.
    assert_eq!(config.listen.to_string(), "10.0.0.7:443");
    let tls = config.tls.unwrap();
    assert_eq!(
        (tls.certificate_file.to_str(), tls.private_key_file.to_str()),
        (Some("/etc/octez/tls.crt"), Some("/etc/octez/tls.key"))
    );
    let allow: Vec<_> = config.keys[0].policy.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["block", "preattestation", "attestation"]);
    assert!(migrated.fill_in.iter().any(|line| line.starts_with("authorizedKeys: ")), "{:?}", migrated.fill_in);
    assert_eq!(lost(&migrated), ["--magic-bytes 0x03", "drop-ins of the unit", "--base-dir", "the keys"]);
    // As a shell reads it.
    let quoted =
        r#"ExecStart="/usr/bin/octez-signer" launch http signer --port "6740" '--magic-bytes' "0x11, 0x12,0x13" -W"#;
    let quoted = migrate(Source::Octez, quoted, None).unwrap();
    assert!(
        quoted.config.contains("6740") && quoted.config.contains("[block, preattestation, attestation]"),
        "{}",
        quoted.config
    );
    assert_eq!(lost(&quoted), ["drop-ins of the unit", "the keys"]);
    for whole in [
        r#"ExecStart=/bin/sh -c "exec /usr/bin/octez-signer launch http signer -p 6740 -M 0x11,0x12,0x13 -W""#,
        "command: 'octez-signer launch http signer -p 6740 -M 0x11,0x12,0x13 -W'",
    ] {
        let whole = migrate(Source::Octez, whole, None).unwrap();
        assert!(whole.config.contains("6740"), "{}", whole.config);
        assert_eq!(lost(&whole).last(), Some(&"the keys"));
        assert_eq!(changes(&whole), Vec::<&str>::new());
    }
    for wrong in ["octez-signer launch http signer -M '0x11", "octez-signer.sh launch http signer"] {
        assert!(migrate(Source::Octez, wrong, None).is_err(), "{wrong}");
    }
    // Without its checks it is said that there is nothing to import.
    let bare = migrate(Source::Octez, "octez-signer launch http signer", None).unwrap();
    assert_eq!(lost(&bare), ["no --magic-bytes", "no --check-high-watermark", "the keys"]);
}
