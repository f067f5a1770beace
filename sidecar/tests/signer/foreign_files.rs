//! `watermarks import` of other signers' files, `watermarks export` for them, and `watermarks compare`: what they say, and what they
//! refuse. The formats are tested in the core, the way as a whole in `moving`.

use crate::node::{Node, votes};
use crate::test_env::{FLOOR, TestEnv};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tezos_signer_core::config::KeyConfig;

const CHAIN: &str = "NetXdQprcVkpaWU";

/// octez-signer's files in a directory of their own, with the marks of a key: level by kind.
fn octez(env: &TestEnv, key: &KeyConfig, marks: &[(&str, u32)]) -> PathBuf {
    let directory = env.path.join("octez");
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
    let env = TestEnv::without_records();
    let (key, other) = (env.tz3(), env.tz2());
    let directory = octez(&env, &key, &[("block", 1500), ("preattestation", 1501), ("attestation", 1502)]);
    let import = ["watermarks", "import", text(&directory)];
    assert!(env.run(&import).failed().contains("--create creates it"));
    let ended = env.run(&[&import[..], &["--create", "--output", "json"]].concat());
    let output = ended.stderr.clone();
    let all: Value = serde_json::from_str(&ended.succeeded()).unwrap();
    assert_eq!(all[0]["now"]["block"], format!("1500 0 {} -", "ab".repeat(32)));
    assert!(all[0]["before"].is_null() && all.as_array().unwrap().len() == 1, "{all}");
    assert!(output.contains(&format!("ignored: {} on NetXnHfVqm9iesp", key.hash())), "{output}");
    assert!(output.contains("ignored: tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr"), "{output}");
    assert!(output.contains(&format!("{} is not in ", other.hash())), "{output}");

    // An old copy changes nothing; a floor raises.
    octez(&env, &key, &[("block", 1400), ("preattestation", 1401), ("attestation", 1402)]);
    env.run(&import).succeeded();
    assert!(env.row(&key, "block").starts_with("1500 0 "));
    env.run(&[&import[..], &["--floor", "1501"]].concat()).succeeded();
    assert_eq!(env.row(&key, "block"), "1501 2147483647 - -");
    assert!(env.row(&key, "attestation").starts_with("1502 0 "));

    // One file that is not understood, and nothing is changed.
    let file = directory.join("attestation_high_watermarks");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("1402", "2000").replace("round", "slot"))
        .unwrap();
    octez(&env, &key, &[("block", 1600)]);
    let refused = env.run(&import).failed();
    assert!(refused.contains("unknown field `slot`") && refused.contains("nothing was changed"), "{refused}");
    assert_eq!(env.row(&key, "block"), "1501 2147483647 - -");
}

#[test]
fn a_kind_that_the_files_do_not_have_is_no_fresh_start() {
    let env = TestEnv::without_records();
    let key = env.tz3();
    let directory = octez(&env, &key, &[("preattestation", 1501), ("attestation", 1502)]);
    let import = ["watermarks", "import", "--create", text(&directory)];
    let refused = env.run(&import).failed();
    assert!(refused.contains("have no row of") && refused.contains("for: block."), "{refused}");
    assert!(!env.record_file(&key).exists());
    env.run(&[&import[..], &["--floor", "1500"]].concat()).succeeded();
    assert_eq!(env.row(&key, "block"), "1500 2147483647 - -");
    assert!(env.row(&key, "attestation").starts_with("1502 0 "));
    // Nor where there is a record: it may be lower than what was signed.
    assert!(env.run(&["watermarks", "import", text(&directory)]).failed().contains("have no row of"));
}

#[test]
fn what_cannot_be_imported_or_exported_is_refused() {
    let env = TestEnv::new();
    let key = env.tz3();
    let directory = octez(&env, &key, &[("block", 1500)]);
    let neither = env.path.join("tokens");
    let (gzip, empty) = (env.path.join("part.json.gz"), env.path.join("part.json"));
    std::fs::write(&gzip, b"\x1f\x8b\x08\x00").unwrap();
    std::fs::write(&empty, "\n").unwrap();
    let renamed = env.path.join("marks.json");
    std::fs::copy(directory.join("block_high_watermarks"), &renamed).unwrap();
    let ours = env.path.join("watermarks.json");
    env.run(&["watermarks", "export", "--output", text(&ours)]).succeeded();
    for (arguments, message) in [
        (vec![word(&neither)], "has neither octez-signer's high watermarks nor Signatory's"),
        (vec![word(&renamed)], "unknown format"),
        (vec![word(&renamed), "--format".into(), "octez".into()], "the name of an octez-signer file determines"),
        (vec![word(&ours), word(&directory)], "it cannot be imported together"),
        (vec![word(&directory), "--key".into(), env.tz2().hash().to_string()], "it has no key of the configuration"),
        (vec![word(&gzip)], "it is compressed: decompress it"),
        (vec![word(&directory), word(&empty)], "it is empty. If it is a part of an S3 export"),
    ] {
        let arguments: Vec<_> =
            ["watermarks", "import"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let refused = env.run(&arguments).failed();
        assert!(refused.contains(message), "{message}: {refused}");
    }
    assert!(env.row(&key, "block").starts_with(&format!("{FLOOR} ")));
    for (arguments, message) in [
        (&["--format", "octez"][..], "--output DIRECTORY"),
        (&["--format", "signatory-dynamodb", "--output", "x"], "can only be imported"),
    ] {
        let refused = env.run(&[&["watermarks", "export"], arguments].concat()).failed();
        assert!(refused.contains(message), "{refused}");
    }
    assert_eq!(env.run(&["watermarks", "export", "--format", "tmkms"]).code, Some(2));
}

#[test]
fn an_export_takes_nothing_out_of_another_signers_files() {
    let env = TestEnv::new();
    let (tz3, tz2) = (env.tz3(), env.tz2());
    let directory = octez(&env, &tz3, &[("block", 1500), ("attestation", 900)]);
    std::fs::write(directory.join("endorsement_high_watermarks"), "{}").unwrap();
    // The other signer runs as somebody else.
    for file in [directory.clone(), directory.join("block_high_watermarks")] {
        std::os::unix::fs::chown(file, Some(1234), Some(1234)).unwrap();
    }
    env.run(&["watermarks", "export", "--format", "octez", "--output", text(&directory)]).succeeded();
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
    env.run(&["watermarks", "export", "--format", "octez", "--output", text(&directory)]).failed();
    assert_eq!(std::fs::read_to_string(directory.join("block_high_watermarks")).unwrap(), "[]");
}

#[test]
fn a_record_below_what_the_chain_shows_is_told() {
    let env = TestEnv::new();
    let (key, other) = (env.tz3(), env.tz2());
    let node = Node::start(CHAIN);
    let url = format!("http://{}", node.address);
    let compare = ["watermarks", "compare", "--node-endpoint", &url];
    let table = env.run(&compare).succeeded();
    assert_eq!(table.matches("no block or vote of the key above it, up to block 1060").count(), 2, "{table}");

    node.answer_with(&format!("{}/operations/0", FLOOR + 41), votes(&[(&key.hash().to_string(), FLOOR + 40)]));
    let reported = env.run(&compare).failed();
    assert!(reported.contains(&format!("too low: block {} of the chain proves", FLOOR + 41)), "{reported}");
    assert!(reported.contains("watermarks raise"), "{reported}");
    let ended = env.run(&[&compare[..], &["--output", "json"]].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let all: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&all[0]["publicKeyHash"], &all[1]["publicKeyHash"]), (&json!(key.hash()), &json!(other.hash())));
    assert!(all[0]["forgotten"].is_string() && all[1]["forgotten"].is_null(), "{all}");

    // What it says helps; and a record above the head waits.
    env.run(&["watermarks", "raise", "--level", "6001"]).succeeded();
    assert!(env.run(&compare).succeeded().contains("up to the head"));
    env.run(&["watermarks", "raise", "--level", "6100"]).succeeded();
    assert!(
        env.run(&compare)
            .succeeded()
            .contains("levels above the head: nothing is signed until the chain reaches that level")
    );

    assert!(env.run(&["watermarks", "compare"]).failed().contains("--node-endpoint http://HOST:PORT"));
    let elsewhere = Node::start("NetXnHfVqm9iesp");
    let refused =
        env.run(&["watermarks", "compare", "--node-endpoint", &format!("http://{}", elsewhere.address)]).failed();
    assert!(refused.contains("is a node of the chain"), "{refused}");
}

/// Every command that a person calls says how, with an example.
#[test]
fn every_command_has_an_example() {
    let env = TestEnv::without_keys();
    let help = |words: &[&str]| {
        crate::test_env::CommandResult::from(env.command().args(words).arg("--help").output().unwrap()).succeeded()
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
