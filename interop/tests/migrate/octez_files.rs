//! The files that start octez-signer: systemd units with their drop-ins, scripts, manifests of containers. They are read as the programs read
//! them that they are for, and what cannot be read is said and left open.

use super::{allowed, changes, lost, migrate, parsed, why};
use proptest::prelude::*;
use tezos_signer_interop::migrate::{Migrated, Source};

const DROP_INS: &str = "drop-ins of the unit";

fn octez(text: &str) -> Migrated {
    migrate(Source::Octez, text, None).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// On a host that has this file of the environment.
fn octez_with(text: &str, path: &str, environment: &str) -> Migrated {
    let file = |asked: &str| (asked == path).then(|| environment.to_owned());
    tezos_signer_interop::migrate::migrate(Source::Octez, text, None, &file).unwrap()
}

/// A unit with this command line.
fn unit(command: &str) -> Migrated {
    octez(&format!("[Service]\nExecStart={command}\n"))
}

fn error(text: &str) -> String {
    migrate(Source::Octez, text, None).expect_err(text).to_string()
}

fn listen(migrated: &Migrated) -> String {
    migrated.config.lines().find_map(|line| line.strip_prefix("listen: ")).unwrap_or_default().to_owned()
}

#[test]
fn comments_between_the_lines_of_a_command_are_skipped_and_commands_in_comments_too() {
    let migrated = octez(include_str!("../configurations/octez/comments.service"));
    assert_eq!(listen(&migrated), "\"10.0.0.7:6740\"");
    assert_eq!(allowed(&parsed(&migrated), 0), ["block", "preattestation", "attestation"]);
    assert!(!migrated.config.contains("authorizedKeys"), "{}", migrated.config);
    // With --check-high-watermark there is something to import.
    assert_eq!(lost(&migrated), [DROP_INS, "--base-dir", "the keys", "who may ask"]);
}

#[test]
fn drop_ins_replace_the_command_and_the_environment() {
    let migrated = octez(include_str!("../configurations/octez/drop-ins.cat"));
    assert_eq!(listen(&migrated), "\"10.0.0.9:6745\"");
    // Of $SIGNER_OPTS, which is two words.
    assert!(migrated.fill_in.iter().any(|line| line.starts_with("authorizedKeys: ")), "{:?}", migrated.fill_in);
    assert!(why(&migrated, "--base-dir").ends_with("/var/lib/octez signer"));
    assert_eq!(lost(&migrated), ["--base-dir", "the keys"]);
    // Without the reset there would be two.
    let both = include_str!("../configurations/octez/drop-ins.cat").replace("ExecStart=\n", "");
    assert!(error(&both).contains("2 commands that start octez-signer"), "{}", error(&both));
    // And after a reset alone, none.
    assert!(error("[Service]\nExecStart=octez-signer launch http signer\nExecStart=\n").contains("no command"));
}

#[test]
fn variables_come_from_the_unit_and_its_files_and_are_left_open_where_these_are_not_there() {
    let text = include_str!("../configurations/octez/environment.service");
    let migrated = octez(text);
    // The file would replace Environment=ADDRESS, so not even that is known.
    assert_eq!(
        listen(&migrated),
        "\"ADDRESS:PORT\"   # FILL IN: the IP address, and the port number; there ${ADDRESS} and ${PORT}"
    );
    assert!(migrated.config.contains("allow: []   # FILL IN: "), "{}", migrated.config);
    assert!(why(&migrated, "environment: /etc/default/octez-signer").contains("left open"));
    assert!(why(&migrated, "--base-dir").ends_with("/var/lib/octez-signer"));
    assert!(!lost(&migrated).contains(&"no --check-high-watermark"));
    parsed(&migrated);

    let path = "/etc/default/octez-signer";
    let there = octez_with(text, path, include_str!("../configurations/octez/environment.default"));
    assert_eq!(listen(&there), "\"10.0.0.80:6750\"");
    assert_eq!(allowed(&parsed(&there), 0), ["block", "preattestation", "attestation"]);
    assert!(lost(&there).contains(&"EnvironmentFile /etc/default/octez-signer"), "{:?}", lost(&there));

    // Without a file, what the unit sets is certain.
    let certain = octez(&text.replace("EnvironmentFile", "#"));
    assert_eq!(listen(&certain), "\"10.0.0.8:PORT\"   # FILL IN: the port number; there ${PORT}");
    // Defaults are known to shells only, and a word that is a variable may be any option.
    let migrated = unit("/usr/bin/octez-signer launch http signer -p ${PORT:-6732} -M 0x11,0x12,0x13 $OPTIONS");
    assert_eq!(
        listen(&migrated),
        "\"ADDRESS:PORT\"   # FILL IN: the IP address, and the port number; there ${PORT:-6732}"
    );
    assert!(why(&migrated, "$OPTIONS").contains("it may have any option"));
    assert!(why(&migrated, "--check-high-watermark").contains("not known whether it was set"));
    assert!(migrated.config.contains("# authorizedKeys: "), "{}", migrated.config);
    assert_eq!(changes(&migrated), ["$OPTIONS"]);
    // Also where it is one word, which is one option or one value.
    let migrated = octez("octez-signer launch http signer -M 0x11,0x12,0x13 \"$OPTION\"");
    assert_eq!(changes(&migrated), ["$OPTION"]);
    // Its own defaults are in the environment.
    let text = "[Service]\nEnvironment=TEZOS_SIGNER_HTTPS_PORT=8443 TEZOS_SIGNER_HTTPS_HOST=10.0.0.3\n\
                ExecStart=octez-signer launch https signer /c /k -M 0x11,0x12,0x13 -W\n";
    assert_eq!(listen(&octez(text)), "\"10.0.0.3:8443\"");
    assert_eq!(listen(&unit("octez-signer launch https signer /c /k")), "\"127.0.0.1:443\"");
}

#[test]
fn words_are_split_quoted_and_escaped_as_systemd_does() {
    for (command, address) in [
        (r#"@/usr/bin/octez-signer argv0 launch http signer -a "10.0.0.1" '-p' 1"#, "10.0.0.1:1"),
        (r"-+!/usr/bin/octez-signer launch http signer -a 10\x2e0.0.2 -p \062", "10.0.0.2:2"),
        (r#"/usr/bin/octez-signer launch http signer -a "10.0."0'.3' -p 3"#, "10.0.0.3:3"),
        ("/bin/true ; /usr/bin/octez-signer launch http signer -a 10.0.0.4 -p 4 ; /bin/false -p 5", "10.0.0.4:4"),
        (r"/usr/bin/octez-signer launch http signer \; -a 10.0.0.5 -p 5", "10.0.0.5:5"),
        ("/usr/bin/octez-signer launch http signer --address=10.0.0.6 --port=6", "10.0.0.6:6"),
        (r#"/bin/sh -c "exec /usr/bin/octez-signer launch http signer -a 10.0.0.7 -p 7""#, "10.0.0.7:7"),
        (r#"/bin/sh -c 'P=8; exec octez-signer launch http signer -a 10.0.0.8 -p "$$P"'"#, "10.0.0.8:8"),
        ("/usr/bin/env A=b nice -n 5 octez-signer launch http signer -a ::1 -p 9", "[::1]:9"),
        ("octez-signer launch http signer -a localhost -p 10", "127.0.0.1:10"),
    ] {
        assert_eq!(listen(&unit(command)), format!("{address:?}"), "{command}");
    }
    // Not with the prefix `:`, and no specifier is known here.
    let migrated =
        octez("[Service]\nEnvironment=P=1\nExecStart=:octez-signer launch http signer -p ${P} -d %S/octez%%\n");
    assert!(listen(&migrated).starts_with("\"127.0.0.1:PORT\""));
    assert!(why(&migrated, "--base-dir").ends_with("%S/octez%"));
    // Windows' ends of lines, and a byte order mark.
    let migrated = octez("\u{feff}[Service]\r\nExecStart=octez-signer launch http signer \\\r\n -p 77\r\n");
    assert_eq!(listen(&migrated), "\"127.0.0.1:77\"");
}

#[test]
fn what_systemd_ignores_is_said() {
    // An empty line ends a command, and the rest is lost.
    let migrated = octez("[Service]\nExecStart=octez-signer launch http signer \\\n\n  --address 10.0.0.1 -W\n");
    assert!(why(&migrated, "line 4").contains("systemd ignores it"));
    assert_eq!(changes(&migrated), ["line 4", "no --magic-bytes"]);
    assert_eq!(listen(&migrated), "\"127.0.0.1:6732\"");
    let migrated = octez("[Service]\nExecStart=octez-signer launch http signer \\ \n  -a 10.0.0.1\n");
    assert!(why(&migrated, "line 2").contains("blanks follow the backslash"));
    let text = "[Unit]\nExecStart=octez-signer launch http signer -p 1\n[Service]\nExecStart=octez-signer launch http signer -p 2\n";
    let migrated = octez(text);
    assert_eq!(listen(&migrated), "\"127.0.0.1:2\"");
    assert!(why(&migrated, "line 2").contains("outside of [Service]"));
    // What is not read at all is an error, with what to give instead.
    for (text, reason) in [
        (
            "[Service]\nExecStart=octez-signer launch http signer -a '10.0.0.1\n",
            "ExecStart: it has an unterminated quote",
        ),
        (
            "ExecStart={ path=/usr/bin/octez-signer ; argv[]=/usr/bin/octez-signer launch http signer ; }\n",
            "systemctl cat",
        ),
        ("[Service]\nExecStart=/usr/local/bin/start-signer.sh\n", "starts start-signer.sh, and not octez-signer"),
        (
            "[Service]\nExecStart=/usr/bin/octez-signer list known keys\n",
            "starts octez-signer, and not octez-signer … launch",
        ),
        ("octez-signer launch http signer -a '10.0.0.1", "line 1: a quote is not closed"),
    ] {
        assert!(error(text).contains(reason), "{}", error(text));
    }
}

#[test]
fn a_name_in_the_place_of_an_address_is_left_to_be_filled_in() {
    let migrated = octez("octez-signer launch http signer -a home -p 22000 -M 0x11,0x12,0x13 -W");
    assert_eq!(listen(&migrated), "\"home:22000\"   # FILL IN: the IP address of home, because names are not resolved");
    assert_eq!(allowed(&parsed(&migrated), 0), ["block", "preattestation", "attestation"]);
    let service = octez("octez-signer launch socket signer -a 10.0.0.1 -p tezos-signer");
    assert_eq!(listen(&service), "\"10.0.0.1:PORT\"   # FILL IN: the port number");
    assert_eq!(listen(&octez("octez-signer launch socket signer")), "\"127.0.0.1:7732\"");
    assert_eq!(listen(&octez("octez-signer launch local signer -s /run/signer")), "");
}

#[test]
fn the_unit_of_serokells_packages() {
    let text = include_str!("../configurations/octez/tezos-signer-http.service");
    let migrated = octez(text);
    assert!(why(&migrated, "tezos-signer-start").contains("MAGIC_BYTES is --magic-bytes"));
    assert!(
        why(&migrated, "TEZOS_CLIENT_DIR, MAGIC_BYTES, CHECK_HIGH_WATERMARK").contains("/etc/default/tezos-signer-")
    );
    assert!(migrated.config.contains("allow: []   # FILL IN: "), "{}", migrated.config);
    assert!(why(&migrated, "--check-high-watermark").contains("not known whether it was set"));
    parsed(&migrated);

    let environment = include_str!("../configurations/octez/tezos-signer-http.default");
    let there = octez_with(text, "/etc/default/tezos-signer-http", environment);
    // An unterminated quote takes the rest of the file into one value, as for systemd.
    assert!(listen(&there).contains("FILL IN"), "{}", there.config);
    assert_eq!(allowed(&parsed(&there), 0), ["block", "preattestation", "attestation"]);
    let there = octez_with(text, "/etc/default/tezos-signer-http", &environment.replace("CERT_PATH=\"\n", ""));
    assert_eq!(listen(&there), "\"127.0.0.1:8080\"");
    assert!(why(&there, "--base-dir").ends_with("/var/lib/tezos/signer"));
    assert!(!lost(&there).iter().any(|what| what.contains("high-watermark")), "{:?}", lost(&there));
    // Its default of no magic bytes and no watermark.
    let bare = "TEZOS_CLIENT_DIR=/d\nMAGIC_BYTES=\"\"\nCHECK_HIGH_WATERMARK=\"\"\nADDRESS=127.0.0.1\nPORT=1\n";
    let bare = octez_with(text, "/etc/default/tezos-signer-http", bare);
    assert!(lost(&bare).contains(&"no --check-high-watermark") && changes(&bare) == ["no --magic-bytes"]);
}

#[test]
fn the_name_before_octez_15_and_blocks_of_before_tenderbake() {
    let migrated = octez(include_str!("../configurations/octez/before-15.service"));
    assert!(why(&migrated, "tezos-signer").contains("have the same name"));
    assert_eq!(changes(&migrated), ["--magic-bytes 0x01", "--magic-bytes 0x02", "--magic-bytes 0x03"]);
    assert!(migrated.config.contains("allow: []   # FILL IN: "), "{}", migrated.config);
    assert!(listen(&migrated).starts_with("\"home:22000\"   # FILL IN: "));
    // Blocks and attestations alone are a policy of before Tenderbake, too.
    let migrated = octez("octez-signer launch http signer -M 0x11,0x13 -W");
    assert!(why(&migrated, "a key: preattestation").contains("add preattestation to allow if this key bakes"));
    assert_eq!(allowed(&parsed(&migrated), 0), ["block", "attestation"]);
    // This signer is no octez-signer.
    assert!(
        error("[Service]\nExecStart=/usr/bin/tezos-signer serve --config /etc/tezos-signer/config.yaml\n")
            .contains("starts tezos-signer, and not")
    );
}

#[test]
fn a_script_is_read_as_a_shell_reads_it() {
    let migrated = octez(include_str!("../configurations/octez/remote-signer.sh"));
    // What a branch sets is not known, and the rest of the same variable is.
    assert_eq!(listen(&migrated), "\"0.0.0.0:6732\"");
    assert_eq!(changes(&migrated), ["${extra_args}"]);
    assert!(migrated.config.contains("# authorizedKeys: "), "{}", migrated.config);
    let text = include_str!("../configurations/octez/remote-signer.sh").replace("${extra_args} ", "");
    let migrated = octez(&text);
    assert_eq!(listen(&migrated), "\"0.0.0.0:6732\"");
    assert!(why(&migrated, "--base-dir").ends_with("/var/tezos/client"));
    assert_eq!(lost(&migrated), ["--base-dir", "the keys", "who may ask"]);
    for (script, address) in [
        ("A=10.0.0.1\nP=1\nP=2\noctez-signer launch http signer -a $A -p \"$P\" # -p 3\n", "10.0.0.1:2"),
        ("exec sudo -u tezos octez-signer \\\n  launch http signer \\\n  -p 4 >> /log 2>&1 &\n", "127.0.0.1:4"),
        ("start() {\n  octez-signer launch http signer -p 5 -a 10.0.0.5\n}\nstart\n", "10.0.0.5:5"),
        ("su - tezos -c \"octez-signer launch http signer -p 6 2>/dev/null\"", "127.0.0.1:6"),
        (
            "docker run --net=host -p 6732:6732 tezos/tezos:octez-v25.1 octez-signer launch http signer -p 7",
            "127.0.0.1:7",
        ),
        ("cd /x && ./octez-signer launch http signer -p 8; echo '-p 9'", "127.0.0.1:8"),
    ] {
        assert_eq!(listen(&octez(script)), format!("{address:?}"), "{script}");
    }
    // Only a run of the script shows these.
    for script in [
        "if [ -z $1 ]; then P=1; fi\noctez-signer launch http signer -p $P -a 127.0.0.1",
        "octez-signer launch http signer -p ${PORT:-6732} -a 127.0.0.1",
        "P=1\n. /etc/default/signer\noctez-signer launch http signer -a 127.0.0.1 -p \"$P\"",
        "octez-signer launch http signer -a 127.0.0.1 -p $(cat port)",
        "for P in 1 2; do octez-signer launch http signer -a 127.0.0.1 -p `echo $P`; done",
    ] {
        let migrated = octez(script);
        assert!(listen(&migrated).starts_with("\"127.0.0.1:PORT\"   # FILL IN"), "{script}: {}", migrated.config);
    }
    let sourced = octez("P=1\n. /etc/default/signer\noctez-signer launch http signer -p $P\n");
    assert!(lost(&sourced).contains(&"environment: /etc/default/signer"), "{:?}", lost(&sourced));
    // A comment ends a command of a shell, and systemd is different.
    let migrated = octez("octez-signer launch http signer \\\n  # where\n  --address 10.0.0.1 -W\n");
    assert!(
        why(&migrated, "line 3").contains("does not read it as a part of the command before it"),
        "{:#?}",
        migrated.lost
    );
    let two = "if a; then octez-signer launch http signer; else octez-signer launch http signer -W; fi";
    assert!(error(two).contains("2 commands that start octez-signer"));
}

#[test]
fn manifests_of_containers() {
    let compose = octez(include_str!("../configurations/octez/compose.yaml"));
    assert_eq!(listen(&compose), "\"0.0.0.0:6739\"");
    assert_eq!(lost(&compose), ["--base-dir", "the keys", "who may ask"]);
    let pod = octez(include_str!("../configurations/octez/pod.yaml"));
    assert_eq!(listen(&pod), "\"ADDRESS:6732\"   # FILL IN: the IP address; there $(POD_IP)");
    assert!(why(&pod, "--base-dir").ends_with("/var/tezos"));
    let text =
        octez("services:\n  s:\n    command: octez-signer launch http signer --port 6741 -W -M 0x11,0x12,0x13\n");
    assert_eq!(listen(&text), "\"127.0.0.1:6741\"");
    let documents = format!("kind: ConfigMap\n---\n{}", include_str!("../configurations/octez/pod.yaml"));
    assert_eq!(octez(&documents), pod);
}

proptest! {
    /// Whatever stands in a file, it is read or refused.
    #[test]
    fn no_text_is_too_strange(words in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..24)) {
        let text = words.concat();
        for text in [text.clone(), format!("[Service]\nExecStart=octez-signer launch http signer {text}"), format!("octez-signer launch {text}")] {
            let file = |_: &str| Some(text.clone());
            let _ = tezos_signer_interop::migrate::migrate(Source::Octez, &text, None, &file);
        }
    }
}

/// What the readers look at, and characters of several bytes.
const PARTS: [&str; 40] = [
    " ",
    "\n",
    "\\",
    "'",
    "\"",
    "$",
    "{",
    "}",
    "(",
    ")",
    "`",
    ";",
    "#",
    "&",
    "|",
    ">",
    "<",
    "%",
    "=",
    "é",
    "x",
    "0",
    "\\x",
    "\\u",
    "\\U00",
    "${",
    "$(",
    ":-",
    "A",
    "A=",
    "launch",
    "-p",
    "--port",
    "octez-signer",
    "sh -c ",
    "EnvironmentFile=/e\n",
    "if",
    "for",
    "\t",
    "\r",
];
