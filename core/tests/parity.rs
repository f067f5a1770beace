//! `docs/parity.md`: every test that it names is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;

/// The names of the functions in all sources below a directory.
fn functions(directory: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "node_modules" && name != "target" {
            functions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "go") {
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let rest = line.trim_start();
                let function = rest.strip_prefix("fn ").or_else(|| rest.strip_prefix("func "));
                into.extend(function.and_then(|rest| rest.split('(').next()).map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_test_that_the_parity_table_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut there = BTreeSet::new();
    for directory in ["core", "sidecar", "operator", "e2e"] {
        functions(&root.join(directory), &mut there);
    }
    let page = std::fs::read_to_string(root.join("docs/parity.md")).unwrap();
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
