//! Every test that `docs/architecture.md`, `docs/parity.md` and `docs/testing.md` name exists, and every invariant that a comment names is
//! in the tables of `docs/architecture.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All Rust and Go sources below a directory: path and text.
fn sources(directory: &Path, into: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "node_modules" && name != "target" {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "go") {
            let text = std::fs::read_to_string(&path).unwrap();
            into.push((path, text));
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for directory in ["core", "interop", "sidecar", "operator", "plugin", "e2e"] {
        sources(&root().join(directory), &mut all);
    }
    all
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn all_functions() -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    for (_, text) in all_sources() {
        for line in text.lines() {
            let rest = line.trim_start();
            let rest = rest.strip_prefix("async ").unwrap_or(rest);
            let function = rest.strip_prefix("fn ").or_else(|| rest.strip_prefix("func "));
            there.extend(function.and_then(|rest| rest.split('(').next()).map(str::to_owned));
        }
    }
    there
}

/// The names of the tests in the tables of a page: `module::test` is a Rust test, and `TestName` a Go test. A word that ends in `::` is a
/// whole module.
fn tests_named_in(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let tests = words
        .filter(|word| !word.contains(['/', '.', ' ', '"']))
        .filter_map(|word| word.rsplit_once("::").map(|(_, name)| name).or(word.starts_with("Test").then_some(word)));
    tests.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_test_that_a_rule_or_a_promise_names_is_there() {
    let there = all_functions();
    for (page, at_least) in [("docs/architecture.md", 46), ("docs/testing.md", 20)] {
        let named = tests_named_in(page);
        assert!(named.len() >= at_least, "{page}: {named:?}");
        let missing: Vec<_> = named.iter().filter(|name| !there.contains(*name)).collect();
        assert!(missing.is_empty(), "named in {page}, and not there: {missing:?}");
    }
}

#[test]
fn every_test_that_the_parity_table_names_is_there() {
    let there = all_functions();
    let page = std::fs::read_to_string(root().join("docs/parity.md")).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 5).collect();
    let last = |row: &&&str| row.trim_end_matches('|').rsplit('|').next().unwrap().trim().to_owned();
    let named: Vec<_> = rows
        .iter()
        .flat_map(|row| last(&row).split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>())
        .collect();
    let named: Vec<_> = named.into_iter().filter(|name| !name.is_empty() && name != "test").collect();
    assert!(named.len() > 30, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !there.contains(*name)).collect();
    assert!(missing.is_empty(), "named in docs/parity.md, and not there: {missing:?}");
}

#[test]
fn every_invariant_that_a_comment_names_is_in_the_tables() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let number = |word: &str| {
        let (letter, digits) = word.split_at(word.len().min(1));
        letter.chars().all(|letter| letter.is_ascii_uppercase()) && digits.parse::<u8>().is_ok()
    };
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let numbered: BTreeSet<&str> = rows.filter(|word| number(word)).collect();
    let mut named = BTreeSet::new();
    for (path, text) in all_sources() {
        for after in text.split("INVARIANT ").skip(1) {
            // One number, or several with a comma between them.
            let words = after.split([' ', '\n']).map(|word| word.trim_end_matches([',', '.', ':', ')', ';', '"']));
            for word in words.take_while(|word| number(word)) {
                assert!(numbered.contains(word), "{}: INVARIANT {word} is in no table", path.display());
                named.insert(word.to_owned());
            }
        }
    }
    assert!(named.len() > 40, "{named:?}");
}
