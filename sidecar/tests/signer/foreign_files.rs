//! `watermarks import` of other signers' files, `watermarks export` for them, `watermarks compare` and `migrate`: what they say, and what
//! they refuse. The formats are tested in the core, the way as a whole in `moving`.

use crate::home::{FLOOR, Home};
use crate::node::{Node, votes};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tezos_signer_core::config::KeyConfig;

const CHAIN: &str = "NetXdQprcVkpaWU";

/// octez-signer's files in a directory of their own, with the marks of a key: level by kind.
fn octez(home: &Home, key: &KeyConfig, marks: &[(&str, u32)]) -> PathBuf {
    let directory = home.path.join("octez");
    std::fs::create_dir_all(&directory).unwrap();
    for (kind, level) in marks {
        let mark = json!({"level": level, "round": 0, "hash": "ab".repeat(32)});
        let stranger = "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr";
        let marks = json!({CHAIN: {key.hash().to_string(): mark, stranger: mark}, "NetXnHfVqm9iesp": {key.hash().to_string(): mark}});
        std::fs::write(directory.join(format!("{kind}_high_watermarks")), marks.to_string()).unwrap();
    }
    directory
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn word(path: &Path) -> String {
    path.display().to_string()
}

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn an_import_says_what_it_did_and_what_it_left() {
    let home = Home::without_records();
    let (key, other) = (home.tz3(), home.tz2());
    let directory = octez(&home, &key, &[("block", 1500), ("preattestation", 1501), ("attestation", 1502)]);
    let import = ["watermarks", "import", text(&directory)];
    assert!(home.run(&import).failed().contains("--create makes it"));
    let ended = home.run(&[&import[..], &["--create", "--output", "json"]].concat());
    let said = ended.stderr.clone();
    let all: Value = serde_json::from_str(&ended.succeeded()).unwrap();
    assert_eq!(all[0]["now"]["block"], format!("1500 0 {} -", "ab".repeat(32)));
    assert!(all[0]["before"].is_null() && all.as_array().unwrap().len() == 1, "{all}");
    assert!(said.contains(&format!("left out: {} on NetXnHfVqm9iesp", key.hash())), "{said}");
    assert!(said.contains("left out: tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr"), "{said}");
    assert!(said.contains(&format!("{} is not in ", other.hash())), "{said}");

    // An old copy changes nothing; a floor raises.
    octez(&home, &key, &[("block", 1400), ("preattestation", 1401), ("attestation", 1402)]);
    home.run(&import).succeeded();
    assert!(home.row(&key, "block").starts_with("1500 0 "));
    home.run(&[&import[..], &["--floor", "1501"]].concat()).succeeded();
    assert_eq!(home.row(&key, "block"), "1501 2147483647 - -");
    assert!(home.row(&key, "attestation").starts_with("1502 0 "));

    // One file that is not understood, and nothing is changed.
    let file = directory.join("attestation_high_watermarks");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("1402", "2000").replace("round", "slot"))
        .unwrap();
    octez(&home, &key, &[("block", 1600)]);
    let refused = home.run(&import).failed();
    assert!(refused.contains("unknown field `slot`") && refused.contains("nothing was changed"), "{refused}");
    assert_eq!(home.row(&key, "block"), "1501 2147483647 - -");
}

#[test]
fn a_kind_that_the_files_do_not_have_is_no_fresh_start() {
    let home = Home::without_records();
    let key = home.tz3();
    let directory = octez(&home, &key, &[("preattestation", 1501), ("attestation", 1502)]);
    let import = ["watermarks", "import", "--create", text(&directory)];
    let refused = home.run(&import).failed();
    assert!(refused.contains("have no row of") && refused.contains("for: block."), "{refused}");
    assert!(!home.record_file(&key).exists());
    home.run(&[&import[..], &["--floor", "1500"]].concat()).succeeded();
    assert_eq!(home.row(&key, "block"), "1500 2147483647 - -");
    assert!(home.row(&key, "attestation").starts_with("1502 0 "));
    // Nor where there is a record: it may be lower than what was signed.
    assert!(home.run(&["watermarks", "import", text(&directory)]).failed().contains("have no row of"));
}

#[test]
fn what_cannot_be_imported_or_exported_is_refused() {
    let home = Home::new();
    let key = home.tz3();
    let directory = octez(&home, &key, &[("block", 1500)]);
    let neither = home.path.join("tokens");
    let (gzip, empty) = (home.path.join("part.json.gz"), home.path.join("part.json"));
    std::fs::write(&gzip, b"\x1f\x8b\x08\x00").unwrap();
    std::fs::write(&empty, "\n").unwrap();
    let renamed = home.path.join("marks.json");
    std::fs::copy(directory.join("block_high_watermarks"), &renamed).unwrap();
    let ours = home.path.join("watermarks.json");
    home.run(&["watermarks", "export", "--output", text(&ours)]).succeeded();
    for (arguments, message) in [
        (vec![word(&neither)], "has neither octez-signer's high watermarks nor Signatory's"),
        (vec![word(&renamed)], "it is not known what this is"),
        (vec![word(&renamed), "--format".into(), "octez".into()], "the name of octez-signer's file says"),
        (vec![word(&ours), word(&directory)], "it is imported alone"),
        (vec![word(&directory), "--key".into(), home.tz2().hash().to_string()], "no key of the configuration is in it"),
        (vec![word(&gzip)], "it is compressed: gunzip it"),
        (vec![word(&directory), word(&empty)], "it is empty. If it is a part of an export"),
    ] {
        let arguments: Vec<_> =
            ["watermarks", "import"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let refused = home.run(&arguments).failed();
        assert!(refused.contains(message), "{message}: {refused}");
    }
    assert!(home.row(&key, "block").starts_with(&format!("{FLOOR} ")));
    for (arguments, message) in [
        (&["--format", "octez"][..], "--output DIRECTORY"),
        (&["--format", "signatory-dynamodb", "--output", "x"], "imported only"),
    ] {
        let refused = home.run(&[&["watermarks", "export"], arguments].concat()).failed();
        assert!(refused.contains(message), "{refused}");
    }
    assert_eq!(home.run(&["watermarks", "export", "--format", "tmkms"]).code, Some(2));
}

#[test]
fn an_export_takes_nothing_out_of_another_signers_files() {
    let home = Home::new();
    let (tz3, tz2) = (home.tz3(), home.tz2());
    let directory = octez(&home, &tz3, &[("block", 1500), ("attestation", 900)]);
    std::fs::write(directory.join("endorsement_high_watermarks"), "{}").unwrap();
    // The other signer runs as somebody else.
    for file in [directory.clone(), directory.join("block_high_watermarks")] {
        std::os::unix::fs::chown(file, Some(1234), Some(1234)).unwrap();
    }
    home.run(&["watermarks", "export", "--format", "octez", "--output", text(&directory)]).succeeded();
    let (block, attestation) = (
        json_file(&directory.join("block_high_watermarks")),
        json_file(&directory.join("attestation_high_watermarks")),
    );
    let level = |file: &Value, key: &KeyConfig| file[CHAIN][key.hash().to_string()]["level"].as_u64();
    // Higher there: it stays. Lower there: ours. Not there: ours.
    assert_eq!(level(&block, &tz3), Some(1500));
    assert_eq!(level(&attestation, &tz3), Some(FLOOR.into()));
    assert_eq!(level(&block, &tz2), Some(FLOOR.into()));
    assert_eq!(block[CHAIN]["tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr"]["level"], 1500);
    assert_eq!(block["NetXnHfVqm9iesp"].as_object().unwrap().len(), 1);
    // And by the names of older releases, of which one would find no mark otherwise.
    for name in ["endorsement_high_watermarks", "preendorsement_high_watermarks"] {
        assert_eq!(level(&json_file(&directory.join(name)), &tz3), Some(FLOOR.into()), "{name}");
    }
    for name in ["block_high_watermarks", "preattestation_high_watermarks"] {
        assert_eq!(std::fs::metadata(directory.join(name)).unwrap().uid(), 1234, "{name}");
    }

    // What is not understood is not written over.
    std::fs::write(directory.join("block_high_watermarks"), "[]").unwrap();
    home.run(&["watermarks", "export", "--format", "octez", "--output", text(&directory)]).failed();
    assert_eq!(std::fs::read_to_string(directory.join("block_high_watermarks")).unwrap(), "[]");
}

#[test]
fn a_record_below_what_the_chain_shows_is_told() {
    let home = Home::new();
    let (key, other) = (home.tz3(), home.tz2());
    let node = Node::start(CHAIN);
    let url = format!("http://{}", node.address);
    let compare = ["watermarks", "compare", "--node-endpoint", &url];
    let table = home.run(&compare).succeeded();
    assert_eq!(table.matches("no block or vote of the key above it, up to block 1060").count(), 2, "{table}");

    node.say(&format!("{}/operations/0", FLOOR + 41), votes(&[(&key.hash().to_string(), FLOOR + 40)]));
    let told = home.run(&compare).failed();
    assert!(told.contains(&format!("too low: block {} of the chain proves", FLOOR + 41)), "{told}");
    assert!(told.contains("watermarks raise"), "{told}");
    let ended = home.run(&[&compare[..], &["--output", "json"]].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let all: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&all[0]["publicKeyHash"], &all[1]["publicKeyHash"]), (&json!(key.hash()), &json!(other.hash())));
    assert!(all[0]["forgotten"].is_string() && all[1]["forgotten"].is_null(), "{all}");

    // What it says helps; and a record above the head waits.
    home.run(&["watermarks", "raise", "--level", "6001"]).succeeded();
    assert!(home.run(&compare).succeeded().contains("up to the head"));
    home.run(&["watermarks", "raise", "--level", "6100"]).succeeded();
    assert!(
        home.run(&compare).succeeded().contains("levels above the head: nothing is signed until the chain is there")
    );

    assert!(home.run(&["watermarks", "compare"]).failed().contains("--node-endpoint http://HOST:PORT"));
    let elsewhere = Node::start("NetXnHfVqm9iesp");
    let refused =
        home.run(&["watermarks", "compare", "--node-endpoint", &format!("http://{}", elsewhere.address)]).failed();
    assert!(refused.contains("is a node of the chain"), "{refused}");
}

#[test]
fn migrate_writes_a_new_file_only() {
    let home = Home::without_keys();
    let (from, to) = (home.path.join("keys.json"), home.path.join("new.yaml"));
    std::fs::write(&from, r#"{"keys": {}, "bind_port": 5000}"#).unwrap();
    let migrate = |arguments: &[&str]| {
        let ended = home.command().args(["migrate", "--from", "python", text(&from)]).args(arguments).output().unwrap();
        crate::home::Ended::from(ended)
    };
    let json: Value = serde_json::from_str(&migrate(&["--output", "json"]).succeeded()).unwrap();
    assert!(json["config"].as_str().unwrap().starts_with("listen: \"127.0.0.1:5000\"\n"), "{json}");
    assert!(!json["fill_in"].as_array().unwrap().is_empty() && json["lost"].is_array(), "{json}");
    let printed = migrate(&[]);
    assert!(printed.stderr.contains("To fill in"), "{}", printed.stderr);
    let printed = printed.succeeded();
    assert_eq!(migrate(&["--output-file", text(&to)]).succeeded(), "");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), printed);
    let again = migrate(&["--output-file", text(&to)]).failed();
    assert!(again.contains("cannot be written"), "{again}");
    std::fs::write(&from, "{").unwrap();
    assert!(migrate(&[]).failed().contains("is not understood"));
}

/// Every command that a person calls says how, with an example.
#[test]
fn every_command_has_an_example() {
    let home = Home::without_keys();
    let help = |words: &[&str]| {
        crate::home::Ended::from(home.command().args(words).arg("--help").output().unwrap()).succeeded()
    };
    let below = |words: &[&str]| {
        let text = help(words);
        let commands = text.split_once("Commands:\n").map(|(_, rest)| rest.split("\n\n").next().unwrap().to_owned());
        let names = commands.unwrap_or_default();
        names
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned))
            .filter(|name| !name.is_empty() && name != "help")
            .collect::<Vec<_>>()
    };
    let mut seen = 0;
    for first in below(&[]) {
        let second = below(&[&first]);
        let all: Vec<Vec<&str>> = if second.is_empty() {
            vec![vec![&first]]
        } else {
            second.iter().map(|second| vec![first.as_str(), second.as_str()]).collect()
        };
        for words in all {
            let text = help(&words);
            assert!(
                text.contains(&format!("tezos-signer {}", words.join(" "))) && text.contains("Example"),
                "{words:?}: {text}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}
