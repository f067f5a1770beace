//! The files of a bundle, its table of contents, and how they are written.

use super::redact;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The files by path, and what is missing.
#[derive(Default)]
pub(super) struct Archive {
    files: BTreeMap<String, Vec<u8>>,
    missing: Vec<Missing>,
    time: Timestamp,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Missing {
    what: String,
    why: String,
}

/// `contents.json` of the bundle.
#[derive(Serialize)]
struct Contents<'a> {
    made: Timestamp,
    plugin: &'static str,
    files: Vec<&'a String>,
    missing: &'a [Missing],
}

/// What was written, for the user.
#[derive(Serialize)]
pub(super) struct Report {
    file: String,
    bytes: u64,
    files: Vec<String>,
    missing: Vec<Missing>,
}

impl Archive {
    /// Adds a file, without what may be a secret.
    pub(super) fn add(&mut self, path: impl Into<String>, text: &str) {
        self.files.insert(path.into(), redact::text(text).into_bytes());
    }

    /// Notes what is not in it.
    pub(super) fn miss(&mut self, what: impl Into<String>, why: impl fmt::Display) {
        let missing = Missing { what: what.into(), why: redact::text(&why.to_string()) };
        if !self.missing.contains(&missing) {
            self.missing.push(missing);
        }
    }

    /// When it was made.
    pub(super) fn at(mut self, time: Timestamp) -> Self {
        self.time = time;
        self
    }

    /// Writes the tar file, which only its owner may read. All is in the directory `name`.
    pub(super) fn write(mut self, path: &Path, name: &str) -> io::Result<Report> {
        let contents = Contents {
            made: self.time,
            plugin: env!("CARGO_PKG_VERSION"),
            files: self.files.keys().collect(),
            missing: &self.missing,
        };
        let contents = serde_json::to_vec_pretty(&contents)?;
        self.files.insert("contents.json".to_owned(), contents);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut tar = tar::Builder::new(file);
        for (path, bytes) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(self.time.as_second().try_into().unwrap_or_default());
            tar.append_data(&mut header, format!("{name}/{path}"), bytes.as_slice())?;
        }
        let file = tar.into_inner()?;
        file.sync_all()?;
        Ok(Report {
            file: path.display().to_string(),
            bytes: file.metadata()?.len(),
            files: self.files.into_keys().collect(),
            missing: self.missing,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} files, {} KiB. No Secret was read; look through it before you give it away",
            self.file,
            self.files.len(),
            self.bytes / 1024
        )?;
        self.missing.iter().try_for_each(|missing| writeln!(f, "Not in it: {}: {}", missing.what, missing.why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_bundle_is_a_tar_for_its_owner_with_a_table_of_contents() {
        let path = std::env::temp_dir().join(format!("bundle-{}.tar", std::process::id()));
        let mut archive = Archive::default();
        archive.add("a/b.log", "a line\n");
        archive.miss("the records", "you have no right");
        archive.miss("the records", "you have no right");
        let report = archive.write(&path, "bundle").unwrap();
        assert_eq!(report.files, ["a/b.log", "contents.json"]);
        assert!(report.to_string().contains("Not in it: the records: you have no right"), "{report}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut tar = tar::Archive::new(std::fs::File::open(&path).unwrap());
        let mut found = BTreeMap::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.insert(entry.path().unwrap().display().to_string(), text);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found["bundle/a/b.log"], "a line\n");
        let contents: serde_json::Value = serde_json::from_str(&found["bundle/contents.json"]).unwrap();
        assert_eq!(contents["missing"].as_array().unwrap().len(), 1);
    }
}
